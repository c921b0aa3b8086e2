//! How do two traces differ, in Tempo's words? `POST /api/v2/traces/diff`.
//!
//! DF1  Shapes, names and tolerances are those of Tempo's main branch (2026-08): spans are matched by service, name and kind, whatever
//!      their place, a parent of the same kind being preferred; a duration within a fifth or a millisecond is none other.
//! DF2  Time and memory grow with the spans of both traces. A path is as long as a span is deep, so its bytes count.
//! DF3  A trace that lacks what lies in damaged blocks is not compared.
//!
//! Not here: our own comparison, which matches by places in the trees (`trace::compare`).

mod patch;
mod side;
mod summary;

use super::trace::trace_id;
use super::{answered, failed, text};
use crate::error::{Error, Result};
use crate::exec::{Control, QueryContext};
use crate::http::QueryState;
use crate::http::answer::{Body, accepts_gzip, large};
use crate::http::tenant;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use patch::Patch;
use serde::{Deserialize, Serialize};
use side::Side;
use std::sync::Arc;
use storage::model::TraceId;
use summary::Summary;

/// Bytes of a patch that goes along with a summary.
const MOST_PATCH_BYTES: usize = 64 * 1024;

/// Why nothing is compared where blocks are damaged.
const PARTIAL: &str = "a trace of which damaged blocks may have more spans is not compared";

const PATCH: &str = "trace-patch-v0";
const SUMMARY: &str = "trace-summary-v0-native";
pub(super) const COMPOSED: &str = "trace-summary-v0-composed";

/// What is asked; fields that are not known are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question {
    base: Asking,
    compare: Asking,
    format: String,
}

/// One of the two traces. Its range, in Unix seconds, is for who must look for it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asking {
    trace_id: String,
    start: Option<i64>,
    end: Option<i64>,
}

impl Asking {
    fn read(&self, name: &'static str) -> Result<TraceId> {
        if self.trace_id.is_empty() {
            return Err(Error::parameter(name, format!("{name}.traceId is required")));
        }
        if let (Some(start), Some(end)) = (self.start, self.end)
            && end <= start
        {
            let message = format!("{name}.start must be before {name}.end; they are {start} and {end}");
            return Err(Error::parameter(name, message));
        }
        trace_id(&self.trace_id).map_err(|_| {
            Error::parameter(name, format!("{name}.traceId: a trace id has 1 to 32 hex digits and is not zero"))
        })
    }
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Patch,
    Summary,
    Composed,
}

impl Format {
    fn read(text: &str) -> Result<Self> {
        Ok(match text {
            "" | PATCH => Format::Patch,
            SUMMARY => Format::Summary,
            COMPOSED => Format::Composed,
            other => {
                let message =
                    format!("there is no format {other:?}: it is one of {COMPOSED:?}, {PATCH:?}, {SUMMARY:?}");
                return Err(Error::parameter("format", message));
            }
        })
    }
}

/// A summary, and the patch where it is not too large.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Composed<'a> {
    version: &'static str,
    summary: Summary<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<&'a Patch<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_omitted: Option<Omitted>,
}

#[derive(Debug, Serialize)]
struct Omitted {
    bytes: usize,
    reason: &'static str,
}

/// What both notice without being stopped by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Warning {
    code: &'static str,
    message: String,
}

/// Answers a comparison.
pub(super) async fn diff(State(state): State<Arc<QueryState>>, headers: HeaderMap, body: Bytes) -> Response {
    match compared(&state, &headers, &body).await {
        Ok(Some(body)) => answered(Ok(body)),
        Ok(None) => text(StatusCode::UNPROCESSABLE_ENTITY, PARTIAL),
        // What is not there is told in Tempo's two words, what is too large with its status.
        Err(Error::NotFound { .. }) => text(StatusCode::NOT_FOUND, "Not Found"),
        Err(Error::Limit { message }) => text(StatusCode::TOO_MANY_REQUESTS, &message),
        Err(error) => failed(&error),
    }
}

/// The answer; none where a trace is not whole.
async fn compared(state: &Arc<QueryState>, headers: &HeaderMap, body: &[u8]) -> Result<Option<Body>> {
    let question: Question = serde_json::from_slice(body)
        .map_err(|error| Error::parameter("body", format!("the body is no such question: {error}")))?;
    let format = Format::read(&question.format)?;
    let (base, compare) = (question.base.read("base")?, question.compare.read("compare")?);
    let context = QueryContext { tenant: tenant(headers)?, timeout: state.executor().config().timeout };
    let gzip = accepts_gzip(headers);
    let job = move |control: &Control| answer(control, (base, compare), format, gzip);
    state.executor().run(context, job).await
}

/// A comparison of two traces, in one of the formats.
pub(super) fn by_format(control: &Control, traces: (TraceId, TraceId), format: &str) -> Result<Body> {
    let answer = answer(control, traces, Format::read(format)?, false)?;
    answer.ok_or_else(|| Error::Limit { message: PARTIAL.to_owned() })
}

fn answer(control: &Control, (base, compare): (TraceId, TraceId), format: Format, gzip: bool) -> Result<Option<Body>> {
    let [base, compare] = [crate::trace::by_id(control, base)?, crate::trace::by_id(control, compare)?];
    if !base.missing.is_empty() || !compare.missing.is_empty() {
        return Ok(None);
    }
    let (base, compare) = (Side::new(control, &base, "base")?, Side::new(control, &compare, "compare")?);
    let patch = Patch::new(control, &base, &compare)?;
    let body = match format {
        Format::Patch => large(control, &patch, gzip),
        Format::Summary => large(control, &Summary::new(&base, &compare, &patch), gzip),
        Format::Composed => {
            let bytes = length(&patch)?;
            let fits = bytes <= MOST_PATCH_BYTES;
            let answer = Composed {
                version: COMPOSED,
                summary: Summary::new(&base, &compare, &patch),
                patch: fits.then_some(&patch),
                patch_omitted: (!fits).then_some(Omitted { bytes, reason: "over_budget" }),
            };
            large(control, &answer, gzip)
        }
    };
    body.map(Some)
}

/// How many bytes something has as JSON.
fn length(value: &impl Serialize) -> Result<usize> {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    let written = serde_json::to_writer(&mut count, value);
    written.map_err(|error| Error::bug(format!("a patch cannot be written: {error}")))?;
    Ok(count.0)
}
