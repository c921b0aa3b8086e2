//! What must hold when Spanlight asks others, over real sockets? Targets that hang, drip, never end, unpack to too much or send
//! elsewhere; certificates, credentials, formats; and lists of targets behind URLs and in etcd.

mod keys;
mod reload;

use super::*;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Float64Type;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use collector::ScrapeConfig;
use futures_util::StreamExt as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use storage::model::attribute::{Map, Value as Attribute};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

/// Jobs that run against a collector.
struct Scraping {
    door: Door,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
    dir: tempfile::TempDir,
}

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    /// None where a series ended.
    value: Option<f64>,
    is_histogram: bool,
}

impl Scraping {
    /// Jobs, each a line or more; files beside them are put into `dir` before.
    async fn start(jobs: &[String], dir: tempfile::TempDir) -> Scraping {
        Scraping::start_with(CollectorConfig::default(), jobs, dir).await
    }

    async fn start_with(config: CollectorConfig, jobs: &[String], dir: tempfile::TempDir) -> Scraping {
        let door = Door::open(config).await;
        let path = dir.path().join("jobs.yml");
        let head = "global: {scrape_interval: 400ms, scrape_timeout: 300ms}\nscrape_configs:\n";
        std::fs::write(&path, format!("{head}{}", jobs.concat())).unwrap();
        let config = ScrapeConfig { config_file: path };
        config.check().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let collector = door.collector.clone();
        let running = tokio::spawn(async move { config.run(collector, async { drop(stopped.await) }).await.unwrap() });
        Scraping { door, stop, running, dir }
    }

    fn samples(&self) -> Vec<Sample> {
        let written = self.door.written.lock().unwrap();
        let mut samples = Vec::new();
        for write in written.iter() {
            let column = |name| write.batch.columns().column_by_name(name).unwrap();
            let names = column("name").as_any_dictionary();
            let keys = names.normalized_keys();
            let values = column("value_double").as_primitive::<Float64Type>();
            let types = column("type").as_primitive::<arrow_array::types::Int32Type>();
            for (row, key) in keys.into_iter().enumerate() {
                let text = |value: Attribute<'_>| match value {
                    Attribute::String(text) => text.to_owned(),
                    other => format!("{other:?}"),
                };
                let labels = Map::new(column("attributes").as_binary::<i32>().value(row));
                samples.push(Sample {
                    name: names.values().as_string::<i32>().value(key).to_owned(),
                    labels: labels.iter().map(|(key, value)| (key.to_owned(), text(value))).collect(),
                    value: values.iter().nth(row).unwrap(),
                    is_histogram: types.value(row) >= 3,
                });
            }
        }
        samples
    }

    /// The last sample of a metric of a job.
    fn last(&self, job: &str, name: &str) -> Option<Sample> {
        let of = |sample: &Sample| sample.name == name && sample.labels.get("job").is_some_and(|own| own == job);
        self.samples().into_iter().rfind(of)
    }

    async fn wait(&self, what: &str, holds: impl Fn(&Scraping) -> bool) {
        let waiting = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert!(found.is_ok(), "{what}: {:?}", self.samples().iter().rev().take(20).collect::<Vec<_>>());
    }

    /// Waits until a job's target is up, or down.
    async fn wait_up(&self, job: &str, up: f64) {
        self.wait(&format!("up of {job} is {up}"), |own| {
            own.last(job, "up").is_some_and(|up_now| up_now.value == Some(up))
        })
        .await;
    }

    async fn close(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap();
        // An answer that is being read is read to its end.
        let given_back = async {
            while self.door.collector.bytes_in_flight().0 > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), given_back).await.unwrap();
        self.door.close().await;
        drop(self.dir);
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A job of one target.
fn job(name: &str, address: &SocketAddr, further: &str) -> String {
    format!("- {{job_name: {name}, static_configs: [{{targets: ['{address}']}}], {further}}}\n")
}

pub(super) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn text(body: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], body).into_response()
}

fn stream(chunk: &'static [u8], pause: Duration) -> Response {
    let chunks = futures_util::stream::repeat(chunk).then(move |chunk| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, std::io::Error>(chunk)
    });
    ([(header::CONTENT_TYPE, "text/plain")], Body::from_stream(chunks)).into_response()
}

