//! Is the guilty span found? An incident of known truth, from the overview to the span in at most five clicks.

use super::driver::Browser;
use super::wanted;
use crate::server::{Server, request};
use serde_json::Value;
use workload::{Config, Incident, IncidentKind, Service, Signal, Signals, Workload};

const SECOND: u64 = 1_000_000_000;
/// Clicks that may be needed.
const CLICKS: usize = 5;

/// The present, in nanoseconds.
pub(crate) fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos()).unwrap()
}

/// Sends ten minutes of the shop, of which the last three have the incident; tells who is guilty.
async fn shop(server: &Server, kind: IncidentKind, service: Service) -> &'static str {
    let end = now();
    let start = end - 600 * SECOND;
    let incident = Incident { kind, service, start: end - 180 * SECOND, end: end + SECOND };
    let config = Config {
        start_unix_nano: start,
        requests_per_second: 5.0,
        incidents: vec![incident],
        signals: Signals::Only(Signal::Spans),
        ..Config::default()
    };
    let mut shop = Workload::new(config).unwrap();
    let headers = [("content-type", "application/x-protobuf")];
    while let Some(batch) = shop.next_batch().filter(|batch| batch.due_unix_nano < end) {
        let (status, _) = request(&server.otlp_http, "POST", "/v1/traces", &headers, batch.bytes).await;
        assert_eq!(status, 200);
    }
    let truth = shop.truth();
    truth.first().expect("an incident").incident.service.name()
}

/// A shop some of whose requests fail.
pub(crate) async fn failing_shop(server: &Server) {
    shop(server, IncidentKind::ErrorBurst, Service::Inventory).await;
}

/// A person with a mouse, and how often they have pressed it.
struct Person {
    browser: Browser,
    clicks: usize,
}

impl Person {
    /// Clicks the first element that a selector finds, as a mouse does.
    async fn click(&mut self, what: &str, selector: &str) {
        self.browser.wait_for(what, &format!("return document.querySelector('{selector}') !== null")).await;
        self.browser.run(&format!("document.querySelector('{selector}').click()")).await;
        self.clicks += 1;
    }
}

/// The service of the span that is selected, as stored.
async fn selected(server: &Server, browser: &Browser) -> (String, Value) {
    browser.wait_for_some("span-details").await;
    let found = browser
        .run("return [location.pathname.split('/').pop(), new URLSearchParams(location.search).get('span')]")
        .await;
    let (trace, span) = (found[0].as_str().unwrap(), found[1].as_str().unwrap());
    let stored = server.json(&format!("/api/v1/traces/{trace}")).await;
    for resource in stored["resourceSpans"].as_array().unwrap() {
        let attributes = resource["resource"]["attributes"].as_array().unwrap();
        let service = attributes.iter().find(|one| one["key"] == "service.name").unwrap();
        let spans =
            resource["scopeSpans"].as_array().unwrap().iter().flat_map(|scope| scope["spans"].as_array().unwrap());
        if let Some(span) = spans.into_iter().find(|one| one["spanId"] == span) {
            return (service["value"]["stringValue"].as_str().unwrap().to_owned(), span.clone());
        }
    }
    panic!("span {span} is not in trace {trace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_leads_from_the_overview_to_the_span_that_failed() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let guilty = shop(&server, IncidentKind::ErrorBurst, Service::Inventory).await;
    let mut person = Person { browser: Browser::open(1280, 800).await, clicks: 0 };
    person.browser.go(&format!("http://{}/", server.http)).await;
    person.click("the worst service", "[data-testid=\"service-row\"]").await;
    person.click("its failed traces", "a.button[href*=\"status=error\"]").await;
    person.click("the newest", "[data-testid=\"trace-row\"]").await;
    person.click("where its errors began", "[data-testid=\"error-origin\"]").await;
    let (service, span) = selected(&server, &person.browser).await;
    assert_eq!((service.as_str(), span["status"]["code"].as_i64()), (guilty, Some(2)), "{span}");
    assert!(person.clicks <= CLICKS, "{}", person.clicks);
    person.browser.screenshot("incident-errors").await;
    person.browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_leads_from_the_overview_to_the_span_that_was_waited_for() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let guilty = shop(&server, IncidentKind::SlowDependency, Service::Search).await;
    let mut person = Person { browser: Browser::open(1280, 800).await, clicks: 0 };
    person.browser.go(&format!("http://{}/", server.http)).await;
    person.click("the places", "a.place[href^=\"/explore\"]").await;
    person.click("the longest first", ".trace-row.heads [role=columnheader]:nth-child(4) .sort").await;
    person.browser.wait_for("the order", "return location.search.includes('order=longest')").await;
    person.browser.wait_for("its answer", "return document.querySelector('.progress.busy') === null").await;
    person.click("the longest trace", "[data-testid=\"trace-row\"]").await;
    person.click("what it waited for most", "[data-testid=\"critical-share\"]").await;
    let (service, span) = selected(&server, &person.browser).await;
    assert_eq!(service, guilty, "{span}");
    assert!(person.clicks <= CLICKS, "{}", person.clicks);
    person.browser.screenshot("incident-slow").await;
    person.browser.check_no_errors().await;
}
