//! What does a person see? The UI in headless Chromium, on demo data.
//!
//! Runs where `SPANLIGHT_BROWSER=1` says that chromium, chromedriver and the web bundle are there (`make test-full`);
//! elsewhere it says so and passes. Screenshots go to `SPANLIGHT_SCREENSHOTS`, if that names a folder.

mod access;
mod driver;
mod explore;
mod hostile;
mod incident;
mod large;
mod query;
mod status;
mod trace;
mod wide;

use crate::server::{Server, eventually, request};
use driver::Browser;
use hyper::body::Bytes;
use serde_json::Value;

/// Spans of the large trace must not be in the page all at once.
const LARGE_TRACE: usize = 10_000;
const HUGE_TRACE: usize = 100_000;

fn wanted() -> bool {
    let wanted = std::env::var("SPANLIGHT_BROWSER").is_ok_and(|value| value == "1");
    if !wanted {
        eprintln!("not run: set SPANLIGHT_BROWSER=1 where chromium, chromedriver and the web bundle are there");
    }
    wanted
}

/// Sends spans as OTLP/JSON.
async fn send(server: &Server, spans: &serde_json::Value) {
    let headers = [("content-type", "application/json")];
    let sent = request(&server.otlp_http, "POST", "/v1/traces", &headers, Bytes::from(spans.to_string())).await;
    assert_eq!(sent.0, 200, "{}", String::from_utf8_lossy(&sent.1));
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

    browser.go(&format!("http://{}/map", server.http)).await;
    browser.wait_for_some("map-node").await;
    // As they are on the screen: a map that is wider than its room is drawn smaller.
    let drawn = "const map = document.querySelector('[data-testid=\"map\"]'); \
                 const [room, size] = [map.parentElement, map].map(one => one.getBoundingClientRect()); \
                 return room.height + 1 >= size.height && room.width + 1 >= size.width && map.querySelectorAll('path').length > 5";
    browser.wait_for("a map that is not cut off", drawn).await;
    browser.screenshot("map").await;
    browser.run("document.querySelector('[data-testid=\"map-node\"][data-service=\"order\"]').click()").await;
    browser.wait_for("the focus in the address", "return location.search.includes('focus=order')").await;
    browser.wait_for("what is far", "return document.querySelector('.map-node.far') !== null").await;
    browser.screenshot("map-focus").await;

    browser.go(&format!("http://{}/logs", server.http)).await;
    browser.wait_for_some("log-row").await;
    browser.screenshot("logs").await;
    browser.go(&format!("http://{}/metric?name=http.server.request.duration", server.http)).await;
    browser.wait_for_some("metric-row").await;
    let values = "return [...document.querySelectorAll('[data-testid=\"metric-value\"]')].some(v => /[0-9]/.test(v.textContent))";
    browser.wait_for("the last value of a metric", values).await;
    browser.wait_for("a drawing", "return document.querySelector('canvas') !== null").await;
    browser.screenshot("metrics").await;
}

