//! What does a request ask for? Parameters become queries, queries become answers.

use super::answer::{self, Body};
use super::endpoint::Call;
use super::letter::{How, LetterId};
use super::outline::OutlineAsk;
use super::parameter::{DefaultRange, Parameters};
use super::state::DemoAction;
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::exec::Control;
use crate::{log, metric, promql, service, time, trace, traceql, volume};
use query_api::letter::DeadLettersResponse;
use query_api::log::LogsResponse;
use query_api::trace::{Order, SearchResponse};
use storage::model::schema::column;
use storage::model::{Signal, SpanId, TraceId};
use storage::scan::{AttributeScope, Compare, Dimension, Field, Measure, Predicate, Scalar, TimeRange};

/// A request, understood.
#[derive(Debug)]
pub(super) enum Ask {
    Status,
    Demo(DemoAction),
    OpenApi,
    Deletions(usize),
    Delete(Delete),
    DeadLetter(LetterId),
    Replay(LetterId, How),
    Outline(OutlineAsk),
    SpanMetrics(TimeRange),
    Data(DataAsk),
}

/// Rows to be deleted.
#[derive(Debug)]
pub(super) struct Delete {
    pub(super) signal: Signal,
    pub(super) range: TimeRange,
    pub(super) predicate: Predicate,
}

/// A request that reads stored data.
#[derive(Debug)]
pub(super) enum DataAsk {
    Trace(TraceId),
    CompareTraces(trace::CompareQuery, u64),
    Traces(trace::SearchQuery, u64),
    TraceQl(Box<traceql::Search>, traceql::SearchQuery, u64),
    Services(TimeRange),
    Operations(String, TimeRange),
    ServiceGraph(TimeRange),
    Logs(log::SearchQuery, u64),
    DeadLetters(log::letter::LettersQuery),
    LogHistogram(log::Filter, u64),
    Volume(volume::VolumeQuery),
    Attributes(volume::AttributesQuery),
    AttributeValues(volume::ValuesQuery),
    Metrics(metric::MetricsQuery),
    Cardinality(metric::CardinalityQuery),
    Series(metric::SeriesQuery),
}

impl Ask {
    /// Reads the parameters of a call.
    pub(super) fn read(call: Call, parameters: &mut Parameters) -> Result<Self> {
        match OutlineAsk::read(call, parameters)? {
            Some(ask) => Ok(Ask::Outline(ask)),
            None => Self::of_lists(call, parameters),
        }
    }

    /// All but questions to an outline.
    fn of_lists(call: Call, parameters: &mut Parameters) -> Result<Self> {
        Ok(Ask::Data(match call {
            Call::Status => return Ok(Ask::Status),
            Call::OpenApi => return Ok(Ask::OpenApi),
            Call::DemoTell => return Ok(Ask::Demo(DemoAction::Tell)),
            Call::DemoStart => return Ok(Ask::Demo(DemoAction::Start)),
            Call::DemoStop => return Ok(Ask::Demo(DemoAction::Stop)),
            Call::Deletions => return Ok(Ask::Deletions(parameters.limit()?)),
            Call::DeadLetter | Call::Replay => return dead_letter(call, parameters),
            Call::SpanMetrics => return said_range(parameters).map(Ask::SpanMetrics),
            Call::DeleteTrace => {
                let predicate = Predicate::Trace(trace_id(parameters, "trace_id")?);
                return Ok(Ask::Delete(Delete { signal: Signal::Spans, range: TimeRange::ALL, predicate }));
            }
            Call::DeleteSpans | Call::DeleteLogs | Call::DeleteMetrics => {
                return delete(call, parameters).map(Ask::Delete);
            }
            Call::Outline
            | Call::OutlineRows
            | Call::OutlineMatches
            | Call::OutlineGroups
            | Call::OutlineLanes
            | Call::OutlineCalls
            | Call::OutlineEvents
            | Call::Span => return Err(Error::bug("a question to an outline is read before")),
            Call::Trace => DataAsk::Trace(trace_id(parameters, "trace_id")?),
            Call::CompareTraces => compare(parameters)?,
            Call::Traces => traces(parameters)?,
            Call::Services | Call::Operations | Call::OperationsOf | Call::ServiceGraph => {
                of_services(call, parameters)?
            }
            Call::Logs => logs(parameters)?,
            Call::DeadLetters => letters(parameters)?,
            Call::LogHistogram => {
                let filter = log_filter(parameters)?;
                DataAsk::LogHistogram(filter, parameters.count("buckets")?)
            }
            Call::LogVolume => {
                let log::Filter { range, predicate } = log_filter(parameters)?;
                volume_of(parameters, Signal::Logs, range, predicate)?
            }
            Call::SpanVolume => {
                let predicate = span_filter(parameters)?;
                let range = parameters.range(DefaultRange::LastHour)?;
                volume_of(parameters, Signal::Spans, range, predicate)?
            }
            Call::Attributes => DataAsk::Attributes(attribute_rows(parameters)?),
            Call::AttributeValues => DataAsk::AttributeValues(volume::ValuesQuery {
                rows: attribute_rows(parameters)?,
                scope: parameters.parsed("scope", scope)?.unwrap_or(AttributeScope::Any),
                key: parameters.path("key")?.to_owned(),
                prefix: parameters.text("prefix").unwrap_or_default(),
                limit: parameters.limit()?,
            }),
            Call::Metrics => DataAsk::Metrics(metric::MetricsQuery {
                range: parameters.range(DefaultRange::LastHour)?,
                prefix: parameters.text("prefix").unwrap_or_default(),
                service: parameters.text("service"),
            }),
            Call::Cardinality => DataAsk::Cardinality(cardinality(parameters)?),
            Call::Series => series(parameters)?,
        }))
    }
}

