//! Does a page stay within its window? Names of any length, windows of any width, ranges that are none.

use super::driver::Browser;
use super::{incident, send, wanted};
use crate::server::{Server, request};
use hyper::body::Bytes;
use serde_json::{Value, json};

const TRACE: &str = "ddddddddddddddddddddddddddddddd1";
const SECOND: u64 = 1_000_000_000;

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// A name of 3,000 characters that begins with another.
fn long(name: &str) -> String {
    name.repeat(3_000 / name.len())
}

/// A service that calls another, both with very long names, as all that they tell.
fn spans(start: u64) -> Value {
    let at = |milliseconds: u64| (start + milliseconds * 1_000_000).to_string();
    let group = |service: &str, number: u64, kind: u64, (from, to): (u64, u64)| {
        let parent = if number == 1 { String::new() } else { format!("{:016x}", number - 1) };
        let attributes = [text(&long("key"), &long("value")), text("db.system.name", &long("db"))];
        let span = json!({"traceId": TRACE, "spanId": format!("{number:016x}"), "parentSpanId": parent, "name": long("operation"), "kind": kind,
                          "startTimeUnixNano": at(from), "endTimeUnixNano": at(to), "attributes": attributes, "status": {"code": 2, "message": long("no")},
                          "events": [{"timeUnixNano": at(from), "name": long("event")}]});
        let resource =
            json!({"attributes": [text("service.name", &long(service)), text("service.version", &long("v"))]});
        json!({"resource": resource, "scopeSpans": [{"scope": {"name": long("scope")}, "spans": [span]}]})
    };
    let groups = [
        group("first", 1, 2, (0, 90)),
        group("first", 2, 3, (10, 80)),
        group("second", 3, 2, (20, 70)),
        group("second", 4, 3, (30, 60)),
    ];
    json!({ "resourceSpans": groups })
}

fn gauge(start: u64) -> Value {
    let point = |name: &str| json!({"timeUnixNano": start.to_string(), "asDouble": 1.5, "attributes": [text(&long("key"), &long(name))]});
    let metric = json!({"name": "m".repeat(200), "unit": long("u"), "description": long("what "), "gauge": {"dataPoints": [point("a"), point("b")]}});
    let resource = json!({"attributes": [text("service.name", &long("first"))]});
    json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]})
}

/// What reaches beyond the window, or beyond a page that does not scroll sideways.
const BEYOND: &str = "const wide = []; const root = document.documentElement; \
    if (root.scrollWidth > innerWidth) wide.push(['document', root.scrollWidth]); \
    for (const one of document.querySelectorAll('.page, .top, .top button, .metric, .metric-list, .scroll, .trace-head, table.data')) { \
        const box = one.getBoundingClientRect(); if (box.width === 0) continue; \
        if (box.right > innerWidth + 1) wide.push([one.className + ' ' + one.tagName, box.right]); \
        if (one.matches('.page, .metric, .scroll') && one.scrollWidth > one.clientWidth + 1) wide.push([one.className, one.scrollWidth]); } \
    return wide";

