//! Are strings from outside shown as text? Every place of a trace holds markup, scripts, control and direction marks.

use super::driver::Browser;
use super::{send, wanted};
use crate::server::Server;
use serde_json::{Value, json};

const TRACE: &str = "bad0bad0bad0bad0bad0bad0bad0bad1";
const OTHER: &str = "bad0bad0bad0bad0bad0bad0bad0bad2";
/// Would run, load or break out, were any of it taken for markup.
const STRINGS: [&str; 10] = [
    "<img src=x onerror=\"window.hacked=1\">",
    "</script><script>window.hacked=2</script>",
    "\"><svg onload=window.hacked=3>",
    "javascript:window.hacked=4",
    "' onmouseover='window.hacked=5' x='",
    "url(javascript:window.hacked=6);--svc:red;}body{display:none}",
    "{{constructor.constructor('window.hacked=7')()}}",
    "\u{202e}txt.exe\u{2066}\u{200b}",
    "a\u{0}b\u{1b}[31mred\u{7f}",
    "%3Cscript%3E&lt;b&gt;&#60;i&#62;",
];

fn trace(id: &str, start: u64) -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let attributes = || {
        let mut all: Vec<Value> = STRINGS.iter().map(|one| text(one, one)).collect();
        all.extend(["db.query.text", "peer.service", "exception.message", "url.full"].map(|key| text(key, STRINGS[0])));
        all.push(text("long", &"<b>".repeat(50_000)));
        all.push(json!({"key": "nested", "value": {"kvlistValue": {"values": [{"key": STRINGS[1], "value": {"arrayValue": {"values": [{"stringValue": STRINGS[0]}]}}}]}}}));
        all
    };
    let group = |(number, one): (usize, &&str)| {
        let number = number as u64 + 1;
        let span = json!({
            "traceId": id, "spanId": format!("{number:016x}"), "parentSpanId": if number > 1 { format!("{:016x}", number - 1) } else { String::new() },
            "name": one, "kind": 1 + number % 5, "traceState": one,
            "startTimeUnixNano": (start + number * 1_000_000).to_string(), "endTimeUnixNano": (start + (60 - number) * 1_000_000).to_string(),
            "attributes": attributes(), "status": {"code": 2, "message": one},
            "events": [{"timeUnixNano": (start + number * 1_000_000).to_string(), "name": one, "attributes": attributes()},
                       {"timeUnixNano": (start + number * 1_000_000).to_string(), "name": "exception", "attributes": attributes()}],
            "links": [{"traceId": OTHER, "spanId": format!("{number:016x}"), "attributes": attributes()}],
        });
        let mut resource = attributes();
        resource.push(text("service.name", one));
        json!({"resource": {"attributes": resource}, "scopeSpans": [{"scope": {"name": one, "version": one, "attributes": attributes()}, "spans": [span]}]})
    };
    json!({"resourceSpans": STRINGS.iter().enumerate().map(group).collect::<Vec<_>>()})
}

/// Nothing ran, nothing was loaded, nothing that a string holds became an element.
async fn check_is_text(browser: &Browser, place: &str) {
    let found = "const bad = document.querySelectorAll('img, script:not([src]), svg[onload], [onerror], [onmouseover], iframe, a[href^=\"javascript:\"]'); \
                 return [window.hacked ?? null, bad.length, getComputedStyle(document.body).display !== 'none', window.__errors ?? []]";
    assert_eq!(browser.run(found).await, json!([null, 0, true, []]), "{place}");
    assert_eq!(browser.run("return document.querySelector('.stopped') === null").await, true, "{place} has stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_shows_hostile_strings_as_text_on_every_page_of_traces() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let start = u64::try_from(now.as_nanos()).unwrap() - 30_000_000_000;
    send(&server, &trace(TRACE, start)).await;
    send(&server, &trace(OTHER, start + 1_000_000)).await;
    let browser = Browser::open(1280, 800).await;
    let base = format!("http://{}", server.http);
    let places = [
        ("/".to_owned(), "service-row"),
        ("/explore".to_owned(), "trace-row"),
        ("/explore?chart=dots".to_owned(), "scatter"),
        (
            format!("/explore?from=now-5m&box={},{},0,9000000000", start - 10_000_000_000, start + 10_000_000_000),
            "difference",
        ),
        ("/map".to_owned(), "map-node"),
        (format!("/trace/{TRACE}?span=0000000000000001"), "span-details"),
        (format!("/trace/{TRACE}?tab=flame&find=hacked"), "flame"),
        (format!("/trace/{TRACE}?tab=statistics&group=attr.nested"), "group-row"),
        (format!("/trace/{TRACE}?tab=logs"), "log-row"),
        (format!("/trace/{TRACE}?tab=map"), "map-node"),
        (format!("/trace/{TRACE}?tab=compare&with={OTHER}&show=all"), "compare-row"),
        (format!("/trace/{TRACE}?tab=json"), "json"),
    ];
    for (path, testid) in places {
        browser.go(&format!("{base}{path}")).await;
        browser.wait_for_some(testid).await;
        if testid == "service-row" || testid == "trace-row" || testid == "span-details" || testid == "compare-row" {
            let shown = format!("return document.body.innerText.includes({})", json!(STRINGS[0]));
            browser.wait_for(&format!("the text on {path}"), &shown).await;
        }
        check_is_text(&browser, &path).await;
    }
    // What the address says is from outside as well.
    let address = "?tab=%3Cimg%20src%3Dx%20onerror%3Dwindow.hacked%3D8%3E&find=%3Csvg%20onload%3Dwindow.hacked%3D9%3E&by=%22%3E&group=attr.%3Cb%3E&view=NaN-x&span=%3Cb%3E&with=%3Cb%3E";
    browser.go(&format!("{base}/trace/{TRACE}{address}")).await;
    browser.wait_for_some("span-row").await;
    check_is_text(&browser, "a hostile address").await;
    browser.screenshot("hostile").await;
}