fn of_services(call: Call, parameters: &mut Parameters) -> Result<DataAsk> {
    let range = parameters.range(DefaultRange::LastHour)?;
    Ok(match call {
        Call::Operations => DataAsk::Operations(parameters.path("name")?.to_owned(), range),
        // No text names the service that has none.
        Call::OperationsOf => DataAsk::Operations(parameters.text("service").unwrap_or_default(), range),
        Call::ServiceGraph => DataAsk::ServiceGraph(range),
        _ => DataAsk::Services(range),
    })
}

impl DataAsk {
    /// Computes and writes the answer, on the executor's threads.
    pub(super) fn answer(self, control: &Control, gzip: bool) -> Result<Body> {
        match self {
            DataAsk::Trace(id) => answer::large(control, &trace::by_id(control, id)?, gzip),
            DataAsk::CompareTraces(query, filter_hash) => {
                let mut answer = trace::compare(control, &query)?;
                let answered = query.skip.saturating_add(u64::try_from(answer.nodes.len()).unwrap_or(u64::MAX));
                answer.next_cursor = (answered < answer.node_count).then(|| {
                    let key = i64::try_from(answered).unwrap_or(i64::MAX);
                    Cursor { filter_hash, range: TimeRange::ALL, key, tie: [] }.encode()
                });
                answer::large(control, &answer, gzip)
            }
            DataAsk::Traces(query, filter_hash) => {
                let (traces, last) = trace::search(control, &query)?;
                let next_cursor = last.map(|last| {
                    let key = last.key(query.order);
                    Cursor { filter_hash, range: query.filter.range, key, tie: last.trace.0 }.encode()
                });
                answer::large(control, &SearchResponse { traces, next_cursor, stats: control.stats() }, gzip)
            }
            DataAsk::TraceQl(search, query, filter_hash) => {
                let (found, last) = search.page(control, &query)?;
                let next_cursor = last.map(|last| {
                    let key = last.key(query.order);
                    Cursor { filter_hash, range: query.range, key, tie: last.trace.0 }.encode()
                });
                let traces = found.into_iter().map(|found| found.summary).collect();
                answer::large(control, &SearchResponse { traces, next_cursor, stats: control.stats() }, gzip)
            }
            DataAsk::Services(range) => answer::large(control, &service::services(control, range)?, gzip),
            DataAsk::Operations(name, range) => {
                answer::large(control, &service::operations(control, &name, range)?, gzip)
            }
            DataAsk::ServiceGraph(range) => answer::large(control, &service::graph(control, range)?, gzip),
            DataAsk::Logs(query, filter_hash) => {
                let (logs, last) = log::search(control, &query)?;
                let next_cursor = last.map(|place| {
                    let tie = tie_of(&place);
                    Cursor { filter_hash, range: query.filter.range, key: place.time, tie }.encode()
                });
                answer::large(control, &LogsResponse { logs, next_cursor, stats: control.stats() }, gzip)
            }
            DataAsk::DeadLetters(query) => {
                let (letters, truncated) = log::letter::letters(control, &query)?;
                answer::large(control, &DeadLettersResponse { letters, truncated, stats: control.stats() }, gzip)
            }
            DataAsk::LogHistogram(filter, buckets) => {
                answer::large(control, &log::histogram(control, &filter, buckets)?, gzip)
            }
            DataAsk::Volume(query) => answer::large(control, &volume::volume(control, &query)?, gzip),
            DataAsk::Attributes(query) => answer::large(control, &volume::keys(control, &query)?, gzip),
            DataAsk::AttributeValues(query) => answer::large(control, &volume::values(control, &query)?, gzip),
            DataAsk::Metrics(query) => answer::large(control, &metric::metrics(control, &query)?, gzip),
            DataAsk::Cardinality(query) => answer::large(control, &metric::cardinality(control, &query)?, gzip),
            DataAsk::Series(query) => answer::large(control, &metric::series(control, &query)?, gzip),
        }
    }
}

