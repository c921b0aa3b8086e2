//! Can the pages be used without seeing them? axe's rules on every page, in both themes, and on what has no name.
//!
//! Runs where `SPANLIGHT_AXE` names axe-core's file (`scripts/axe.sh`; `make test-full` fetches it); elsewhere it says so and passes.

use super::driver::Browser;
use super::{incident, send, wanted};
use crate::server::Server;
use serde_json::{Value, json};

/// A trace in which nothing has a name.
const NAMELESS: &str = "ccccccccccccccccccccccccccccccc1";

fn nameless(start: u64) -> Value {
    let event = |name: &str| json!({"timeUnixNano": start.to_string(), "name": name});
    let span = json!({"traceId": NAMELESS, "spanId": "0000000000000001", "name": "", "kind": 2, "startTimeUnixNano": start.to_string(),
                      "endTimeUnixNano": (start + 1_000_000).to_string(), "events": [event(""), event(" "), event("exception")]});
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": ""}}]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_finds_no_serious_violation_of_axes_rules() {
    let Some(axe) = std::env::var_os("SPANLIGHT_AXE").filter(|axe| !axe.is_empty() && wanted()) else {
        eprintln!("not run: set SPANLIGHT_AXE to axe-core's axe.min.js, as scripts/axe.sh prints it");
        return;
    };
    let axe = std::fs::read_to_string(axe).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    incident::failing_shop(&server).await;
    send(&server, &nameless(incident::now() - 1_000_000_000)).await;
    let traces = server.json("/api/v1/traces?order=most_errors&limit=2").await;
    let id = |at: usize| traces["traces"][at]["trace_id"].as_str().unwrap().to_owned();
    let (trace, other) = (id(0), id(1));
    let browser = Browser::open(1280, 800).await;
    let places = [
        ("/".to_owned(), "service-row"),
        ("/service?name=gateway".to_owned(), "operation-row"),
        ("/explore".to_owned(), "strips"),
        ("/explore?q=%7B%20status%20%3D%20error%20%7D".to_owned(), "traceql"),
        ("/explore?q=%7B%20status%20%3D%3D%20error%20%7D".to_owned(), "traceql-fault"),
        ("/map".to_owned(), "map-node"),
        ("/map?from=now&to=now-1h".to_owned(), "error"),
        ("/metric?query=vector(1)".to_owned(), "legend"),
        ("/metric?query=vector(".to_owned(), "promql-fault"),
        ("/cardinality".to_owned(), "selector"),
        ("/logs".to_owned(), "filter-contains"),
        ("/status".to_owned(), "stored"),
        (format!("/trace/{NAMELESS}?span=0000000000000001"), "span-details"),
        (format!("/trace/{NAMELESS}?tab=logs"), "log-row"),
        (format!("/trace/{trace}"), "span-row"),
        (format!("/trace/{trace}?tab=flame"), "flame"),
        (format!("/trace/{trace}?tab=statistics"), "group-row"),
        (format!("/trace/{trace}?tab=logs"), "log-row"),
        (format!("/trace/{trace}?tab=map"), "map-node"),
        (format!("/trace/{trace}?tab=compare&with={other}&show=all"), "compare-row"),
        (format!("/trace/{trace}?tab=json"), "json"),
    ];
    for theme in ["light", "dark"] {
        let set = format!("document.documentElement.dataset.theme = '{theme}'");
        for (path, testid) in &places {
            browser.go(&format!("http://{}{path}", server.http)).await;
            browser.wait_for_some(testid).await;
            browser.run(&set).await;
            let found = violations(&browser, &axe).await;
            assert_eq!(found, json!([]), "{path}, {theme}");
        }
        browser.go(&format!("http://{}/explore", server.http)).await;
        browser.wait_for_some("strips").await;
        browser.run(&set).await;
        for (name, open, seen, close) in FLOATING {
            browser.run(open).await;
            browser.wait_for(name, &format!("return document.querySelector('{seen}') !== null")).await;
            let found = violations(&browser, &axe).await;
            assert_eq!(found, json!([]), "{name}, {theme}");
            browser.run(close).await;
            browser.wait_for(name, &format!("return document.querySelector('{seen}') === null")).await;
        }
    }
    // What is narrow scrolls where it does not elsewhere.
    let narrow = Browser::open(500, 800).await;
    for path in [format!("/trace/{trace}"), format!("/trace/{trace}?tab=flame"), "/explore".to_owned()] {
        narrow.call("POST", "/goog/cdp/execute", &phone()).await;
        narrow.go(&format!("http://{}{path}", server.http)).await;
        narrow
            .wait_for("the page", "return document.querySelector('[data-testid=\"span-row\"], canvas') !== null")
            .await;
        assert_eq!(narrow.run("return window.innerWidth").await, 390);
        assert_eq!(violations(&narrow, &axe).await, json!([]), "{path} at 390 pixels");
    }
}

/// What floats above a page: its name, how it is opened, what is seen of it, how it is closed.
const FLOATING: [(&str, &str, &str, &str); 5] = [
    ("the palette", PALETTE, "[data-testid=\"palette\"] [aria-selected=\"true\"]", PALETTE),
    ("the palette without a place", NO_PLACE, "[data-testid=\"palette\"] .offer-name[title*=\"zzzz\"]", PALETTE),
    ("the sheet of keys", "window.dispatchEvent(new KeyboardEvent('keydown', { key: '?' }))", ".sheet", ESCAPE),
    ("the range", "window.dispatchEvent(new KeyboardEvent('keydown', { key: 't' }))", ".popover.range", ESCAPE),
    (
        "the tenant",
        "document.querySelector('.top [title^=\"Tenant\"]').click()",
        ".popover.tenant",
        "document.querySelector('.scrim').click()",
    ),
];
const PALETTE: &str = "window.dispatchEvent(new KeyboardEvent('keydown', { key: 'k', ctrlKey: true }))";
const NO_PLACE: &str = "window.dispatchEvent(new KeyboardEvent('keydown', { key: 'k', ctrlKey: true })); \
     setTimeout(() => { const field = document.querySelector('.palette input'); field.value = 'zzzz'; \
     field.dispatchEvent(new Event('input', { bubbles: true })) }, 200)";
const ESCAPE: &str = "window.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }))";

/// As wide as a phone: a window of its own is never that narrow.
fn phone() -> Value {
    json!({"cmd": "Emulation.setDeviceMetricsOverride",
           "params": {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": false}})
}

/// What axe calls serious or critical: rule, and the elements that break it.
async fn violations(browser: &Browser, axe: &str) -> Value {
    browser.run(&format!("if (!window.axe) {{ {axe} }} window.found = null; axe.run({{ resultTypes: ['violations'] }}).then(result => window.found = result.violations)")).await;
    browser.wait_for("axe", "return window.found !== null").await;
    browser
        .run(
            "return window.found.filter(one => ['serious', 'critical'].includes(one.impact)) \
             .map(one => [one.id, ...one.nodes.slice(0, 3).map(node => node.html.slice(0, 200) + ' ' + node.failureSummary)])",
        )
        .await
}
