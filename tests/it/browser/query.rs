//! Are queries of traces and metrics typed, completed, run and corrected by keyboard, and do metrics lead to traces?

use super::driver::{Browser, DOWN, ENTER, TAB};
use super::wanted;
use crate::server::{Server, request};
use hyper::body::Bytes;
use serde_json::{Value, json};

/// A name that would run, were it read as markup.
const HOSTILE: &str = "<img src=x onerror=\"window.__hostile=1\"></textarea><script>window.__hostile=1</script>";

/// The first element of that name.
fn element(testid: &str) -> String {
    format!("document.querySelector('[data-testid=\"{testid}\"]')")
}

/// Waits for what a later look may show: refreshes now and then.
async fn refreshed(browser: &Browser, what: &str, condition: &str) {
    let script = format!(
        "if ({condition}) return true; \
         if (Date.now() - (window.__looked ?? 0) > 1500) {{ window.__looked = Date.now(); {}?.click(); }} return false",
        element("refresh")
    );
    browser.wait_for(what, &script).await;
}

async fn demo(server: &Server) {
    assert_eq!(request(&server.http, "POST", "/api/v1/demo", &[], Bytes::new()).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_types_traceql_with_completion_and_shows_what_is_wrong_in_its_place() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    demo(&server).await;
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/explore?service=cart", server.http)).await;
    browser.wait_for_some("trace-row").await;
    browser.click("mode-traceql").await;
    let said = format!("return {}?.value === '{{ resource.service.name = \"cart\" }}'", element("traceql"));
    browser.wait_for("the filters as a query", &said).await;
    browser.wait_for_some("trace-row").await;
    browser.check_no_errors().await;

    // An attribute, its value, and Enter: what is offered is chosen with keys alone.
    browser.run(&format!("{}.select()", element("traceql"))).await;
    browser.keys("traceql", "{ service.na").await;
    browser.wait_for_some("offer").await;
    browser.screenshot("traceql-offers").await;
    browser.keys("traceql", TAB).await;
    browser.keys("traceql", " = ga").await;
    let gateway =
        "return [...document.querySelectorAll('[data-testid=\"offer\"]')].some(o => o.textContent.includes('gateway'))";
    browser.wait_for("the value", gateway).await;
    let role = format!("return {}.getAttribute('aria-expanded')", element("traceql"));
    assert_eq!(browser.run(&role).await, "true");
    browser.keys("traceql", DOWN).await;
    let active = format!(
        "const at = {}.getAttribute('aria-activedescendant'); return document.getElementById(at)?.getAttribute('aria-selected') === 'true'",
        element("traceql")
    );
    browser.wait_for("an active offer", &active).await;
    browser.keys("traceql", ENTER).await;
    browser.keys("traceql", &format!(" }}{ENTER}")).await;
    let ran = "return new URLSearchParams(location.search).get('q')";
    browser.wait_for("the query in the address", ran).await;
    assert_eq!(browser.run(ran).await, "{ resource.service.name = \"gateway\" }");
    browser.wait_for_some("trace-row").await;

    browser.run(&format!("{}.select()", element("traceql"))).await;
    browser.keys("traceql", &format!("{{ status == error }}{ENTER}")).await;
    browser.wait_for_some("traceql-fault").await;
    let place = format!(
        "return {}.textContent.includes('1:11') && document.querySelector('.q-bad').textContent",
        element("traceql-fault")
    );
    assert_eq!(browser.wait_for("the place", &place).await, "==");
    browser.screenshot("traceql-fault").await;
    browser.click("mode-filters").await;
    browser.wait_for_some("filter-service").await;
    browser.wait_for_some("trace-row").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_draws_promql_and_goes_from_an_exemplar_to_its_trace() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    demo(&server).await;
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/metric", server.http)).await;
    browser.wait_for_some("promql").await;
    browser.keys("promql", "sum by (job) (rate(http_server_request_duration_seconds_c").await;
    browser.wait_for_some("offer").await;
    browser.keys("promql", &format!("{TAB}{{job=~\".*gateway\"}}[1m])){ENTER}")).await;
    let ran = "return new URLSearchParams(location.search).get('query')";
    let asked = "sum by (job) (rate(http_server_request_duration_seconds_count{job=~\".*gateway\"}[1m]))";
    browser.wait_for("the query in the address", ran).await;
    assert_eq!(browser.run(ran).await, asked);
    let line = format!("{}?.textContent.includes('shop/gateway') ?? false", element("legend"));
    refreshed(&browser, "a line", &line).await;
    browser.screenshot("promql").await;

    browser.run(&format!("{}.select()", element("promql"))).await;
    browser.keys("promql", &format!("rate(a[5m]) +{ENTER}")).await;
    browser.wait_for_some("promql-fault").await;
    browser.screenshot("promql-fault").await;
    browser.check_no_errors().await;

    let metric = "http.server.request.duration";
    browser.go(&format!("http://{}/metric?name={metric}", server.http)).await;
    refreshed(&browser, "a heat map", &format!("{} !== null", element("heatmap"))).await;
    browser.screenshot("histogram").await;
    crosshairs_meet(&browser).await;
    let heat_map = "return [...document.querySelectorAll('[data-testid=\"suggestion\"]')].find(s => s.textContent === 'Heat map')?.click() === undefined";
    browser.wait_for_some("suggestion").await;
    browser.run(heat_map).await;
    browser.wait_for("the query in the address", ran).await;
    refreshed(&browser, "a heat map", &format!("{} !== null", element("heatmap"))).await;
    browser.wait_for_some("exemplar").await;
    browser.screenshot("promql-heat").await;

    // A moment of it beside the rest.
    browser.run(&click_at("heatmap", 0.97)).await;
    browser.wait_for_some("moment-quantiles").await;
    browser.wait_for("the moment in the address", "return location.search.includes('at=')").await;
    browser.screenshot("moment").await;

    // The same by a name that PromQL has for it, as a dashboard would have it.
    for (name, theme) in
        [("http_server_request_duration_seconds", "light"), ("http_server_request_duration_seconds_count", "dark")]
    {
        browser.run(&format!("localStorage.setItem('spanlight.theme', '{theme}')")).await;
        browser.go(&format!("http://{}/metric?name={name}", server.http)).await;
        browser.wait_for_some("suggestion").await;
        let head = "return document.querySelector('.metric-head h1').textContent";
        assert_eq!(browser.run(head).await, metric);
        let here = "return document.querySelector('[data-testid=\"metric-row\"].current')?.dataset.metric";
        assert_eq!(browser.wait_for("its row", here).await, metric);
        refreshed(&browser, "a heat map", &format!("{} !== null", element("heatmap"))).await;
        browser.wait_for_some("exemplar").await;
        browser.screenshot(&format!("metric-by-promql-{theme}")).await;
    }

    let href = browser.run(&format!("return {}.getAttribute('href')", element("exemplar"))).await;
    assert!(href.as_str().unwrap().starts_with("/trace/"), "{href}");
    browser.run(&format!("{}.click()", element("exemplar"))).await;
    browser.wait_for_some("span-row").await;
    assert!(browser.url().await.contains("/trace/"));
    browser.check_no_errors().await;
}

/// The heat map and the quantiles below it have one crosshair, wherever the pointer is.
async fn crosshairs_meet(browser: &Browser) {
    let share = |selector: &str, area: &str| {
        format!(
            "(() => {{ const [line, area] = [document.querySelector('{selector}'), {area}].map(e => e.getBoundingClientRect()); \
             return (line.left - area.left - 72) / (area.width - 84); }})()"
        )
    };
    let line = share(".plot .u-cursor-x", "document.querySelector('.plot')");
    browser.run(&format!("{} {}", move_to(&element("heatmap")), "return 0")).await;
    browser.wait_for("the crosshair of the plot", &format!("return Math.abs({line} - 0.5) < 0.02")).await;
    browser.screenshot("crosshair").await;
    let told = "document.querySelector('[data-testid=\"heatmap\"]').closest('.chart').querySelector('.chart-aside').textContent";
    assert_eq!(browser.run(&format!("return {told}.includes(' to ')")).await, true, "the cell is told");
    let leave = format!("{}.dispatchEvent(new PointerEvent('pointerleave'))", element("heatmap"));
    browser.run(&leave).await;
    browser.wait_for("no crosshair", &format!("return {line} < 0 && {told}.includes('stronger')")).await;
    let over = ".plot .u-over";
    browser
        .run(&format!("document.querySelector('{over}').scrollIntoView({{ block: 'center', behavior: 'instant' }})"))
        .await;
    browser.press(over, (0.25, 50.0), (0.25, 50.0)).await;
    browser.wait_for("the heat map's word of the moment", &format!("return !{told}.includes('stronger')")).await;
    browser.run(&format!("document.querySelector('{over}').dispatchEvent(new MouseEvent('mouseleave'))")).await;
    browser.wait_for("no moment", &format!("return {told}.includes('stronger')")).await;
}

/// Moves the pointer to the middle of the plotting area.
fn move_to(area: &str) -> String {
    format!(
        "const area = {area}; const box = area.getBoundingClientRect(); const x = box.left + 72 + (box.width - 84) / 2; \
         area.dispatchEvent(new PointerEvent('pointermove', {{bubbles: true, clientX: x, clientY: box.top + box.height / 2}}));"
    )
}

/// Moves the pointer to a share of an element's width and clicks.
fn click_at(testid: &str, share: f64) -> String {
    format!(
        "const area = {}; const box = area.getBoundingClientRect(); \
         const at = {{bubbles: true, clientX: box.left + box.width * {share}, clientY: box.top + box.height / 2}}; \
         area.dispatchEvent(new PointerEvent('pointermove', at)); area.dispatchEvent(new MouseEvent('click', at));",
        element(testid)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_shows_hostile_names_of_metrics_as_text() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let sent =
        request(&server.otlp_http, "POST", "/v1/metrics", &[("content-type", "application/json")], hostile()).await;
    assert_eq!(sent.0, 200, "{}", String::from_utf8_lossy(&sent.1));
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/metric", server.http)).await;
    browser.wait_for_some("metric-row").await;
    let named = format!("return {}.dataset.metric", element("metric-row"));
    assert_eq!(browser.run(&named).await, HOSTILE);
    browser.click("metric-row").await;
    browser.wait_for_some("legend").await;
    browser.keys("promql", "{job=\"a\", kin").await;
    browser.wait_for_some("offer").await;
    browser.keys("promql", &format!("{TAB}=")).await;
    let offered =
        "return [...document.querySelectorAll('[data-testid=\"offer\"]')].some(o => o.textContent.includes('onerror'))";
    browser.wait_for("the hostile value", offered).await;
    browser.keys("promql", &format!("{TAB}}}{ENTER}")).await;
    browser.wait_for("the query in the address", "return location.search.includes('query=')").await;
    browser.screenshot("hostile-metric").await;
    assert_eq!(browser.run("return document.querySelectorAll('main img, main script').length").await, 0);
    assert_eq!(browser.run("return window.__hostile ?? null").await, Value::Null);
}

fn hostile() -> Bytes {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let point = json!({"timeUnixNano": now.to_string(), "asDouble": 1.5, "attributes": [text("kind", HOSTILE)]});
    let metric = json!({"name": HOSTILE, "unit": HOSTILE, "description": HOSTILE, "gauge": {"dataPoints": [point]}});
    let resource = json!({"attributes": [text("service.name", "a")]});
    Bytes::from(
        json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]}).to_string(),
    )
}