fn cardinality(parameters: &mut Parameters) -> Result<metric::CardinalityQuery> {
    let selector = |text: &str| match promql::parse_selector(text) {
        Ok(selector) => Ok(selector.matchers),
        Err(fault) => Err(fault.message(text)),
    };
    Ok(metric::CardinalityQuery {
        range: parameters.range(DefaultRange::LastHour)?,
        matchers: parameters.parsed("selector", selector)?.unwrap_or_default(),
        limit: parameters.limit()?,
        active: None,
    })
}

fn trace_id(parameters: &Parameters, name: &'static str) -> Result<TraceId> {
    let id = parameters.path(name)?.parse();
    id.map_err(|invalid| Error::parameter(name, format!("{invalid}")))
}

fn compare(parameters: &mut Parameters) -> Result<DataAsk> {
    let show = |text: &str| match text {
        "all" => Ok(trace::Show::All),
        "changed" => Ok(trace::Show::Changed),
        "structure" => Ok(trace::Show::Structure),
        _ => Err("expected all, changed or structure".to_owned()),
    };
    let cursor = parameters.cursor::<0>()?;
    let query = trace::CompareQuery {
        base: trace_id(parameters, "trace_id")?,
        other: trace_id(parameters, "other")?,
        show: parameters.parsed("show", show)?.unwrap_or_default(),
        skip: cursor.map_or(0, |cursor| u64::try_from(cursor.key).unwrap_or(0)),
        limit: parameters.limit()?,
    };
    Ok(DataAsk::CompareTraces(query, parameters.filter_hash()))
}

/// A range of which nothing is left to a default.
fn said_range(parameters: &mut Parameters) -> Result<TimeRange> {
    for name in ["start", "end"] {
        if parameters.text(name).is_none() {
            return Err(Error::parameter(name, "the range must be said: `start` and `end` are required"));
        }
    }
    parameters.range(DefaultRange::LastHour)
}

fn delete(call: Call, parameters: &mut Parameters) -> Result<Delete> {
    said_range(parameters)?;
    let (signal, predicate) = match call {
        Call::DeleteLogs => {
            let log::Filter { range, predicate } = log_filter(parameters)?;
            return Ok(Delete { signal: Signal::Logs, range, predicate });
        }
        Call::DeleteMetrics => {
            let name = parameters.text("name").map(|name| Predicate::equal(column::NAME, Scalar::String(name)));
            let predicate = name.unwrap_or_default().and(service(parameters)).and(attributes(parameters)?);
            (Signal::Metrics, predicate)
        }
        _ => (Signal::Spans, span_filter(parameters)?),
    };
    Ok(Delete { signal, range: parameters.range(DefaultRange::LastHour)?, predicate })
}

/// Which spans.
fn span_filter(parameters: &mut Parameters) -> Result<Predicate> {
    let mut predicate = service(parameters);
    if let Some(operation) = parameters.text("operation") {
        predicate = predicate.and(Predicate::equal(column::NAME, Scalar::String(operation)));
    }
    if let Some(code) = parameters.parsed("status", status_code)? {
        predicate = predicate.and(Predicate::equal(column::STATUS_CODE, Scalar::Int(code)));
    }
    let min = parameters.parsed("min_duration", time::length)?;
    let max = parameters.parsed("max_duration", time::length)?;
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        return Err(Error::parameter("min_duration", "`min_duration` is longer than `max_duration`"));
    }
    for (bound, compare) in [(min, Compare::GreaterOrEqual), (max, Compare::LessOrEqual)] {
        if let Some(nanos) = bound {
            let field = Field::Column(column::DURATION);
            predicate = predicate.and(Predicate::Compare { field, compare, value: Scalar::Int(nanos) });
        }
    }
    Ok(predicate.and(attributes(parameters)?))
}

