//! Does a box on the heat map say what is different in it, and does a click on that narrow the search?

use super::driver::{Browser, ENTER};
use super::{send, wanted};
use crate::server::{Server, request};
use hyper::body::Bytes;
use serde_json::{Value, json};

/// Quick and slow spans of one service; what is slow is all of one pod.
fn spans() -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let start = u64::try_from(now.as_nanos()).unwrap() - 600_000_000_000;
    let span = |number: u64| {
        let slow = number.is_multiple_of(10);
        let begin = start + number * 1_000_000_000;
        let end = begin + if slow { 900_000_000 } else { 2_000_000 };
        let pod = if slow { "pod-7" } else { "pod-1" };
        json!({"traceId": format!("{:032x}", 7_000 + number), "spanId": format!("{number:016x}"), "name": "GET /", "kind": 2,
               "startTimeUnixNano": begin.to_string(), "endTimeUnixNano": end.to_string(),
               "attributes": [{"key": "pod", "value": {"stringValue": pod}}], "status": {"code": if slow { 2 } else { 0 }}})
    };
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "front"}}]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": (1..=500).map(span).collect::<Vec<_>>()}]}]})
}

async fn open() -> (tempfile::TempDir, Server, Browser) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    send(&server, &spans()).await;
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/explore?from=now-15m", server.http)).await;
    browser.wait_for_some("strips").await;
    let aside = "return document.querySelector('.explore-charts .chart-aside').textContent.includes('500 spans, 50 with errors')";
    browser.wait_for("the strips", aside).await;
    (dir, server, browser)
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_explains_a_box_of_the_heat_map_and_filters_by_what_it_says() {
    if !wanted() {
        return;
    }
    let (_dir, _server, browser) = open().await;
    browser.screenshot("strips").await;
    // The upper third of the durations, over all of the time, from just above them.
    browser.press(".strips", (0.08, 90.0), (0.98, 130.0)).await;
    browser.wait_for_some("difference").await;
    assert!(browser.url().await.contains("box="), "{}", browser.url().await);
    let first = "const one = document.querySelector('[data-testid=\"difference\"]'); return [one.dataset.key, one.querySelector('.cutoff').textContent]";
    let found = browser.run(first).await;
    // The status tells the same as the pod does.
    assert!(
        [
            json!(["span.pod", "pod-7"]),
            json!(["span.pod", "pod-1"]),
            json!(["status", "error"]),
            json!(["status", "unset"])
        ]
        .contains(&found),
        "{found}"
    );
    let counted = "return document.querySelector('[data-testid=\"differences\"]').textContent.includes('50 spans in the box, 450 others')";
    browser.wait_for("exact counts", counted).await;
    browser.screenshot("differences").await;
    let pod = "const row = [...document.querySelectorAll('[data-testid=\"difference-value\"]')].find(one => one.textContent.includes('pod-7') || one.textContent.includes('error')); row.click()";
    browser.run(pod).await;
    browser
        .wait_for("the filter", "return location.search.includes('pod-7') || location.search.includes('status=error')")
        .await;
    let rows = "return [...document.querySelectorAll('[data-testid=\"trace-row\"]')].every(one => one.textContent.includes('900 ms'))";
    browser.wait_for("only slow traces", rows).await;
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_narrows_the_search_to_a_box_and_zooms_by_a_drag_over_the_rates() {
    if !wanted() {
        return;
    }
    let (_dir, _server, browser) = open().await;
    browser.press(".strips", (0.08, 96.0), (0.98, 130.0)).await;
    browser.click("narrow").await;
    browser
        .wait_for(
            "durations in the address",
            "return location.search.includes('min_duration=') && !location.search.includes('box=')",
        )
        .await;
    browser.wait_for_some("trace-row").await;
    let slow = browser.count("trace-row").await;
    assert!(slow > 0);
    let before = browser.url().await;
    browser.press(".strips", (0.4, 20.0), (0.7, 20.0)).await;
    browser.wait_for("another range", &format!("return location.href !== '{before}'")).await;
    // The list is sorted by what its heads say.
    for (order, head) in [("longest", "Longest"), ("most_spans", "Spans"), ("most_errors", "Errors")] {
        let heads = "[...document.querySelectorAll('.heads .sort')]";
        browser.run(&format!("{heads}.find(one => one.textContent.startsWith('{head}')).click()")).await;
        browser.wait_for(order, &format!("return location.search.includes('order={order}')")).await;
    }
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_closes_the_box_with_escape_and_says_whose_answer_stays_after_a_fault() {
    if !wanted() {
        return;
    }
    let (_dir, server, browser) = open().await;
    browser.press(".strips", (0.08, 96.0), (0.98, 130.0)).await;
    browser.wait_for_some("differences").await;
    browser.key("Escape").await;
    browser.wait_for("no box", "return !location.search.includes('box=')").await;
    assert_eq!(browser.count("differences").await, 0);

    browser
        .go(&format!("http://{}/explore?from=now-15m&q=%7B%20span.pod%20%3D%20%22pod-7%22%20%7D", server.http))
        .await;
    browser.wait_for_some("trace-row").await;
    assert_eq!(browser.run("return document.querySelectorAll('.stale').length").await, 0);
    browser.run("document.querySelector('[data-testid=\"traceql\"]').select()").await;
    browser.keys("traceql", &format!("{{ status == error }}{ENTER}")).await;
    browser.wait_for_some("traceql-fault").await;
    let said = browser
        .wait_for("whose answer it is", "return document.querySelector('[data-testid=\"partial\"]')?.innerText")
        .await;
    assert!(said.as_str().unwrap().contains("{ span.pod = \"pod-7\" }"), "{said}");
    let dim =
        "return ['.explore-charts', '.trace-list'].map(one => document.querySelector(one).closest('.stale') !== null)";
    assert_eq!(browser.run(dim).await, json!([true, true]));
    browser.screenshot("stale").await;
    browser.run("document.querySelector('[data-testid=\"traceql\"]').select()").await;
    browser.keys("traceql", &format!("{{ status = error }}{ENTER}")).await;
    browser
        .wait_for(
            "a right answer",
            "return document.querySelectorAll('.stale, [data-testid=\"partial\"]').length === 0",
        )
        .await;
    browser.check_no_errors().await;
}

/// A trace with a retried call, an attribute whose key has a sign, a short id, and a record of logs.
fn odd(start: u64) -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let span = |number: u64| {
        let slow = number.is_multiple_of(4);
        let begin = start + number * 1_000_000_000;
        let why = json!([{"timeUnixNano": begin.to_string(), "name": "retry", "attributes": [text("why", "timeout")]}]);
        json!({"traceId": format!("{:032x}", 0x1234_5678_90ab_cd00_u64 + number), "spanId": format!("{number:016x}"), "name": "GET /",
               "kind": if slow { 3 } else { 2 }, "startTimeUnixNano": begin.to_string(), "attributes": [text("odd=key", "yes")],
               "endTimeUnixNano": (begin + if slow { 900_000_000 } else { 2_000_000 }).to_string(),
               "events": if slow { why } else { json!([]) }})
    };
    let resource = json!({"attributes": [text("service.name", "..")]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": (1..=40).map(span).collect::<Vec<_>>()}]}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_finds_what_filters_cannot_say_and_draws_series_of_spans() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    send(&server, &odd(u64::try_from(now.as_nanos()).unwrap() - 300_000_000_000)).await;
    let browser = Browser::open(1280, 800).await;
    let at = async |path: &str| browser.go(&format!("http://{}{path}", server.http)).await;
    let rows =
        |count: usize| format!("return document.querySelectorAll('[data-testid=\"trace-row\"]').length === {count}");

    at("/explore?from=now-15m&service=..").await;
    browser.wait_for("all traces", "return document.querySelectorAll('[data-testid=\"trace-row\"]').length > 10").await;
    let aside = "return document.querySelector('.explore-charts .chart-aside').textContent.includes('40 spans')";
    browser.wait_for("the strips", aside).await;
    browser.press(".strips", (0.08, 90.0), (0.98, 130.0)).await;
    let value = "return document.querySelector('[data-key^=\"event\"] [data-testid=\"difference-value\"]')?.click() === undefined \
                 && new URLSearchParams(location.search).get('q')";
    let query = browser.wait_for("a query", value).await;
    let query = query.as_str().unwrap();
    assert!(query.starts_with("{ resource.service.name = \"..\" && event"), "{query}");
    browser.wait_for("slow traces", &rows(10)).await;

    // The page of a service that is called like a folder.
    at("/service?name=..").await;
    browser.wait_for_some("operation-row").await;
    assert_eq!(browser.count("error").await, 0);

    // A trace by its last sixteen digits; an attribute whose key has a sign.
    at("/trace/1234567890abcd04?span=0000000000000004").await;
    let link = "return [...document.querySelectorAll('[data-testid=\"span-details\"] a.copy')].find(link => \
                link.closest('tr').textContent.includes('odd=key'))?.click() === undefined \
                && new URLSearchParams(location.search).get('q')";
    assert_eq!(browser.wait_for("a query", link).await, "{ .\"odd=key\" = \"yes\" }");
    browser.wait_for("traces", "return document.querySelectorAll('[data-testid=\"trace-row\"]').length > 10").await;

    // Series in the place of traces, as a table that the address keeps.
    browser.run("document.querySelector('[data-testid=\"traceql\"]').select()").await;
    browser.keys("traceql", &format!("{{ }} | rate() by (kind){ENTER}")).await;
    browser.wait_for_some("legend").await;
    assert_eq!(browser.count("trace-row").await + browser.count("traceql-fault").await, 0);
    browser.screenshot("explore-series").await;
    let head = "return document.querySelector('[data-testid=\"legend\"] th').textContent";
    assert_eq!(browser.run(head).await, "kind", "said once for all lines");
    let opens = "return document.querySelector('[data-testid=\"exemplar\"]')?.href ?? ''";
    let opened = browser.run(opens).await;
    assert!(["/trace/", "span="].iter().all(|part| opened.as_str().unwrap().contains(part)), "{opened}");
    browser.click("as-table").await;
    browser.wait_for("the table in the address", "return location.search.includes('table=')").await;
    at(&browser.url().await.split_once("/explore").map(|(_, rest)| format!("/explore{rest}")).unwrap()).await;
    browser.wait_for("the table", "return document.querySelector('.chart-table td') !== null").await;
    browser.run("document.querySelector('[data-testid=\"traceql\"]').select()").await;
    browser.keys("traceql", &format!("{{ }} | histogram_over_time(duration){ENTER}")).await;
    browser.wait_for_some("heatmap").await;
    browser.run("document.querySelector('[data-testid=\"traceql\"]').select()").await;
    browser.keys("traceql", &format!("{{ }} | rate() by ({ENTER}")).await;
    browser.wait_for_some("traceql-fault").await;
    browser.check_no_errors().await;

    // What the server's end means is seen without scrolling, and columns that sort say so.
    at("/explore?from=now-15m").await;
    browser.wait_for("traces", "return document.querySelectorAll('[data-testid=\"trace-row\"]').length > 10").await;
    let sorts = "return [...document.querySelectorAll('.trace-list [aria-sort]')].map(head => [head.textContent.trim(), head.ariaSort])";
    let heads = browser.run(sorts).await;
    assert_eq!(heads[0], json!(["Match ↓", "descending"]));
    assert_eq!(
        (&heads[2], &heads[3]),
        (&json!(["Trace duration ↕, log scale", "none"]), &json!(["Longest match ↕", "none"]))
    );
    browser.screenshot("explore-heads").await;
    server.kill();
    browser.click("refresh").await;
    browser.wait_for_some("error").await;
    let seen = "const box = document.querySelector('[data-testid=\"error\"]').getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight";
    assert_eq!(browser.run(seen).await, true);
    browser.screenshot("explore-gone").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_keeps_in_the_address_which_records_are_open() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let record = |number: u128| {
        let time = now - (number / 2) * 1_000_000_000;
        json!({"timeUnixNano": time.to_string(), "body": {"stringValue": format!("line {number}")}})
    };
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": (1..=9).map(record).collect::<Vec<_>>()}]}]});
    let headers = [("content-type", "application/json")];
    let sent = request(&server.otlp_http, "POST", "/v1/logs", &headers, Bytes::from(logs.to_string())).await;
    assert_eq!(sent.0, 200, "{}", String::from_utf8_lossy(&sent.1));
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/logs", server.http)).await;
    browser.wait_for_some("log-row").await;
    for row in [1, 2] {
        browser.run(&format!("document.querySelectorAll('[data-testid=\"log-row\"]')[{row}].click()")).await;
    }
    let open = "return [...document.querySelectorAll('.log-item.open .log-line')].map(one => one.textContent).join()";
    let two = "return document.querySelectorAll('[data-testid=\"log-details\"]').length === 2";
    browser.wait_for("two records", two).await;
    let (address, before) = (browser.url().await, browser.run(open).await);
    assert!(address.contains("open="), "{address}");
    browser.go(&address).await;
    browser.wait_for("both again", two).await;
    assert_eq!(browser.run(open).await, before);
    browser.run("document.querySelector('.log-item.open [data-testid=\"log-row\"]').click()").await;
    browser
        .wait_for("one record", "return document.querySelectorAll('[data-testid=\"log-details\"]').length === 1")
        .await;
    browser.check_no_errors().await;
}