fn moved(to: String) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_targets_are_down_and_others_go_on() {
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    let elsewhere = serve(Router::new().fallback(any(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async { text("stolen 1\n") }
    })))
    .await;
    let bomb = gzip(&vec![b'\n'; 4 << 20]);
    let router = Router::new()
        .route("/metrics", get(async || text("a 1\nb 2\n")))
        .route("/never", get(async || std::future::pending::<Response>().await))
        .route("/drip", get(async || stream(b"\n", Duration::from_millis(20))))
        .route("/endless", get(async || stream(&[b'\n'; 64 << 10], Duration::ZERO)))
        .route(
            "/bomb",
            get(move || {
                let answer = ([(header::CONTENT_ENCODING, "gzip"), (header::CONTENT_TYPE, "text/plain")], bomb.clone());
                async move { answer }
            }),
        )
        .route("/cloud", get(async || moved("http://169.254.169.254/latest/meta-data/".to_owned())))
        .route("/elsewhere", get(move || async move { moved(format!("http://{elsewhere}/metrics")) }))
        .route("/loop", get(async || moved("/loop".to_owned())))
        .route("/same", get(async || moved("/metrics".to_owned())))
        .route("/page", get(async || axum::response::Html("<p>up 1</p>")))
        .route("/blank", get(async || Response::new(Body::from("c 1\n"))))
        .route("/cut", get(async || ([(header::CONTENT_TYPE, "application/openmetrics-text")], "a 1\n")))
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR));
    let address = serve(router).await;
    let path = |name: &str, further: &str| job(name, &address, &format!("metrics_path: /{name}, {further}"));
    let mut jobs = vec![
        job("good", &address, ""),
        path("same", ""),
        job("stays", &address, "metrics_path: /same, follow_redirects: false"),
        job("fallback", &address, "metrics_path: /blank, fallback_scrape_protocol: PrometheusText0.0.4"),
        job("nowhere", &"127.0.0.1:9".parse().unwrap(), ""),
        job("limited", &address, "sample_limit: 1"),
        path("bomb", "body_size_limit: 1MB"),
        path("endless", "body_size_limit: 1MB"),
    ];
    let bad = ["never", "drip", "cloud", "elsewhere", "loop", "page", "blank", "cut", "broken"];
    jobs.extend(bad.iter().map(|name| path(name, "")));
    let scraping = Scraping::start(&jobs, folder()).await;
    for name in ["good", "same", "fallback"] {
        scraping.wait_up(name, 1.0).await;
    }
    for name in bad.into_iter().chain(["stays", "nowhere", "limited", "bomb", "endless"]) {
        scraping.wait_up(name, 0.0).await;
    }
    let all = scraping.samples();
    let own = |job: &str| all.iter().filter(|own| own.labels["job"] == job && own.name.len() == 1).count();
    assert!(own("good") >= 2 && own("same") >= 2 && own("fallback") >= 1);
    assert_eq!(bad.map(own), [0; 9], "nothing of a scrape that fails is stored");
    assert_eq!(scraping.last("limited", "scrape_samples_scraped").unwrap().value, Some(2.0));
    assert_eq!(hits.load(Ordering::Relaxed), 0, "nobody else was asked");
    scraping.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_sends_is_reserved_before_it_is_kept() {
    let large = vec![b'\n'; 700 << 10];
    let router = Router::new().route("/metrics", get(async || text("a 1\n"))).route(
        "/large",
        get(move || {
            let answer = ([(header::CONTENT_TYPE, "text/plain")], large.clone());
            async move { answer }
        }),
    );
    let address = serve(router).await;
    let most = 1 << 20;
    let config = CollectorConfig {
        max_request_bytes: most,
        max_bytes_in_flight: most,
        tenant_bytes_in_flight: most,
        ..CollectorConfig::default()
    };
    let jobs = [job("small", &address, ""), job("large", &address, "metrics_path: /large")];
    let scraping = Scraping::start_with(config, &jobs, folder()).await;
    scraping.wait_up("small", 1.0).await;
    scraping.wait_up("large", 0.0).await;
    let (_, peak) = scraping.door.collector.bytes_in_flight();
    assert!((700 << 10..=most).contains(&peak), "{peak}");
    scraping.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_is_scraped_with_native_histograms() {
    // A family `h` with a native histogram of one observation in bucket 1, and two classic buckets.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }
    let span = field(12, &[0x08, 2, 0x10, 1]);
    let bucket = field(3, &[&[0x08, 1, 0x11][..], &2f64.to_le_bytes()].concat());
    let head = [&[0x08, 1, 0x11][..], &1.5f64.to_le_bytes(), &[0x28, 2, 0x68, 2]].concat();
    let histogram = field(7, &[head, bucket, span].concat());
    let family = [field(1, b"h"), vec![0x18, 4], field(4, &histogram)].concat();
    let body = [&[u8::try_from(family.len()).unwrap()], &family[..]].concat();
    let told = move |headers: HeaderMap| {
        let accepts = headers[header::ACCEPT].to_str().unwrap();
        let kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
        let answer = match accepts.starts_with("application/vnd.google.protobuf") {
            true => ([(header::CONTENT_TYPE, kind)], body.clone()).into_response(),
            false => text("h_count 1\n"),
        };
        async move { answer }
    };
    let address = serve(Router::new().route("/metrics", get(told))).await;
    let native = "scrape_native_histograms: true";
    let jobs = [
        job("text", &address, ""),
        job("native", &address, native),
        job("both", &address, &format!("{native}, always_scrape_classic_histograms: true")),
        job("classic", &address, "scrape_protocols: [PrometheusProto]"),
        job("converted", &address, "scrape_protocols: [PrometheusProto], convert_classic_histograms_to_nhcb: true"),
        job("once", &address, &format!("{native}, convert_classic_histograms_to_nhcb: true")),
    ];
    let scraping = Scraping::start(&jobs, folder()).await;
    for name in ["text", "native", "both", "classic", "converted", "once"] {
        scraping.wait_up(name, 1.0).await;
    }
    let has = |job: &str| {
        let bucket = scraping.last(job, "h_bucket").map(|sample| sample.labels["le"].clone());
        let native = scraping.last(job, "h").is_some_and(|sample| sample.is_histogram);
        (native, scraping.last(job, "h_count").is_some(), bucket)
    };
    let inf = Some("+Inf".to_owned());
    assert_eq!(has("text"), (false, true, None));
    assert_eq!((has("converted"), has("once")), ((true, false, None), (true, false, None)));
    assert_eq!(has("native"), (true, false, None));
    assert_eq!(has("both"), (true, true, inf.clone()));
    assert_eq!(has("classic"), (false, true, inf));
    scraping.close().await;
}

/// Answers every request over TLS, to clients with a certificate of the same authority only.
async fn tls_server(authority: &CertifiedIssuer<'_, KeyPair>, name: &str) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config =
        config.with_client_cert_verifier(clients).with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 4_096];
                while stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                    let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\na 1\n";
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    address
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec!["authority.test".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_shown_and_asked_for() {
    let (authority, other) = (authority(), authority());
    let address = tls_server(&authority, "metrics.test").await;
    let dir = folder();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let client = |issuer: &CertifiedIssuer<'_, KeyPair>| {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["client.test".to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    };
    let (certificate, key) = client(&authority);
    write("ca.pem", &authority.pem());
    write("other.pem", &other.pem());
    write("cert.pem", &certificate);
    write("key.pem", &key);
    let tls = |name: &str, settings: &str| job(name, &address, &format!("scheme: https, tls_config: {{{settings}}}"));
    let own = "cert_file: cert.pem, key_file: key.pem";
    let jobs = [
        tls("good", &format!("ca_file: ca.pem, server_name: metrics.test, {own}")),
        tls("newest", &format!("ca_file: ca.pem, server_name: metrics.test, min_version: TLS13, {own}")),
        tls("insecure", &format!("insecure_skip_verify: true, {own}")),
        tls("other", &format!("ca_file: other.pem, server_name: metrics.test, {own}")),
        tls("unnamed", &format!("ca_file: ca.pem, {own}")),
        tls("untrusted", own),
        tls("nobody", "ca_file: ca.pem, server_name: metrics.test"),
    ];
    let scraping = Scraping::start(&jobs, dir).await;
    for name in ["good", "newest", "insecure"] {
        scraping.wait_up(name, 1.0).await;
    }
    for name in ["other", "unnamed", "untrusted", "nobody"] {
        scraping.wait_up(name, 0.0).await;
    }
    // What stands in the files is read anew: a certificate of somebody else is refused.
    let (certificate, key) = client(&other);
    std::fs::write(scraping.dir.path().join("cert.pem"), certificate).unwrap();
    std::fs::write(scraping.dir.path().join("key.pem"), key).unwrap();
    scraping.wait_up("good", 0.0).await;
    let path = scraping.dir.path().join("jobs.yml");
    std::fs::write(scraping.dir.path().join("ca.pem"), "no certificate").unwrap();
    let error = ScrapeConfig { config_file: path }.check().unwrap_err();
    assert!(error.contains("job \"good\": tls_config: ca: there is no certificate in it"), "{error}");
    scraping.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_and_headers_are_sent_and_read_anew() {
    let seen: Arc<Mutex<BTreeMap<String, Vec<String>>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let told = move |uri: Uri, headers: HeaderMap| {
        let all = |name: &str| {
            headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(",")
        };
        let line = format!("{}|{}|{}", uri.query().unwrap_or_default(), all("authorization"), all("x-own"));
        noted.lock().unwrap().entry(uri.path().to_owned()).or_default().push(line);
        async { text("a 1\n") }
    };
    let token = async |headers: HeaderMap, body: String| {
        assert_eq!(headers[header::AUTHORIZATION], format!("Basic {}", STANDARD.encode("me:mine")));
        assert_eq!(body, "grant_type=client_credentials&scope=a+b");
        axum::Json(json!({ "access_token": "fresh", "token_type": "Bearer", "expires_in": 3600 }))
    };
    let address = serve(Router::new().route("/token", axum::routing::post(token)).fallback(get(told))).await;
    let dir = folder();
    std::fs::write(dir.path().join("password"), "first\n").unwrap();
    let path = |name: &str, further: &str| job(name, &address, &format!("metrics_path: /{name}, {further}"));
    let jobs = [
        path("basic", "basic_auth: {username: u, password_file: password}"),
        path("bearer", "bearer_token: t"),
        path("typed", "authorization: {type: Token, credentials_file: password}, params: {m: [x, y]}"),
        path(
            "oauth",
            &format!(
                "oauth2: {{client_id: me, client_secret: mine, scopes: [a, b], token_url: 'http://{address}/token'}}"
            ),
        ),
        path("headers", "http_headers: {X-Own: {values: [a], secrets: [b], files: [password]}}"),
        path("gone", "bearer_token_file: nothing"),
        job(
            "proxied",
            &"10.255.255.1:1".parse().unwrap(),
            &format!("proxy_url: 'http://{address}', metrics_path: /proxied"),
        ),
    ];
    let scraping = Scraping::start(&jobs, dir).await;
    for name in ["basic", "bearer", "typed", "oauth", "headers", "proxied"] {
        scraping.wait_up(name, 1.0).await;
    }
    scraping.wait_up("gone", 0.0).await;
    let first = |path: &str| seen.lock().unwrap()[path][0].clone();
    assert_eq!(first("/basic"), format!("|Basic {}|", STANDARD.encode("u:first")));
    assert_eq!((first("/bearer"), first("/oauth")), ("|Bearer t|".to_owned(), "|Bearer fresh|".to_owned()));
    assert_eq!((first("/typed"), first("/headers")), ("m=x&m=y|Token first|".to_owned(), "||a,b,first".to_owned()));
    std::fs::write(scraping.dir.path().join("password"), "second").unwrap();
    let changed = format!("|Basic {}|", STANDARD.encode("u:second"));
    scraping.wait("the new password", |_| seen.lock().unwrap()["/basic"].contains(&changed)).await;
    scraping.close().await;
}

/// What a gateway of etcd knows.
#[derive(Default)]
struct Etcd {
    keys: Mutex<BTreeMap<String, (String, i64)>>,
    changed: Notify,
    looks: AtomicUsize,
}

async fn etcd(state: Arc<Etcd>) -> SocketAddr {
    async fn told(state: Arc<Etcd>, uri: Uri, headers: HeaderMap, body: String) -> Response {
        let asked: Value = serde_json::from_str(&body).unwrap();
        let text = |value: &Value| String::from_utf8(STANDARD.decode(value.as_str().unwrap()).unwrap()).unwrap();
        if uri.path() == "/v3/auth/authenticate" {
            let is_right = asked == json!({ "name": "root", "password": "secret" });
            return if is_right {
                axum::Json(json!({ "token": "t1" })).into_response()
            } else {
                StatusCode::BAD_REQUEST.into_response()
            };
        }
        if headers.get(header::AUTHORIZATION).is_none_or(|token| token != "t1") {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        if uri.path() == "/v3/watch" {
            let created = futures_util::stream::once(async { json!({ "result": { "created": true } }) });
            let event = futures_util::stream::once(async move {
                state.changed.notified().await;
                json!({ "result": { "events": [{ "type": "PUT" }] } })
            });
            let lines = created.chain(event).map(|line| Ok::<_, std::io::Error>(format!("{line}\n")));
            return Body::from_stream(lines).into_response();
        }
        state.looks.fetch_add(1, Ordering::Relaxed);
        let (from, to) = (text(&asked["key"]), text(&asked["range_end"]));
        let keys = state.keys.lock().unwrap();
        let pairs = keys.range(from..to).map(|(key, (value, lease))| {
            json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(value), "lease": lease.to_string() })
        });
        let pairs: Vec<Value> = pairs.collect();
        axum::Json(json!({ "header": { "revision": "7" }, "kvs": pairs, "count": pairs.len().to_string() }))
            .into_response()
    }
    serve(
        Router::new().fallback(any(move |uri: Uri, headers: HeaderMap, body: String| {
            told(Arc::clone(&state), uri, headers, body)
        })),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_found_in_etcd_while_their_lease_lasts_and_behind_urls() {
    let target = serve(Router::new().route("/metrics", get(async || text("a 1\n")))).await;
    let state = Arc::new(Etcd::default());
    let put = |key: &str, value: &str, lease: i64| {
        state.keys.lock().unwrap().insert(key.to_owned(), (value.to_owned(), lease));
        state.changed.notify_one();
    };
    put("/services/shop/1", &target.to_string(), 17);
    put("/services/shop/2", "{\"nothing\": true}", 17);
    put("/servicet/3", "10.0.0.1:1", 17);
    let gateway = etcd(Arc::clone(&state)).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let list = move |headers: HeaderMap| {
        noted.lock().unwrap().push(headers.get(header::AUTHORIZATION).cloned());
        async move { axum::Json(json!([{ "targets": [target.to_string()], "labels": { "zone": "z" } }])) }
    };
    let lists = serve(Router::new().route("/list", get(list)).route("/text", get(async || "[]"))).await;
    let never = serve(Router::new().fallback(any(async || std::future::pending::<Response>().await))).await;
    let jobs = [
        format!(
            "- job_name: etcd\n  etcd_sd_configs:\n  - endpoints: ['http://127.0.0.1:9', 'http://{gateway}/']\n    prefix: /services/\n    \
             basic_auth: {{username: root, password: secret}}\n  relabel_configs:\n  - {{source_labels: [__meta_etcd_key], target_label: key}}\n  \
             - {{source_labels: [__meta_etcd_lease], target_label: lease}}\n  - {{source_labels: [__meta_etcd_value_version], target_label: version}}\n"
        ),
        // A list that never answers keeps neither the targets that are named nor other lists waiting.
        format!(
            "- job_name: http\n  bearer_token: of-the-targets\n  static_configs: [{{targets: ['{target}'], labels: {{zone: static}}}}]\n  \
             http_sd_configs:\n  - {{url: 'http://{never}/'}}\n  - {{url: 'http://{lists}/text'}}\n  - {{url: 'http://{lists}/list'}}\n"
        ),
    ];
    let scraping = Scraping::start(&jobs, folder()).await;
    let in_zone = |own: &Scraping, zone: &str| {
        own.samples().iter().any(|sample| sample.labels.get("zone").is_some_and(|own| own == zone))
    };
    scraping.wait("both zones", |own| in_zone(own, "static") && in_zone(own, "z")).await;
    assert!(seen.lock().unwrap().iter().all(Option::is_none), "the targets' credentials are not the list's");
    scraping.wait_up("etcd", 1.0).await;
    let found = scraping.last("etcd", "a").unwrap();
    assert_eq!((&*found.labels["key"], &*found.labels["lease"]), ("/services/shop/1", "17"));
    // A service comes, told at once by the watch, long before it is time to look again.
    put("/services/shop/9", &format!("{{\"Op\":0,\"Addr\":\"{target}\",\"Metadata\":{{\"version\":2}}}}"), 0);
    scraping
        .wait("the second service", |own| {
            own.samples().iter().any(|sample| sample.labels.get("version").is_some_and(|own| own == "2"))
        })
        .await;
    // Its lease ends: its series do, too.
    state.keys.lock().unwrap().remove("/services/shop/1");
    state.changed.notify_one();
    let ended = |sample: &Sample| {
        sample.labels.get("key").is_some_and(|key| key == "/services/shop/1") && sample.value.is_none()
    };
    scraping
        .wait("the end", |own| {
            ["up", "a"].iter().all(|name| own.samples().iter().any(|sample| sample.name == *name && ended(sample)))
        })
        .await;
    assert!(state.looks.load(Ordering::Relaxed) < 10, "a watch is no loop");
    scraping.close().await;
}
