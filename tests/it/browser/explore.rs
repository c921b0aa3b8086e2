//! Does a box on the heat map say what is different in it, and does a click on that narrow the search?

use super::driver::{Browser, ENTER};
use super::{send, wanted};
use crate::server::Server;
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
