//! What do the messages of `jaeger.storage.v2` say? Fields by their numbers; one that is not known is skipped, as protobuf has it.
//!
//! F1  A time that Go calls zero, the first moment of the year 1, is none.

use super::super::super::protobuf::Writer;
use super::super::model::Dependency;
use super::super::otlp::{Share, Summary};
use super::super::request::{self, Conditions, Search};
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::trace::Position;
use prost::Message;
use query_api::trace::Order;
use storage::model::TraceId;
use storage::scan::TimeRange;

const NANOS: i64 = 1_000_000_000;
/// Go's zero time, in Unix seconds.
const GO_ZERO: i64 = -62_135_596_800;

/// `GetTracesRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Traces {
    #[prost(message, repeated, tag = "1")]
    query: Vec<OneTrace>,
}

/// `GetTraceParams`, whose times are only hints for stores that need them.
#[derive(Clone, PartialEq, Message)]
struct OneTrace {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
}

/// `GetOperationsRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Operations {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(string, tag = "2")]
    pub(super) span_kind: String,
}

/// `FindTracesRequest`, and those of ids and summaries.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Find {
    #[prost(message, optional, tag = "1")]
    query: Option<Query>,
}

/// `TraceQueryParameters`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Query {
    #[prost(string, tag = "1")]
    service_name: String,
    #[prost(string, tag = "2")]
    operation_name: String,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<Attribute>,
    #[prost(message, optional, tag = "4")]
    start_time_min: Option<Time>,
    #[prost(message, optional, tag = "5")]
    start_time_max: Option<Time>,
    #[prost(message, optional, tag = "6")]
    duration_min: Option<Time>,
    #[prost(message, optional, tag = "7")]
    duration_max: Option<Time>,
    #[prost(int32, tag = "8")]
    search_depth: i32,
    /// A structured filter, which is not read.
    #[prost(bytes = "vec", optional, tag = "9")]
    filter: Option<Vec<u8>>,
    #[prost(message, optional, tag = "10")]
    pagination: Option<Pagination>,
}

/// `Pagination`.
#[derive(Clone, PartialEq, Message)]
struct Pagination {
    #[prost(uint32, tag = "1")]
    page_size: u32,
    #[prost(string, tag = "2")]
    page_token: String,
}

/// `KeyValue`.
#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

/// `AnyValue`, as far as one may be asked for.
#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Plain", tags = "1, 2, 3, 4")]
    value: Option<Plain>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Plain {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
}

/// `google.protobuf.Timestamp`, and `Duration`, which has the same fields.
#[derive(Clone, Copy, PartialEq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// `GetDependenciesRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Dependencies {
    #[prost(message, optional, tag = "1")]
    start_time: Option<Time>,
    #[prost(message, optional, tag = "2")]
    end_time: Option<Time>,
}

impl Traces {
    pub(super) fn ids(self) -> Result<Vec<TraceId>> {
        let id = |one: OneTrace| {
            let bytes: Option<[u8; 16]> = one.trace_id.try_into().ok();
            let id = bytes.filter(|bytes| *bytes != [0; 16]).map(TraceId);
            id.ok_or_else(|| Error::parameter("trace_id", "a trace id has 16 bytes and is not zero"))
        };
        self.query.into_iter().map(id).collect()
    }
}

impl Find {
    /// What is asked for.
    pub(super) fn query(self) -> Result<Query> {
        self.query.ok_or_else(|| Error::parameter("query", "the query is required"))
    }
}

impl Query {
    /// The same search as the other APIs have; not one of pages, for its answer has no room for a token.
    pub(super) fn search(self, now: i64) -> Result<Search> {
        if self.pagination.is_some() {
            return Err(Error::parameter("pagination", "traces have no pages; ask for ids or summaries"));
        }
        self.meaning(now)
    }

    /// A search of a page, if it is one, with what belongs into its token.
    pub(super) fn page(mut self, now: i64) -> Result<(Search, Option<u64>)> {
        let Some(page) = self.pagination.take() else { return Ok((self.meaning(now)?, None)) };
        if page.page_size == 0 || self.search_depth != 0 {
            let message = "a page has a `page_size`, and takes the place of `search_depth`";
            return Err(Error::parameter("pagination", message));
        }
        // Jaeger keeps them in a map, whose order is another one each time.
        self.attributes.sort_by(|one, other| one.key.cmp(&other.key));
        let hash = xxhash_rust::xxh3::xxh3_64(&self.encode_to_vec());
        let mut search = self.meaning(now)?;
        search.limit = usize::try_from(page.page_size).unwrap_or(usize::MAX).min(request::MOST_TRACES);
        if !page.page_token.is_empty() {
            let cursor = Cursor::<16>::decode(&page.page_token, hash);
            let cursor = cursor.map_err(|refused| Error::parameter("page_token", refused.to_string()))?;
            search.range = cursor.range;
            search.after = Some(Position::new(Order::Newest, cursor.key, TraceId(cursor.tie)));
        }
        Ok((search, Some(hash)))
    }

