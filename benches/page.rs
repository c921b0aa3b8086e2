//! How soon can a person work with a trace of a thousand spans, and how large is what the browser loads for it?
//!
//! Headless Chromium opens the trace page of a real server, again and again; a page counts as interactive when the
//! click on a row has opened the span's details.

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
const VISITS: usize = 9;

/// Clicks the first row and gives the milliseconds since the visit began, once the details are there.
const INTERACTIVE: &str = "
    const find = id => document.querySelector(`[data-testid='${id}']`);
    if (!find('span-details')) find('span-row')?.click();
    return find('span-details') ? performance.now() : null;";

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
    let mut times = Vec::new();
    for _ in 0..VISITS {
        browser.go(&format!("http://{}/trace/{}", server.http, large::TRACE)).await;
        times.push(browser.wait_for("a span's details", INTERACTIVE).await.as_f64().unwrap());
    }
    times.sort_by(f64::total_cmp);
    row("trace_page_interactive", times[VISITS / 2], "ms", "<= 1000");
    let loaded = browser.run(BUNDLE_BYTES).await.as_f64().unwrap();
    row("ui_bundle_loaded", loaded / 1e3, "kB", "<= 400");
}
