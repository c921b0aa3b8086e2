//! What does a person see? The UI in headless Chromium, driven over WebDriver, on demo data.
//!
//! Runs where `SPANLIGHT_BROWSER=1` says that chromium, chromedriver and the web bundle are there (`make test-full`);
//! elsewhere it says so and passes. Screenshots go to `SPANLIGHT_SCREENSHOTS`, if that names a folder.

use crate::server::{PATIENCE, Server, request};
use base64::Engine as _;
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Spans of the large trace must not be in the page all at once.
const LARGE_TRACE: usize = 10_000;

/// A browser window; closed when dropped.
struct Browser {
    driver: Child,
    address: String,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    async fn open(width: u32, height: u32) -> Browser {
        let mut driver = Command::new("chromedriver");
        // A group of its own, so that the browser ends with it.
        let mut driver = driver.arg("--port=0").stdout(Stdio::piped()).process_group(0).spawn().unwrap();
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines
            .filter_map(|line| line.rsplit_once("on port ").map(|(_, port)| port.trim_end_matches('.').to_owned()))
            .find_map(|port| port.parse::<u16>().ok().filter(|port| *port != 0))
            .expect("chromedriver says its port");
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--window-size={width},{height}"),
            &format!("--user-data-dir={}", profile.path().display()),
        ]
        .map(str::to_owned);
        let mut browser =
            Browser { driver, address: format!("127.0.0.1:{port}"), session: String::new(), _profile: profile };
        let options = json!({"args": arguments});
        let capabilities = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let session = browser.call("POST", "/session", &capabilities).await;
        browser.session = format!("/session/{}", session["sessionId"].as_str().expect("a session"));
        browser
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("{}{path}", self.session);
        let body = if method == "POST" { Bytes::from(body.to_string()) } else { Bytes::new() };
        let headers = [("content-type", "application/json")];
        let (status, answer) = request(&self.address, method, &path, &headers, body).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer["value"].clone()
    }

    async fn go(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url })).await;
    }

    async fn url(&self) -> String {
        self.call("GET", "/url", &Value::Null).await.as_str().unwrap().to_owned()
    }

    /// Runs a function body in the page.
    async fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// How many elements have the test id.
    async fn count(&self, testid: &str) -> u64 {
        let found = self.run(&format!("return document.querySelectorAll('[data-testid=\"{testid}\"]').length")).await;
        found.as_u64().unwrap()
    }

    /// Waits until a script answers something true, and gives that.
    async fn wait_for(&self, what: &str, script: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.run(script).await;
            if !matches!(answer, Value::Null | Value::Bool(false)) && answer != 0 && answer != "" {
                return answer;
            }
            if Instant::now() > deadline {
                let page = self.run("return document.body.innerText").await;
                panic!("{what}: not within {PATIENCE:?}; the page says {page}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn wait_for_some(&self, testid: &str) {
        let script = format!("return document.querySelectorAll('[data-testid=\"{testid}\"]').length");
        self.wait_for(testid, &script).await;
    }

    async fn click(&self, testid: &str) {
        self.wait_for_some(testid).await;
        self.run(&format!("document.querySelector('[data-testid=\"{testid}\"]').click()")).await;
    }

    async fn screenshot(&self, name: &str) {
        let Ok(folder) = std::env::var("SPANLIGHT_SCREENSHOTS") else { return };
        let picture = self.call("GET", "/screenshot", &Value::Null).await;
        let picture = base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap()).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
    }

    /// What the page complained of.
    async fn check_no_errors(&self) {
        let complaints = self.run("return (window.__errors || [])").await;
        assert_eq!(complaints, json!([]), "{}", self.url().await);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(Command::new("kill").args(["-KILL", "--", &format!("-{}", self.driver.id())]).status());
        drop(self.driver.wait());
    }
}

fn wanted() -> bool {
    let wanted = std::env::var("SPANLIGHT_BROWSER").is_ok_and(|value| value == "1");
    if !wanted {
        eprintln!("not run: set SPANLIGHT_BROWSER=1 where chromium, chromedriver and the web bundle are there");
    }
    wanted
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_from_first_start_to_a_span_and_its_logs() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/", server.http)).await;
    browser.wait_for_some("env-lines").await;
    let lines = browser.run("return document.querySelector('[data-testid=\"env-lines\"]').textContent").await;
    assert!(lines.as_str().unwrap().contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{lines}");
    browser.screenshot("empty").await;

    browser.click("start-demo").await;
    browser.wait_for_some("service-row").await;
    browser
        .wait_for("all ten services", "return document.querySelectorAll('[data-testid=\"service-row\"]').length >= 10")
        .await;
    browser.screenshot("overview").await;

    browser.go(&format!("http://{}/explore?service=gateway", server.http)).await;
    browser.wait_for_some("trace-row").await;
    browser.screenshot("explore").await;
    browser.click("trace-row").await;
    browser.wait_for_some("span-row").await;
    browser.screenshot("trace").await;
    browser.click("span-row").await;
    browser.wait_for_some("span-details").await;
    browser.wait_for("the span in the address", "return location.search.includes('span=')").await;
    let with_logs =
        browser.wait_for("the span's logs", "return document.querySelector('[data-testid=\"span-logs\"]') !== null");
    with_logs.await;
    browser.screenshot("span").await;

    let address = browser.url().await;
    browser.go(&address).await;
    browser.wait_for_some("span-details").await;
    assert_eq!(browser.url().await, address);
    browser.check_no_errors().await;

    browser.go(&format!("http://{}/logs", server.http)).await;
    browser.wait_for_some("log-row").await;
    browser.screenshot("logs").await;
    browser.go(&format!("http://{}/metric?name=http.server.request.duration", server.http)).await;
    browser.wait_for_some("metric-row").await;
    browser.wait_for("a drawing", "return document.querySelector('canvas') !== null").await;
    browser.screenshot("metrics").await;
}

/// OTLP/JSON of a trace of many spans, each below the one before up to some depth.
fn large_trace() -> String {
    let spans: Vec<Value> = (1..=LARGE_TRACE)
        .map(|number| {
            let parent = if number == 1 { String::new() } else { format!("{:016x}", number - 1 - (number - 2) % 7) };
            let start = 1_795_392_000_000_000_000u64 + number as u64 * 10_000;
            json!({
                "traceId": "5b8efff798038103d269b633813fc60c",
                "spanId": format!("{number:016x}"),
                "parentSpanId": parent,
                "name": format!("step {number}"),
                "kind": 1,
                "startTimeUnixNano": start.to_string(),
                "endTimeUnixNano": (start + 5_000_000).to_string(),
            })
        })
        .collect();
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "large"}}]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_shows_a_trace_of_ten_thousand_spans_by_its_visible_rows() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let headers = [("content-type", "application/json")];
    let sent = request(&server.otlp_http, "POST", "/v1/traces", &headers, Bytes::from(large_trace())).await;
    assert_eq!(sent.0, 200, "{}", String::from_utf8_lossy(&sent.1));
    let browser = Browser::open(1920, 1080).await;
    browser.go(&format!("http://{}/trace/5b8efff798038103d269b633813fc60c", server.http)).await;
    browser.wait_for_some("span-row").await;
    let rows = browser.count("span-row").await;
    assert!(rows < 300, "{rows} rows are in the page");
    let header = browser.run("return document.querySelector('[data-testid=\"trace-header\"]').textContent").await;
    assert!(header.as_str().unwrap().replace([',', '\u{202f}', '\u{a0}', ' '], "").contains("10000"), "{header}");
    browser.screenshot("large-trace").await;
}
