//! What is asked of the outline of a trace? Parameters become questions to it, which is kept between them.

use super::answer::{self, Body};
use super::endpoint::Call;
use super::parameter::Parameters;
use crate::error::{Error, Result};
use crate::exec::Control;
use crate::trace::outline::{self, By, Fold, Key, LanesQuery, RowsQuery, Shelf, Wanted};
use storage::model::{SpanId, TraceId};

/// A question to an outline.
#[derive(Debug)]
pub(super) struct OutlineAsk {
    trace: TraceId,
    what: What,
}

#[derive(Debug)]
enum What {
    /// What it is as a whole, with the trace where it has at most so many spans.
    Whole(usize),
    Rows(RowsQuery),
    Matches(Wanted),
    Groups(Key, By, bool),
    Lanes(LanesQuery),
    Calls,
    Events(usize),
    Span(SpanId),
}

impl OutlineAsk {
    /// Reads the parameters of a call; nothing where the call is about something else.
    pub(super) fn read(call: Call, parameters: &mut Parameters) -> Result<Option<Self>> {
        let what = match call {
            Call::Outline => What::Whole(number(parameters, "whole")?.unwrap_or(0)),
            Call::OutlineRows => {
                let turned = parameters.parsed("turned", Fold::turned)?.unwrap_or_default();
                What::Rows(RowsQuery {
                    fold: Fold { depth: number(parameters, "depth")?, turned },
                    spans: parameters.parsed("spans", Fold::spans)?.unwrap_or_default(),
                    offset: number(parameters, "offset")?.unwrap_or(0),
                    limit: parameters.limit()?,
                    reveal: number(parameters, "reveal")?,
                    contains: parameters.text("contains"),
                })
            }
            Call::OutlineMatches => {
                let failed = parameters.parsed("failed", yes)?.is_some();
                let (contains, like) = (parameters.text("contains"), number(parameters, "like")?);
                What::Matches(Wanted { contains, failed, like, limit: parameters.limit()? })
            }
            Call::OutlineGroups => {
                let key = parameters.parsed("by", Key::parse)?.unwrap_or_default();
                let order = parameters.parsed("order", order)?.unwrap_or_default();
                What::Groups(key, order, parameters.parsed("rising", yes)?.is_some())
            }
            Call::OutlineLanes => What::Lanes(LanesQuery {
                from: nanos(parameters, "from")?.unwrap_or(0),
                to: nanos(parameters, "to")?,
                width: usize::try_from(parameters.count("width")?).unwrap_or(usize::MAX),
                offset: number(parameters, "offset")?.unwrap_or(0),
                limit: parameters.limit()?,
                row: number(parameters, "row")?,
            }),
            Call::OutlineCalls => What::Calls,
            Call::OutlineEvents => What::Events(parameters.limit()?),
            Call::Span => {
                let id = parameters.path("span_id")?.parse::<SpanId>();
                What::Span(id.map_err(|invalid| Error::parameter("span_id", invalid.to_string()))?)
            }
            _ => return Ok(None),
        };
        let trace = parameters.path("trace_id")?.parse();
        let trace = trace.map_err(|invalid| Error::parameter("trace_id", format!("{invalid}")))?;
        Ok(Some(OutlineAsk { trace, what }))
    }

    /// Computes and writes the answer, on the executor's threads.
    pub(super) fn answer(self, control: &Control, shelf: &Shelf, gzip: bool) -> Result<Body> {
        let trace = self.trace;
        if let What::Whole(whole) = self.what {
            // Whoever opens the page sees all that is there.
            let outline = shelf.read(control, trace)?;
            return answer::large(control, &outline.response(control, trace, whole)?, gzip);
        }
        let outline = shelf.outline(control, trace)?;
        let of = (trace, &*outline);
        match self.what {
            What::Whole(_) => Err(Error::bug("a whole outline is answered before its parts")),
            What::Rows(query) => answer::large(control, &outline.window(control, trace, &query)?, gzip),
            What::Matches(wanted) => answer::large(control, &outline::matches(control, of, &wanted)?, gzip),
            What::Groups(key, by, rising) => {
                answer::large(control, &outline::groups(control, of, &key, (by, rising))?, gzip)
            }
            What::Lanes(query) => answer::large(control, &outline.flame(control, &query)?, gzip),
            What::Calls => answer::large(control, &outline::calls(control, of)?, gzip),
            What::Events(limit) => answer::large(control, &outline::events(control, of, limit)?, gzip),
            What::Span(span) => answer::large(control, &outline::span(control, of, span)?, gzip),
        }
    }
}

fn number(parameters: &mut Parameters, name: &'static str) -> Result<Option<usize>> {
    parameters.parsed(name, |text| text.parse().map_err(|_| "expected a whole number from 0 on".to_owned()))
}

fn nanos(parameters: &mut Parameters, name: &'static str) -> Result<Option<i64>> {
    Ok(number(parameters, name)?.map(|nanos| i64::try_from(nanos).unwrap_or(i64::MAX)))
}

fn yes(text: &str) -> std::result::Result<(), String> {
    if text == "true" { Ok(()) } else { Err("expected true, or nothing".to_owned()) }
}

fn order(text: &str) -> std::result::Result<By, String> {
    Ok(match text {
        "self" => By::SelfTime,
        "total" => By::Total,
        "average" => By::Average,
        "count" => By::Count,
        "longest" => By::Longest,
        "errors" => By::Errors,
        _ => return Err("expected self, total, average, count, longest or errors".to_owned()),
    })
}