#[tokio::test(flavor = "multi_thread")]
async fn browser_keeps_pages_within_the_window_whatever_names_are_like() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let start = incident::now() - 60 * SECOND;
    send(&server, &spans(start)).await;
    let headers = [("content-type", "application/json")];
    let sent = request(&server.otlp_http, "POST", "/v1/metrics", &headers, Bytes::from(gauge(start).to_string())).await;
    assert_eq!(sent.0, 200, "{}", String::from_utf8_lossy(&sent.1));
    let service = long("first");
    let metric = "m".repeat(200);
    // The longest label of the range's button.
    let range = "from=2026-01-01T10%3A00%3A00.123Z&to=2099-01-01T10%3A00%3A00.123Z";
    let places = [
        (format!("/?{range}"), "service-row"),
        (format!("/service?name={service}"), "operation-row"),
        ("/explore".to_owned(), "trace-row"),
        (format!("/map?focus={service}"), "map-node"),
        (format!("/metric?name={metric}"), "legend"),
        ("/cardinality".to_owned(), "cardinality-pair"),
        (format!("/logs?{range}"), "filter-contains"),
        ("/status".to_owned(), "stored"),
        (format!("/trace/{TRACE}?span=0000000000000001"), "span-details"),
        (format!("/trace/{TRACE}?tab=statistics"), "group-row"),
        (format!("/trace/{TRACE}?tab=statistics&group=service"), "group-row"),
        (format!("/trace/{TRACE}?tab=logs"), "log-row"),
        (format!("/trace/{TRACE}?tab=map"), "map-node"),
        (format!("/trace/{TRACE}?tab=compare&with={TRACE}&show=all"), "compare-row"),
    ];
    for (width, height) in [(1280, 800), (800, 900)] {
        let browser = Browser::open(width, height).await;
        for (path, testid) in &places {
            // What stands side by side in a trace needs room.
            if width < 1_000 && path.starts_with("/trace/") {
                continue;
            }
            browser.go(&format!("http://{}{path}", server.http)).await;
            browser.wait_for_some(testid).await;
            assert_eq!(browser.run(BEYOND).await, json!([]), "{} at {width}", path.get(..40).unwrap_or(path));
        }
        browser.go(&format!("http://{}/", server.http)).await;
        browser.wait_for_some("service-row").await;
        let named = "return [...document.querySelectorAll('.service')].map(one => one.title.length).sort()";
        assert_eq!(browser.run(named).await, json!([3_000, 3_000]), "the whole name in the title");
        let cut = "return [...document.querySelectorAll('.service-name')].every(one => one.scrollWidth > one.clientWidth && getComputedStyle(one).textOverflow === 'ellipsis')";
        assert_eq!(browser.run(cut).await, true, "an ellipsis");
        browser.screenshot(&format!("long-names-{width}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_says_why_a_range_is_none_and_leads_to_a_right_one() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    send(&server, &spans(incident::now() - 60 * SECOND)).await;
    let browser = Browser::open(1280, 800).await;
    let places = [
        ("/", "service-row"),
        ("/explore", "trace-row"),
        ("/map", "map-node"),
        ("/logs", "empty"),
        ("/metric", "metric-list"),
        ("/cardinality", "selector"),
    ];
    for (path, testid) in places {
        for (from, to, why) in
            [("now", "now-1h", "ends before it starts"), ("yesterday", "now", "\u{201c}yesterday\u{201d} is no time")]
        {
            browser.go(&format!("http://{}{path}?from={from}&to={to}", server.http)).await;
            browser.wait_for_some("error").await;
            let said = browser.run("return document.querySelector('[data-testid=\"error\"]').innerText").await;
            let said = said.as_str().unwrap();
            assert!(said.contains(why) && said.contains(&format!("from={from}&to={to}")), "{path}: {said}");
            assert_eq!(browser.run("return document.querySelectorAll('.skeleton').length").await, 0, "{path}");
        }
        browser.click("usual-range").await;
        browser.wait_for_some(testid).await;
        assert_eq!(browser.count("error").await, 0, "{path}");
    }
    browser.go(&format!("http://{}/explore?from=now-1h&to=now-2h", server.http)).await;
    browser.wait_for_some("error").await;
    browser.screenshot("bad-range").await;
    // Years are read; nothing was sent then.
    browser.go(&format!("http://{}/map?from=now-5y&to=now-4y", server.http)).await;
    browser
        .wait_for(
            "a reason",
            "return document.querySelector('[data-testid=\"empty\"], [data-testid=\"error\"]') !== null",
        )
        .await;
    browser.check_no_errors().await;
}

/// Services in a chain, each of which calls two more beside it: as many layers as services in the chain.
fn deep(start: u64, layers: u64) -> Value {
    let span = |service: String, id: u64, parent: u64, kind: u64| {
        let parent = if parent == 0 { String::new() } else { format!("{parent:016x}") };
        let at = |milliseconds: u64| (start + milliseconds * 1_000_000).to_string();
        let span = json!({"traceId": TRACE, "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": "work", "kind": kind,
                          "startTimeUnixNano": at(0), "endTimeUnixNano": at(50)});
        let resource = json!({"attributes": [text("service.name", &service)]});
        json!({"resource": resource, "scopeSpans": [{"spans": [span]}]})
    };
    let name = |layer: u64, which: u64| format!("recommendation-{which}-of-layer-{layer}");
    let groups = (1..=layers).flat_map(|layer| {
        let (server, called) = (layer * 100, if layer == 1 { 0 } else { layer * 100 - 90 });
        let own = span(name(layer, 0), server, called, 2);
        let calls = (0..3).flat_map(move |which| {
            let client = span(name(layer, 0), server + 10 + which, server, 3);
            let leaf = (which > 0).then(|| span(name(layer, which), server + 20 + which, server + 10 + which, 2));
            [Some(client), leaf].into_iter().flatten()
        });
        [own].into_iter().chain(calls)
    });
    json!({ "resourceSpans": groups.collect::<Vec<_>>() })
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_shows_a_map_of_many_services_with_names_that_can_be_read_and_found() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    send(&server, &deep(incident::now() - 60 * SECOND, 14)).await;
    let browser = Browser::open(1280, 900).await;
    browser.go(&format!("http://{}/map", server.http)).await;
    browser.wait_for_some("map-node").await;
    let smallest = "const zoom = parseFloat(getComputedStyle(document.querySelector('.map')).zoom); \
        return Math.min(...[...document.querySelectorAll('.map-name')].map(one => parseFloat(getComputedStyle(one).fontSize) * zoom))";
    let smallest = browser.run(smallest).await.as_f64().unwrap();
    assert!((11.0..=13.0).contains(&smallest), "{smallest}");
    let cut = "return [...document.querySelectorAll('.map-name .whole')].filter(one => one.scrollHeight > one.clientHeight + 1).length";
    assert_eq!(browser.run(cut).await, 0, "names are whole");
    let in_view = "const room = document.querySelector('.map-room').getBoundingClientRect(); \
        const one = document.querySelector('.map-node.found, .map-node.chosen')?.getBoundingClientRect(); \
        return !!one && one.left >= room.left && one.right <= room.right";
    browser.screenshot("map-deep").await;
    browser.keys("map-find", "Layer-14").await;
    browser.wait_for("what is found in view", in_view).await;
    let told = browser.run("return document.querySelector('[data-testid=\"map-found\"]').innerText").await;
    assert!(told.as_str().unwrap().starts_with("3 of "), "{told}");
    browser.screenshot("map-found").await;
    browser.key_on("[data-testid=\"map-find\"]", "Enter").await;
    browser.wait_for("the focus in the address", "return location.search.includes('focus=')").await;
    browser.wait_for("what is chosen in view", in_view).await;
    // Pulled by what is between the boxes, the map moves.
    let left = "return document.querySelector('.map-room').scrollLeft";
    let before = browser.run(left).await.as_f64().unwrap();
    browser.press(".map-room", (0.3, 2.0), (0.6, 2.0)).await;
    assert!(browser.run(left).await.as_f64().unwrap() < before, "{before}");
    assert_eq!(browser.run(BEYOND).await, json!([]));
    browser.check_no_errors().await;
}