    fn meaning(self, now: i64) -> Result<Search> {
        if self.filter.is_some() {
            let message = "structured filters are not understood; `Capabilities` does not name any";
            return Err(Error::parameter("filter", message));
        }
        let limit = match usize::try_from(self.search_depth) {
            Ok(depth) => request::depth("search_depth", depth)?,
            Err(_) => return Err(Error::parameter("search_depth", "the number of traces is not negative")),
        };
        let conditions = Conditions {
            service: Some(self.service_name.as_str()).filter(|name| !name.is_empty()),
            operation: Some(self.operation_name.as_str()).filter(|name| !name.is_empty()),
            tags: self.attributes.into_iter().map(Attribute::tag).collect::<Result<_>>()?,
            shortest: length("duration_min", self.duration_min)?,
            longest: length("duration_max", self.duration_max)?,
        };
        let start = moment("start_time_min", self.start_time_min)?.unwrap_or(i64::MIN);
        let end = moment("start_time_max", self.start_time_max)?.unwrap_or(now);
        let range = request::range(start, end.saturating_add(1), "start_time_min")?;
        Ok(Search { text: conditions.query()?, range, limit, after: None })
    }
}

/// The token of the page that follows.
pub(super) fn token(search: &Search, hash: u64, last: Position) -> String {
    let (key, tie) = (last.key(Order::Newest), last.trace.0);
    Cursor { filter_hash: hash, range: search.range, key, tie }.encode()
}

impl Attribute {
    fn tag(self) -> Result<(String, String)> {
        let text = match self.value.and_then(|value| value.value) {
            Some(Plain::Text(text)) => text,
            Some(Plain::Bool(value)) => value.to_string(),
            Some(Plain::Int(value)) => value.to_string(),
            Some(Plain::Double(value)) => value.to_string(),
            None => {
                let message = format!("the value of `{}` is no text, number or boolean", self.key);
                return Err(Error::parameter("attributes", message));
            }
        };
        Ok((self.key, text))
    }
}

impl Dependencies {
    pub(super) fn range(self, now: i64) -> Result<TimeRange> {
        let end = moment("end_time", self.end_time)?.unwrap_or(now);
        let start = moment("start_time", self.start_time)?.unwrap_or(end.saturating_sub(request::DAY));
        request::range(start, end, "start_time")
    }
}

impl Time {
    fn unix_nano(self, name: &str) -> Result<i64> {
        if !(0..NANOS).contains(&i64::from(self.nanos)) {
            return Err(Error::parameter(name, format!("{name} has {} nanoseconds beside its seconds", self.nanos)));
        }
        Ok(self.seconds.saturating_mul(NANOS).saturating_add(self.nanos.into()))
    }
}

/// A time, if it is given (F1).
fn moment(name: &str, time: Option<Time>) -> Result<Option<i64>> {
    time.filter(|time| time.seconds != GO_ZERO).map(|time| time.unix_nano(name)).transpose()
}

/// A length of time, if it is given.
fn length(name: &str, length: Option<Time>) -> Result<Option<i64>> {
    let nanos = length.map(|length| length.unix_nano(name)).transpose()?;
    match nanos {
        Some(nanos) if nanos < 0 => Err(Error::parameter(name, format!("{name} is negative"))),
        nanos => Ok(nanos.filter(|nanos| *nanos > 0)),
    }
}

/// `google.protobuf.Timestamp`.
pub(super) fn write_moment(out: &mut Writer, unix_nano: i64) {
    out.int64(1, unix_nano.div_euclid(NANOS));
    out.int64(2, unix_nano.rem_euclid(NANOS));
}

impl Summary {
    /// `TraceSummary`.
    pub(super) fn write(&self, out: &mut Writer, id: TraceId) {
        out.bytes(1, &id.0);
        out.text(2, &self.root_service_name);
        out.text(3, &self.root_operation_name);
        out.fixed64(4, self.min_start_time_unix_nano.cast_unsigned());
        out.fixed64(5, self.max_end_time_unix_nano.cast_unsigned());
        out.varint(6, self.span_count.into());
        out.varint(7, self.error_span_count.into());
        out.varint(8, self.orphan_span_count.into());
        self.services.iter().for_each(|share| out.message(9, |out| share.write(out)));
    }
}

impl Share {
    fn write(&self, out: &mut Writer) {
        out.text(1, &self.name);
        out.varint(2, self.span_count.into());
        out.varint(3, self.error_span_count.into());
    }
}

impl Dependency {
    /// `Dependency`; its source is not told, since there is only one.
    pub(super) fn write(&self, out: &mut Writer) {
        out.text(1, &self.parent);
        out.text(2, &self.child);
        out.varint(3, self.call_count);
    }
}
