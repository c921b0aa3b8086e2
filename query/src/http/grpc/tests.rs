use crate::config::Config;
use crate::fixture::{Fixture, NOW, SECOND, TestSpan, spans};
use crate::http::{Host, QueryState, router, serve, serve_file};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Method, Uri};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// A server on a port of its own, as the binary has it, and a client that has called it.
pub(in crate::http) struct Door {
    _fixture: Fixture,
    pub(in crate::http) state: Arc<QueryState>,
    pub(in crate::http) address: std::net::SocketAddr,
    channel: Channel,
}

impl Door {
    pub(in crate::http) async fn open(fixture: Fixture, config: Config) -> Self {
        let state = QueryState::new(config, fixture.engine.clone(), fixture.clock.clone(), Host::default()).unwrap();
        let state = Arc::new(state);
        let files = async |method: Method, uri: Uri, headers: HeaderMap| serve_file(&[], &method, &uri, &headers);
        let router = router(Arc::clone(&state)).fallback(files);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, router, std::future::pending()));
        // A client that takes in little while it does not read.
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let endpoint = endpoint.initial_stream_window_size(1 << 16).initial_connection_window_size(1 << 16);
        Door { _fixture: fixture, state, address, channel: endpoint.connect().await.unwrap() }
    }

    /// Begins a call.
    pub(in crate::http) async fn begin<A: Message + Default + 'static>(
        &self,
        path: &'static str,
        question: Request<impl Message + 'static>,
    ) -> Result<Streaming<A>, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone()).send_compressed(CompressionEncoding::Gzip);
        client.ready().await.unwrap();
        let codec = ProstCodec::default();
        Ok(client.server_streaming(question, PathAndQuery::from_static(path), codec).await?.into_inner())
    }

    /// All messages of an answer.
    pub(in crate::http) async fn ask<A: Message + Default + 'static>(
        &self,
        path: &'static str,
        question: impl Message + 'static,
    ) -> Result<Vec<A>, Status> {
        let mut answer = self.begin(path, Request::new(question)).await?;
        let mut messages = Vec::new();
        while let Some(message) = answer.message().await? {
            messages.push(message);
        }
        Ok(messages)
    }

    async fn until_idle(&self) {
        while self.state.executor().usage().running > 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// A question that says what a test puts into it.
#[derive(Clone, PartialEq, Message)]
struct Question {
    #[prost(bytes = "vec", tag = "1")]
    first: Vec<u8>,
    #[prost(string, tag = "8")]
    eighth: String,
}

const SEARCH: &str = "/tempopb.StreamingQuerier/Search";
const GET_TRACES: &str = "/jaeger.storage.v2.TraceReader/GetTraces";

fn search(query: &str) -> Question {
    Question { eighth: query.into(), ..Question::default() }
}

/// Asks Jaeger's storage for the trace of [`large`].
fn large_trace() -> Request<Question> {
    let mut one = vec![0x0a, 16];
    one.extend([1; 16]);
    Request::new(Question { first: one, ..Question::default() })
}

/// A trace of 30 MB, more than may wait for a reader.
async fn large() -> Fixture {
    let fixture = Fixture::new();
    let text: &'static str = "x".repeat(60_000).leak();
    let span = |id| TestSpan {
        id,
        start: NOW - 10 * SECOND + id as i64,
        attributes: vec![("text", text)],
        ..TestSpan::default()
    };
    fixture.put(spans(&(1..=500).map(span).collect::<Vec<_>>())).await;
    fixture
}

#[tokio::test(flavor = "multi_thread")]
async fn m3_what_is_not_there_is_unimplemented_and_never_a_page() {
    let door = Door::open(Fixture::new(), Config::default()).await;
    for path in [
        "/tempopb.StreamingQuerier/Nothing",
        "/jaeger.storage.v2.TraceReader/Nothing",
        "/jaeger.storage.v2.DependencyReader/GetServices",
        "/jaeger.storage.v1.SpanReaderPlugin/GetTrace",
        "/grpc.health.v1.Health/Check",
    ] {
        let refused = door.ask::<Question>(path, search("")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented, "{path}: {refused:?}");
        assert!(refused.message().contains(path), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn m3_errors_are_statuses_by_their_class() {
    let door = Door::open(large().await, Config::default()).await;
    let refused = async |question: Request<Question>| match door.begin::<Question>(SEARCH, question).await {
        Err(status) => status,
        Ok(mut stream) => loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => break Status::ok("whole"),
                Err(status) => break status,
            }
        },
    };
    let with = |name: &'static str, value: &str| {
        let mut question = Request::new(search("{}"));
        question.metadata_mut().insert(name, value.parse().unwrap());
        question
    };
    let bad = refused(Request::new(search("{ .a = }"))).await;
    assert_eq!(bad.code(), Code::InvalidArgument);
    assert!(bad.message().contains("line 1, column 8"), "{bad:?}");
    let long = refused(Request::new(search(&format!("{{ .a = {} }}", "é".repeat(100_000))))).await;
    assert_eq!(long.code(), Code::InvalidArgument);
    assert!(long.message().len() < 4_000, "what travels in a header is short");
    assert_eq!(refused(Request::new(search(&" ".repeat(2 << 20)))).await.code(), Code::ResourceExhausted);
    assert_eq!(
        refused(Request::new(Question { first: vec![0xff], ..search("{}") })).await.code(),
        Code::InvalidArgument
    );
    for (name, value, code) in [
        ("x-scope-orgid", "a/b", Code::InvalidArgument),
        ("x-scope-orgid", "somebody", Code::Ok),
        ("grpc-timeout", "soon", Code::InvalidArgument),
        ("grpc-timeout", "123456789S", Code::InvalidArgument),
        ("grpc-timeout", "99999999H", Code::Ok),
    ] {
        // The client looks at its own timeouts, too.
        let status = refused(with(name, value)).await;
        assert_eq!(status.code(), code, "{name}: {value}: {status:?}");
    }
    let mut twice = with("x-scope-orgid", "a");
    twice.metadata_mut().append("x-scope-orgid", "a".parse().unwrap());
    assert_eq!(refused(twice).await.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn m3_limits_are_told_as_such() {
    let tiny = Door::open(large().await, Config { memory_per_query: 1 << 20, ..Config::default() }).await;
    let mut answer = tiny.begin::<TracesData>(GET_TRACES, large_trace()).await.unwrap();
    assert_eq!(answer.message().await.unwrap_err().code(), Code::ResourceExhausted);

    let config = Config { concurrency: 1, queue: 0, ..Config::default() };
    let busy = Door::open(large().await, config).await;
    let mut first = busy.begin::<TracesData>(GET_TRACES, large_trace()).await.unwrap();
    assert!(first.message().await.unwrap().is_some());
    let mut second = busy.begin::<TracesData>(GET_TRACES, large_trace()).await.unwrap();
    assert_eq!(second.message().await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn m2_the_deadline_of_the_client_counts_also_where_it_does_not_read() {
    let door = Door::open(large().await, Config::default()).await;
    let mut question = large_trace();
    question.metadata_mut().insert("grpc-timeout", "1500m".parse().unwrap());
    let mut answer = door.begin::<TracesData>(GET_TRACES, question).await.unwrap();
    // On a busy machine the time may be over before the first message.
    let mut next = answer.message().await;
    door.until_idle().await;
    while matches!(next, Ok(Some(_))) {
        next = answer.message().await;
    }
    assert_eq!(next.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn m1_a_client_that_leaves_ends_its_query() {
    let door = Door::open(large().await, Config::default()).await;
    let mut answer = door.begin::<TracesData>(GET_TRACES, large_trace()).await.unwrap();
    assert!(answer.message().await.unwrap().is_some());
    assert_eq!(door.state.executor().usage().running, 1, "it waits for who does not read");
    drop(answer);
    door.until_idle().await;
    assert_eq!(door.state.executor().usage().memory_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_calls_are_answered() {
    let door = Door::open(Fixture::new(), Config::default()).await;
    let sent = |kind: &str| {
        format!(
            "POST {SEARCH} HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
        )
    };
    for (kind, status) in [("application/json", "415"), ("application/grpc", "200")] {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut connection = tokio::net::TcpStream::connect(door.address).await.unwrap();
        connection.write_all(sent(kind).as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(status != "200" || answer.contains("grpc-status: "), "half a message is an error: {answer}");
    }
}

#[test]
fn timeouts_are_read_as_grpc_writes_them() {
    let cases = [
        ("10S", Some(Duration::from_secs(10))),
        ("250m", Some(Duration::from_millis(250))),
        ("7u", Some(Duration::from_micros(7))),
        ("7n", Some(Duration::from_nanos(7))),
        ("2M", Some(Duration::from_secs(120))),
        ("99999999H", Some(Duration::from_secs(99_999_999 * 3_600))),
        ("", None),
        ("S", None),
        ("+1S", None),
        ("1", None),
        ("1é", None),
        ("123456789S", None),
    ];
    for (text, expected) in cases {
        assert_eq!(super::timeout(text), expected, "{text}");
    }
}
