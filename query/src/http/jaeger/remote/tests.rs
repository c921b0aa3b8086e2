use crate::config::Config;
use crate::fixture::{Fixture, NOW, SECOND, TestSpan, spans, trace};
use crate::http::grpc::tests::Door;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use prost::Message;
use std::slice::from_ref;
use tonic::Code;

#[derive(Clone, PartialEq, Message)]
struct GetTraces {
    #[prost(message, repeated, tag = "1")]
    query: Vec<GetTrace>,
}

#[derive(Clone, PartialEq, Message)]
struct GetTrace {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    start_time: Option<Time>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Find {
    #[prost(message, optional, tag = "1")]
    query: Option<Query>,
}

#[derive(Clone, PartialEq, Message)]
struct Query {
    #[prost(string, tag = "1")]
    service_name: String,
    #[prost(string, tag = "2")]
    operation_name: String,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<KeyValue>,
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
    #[prost(bytes = "vec", optional, tag = "9")]
    filter: Option<Vec<u8>>,
    #[prost(message, optional, tag = "10")]
    pagination: Option<Pagination>,
}

#[derive(Clone, PartialEq, Message)]
struct Pagination {
    #[prost(uint32, tag = "1")]
    page_size: u32,
    #[prost(string, tag = "2")]
    page_token: String,
}

#[derive(Clone, PartialEq, Message)]
struct FoundIds {
    #[prost(message, repeated, tag = "1")]
    trace_ids: Vec<FoundId>,
    #[prost(string, tag = "2")]
    next_page_token: String,
}

#[derive(Clone, PartialEq, Message)]
struct FoundId {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    start: Option<Time>,
    #[prost(message, optional, tag = "3")]
    end: Option<Time>,
}

#[derive(Clone, PartialEq, Message)]
struct Summaries {
    #[prost(message, repeated, tag = "1")]
    summaries: Vec<TraceSummary>,
    #[prost(string, tag = "2")]
    next_page_token: String,
}

#[derive(Clone, PartialEq, Message)]
struct TraceSummary {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(string, tag = "2")]
    root_service_name: String,
    #[prost(string, tag = "3")]
    root_operation_name: String,
    #[prost(fixed64, tag = "4")]
    start: u64,
    #[prost(fixed64, tag = "5")]
    end: u64,
    #[prost(int32, tag = "6")]
    span_count: i32,
    #[prost(int32, tag = "7")]
    error_span_count: i32,
    #[prost(int32, tag = "8")]
    orphan_span_count: i32,
    #[prost(message, repeated, tag = "9")]
    services: Vec<ServiceSummary>,
}

#[derive(Clone, PartialEq, Message)]
struct ServiceSummary {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "2")]
    span_count: i32,
    #[prost(int32, tag = "3")]
    error_span_count: i32,
}

/// A list of names, and what is asked with two texts.
#[derive(Clone, PartialEq, Message)]
struct Services {
    #[prost(string, repeated, tag = "1")]
    services: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Operations {
    #[prost(message, repeated, tag = "1")]
    operations: Vec<Pair>,
}

#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(string, tag = "1")]
    one: String,
    #[prost(string, tag = "2")]
    other: String,
}

#[derive(Clone, PartialEq, Message)]
struct Dependencies {
    #[prost(message, repeated, tag = "1")]
    dependencies: Vec<Dependency>,
}

