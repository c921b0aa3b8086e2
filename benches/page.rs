//! How soon can a person work with a trace, and with a list of traces, and how large is what the browser loads for it?
//!
//! Headless Chromium opens pages of a real server, again and again, and nothing of a page is kept from one visit to the next but the program's files.
//! A trace counts as interactive when the click on a row has opened the span's details, as drawn when its first rows are there; of the list
//! of traces that is counted from the page's load on, the program's start and the request included.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on must stop")]
#![expect(clippy::print_stdout, reason = "rows go to stdout")]

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/it/browser/driver.rs"]
mod driver;
#[path = "../tests/it/browser/large.rs"]
mod large;
#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/it/server.rs"]
mod server;

use driver::Browser;
use server::Server;

const SPANS: usize = 1_000;
const MANY_SPANS: usize = 10_000;
const HUGE_SPANS: usize = 100_000;
/// Spans of the shop that are listed, and looked through for the charts above the list.
const SHOP_SPANS: &str = "200000";
const VISITS: usize = 9;

/// Clicks the first row and gives the milliseconds since the visit began, once the details are there.
const INTERACTIVE: &str = "
    const find = id => document.querySelector(`[data-testid='${id}']`);
    if (!find('span-details')) find('span-row')?.click();
    return find('span-details') ? performance.now() : null;";

/// The milliseconds since the visit began, once there is a row of that name.
fn drawn(row: &str) -> String {
    format!("return document.querySelector(`[data-testid='{row}']`) ? performance.now() : null;")
}

/// How many of those passed before the page was loaded.
const LOADED: &str = "return performance.getEntriesByType('navigation')[0].loadEventEnd";

/// What the browser loaded of the program itself, as it came over the wire.
const BUNDLE_BYTES: &str = "
    return performance.getEntriesByType('resource').filter(entry => !entry.name.includes('/api/'))
        .reduce((sum, entry) => sum + entry.encodedBodySize, 0)";

fn row(name: &str, value: f64, unit: &str, target: &str) {
    println!("bench-row: {{\"name\":\"{name}\",\"value\":{value:.1},\"unit\":\"{unit}\",\"target\":\"{target}\"}}");
}

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    large::send(&server, SPANS).await;
    let browser = Browser::open(1280, 800).await;
    let trace = format!("http://{}/trace/{}", server.http, large::TRACE);
    let [interactive, _] = visits(&browser, &trace, INTERACTIVE).await;
    row("trace_page_interactive", interactive, "ms", "<= 1000");
    let loaded = browser.run(BUNDLE_BYTES).await.as_f64().unwrap();
    row("ui_loaded_for_a_trace", loaded / 1e3, "kB", "<= 400");

    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    large::send(&server, MANY_SPANS).await;
    let trace = format!("http://{}/trace/{}", server.http, large::TRACE);
    let [many, _] = visits(&browser, &trace, &drawn("span-row")).await;
    row("trace_of_10000_drawn", many, "ms", "<= 500");
    let huge = tempfile::tempdir().unwrap();
    let huge_server = Server::start(huge.path());
    large::send(&huge_server, HUGE_SPANS).await;
    let trace = format!("http://{}/trace/{}", huge_server.http, large::TRACE);
    let [huge, _] = visits(&browser, &trace, &drawn("span-row")).await;
    row("trace_of_100000_drawn", huge, "ms", "<= 1000");
    drop(huge_server);
    let endpoint = format!("http://{}", server.otlp_grpc);
    let load = ["load", "--endpoint", &endpoint, "--signal", "spans", "--count", SHOP_SPANS];
    assert!(server::spanlight().args(load).output().unwrap().status.success());
    let [shown, after_load] = visits(&browser, &format!("http://{}/explore", server.http), &drawn("trace-row")).await;
    row("explore_first_data_after_load", after_load, "ms", "<= 300");
    row("explore_first_data", shown, "ms", "<= 1000");
}

/// Medians of when something was there: since the visit began, and since the page was loaded.
async fn visits(browser: &Browser, address: &str, there: &str) -> [f64; 2] {
    let (mut begun, mut loaded) = (Vec::new(), Vec::new());
    for _ in 0..VISITS {
        browser.go(address).await;
        let at = browser.wait_for("what is visited", there).await.as_f64().unwrap();
        begun.push(at);
        loaded.push(at - browser.run(LOADED).await.as_f64().unwrap());
    }
    [begun, loaded].map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[VISITS / 2]
    })
}