fn traces(parameters: &mut Parameters) -> Result<DataAsk> {
    let predicate = span_filter(parameters)?;
    let mut range = parameters.range(DefaultRange::LastHour)?;
    let limit = parameters.limit()?;
    let order = parameters.parsed("order", order)?.unwrap_or_default();
    let mut after = None;
    if let Some(cursor) = parameters.cursor::<16>()? {
        range = cursor.range;
        after = Some(trace::Position::new(order, cursor.key, TraceId(cursor.tie)));
    }
    if let Some(text) = parameters.text("q") {
        if predicate != Predicate::All {
            let message = "`q` says what matches by itself; leave out the other filters, or say them in the query";
            return Err(Error::parameter("q", message));
        }
        let search = Box::new(traceql::parse(&text)?.search()?);
        let query = traceql::SearchQuery { range, order, limit, spans_per_set: 0, after };
        return Ok(DataAsk::TraceQl(search, query, parameters.filter_hash()));
    }
    let filter = trace::Filter { range, predicate };
    Ok(DataAsk::Traces(trace::SearchQuery { filter, order, limit, after }, parameters.filter_hash()))
}

fn letters(parameters: &mut Parameters) -> Result<DataAsk> {
    let range = parameters.range(DefaultRange::AllTime)?;
    let (topic, limit) = (parameters.text("topic"), parameters.limit()?);
    Ok(DataAsk::DeadLetters(log::letter::LettersQuery { range, topic, limit }))
}

fn logs(parameters: &mut Parameters) -> Result<DataAsk> {
    let mut filter = log_filter(parameters)?;
    let limit = parameters.limit()?;
    let mut after = None;
    if let Some(cursor) = parameters.cursor::<16>()? {
        filter.range = cursor.range;
        after = Some(place_of(&cursor));
    }
    Ok(DataAsk::Logs(log::SearchQuery { filter, limit, after }, parameters.filter_hash()))
}

fn tie_of(place: &log::Place) -> [u8; 16] {
    (u128::from(place.fingerprint) | u128::from(place.answered) << 64).to_le_bytes()
}

fn place_of(cursor: &Cursor<16>) -> log::Place {
    let [fingerprint, answered] = [0, 64].map(|shift| {
        let bits = (u128::from_le_bytes(cursor.tie) >> shift) & u128::from(u64::MAX);
        u64::try_from(bits).unwrap_or(u64::MAX)
    });
    log::Place { time: cursor.key, fingerprint, answered }
}

fn dead_letter(call: Call, parameters: &mut Parameters) -> Result<Ask> {
    let id = LetterId::read(parameters.path("id")?)?;
    if call == Call::DeadLetter {
        return Ok(Ask::DeadLetter(id));
    }
    let [signal, encoding, tenant] = ["signal", "encoding", "tenant"].map(|name| parameters.text(name));
    Ok(Ask::Replay(id, How { signal, encoding, tenant }))
}

fn log_filter(parameters: &mut Parameters) -> Result<log::Filter> {
    let mut predicate = Predicate::All;
    let trace = parameters.parsed("trace_id", |text| text.parse::<TraceId>().map_err(|invalid| invalid.to_string()))?;
    let span = parameters.parsed("span_id", |text| text.parse::<SpanId>().map_err(|invalid| invalid.to_string()))?;
    predicate = trace.map_or(Predicate::All, Predicate::Trace).and(predicate);
    predicate = predicate.and(span.map_or(Predicate::All, Predicate::Span)).and(service(parameters));
    let severity = |text: &str| {
        let expected = || {
            format!("expected one of {} or a number from 0 to 24", log::LEVELS.get(..6).unwrap_or_default().join(", "))
        };
        log::number_of(text).ok_or_else(expected)
    };
    if let Some(number) = parameters.parsed("min_severity", severity)? {
        let field = Field::Column(column::SEVERITY_NUMBER);
        let value = Scalar::Int(number.into());
        predicate = predicate.and(Predicate::Compare { field, compare: Compare::GreaterOrEqual, value });
    }
    if let Some(needle) = parameters.text("contains") {
        let contains = |name| {
            let field = Field::Column(name);
            Predicate::Contains { field, needle: needle.clone(), case_sensitive: false }
        };
        predicate = predicate.and(Predicate::Or(vec![contains(column::BODY), contains(column::EVENT_NAME)]));
    }
    predicate = predicate.and(attributes(parameters)?);
    let default = if trace.is_some() { DefaultRange::AllTime } else { DefaultRange::LastHour };
    Ok(log::Filter { range: parameters.range(default)?, predicate })
}

/// More steps are not answered.
const MOST_STEPS: u64 = 1000;