#[derive(Clone, PartialEq, Message)]
struct Dependency {
    #[prost(string, tag = "1")]
    parent: String,
    #[prost(string, tag = "2")]
    child: String,
    #[prost(uint64, tag = "3")]
    call_count: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Range {
    #[prost(message, optional, tag = "1")]
    start: Option<Time>,
    #[prost(message, optional, tag = "2")]
    end: Option<Time>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Capabilities {
    #[prost(message, optional, tag = "1")]
    search: Option<SearchCapabilities>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct SearchCapabilities {
    #[prost(bool, tag = "1")]
    without_service_name: bool,
    #[prost(bool, tag = "2")]
    same_span_conjunction: bool,
    #[prost(bool, tag = "4")]
    paginated: bool,
}

const GET_TRACES: &str = "/jaeger.storage.v2.TraceReader/GetTraces";
const FIND_TRACES: &str = "/jaeger.storage.v2.TraceReader/FindTraces";
const FIND_IDS: &str = "/jaeger.storage.v2.TraceReader/FindTraceIDs";
const FIND_SUMMARIES: &str = "/jaeger.storage.v2.TraceReader/FindTraceSummaries";
const DEPENDENCIES: &str = "/jaeger.storage.v2.DependencyReader/GetDependencies";

fn time(unix_nano: i64) -> Option<Time> {
    let nanos = i32::try_from(unix_nano.rem_euclid(SECOND)).unwrap();
    Some(Time { seconds: unix_nano.div_euclid(SECOND), nanos })
}

fn text(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A trace over three services, of which one fails, and an older one with an orphan.
async fn door() -> Door {
    let fixture = Fixture::new();
    let span = |id, parent, service, name, status, kind| TestSpan {
        id,
        parent,
        service,
        name,
        status,
        kind,
        start: NOW - 10 * SECOND + id as i64 * 1_000,
        duration: 1_000_000 * id as i64,
        attributes: vec![("http.method", "GET")],
        ..TestSpan::default()
    };
    let other = TestSpan { trace: 2, id: 9, parent: Some(8), start: NOW - 20 * SECOND, ..TestSpan::default() };
    fixture
        .put(spans(&[
            span(1, None, "gateway", "GET /", 0, 2),
            span(2, Some(1), "cart", "add", 2, 3),
            span(3, Some(2), "db", "SELECT", 0, 3),
            other,
        ]))
        .await;
    fixture.flush().await;
    Door::open(fixture, Config::default()).await
}

fn spans_of(data: &TracesData) -> Vec<&Span> {
    let scoped = data.resource_spans.iter().flat_map(|part| &part.scope_spans);
    scoped.flat_map(|scoped| &scoped.spans).collect()
}

impl Door {
    /// The traces of a search, each told once: number and names.
    async fn found(&self, query: Query) -> Result<Vec<(u8, Vec<String>)>, Code> {
        let messages = self.ask::<TracesData>(FIND_TRACES, Find { query: Some(query) }).await;
        let trace = |message: &TracesData| {
            let spans = spans_of(message);
            let id = spans[0].trace_id[0];
            assert!(spans.iter().all(|span| span.trace_id == [id; 16]), "one trace in a message");
            let mut names: Vec<String> = spans.iter().map(|span| span.name.clone()).collect();
            names.sort_unstable();
            (id, names)
        };
        Ok(messages.map_err(|status| status.code())?.iter().map(trace).collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_means_what_it_means_over_http() {
    let door = door().await;
    let first = (1, ["GET /", "SELECT", "add"].map(str::to_owned).to_vec());
    let second = (2, vec!["GET /".to_owned()]);
    let query = |service: &str| Query { service_name: service.into(), ..Query::default() };
    assert_eq!(door.found(Query::default()).await.unwrap(), [first.clone(), second.clone()], "newest first");
    assert_eq!(door.found(Query { search_depth: 1, ..Query::default() }).await.unwrap(), from_ref(&first));
    assert_eq!(door.found(query("db")).await.unwrap(), from_ref(&first));
    assert_eq!(door.found(query("nobody")).await.unwrap(), []);
    let add = Query { operation_name: "add".into(), ..query("cart") };
    assert_eq!(door.found(add.clone()).await.unwrap(), from_ref(&first));
    assert_eq!(door.found(Query { operation_name: "add".into(), ..query("db") }).await.unwrap(), []);
    let between = |min: i64, max: i64| Query { duration_min: time(min), duration_max: time(max), ..Query::default() };
    assert_eq!(door.found(between(2_000_000, 0)).await.unwrap(), from_ref(&first));
    assert_eq!(door.found(between(4_000_000, 5_000_000)).await.unwrap(), []);
    let within = |min, max| Query { start_time_min: time(min), start_time_max: time(max), ..Query::default() };
    assert_eq!(door.found(within(NOW - 25 * SECOND, NOW - 20 * SECOND)).await.unwrap(), from_ref(&second));
    let zero = Some(Time { seconds: -62_135_596_800, nanos: 0 });
    let open = Query { start_time_min: zero, start_time_max: zero, ..Query::default() };
    assert_eq!(door.found(open).await.unwrap(), [first.clone(), second], "a time of zero is none");
    for (value, is_found) in [
        (any_value::Value::StringValue("GET".into()), true),
        (any_value::Value::StringValue("G.*".into()), true),
        (any_value::Value::StringValue("POST".into()), false),
        (any_value::Value::IntValue(7), false),
        (any_value::Value::DoubleValue(0.5), false),
        (any_value::Value::BoolValue(true), false),
    ] {
        let query = Query { attributes: vec![text("http.method", value.clone())], ..query("cart") };
        assert_eq!(door.found(query).await.unwrap().len(), usize::from(is_found), "{value:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_what_would_be_left_out_of_account_is_refused() {
    let door = door().await;
    let bytes = |bytes: &[u8]| Some(any_value::Value::BytesValue(bytes.to_vec()));
    let list = Some(any_value::Value::ArrayValue(ArrayValue::default()));
    let attribute = |value| KeyValue { key: "a".into(), value: Some(AnyValue { value }), ..KeyValue::default() };
    let page = |size, token: &str| Some(Pagination { page_token: token.into(), page_size: size });
    let bad = [
        Query { filter: Some(Vec::new()), ..Query::default() },
        Query { pagination: page(1, ""), ..Query::default() },
        Query { search_depth: -1, ..Query::default() },
        Query { search_depth: i32::MAX, ..Query::default() },
        Query { duration_min: time(2), duration_max: time(1), ..Query::default() },
        Query { attributes: vec![attribute(bytes(b"x"))], ..Query::default() },
        Query { attributes: vec![attribute(list)], ..Query::default() },
        Query { attributes: vec![attribute(None)], ..Query::default() },
        Query { attributes: vec![text("a", any_value::Value::BoolValue(true)); 65], ..Query::default() },
        Query { duration_min: Some(Time { seconds: -1, nanos: 0 }), ..Query::default() },
        Query { duration_min: Some(Time { seconds: 0, nanos: -1 }), ..Query::default() },
        Query { start_time_min: Some(Time { seconds: 0, nanos: i32::MAX }), ..Query::default() },
        Query { start_time_min: time(NOW), start_time_max: time(NOW - SECOND), ..Query::default() },
    ];
    for query in bad {
        assert_eq!(door.found(query.clone()).await, Err(Code::InvalidArgument), "{query:?}");
    }
    for path in [FIND_TRACES, FIND_IDS, FIND_SUMMARIES] {
        let refused = door.ask::<FoundIds>(path, Find::default()).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "the query is required"));
    }
    for query in [
        Query { pagination: page(0, ""), ..Query::default() },
        Query { pagination: page(1, "abc"), ..Query::default() },
        Query { pagination: page(1, ""), search_depth: 1, ..Query::default() },
    ] {
        let refused = door.ask::<FoundIds>(FIND_IDS, Find { query: Some(query) }).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let far = Query {
        start_time_min: Some(Time { seconds: i64::MIN, nanos: 0 }),
        start_time_max: Some(Time { seconds: i64::MAX, nanos: 999_999_999 }),
        duration_max: Some(Time { seconds: i64::MAX, nanos: 0 }),
        search_depth: 10_000,
        ..Query::default()
    };
    assert_eq!(door.found(far).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn s2_traces_are_told_whole_and_those_that_are_not_there_left_out() {
    let door = door().await;
    let one = |number: u8| GetTrace { trace_id: trace(number).0.to_vec(), start_time: time(0) };
    let got = async |query: Vec<GetTrace>| door.ask::<TracesData>(GET_TRACES, GetTraces { query }).await;
    let both = got(vec![one(2), one(77), one(1)]).await.unwrap();
    assert_eq!(both.iter().map(|data| spans_of(data).len()).collect::<Vec<_>>(), [1, 3]);
    let services = both[1].resource_spans.iter().map(|part| &part.resource.as_ref().unwrap().attributes);
    assert!(services.flatten().any(|attribute| attribute.key == "service.name"));
    assert!(got(vec![one(77)]).await.unwrap().is_empty(), "that is no error");
    assert!(got(Vec::new()).await.unwrap().is_empty());
    for id in [vec![], vec![1; 8], vec![1; 17], vec![0; 16]] {
        let refused = got(vec![GetTrace { trace_id: id, start_time: None }]).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    assert_eq!(got(vec![one(1); 10_001]).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn s2_a_large_trace_stands_in_several_messages_and_many_traces_take_the_memory_of_one() {
    let fixture = Fixture::new();
    let value: &'static str = "x".repeat(3_000).leak();
    for number in 1..=12 {
        let span = |id| TestSpan {
            trace: number,
            id,
            start: NOW - i64::from(number) * SECOND,
            attributes: vec![("text", value)],
            ..TestSpan::default()
        };
        fixture.put(spans(&(1..=1_000).map(span).collect::<Vec<_>>())).await;
    }
    // A trace takes some 20 MB while it is made; twelve would not go in.
    let door = Door::open(fixture, Config { memory_per_query: 64 << 20, ..Config::default() }).await;
    let messages: Vec<TracesData> = door.ask(FIND_TRACES, Find { query: Some(Query::default()) }).await.unwrap();
    assert!(messages.len() >= 24 && messages.iter().all(|message| message.encoded_len() < (1 << 20) + 10_000));
    let ids: Vec<u8> = messages.iter().map(|message| spans_of(message)[0].trace_id[0]).collect();
    assert!(ids.is_sorted(), "chunks of a trace stand behind each other, newest first: {ids:?}");
    assert_eq!(messages.iter().map(|message| spans_of(message).len()).sum::<usize>(), 12_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_and_summaries_are_those_of_the_search() {
    let door = door().await;
    let ids: Vec<FoundIds> = door.ask(FIND_IDS, Find { query: Some(Query::default()) }).await.unwrap();
    let first = FoundId {
        trace_id: vec![1; 16],
        start: time(NOW - 10 * SECOND + 1_000),
        end: time(NOW - 10 * SECOND + 3_003_000),
    };
    assert_eq!((ids.len(), ids[0].trace_ids.len(), &ids[0].trace_ids[0]), (1, 2, &first));
    assert_eq!(ids[0].next_page_token, "");
    let none = Query { service_name: "nobody".into(), ..Query::default() };
    let ids: Vec<FoundIds> = door.ask(FIND_IDS, Find { query: Some(none.clone()) }).await.unwrap();
    assert_eq!(ids, [FoundIds::default()], "a unary answer is one message");

    let summaries: Vec<Summaries> = door.ask(FIND_SUMMARIES, Find { query: Some(Query::default()) }).await.unwrap();
    let service = |name: &str, errors| ServiceSummary { name: name.into(), span_count: 1, error_span_count: errors };
    let expected = TraceSummary {
        trace_id: vec![1; 16],
        root_service_name: "gateway".into(),
        root_operation_name: "GET /".into(),
        start: u64::try_from(NOW - 10 * SECOND + 1_000).unwrap(),
        end: u64::try_from(NOW - 10 * SECOND + 3_003_000).unwrap(),
        span_count: 3,
        error_span_count: 1,
        orphan_span_count: 0,
        services: vec![service("gateway", 0), service("cart", 1), service("db", 0)],
    };
    assert_eq!((summaries.len(), &summaries[0].summaries[0]), (1, &expected));
    assert_eq!(summaries[0].summaries[1].orphan_span_count, 1);
    assert!(door.ask::<Summaries>(FIND_SUMMARIES, Find { query: Some(none) }).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_pages_follow_each_other_and_a_token_belongs_to_its_search() {
    let door = door().await;
    let asked = |token: &str| {
        let pagination = Some(Pagination { page_size: 1, page_token: token.into() });
        Query { start_time_min: time(0), start_time_max: time(NOW), pagination, ..Query::default() }
    };
    let ids = async |query: Query| -> Result<FoundIds, Code> {
        let told = door.ask::<FoundIds>(FIND_IDS, Find { query: Some(query) }).await;
        Ok(told.map_err(|status| status.code())?.remove(0))
    };
    let first = ids(asked("")).await.unwrap();
    assert_eq!(first.trace_ids[0].trace_id, [1; 16]);
    let second = ids(asked(&first.next_page_token)).await.unwrap();
    assert_eq!((second.trace_ids[0].trace_id.as_slice(), second.next_page_token.as_str()), ([2; 16].as_slice(), ""));
    let other = Query { service_name: "shop".into(), ..asked(&first.next_page_token) };
    assert_eq!(ids(other).await, Err(Code::InvalidArgument));

    let summaries = async |query: Query| -> Summaries {
        let told: Vec<Summaries> = door.ask(FIND_SUMMARIES, Find { query: Some(query) }).await.unwrap();
        told.into_iter().next().unwrap()
    };
    let one = summaries(asked("")).await;
    assert_eq!((one.summaries.len(), &one.next_page_token), (1, &first.next_page_token));
    let two = summaries(asked(&one.next_page_token)).await;
    assert_eq!((two.summaries[0].trace_id.as_slice(), two.next_page_token.as_str()), ([2; 16].as_slice(), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn services_operations_dependencies_and_capabilities_are_told() {
    let door = door().await;
    let services: Vec<Services> =
        door.ask("/jaeger.storage.v2.TraceReader/GetServices", Services::default()).await.unwrap();
    assert_eq!(services, [Services { services: ["cart", "db", "gateway", "shop"].map(Into::into).into() }]);

    let operations = async |service: &str, kind: &str| {
        let question = Pair { one: service.into(), other: kind.into() };
        door.ask::<Operations>("/jaeger.storage.v2.TraceReader/GetOperations", question).await
    };
    let add = Pair { one: "add".into(), other: "client".into() };
    assert_eq!(operations("cart", "").await.unwrap(), [Operations { operations: vec![add.clone()] }]);
    assert_eq!(operations("cart", "client").await.unwrap()[0].operations, [add]);
    assert_eq!(operations("cart", "server").await.unwrap(), [Operations::default()]);
    assert_eq!(operations("nobody", "").await.unwrap(), [Operations::default()]);
    assert_eq!(operations("", "").await.unwrap_err().code(), Code::InvalidArgument);

    let calls = async |start, end| -> Vec<(String, String, u64)> {
        let told: Vec<Dependencies> = door.ask(DEPENDENCIES, Range { start, end }).await.unwrap();
        told[0].dependencies.iter().map(|call| (call.parent.clone(), call.child.clone(), call.call_count)).collect()
    };
    let call = |parent: &str, child: &str| (parent.to_owned(), child.to_owned(), 1);
    assert_eq!(calls(time(NOW - 60 * SECOND), time(NOW)).await, [call("cart", "db"), call("gateway", "cart")]);
    assert_eq!(calls(None, None).await.len(), 2);
    assert_eq!(calls(time(0), time(NOW - 60 * SECOND)).await, []);
    let refused = door.ask::<Dependencies>(DEPENDENCIES, Range { start: time(NOW), end: time(NOW) }).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);

    let can: Vec<Capabilities> =
        door.ask("/jaeger.storage.v2.Capabilities/GetCapabilities", Services::default()).await.unwrap();
    let search = SearchCapabilities { without_service_name: true, same_span_conjunction: true, paginated: true };
    assert_eq!(can, [Capabilities { search: Some(search) }]);
}
