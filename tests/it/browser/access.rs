//! Can the pages be used without seeing them? axe's rules on every page of traces, in both themes.
//!
//! Runs where `SPANLIGHT_AXE` names axe-core's file (`scripts/axe.sh`; `make test-full` fetches it); elsewhere it says so and passes.

use super::driver::Browser;
use super::{incident, wanted};
use crate::server::Server;
use serde_json::{Value, json};

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
    let traces = server.json("/api/v1/traces?order=most_errors&limit=2").await;
    let id = |at: usize| traces["traces"][at]["trace_id"].as_str().unwrap().to_owned();
    let (trace, other) = (id(0), id(1));
    let browser = Browser::open(1280, 800).await;
    let places = [
        ("/explore".to_owned(), "strips"),
        (format!("/trace/{trace}"), "span-row"),
        (format!("/trace/{trace}?tab=flame"), "flame"),
        (format!("/trace/{trace}?tab=statistics"), "group-row"),
        (format!("/trace/{trace}?tab=logs"), "log-row"),
        (format!("/trace/{trace}?tab=map"), "map-node"),
        (format!("/trace/{trace}?tab=compare&with={other}&show=all"), "compare-row"),
        (format!("/trace/{trace}?tab=json"), "json"),
    ];
    for theme in ["light", "dark"] {
        for (path, testid) in &places {
            browser.go(&format!("http://{}{path}", server.http)).await;
            browser.wait_for_some(testid).await;
            browser.run(&format!("document.documentElement.dataset.theme = '{theme}'")).await;
            let found = violations(&browser, &axe).await;
            assert_eq!(found, json!([]), "{path}, {theme}");
        }
    }
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