fn volume_of(parameters: &mut Parameters, signal: Signal, range: TimeRange, predicate: Predicate) -> Result<DataAsk> {
    let by = |text: &str| match (text, signal) {
        ("none", _) => Ok(None),
        ("service", _) => Ok(Some(Dimension::Service)),
        ("level", Signal::Logs) => Ok(Some(Dimension::Severity)),
        ("status", Signal::Spans) => Ok(Some(Dimension::Status)),
        ("kind", Signal::Spans) => Ok(Some(Dimension::Kind)),
        (_, Signal::Logs) => Err("expected none, level or service".to_owned()),
        _ => Err("expected none, service, status or kind".to_owned()),
    };
    let usual = if signal == Signal::Logs { Dimension::Severity } else { Dimension::Service };
    let by = parameters.parsed("by", by)?.unwrap_or(Some(usual));
    let measure = |text: &str| match text {
        "rows" => Ok(Measure::Rows),
        "bytes" => Ok(Measure::RowsAndBytes),
        _ => Err("expected rows or bytes".to_owned()),
    };
    let measure = parameters.parsed("measure", measure)?.unwrap_or_default();
    let buckets = parameters.count("buckets")?;
    let step = parameters.parsed("step", time::length)?;
    let step = match step.map(u64::try_from) {
        None => volume::Step::Parts(buckets),
        Some(Ok(nanos)) if nanos > 0 => volume::Step::Nanos(nanos),
        Some(_) => return Err(Error::parameter("step", "a step takes some time")),
    };
    if step.of(range).1 > MOST_STEPS {
        let message = format!("the range has more than {MOST_STEPS} such steps; ask for longer ones");
        return Err(Error::parameter("step", message));
    }
    let limit = parameters.limit()?;
    Ok(DataAsk::Volume(volume::VolumeQuery { signal, range, predicate, step, by, measure, limit }))
}

fn attribute_rows(parameters: &mut Parameters) -> Result<volume::AttributesQuery> {
    let signal = |text: &str| match text {
        "spans" => Ok(Signal::Spans),
        "logs" => Ok(Signal::Logs),
        _ => Err("expected spans or logs".to_owned()),
    };
    let signal = parameters.parsed("signal", signal)?.unwrap_or(Signal::Spans);
    Ok(volume::AttributesQuery { signal, range: parameters.range(DefaultRange::LastHour)? })
}

fn scope(text: &str) -> Result<AttributeScope, String> {
    match text {
        "any" => Ok(AttributeScope::Any),
        "own" => Ok(AttributeScope::Own),
        "resource" => Ok(AttributeScope::Resource),
        "scope" => Ok(AttributeScope::Scope),
        _ => Err("expected any, own, resource or scope".into()),
    }
}

fn series(parameters: &mut Parameters) -> Result<DataAsk> {
    let name = parameters.text("name").ok_or_else(|| Error::parameter("name", "which metric? `name` is required"))?;
    Ok(DataAsk::Series(metric::SeriesQuery {
        name,
        predicate: service(parameters).and(attributes(parameters)?),
        range: parameters.range(DefaultRange::LastHour)?,
        limit: parameters.limit()?,
    }))
}

fn service(parameters: &mut Parameters) -> Predicate {
    let service = parameters.text("service");
    service.map_or(Predicate::All, |name| Predicate::equal(column::SERVICE_NAME, Scalar::String(name)))
}

fn attributes(parameters: &mut Parameters) -> Result<Predicate> {
    let mut predicate = Predicate::All;
    for text in parameters.texts("attr") {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => (key, value),
            _ => return Err(Error::parameter("attr", "expected `key=value`")),
        };
        let field = Field::Attribute(AttributeScope::Any, key.to_owned());
        let value = Scalar::Typed(value.to_owned());
        predicate = predicate.and(Predicate::Compare { field, compare: Compare::Equal, value });
    }
    Ok(predicate)
}

fn status_code(text: &str) -> Result<i64, String> {
    match text {
        "unset" => Ok(0),
        "ok" => Ok(1),
        "error" => Ok(2),
        _ => Err("expected unset, ok or error".into()),
    }
}

fn order(text: &str) -> Result<Order, String> {
    match text {
        "newest" => Ok(Order::Newest),
        "oldest" => Ok(Order::Oldest),
        "longest" => Ok(Order::Longest),
        "most_spans" => Ok(Order::MostSpans),
        "most_errors" => Ok(Order::MostErrors),
        _ => Err("expected newest, oldest, longest, most_spans or most_errors".into()),
    }
}