/// A record of the demo's that tells its span.
async fn logged_span(server: &Server) -> (String, String) {
    eventually("a log record with a span", || async {
        let answer = server.json("/api/v1/logs?limit=100").await;
        answer["logs"].as_array().unwrap().iter().find_map(|record| {
            let id = |name: &str| record[name].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
            id("trace_id").zip(id("span_id"))
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_shows_what_a_span_logged_within_its_details() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    assert_eq!(request(&server.http, "POST", "/api/v1/demo", &[], Bytes::new()).await.0, 200);
    let (trace, span) = logged_span(&server).await;
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/trace/{trace}", server.http)).await;
    browser.wait_for_some("span-row").await;
    let row = format!(
        "return document.querySelector('[data-testid=\"span-row\"][data-span=\"{span}\"]')?.click() === undefined"
    );
    browser.wait_for("the span's row", &row).await;
    browser.wait_for_some("span-log").await;
    let url = browser.url().await;
    assert!(url.contains(&format!("span={span}")), "{url}");
    browser.screenshot("span-log").await;
    browser.check_no_errors().await;
}

/// Makes every further request of the page wait until it is aborted.
const HANG: &str = "window.fetch = (_, init) => new Promise((_, reject) => \
    init.signal.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError'))))";

#[tokio::test(flavor = "multi_thread")]
async fn browser_stops_a_query_that_takes_long() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    large::send(&server, 3).await;
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/explore", server.http)).await;
    browser.wait_for_some("refresh").await;
    browser.run(HANG).await;
    browser.click("refresh").await;
    browser.click("cancel").await;
    let said = "return document.querySelector('[data-testid=\"error\"]')?.textContent.includes('cancelled')";
    browser.wait_for("the word", said).await;
    assert_eq!(browser.count("cancel").await, 0);
    browser.screenshot("cancelled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_shows_a_trace_of_ten_thousand_spans_by_its_visible_rows() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    large::send(&server, LARGE_TRACE).await;
    let browser = Browser::open(1920, 1080).await;
    browser.go(&format!("http://{}/trace/{}", server.http, large::TRACE)).await;
    browser.wait_for_some("span-row").await;
    let rows = browser.count("span-row").await;
    assert!(rows < 300, "{rows} rows are in the page");
    let header = browser.run("return document.querySelector('[data-testid=\"trace-header\"]').textContent").await;
    assert!(header.as_str().unwrap().replace([',', '\u{202f}', '\u{a0}', ' '], "").contains("10000"), "{header}");
    browser.screenshot("large-trace").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_keeps_what_is_folded_of_a_large_trace_in_the_address() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    large::send(&server, LARGE_TRACE).await;
    let browser = Browser::open(1280, 800).await;
    let path = |rest: &str| format!("http://{}/trace/{}{rest}", server.http, large::TRACE);
    let param = |name: &str| format!("return new URLSearchParams(location.search).get('{name}')");
    let rows =
        |count: usize| format!("return document.querySelectorAll('[data-testid=\"span-row\"]').length === {count}");
    let critical = "return document.querySelectorAll('.span-time .critical').length";
    browser.go(&path("")).await;
    browser.wait_for_some("span-row").await;
    // The eighth span has all of the rest below it.
    browser.run("document.querySelector('[data-span=\"0000000000000008\"] .twisty').click()").await;
    browser.wait_for("eight rows", &rows(8)).await;
    assert_eq!(browser.wait_for("a span in the address", &param("fold")).await, ".0000000000000008");
    browser.key("]").await;
    browser.wait_for("the root", &rows(1)).await;
    assert_eq!(browser.wait_for("all in the address", &param("fold")).await, "0");
    browser.key("c").await;
    assert_eq!(browser.wait_for("the path in the address", &param("critical")).await, "off");

    // The address alone shows the same; the selected span opens what hides it.
    let address = browser.url().await;
    browser.go(&path("?fold=.0000000000000008")).await;
    browser.wait_for("eight rows", &rows(8)).await;
    browser.wait_for("the path", critical).await;
    browser.go(&path("?fold=.0000000000000008&span=000000000000000a")).await;
    let shown = "return document.querySelector('[data-span=\"000000000000000a\"]')?.ariaSelected === 'true'";
    browser.wait_for("the span", shown).await;
    browser.wait_for("nothing folded", &format!("return (() => {{ {} }})() === null", param("fold"))).await;
    browser.go(&address).await;
    browser.wait_for("the root", &rows(1)).await;
    assert_eq!(browser.run(critical).await, 0);
    assert_eq!(browser.url().await, address);

    // Spans that come make other rows, not another folding.
    large::send(&server, LARGE_TRACE + 5).await;
    browser.click("refresh").await;
    let grown = "return document.querySelector('[data-testid=\"trace-header\"]').textContent.replace(/\\D/g, '')";
    browser.wait_for("the spans", &format!("return (() => {{ {grown} }})().includes('10005')")).await;
    browser.wait_for("the root", &rows(1)).await;
    assert_eq!(browser.run(&param("fold")).await, "0");
    browser.key("c").await;
    browser.key("[").await;
    browser.wait_for("many rows", "return document.querySelectorAll('[data-testid=\"span-row\"]').length > 20").await;
    browser.wait_for("a bare address", "return location.search === ''").await;
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_has_the_details_follow_the_keys_through_a_large_trace() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    large::send(&server, LARGE_TRACE).await;
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/trace/{}", server.http, large::TRACE)).await;
    browser.wait_for_some("span-row").await;
    browser.key("f").await;
    browser.key("Enter").await;
    browser.wait_for_some("span-details").await;
    // Failed ones, of which none is here; then those of one operation; the last row of all.
    for (key, span) in [("e", 1), ("e", 2), ("f", 2), (".", 3), (",", 2), (",", 1)] {
        browser.key(key).await;
        let number = span * large::FAULTS + usize::from(key != "e");
        let id = format!("{number:016x}");
        let there = format!(
            "return new URLSearchParams(location.search).get('span') === '{id}' \
             && document.querySelector('.span-row.at.selected')?.dataset.span === '{id}' \
             && document.querySelector('[data-testid=\"span-details\"]').textContent.includes('{id}')"
        );
        browser.wait_for(&format!("span {number} after {key}"), &there).await;
    }
    browser.key("m").await;
    browser.wait_for("a window", "return new URLSearchParams(location.search).get('view')").await;
    browser.screenshot("large-deep").await;
    // Names keep their room, however deep.
    let named = "return Math.min(...[...document.querySelectorAll('.span-row:not(.awaited)')].map(row => \
                 row.querySelector('.span-name').getBoundingClientRect().right - row.querySelector('.span-service').getBoundingClientRect().left))";
    let room = browser.run(named).await.as_f64().unwrap();
    assert!(room > 100.0, "{room} pixels for service and operation");
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_shows_a_trace_of_a_hundred_thousand_spans_by_windows() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    large::send(&server, HUGE_TRACE).await;
    let browser = Browser::open(1920, 1080).await;
    browser.go(&format!("http://{}/trace/{}", server.http, large::TRACE)).await;
    browser.wait_for_some("span-row").await;
    let bounded = async || {
        let rows = browser.count("span-row").await;
        assert!(rows < 300, "{rows} rows are in the page");
    };
    bounded().await;
    let header = browser.run("return document.querySelector('[data-testid=\"trace-header\"]').textContent").await;
    assert!(header.as_str().unwrap().replace([',', '\u{202f}', '\u{a0}', ' '], "").contains("100000"), "{header}");
    browser.screenshot("huge-trace").await;

    // To the end, which was not here.
    let path = format!("/api/v1/traces/{}/outline/rows?offset={}&limit=1", large::TRACE, HUGE_TRACE - 1);
    let answer = request(&server.http, "GET", &path, &[], Bytes::new()).await;
    let answer: Value = serde_json::from_slice(&answer.1).unwrap();
    let last = answer["rows"][0]["span_id"].as_str().unwrap();
    browser.run("const rows = document.querySelector('[role=tree]'); rows.scrollTop = rows.scrollHeight").await;
    browser
        .wait_for("the last row", &format!("return document.querySelector('[data-span=\"{last}\"]')?.textContent"))
        .await;
    bounded().await;

    // The last span that was sent, found by its name.
    browser.run("document.querySelector('[role=tree]').scrollTop = 0").await;
    browser.keys("find", &format!("step {HUGE_TRACE}")).await;
    let found =
        format!("return document.querySelector('.span-row.hit.at[data-span=\"{HUGE_TRACE:016x}\"]')?.textContent");
    browser.wait_for("the span that was looked for", &found).await;
    browser.click("span-row").await;
    browser.wait_for_some("span-details").await;
    browser
        .wait_for("its details", "return document.querySelector('[data-testid=\"span-details\"] h2')?.textContent")
        .await;

    // Folded to its root, and back; the flame graph, and the table of groups.
    browser.key("Escape").await;
    browser.key("Escape").await;
    browser.key("]").await;
    browser.wait_for("one row", "return document.querySelectorAll('[data-testid=\"span-row\"]').length === 1").await;
    browser.key("[").await;
    browser.wait_for("many rows", "return document.querySelectorAll('[data-testid=\"span-row\"]').length > 20").await;
    browser.click("tab-flame").await;
    browser.wait_for("lanes", "return document.querySelector('.flame-scroll > div')?.clientHeight > 200").await;
    browser.screenshot("huge-flame").await;
    browser.click("tab-statistics").await;
    browser.wait_for_some("group-row").await;
    browser.check_no_errors().await;
}