/// A counter of one service, of two instances, each with two results and more labels that are the same of all.
fn alike() -> Bytes {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let point = |result: &str, ago: u128| {
        let attributes = [text("cache.result", result), text("cache.name", "sessions"), text("region", "eu")];
        json!({"timeUnixNano": (now - ago * 1_000_000_000).to_string(), "asDouble": 1.5, "attributes": attributes})
    };
    let resource = |instance: &str| {
        let points: Vec<Value> =
            [("hit", 20), ("hit", 10), ("miss", 20), ("miss", 10)].map(|(r, ago)| point(r, ago)).into();
        let metric = json!({"name": "cache.size", "unit": "By", "gauge": {"dataPoints": points}});
        let attributes = [
            text("service.name", "cart"),
            text("service.instance.id", instance),
            text("host.name", &format!("host-{instance}")),
        ];
        json!({"resource": {"attributes": attributes}, "scopeMetrics": [{"metrics": [metric]}]})
    };
    Bytes::from(json!({"resourceMetrics": [resource("one"), resource("two")]}).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_tells_series_apart_by_name_and_look() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let sent =
        request(&server.otlp_http, "POST", "/v1/metrics", &[("content-type", "application/json")], alike()).await;
    assert_eq!(sent.0, 200, "{}", String::from_utf8_lossy(&sent.1));
    let browser = Browser::open(1280, 800).await;
    let names = "return [...document.querySelectorAll('.legend-name')].map(one => one.textContent).sort()";
    let common = "return document.querySelector('[data-testid=\"legend-common\"]').textContent";
    browser.go(&format!("http://{}/metric?name=cache.size", server.http)).await;
    browser.wait_for_some("legend").await;
    let expected =
        ["hit", "miss"].map(|r| ["one", "two"].map(|i| format!("cache.result={r}, service.instance.id={i}"))).concat();
    assert_eq!(browser.run(names).await, json!(expected));
    let shared = browser.run(common).await;
    assert!(
        ["cart", "cache.name=sessions", "region=eu"].iter().all(|one| shared.as_str().unwrap().contains(one)),
        "{shared}"
    );
    let looks = "return new Set([...document.querySelectorAll('[data-testid=\"legend\"] .stroke')].map(one => one.className + one.style.cssText)).size";
    assert_eq!(browser.run(looks).await, 4);
    browser.screenshot("series-apart").await;

    browser.go(&format!("http://{}/metric?query=cache_size_bytes", server.http)).await;
    browser.wait_for_some("legend").await;
    let found = browser.run(names).await;
    assert!(found.as_array().unwrap().iter().all(|name| !name.as_str().unwrap().contains("region")), "{found}");
    assert!(browser.run(common).await.as_str().unwrap().contains("cache_size_bytes"));

    // What is infinite is said, not drawn as nothing.
    browser.go(&format!("http://{}/metric?query=vector(1%2F0)", server.http)).await;
    browser.wait_for_some("legend").await;
    let told = browser.run("return document.querySelector('.chart').innerText").await;
    let told = told.as_str().unwrap();
    assert!(told.contains("infinite") && told.contains('∞') && !told.contains("NaN"), "{told}");
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_ranks_metrics_and_labels_by_their_series() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    demo(&server).await;
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/cardinality", server.http)).await;
    refreshed(&browser, "metrics", &format!("{} !== null", element("cardinality-metric"))).await;
    browser.wait_for_some("cardinality-label").await;
    browser.screenshot("cardinality").await;
    browser.run(&format!("{}.querySelector('a').click()", element("cardinality-pair"))).await;
    browser.wait_for("the selector in the address", "return location.search.includes('selector=')").await;
    browser.wait_for_some("cardinality-metric").await;
    browser.check_no_errors().await;
}

/// Has the code of the pages of metrics not come, from now on.
const NO_CODE: &str = "window.__fetch = window.fetch; window.fetch = (what, how) => \
    String(what).includes('split_metrics') ? Promise.reject(new TypeError('down')) : window.__fetch(what, how)";

#[tokio::test(flavor = "multi_thread")]
async fn browser_says_when_the_code_of_a_page_does_not_come_and_asks_again() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    demo(&server).await;
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/status", server.http)).await;
    browser.wait_for_some("stored").await;
    let parts = "return performance.getEntriesByType('resource').filter(e => e.name.includes('split_metrics')).length";
    assert_eq!(browser.run(parts).await, 0, "code of a page that was not opened");
    browser.run(NO_CODE).await;
    browser
        .run("[...document.querySelectorAll('a.place')].find(place => place.textContent === 'Metrics').click()")
        .await;
    browser.wait_for_some("error").await;
    browser.run(&format!("window.fetch = window.__fetch; {}.querySelector('button').click()", element("error"))).await;
    browser.wait_for_some("metric-list").await;
    assert_eq!(browser.count("error").await, 0);
}
