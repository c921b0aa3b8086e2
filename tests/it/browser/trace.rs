//! Do the ways to look at a trace agree? Timeline, flame graph, statistics, map, logs, and another trace beside it.

use super::driver::Browser;
use super::{send, wanted};
use crate::server::Server;
use serde_json::{Value, json};

/// What the tests ask of.
const TRACE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1";
const OTHER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2";
/// Start of both, near enough to now to be searched.
fn start() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos()).unwrap() - 60_000_000_000
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// A shop that asks its database in a loop; `slow` stretches the payment, which only then is retried.
fn shop(id: &str, start: u64, slow: u64) -> Value {
    let at = |milliseconds: u64| (start + milliseconds * 1_000_000).to_string();
    let span = |number: u64, parent: u64, name: &str, kind: u64, from: u64, to: u64, attributes: Value| {
        let parent = if parent == 0 { String::new() } else { format!("{parent:016x}") };
        json!({"traceId": id, "spanId": format!("{number:016x}"), "parentSpanId": parent, "name": name, "kind": kind,
               "startTimeUnixNano": at(from), "endTimeUnixNano": at(to), "attributes": attributes})
    };
    let end = 100 + slow;
    let mut shop = vec![
        span(1, 0, "POST /checkout", 2, 0, end + 10, json!([text("customer.tier", "gold")])),
        span(2, 1, "Charge", 3, 60, end, json!([text("server.address", "payment")])),
    ];
    for number in 0..6 {
        let from = 5 + number * 8;
        shop.push(span(10 + number, 1, "SELECT", 3, from, from + 7, json!([text("db.system.name", "postgresql")])));
    }
    let mut charge =
        span(3, 2, "Charge", 2, 65, end - 5, json!([text("card.kind", if slow > 0 { "debit" } else { "credit" })]));
    charge["status"] = json!({"code": if slow > 0 { 2 } else { 0 }});
    charge["events"] = json!([{"timeUnixNano": at(70), "name": "card checked"}]);
    let mut payment = vec![charge];
    if slow > 0 {
        payment.push(span(4, 3, "Retry", 1, 80, 90, json!([])));
    }
    let group = |service: &str, spans: Vec<Value>| json!({"resource": {"attributes": [text("service.name", service)]}, "scopeSpans": [{"spans": spans}]});
    json!({"resourceSpans": [group("shop", shop), group("payment", payment)]})
}

async fn open() -> (tempfile::TempDir, Server, Browser) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let start = start();
    send(&server, &shop(TRACE, start, 300)).await;
    send(&server, &shop(OTHER, start + 1_000_000_000, 0)).await;
    let browser = Browser::open(1280, 800).await;
    (dir, server, browser)
}

fn path(server: &Server, rest: &str) -> String {
    format!("http://{}/trace/{TRACE}{rest}", server.http)
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_shows_the_same_span_in_timeline_and_flame_graph() {
    if !wanted() {
        return;
    }
    let (_dir, server, browser) = open().await;
    browser.go(&path(&server, "?tab=flame")).await;
    browser.wait_for_some("flame").await;
    browser.key("f").await;
    browser.key("f").await;
    let told = "return document.querySelector('[data-testid=\"flame-told\"]').textContent.includes('shop SELECT')";
    browser.wait_for("the second span", told).await;
    browser.key("Enter").await;
    browser.wait_for_some("span-details").await;
    browser.wait_for("the span in the address", "return location.search.includes('span=000000000000000a')").await;
    // A window, and a search, are those of the timeline.
    browser.key("ArrowUp").await;
    browser.wait_for("the window in the address", "return location.search.includes('view=')").await;
    browser.screenshot("flame").await;
    browser.click("tab-timeline").await;
    let row = "[data-testid=\"span-row\"][data-span=\"000000000000000a\"][aria-selected=\"true\"]";
    browser.wait_for("the row", &format!("return document.querySelector('{row}') !== null")).await;
    browser.go(&path(&server, "?tab=flame&find=Charge")).await;
    browser.wait_for("what was found", "return document.body.innerText.includes('2 found')").await;
    browser.screenshot("flame-find").await;
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_selects_a_bar_of_the_flame_graph_that_is_clicked() {
    if !wanted() {
        return;
    }
    let (_dir, server, browser) = open().await;
    browser.go(&path(&server, "?tab=flame")).await;
    browser.wait_for_some("flame").await;
    browser.wait_for("a drawing", "return document.querySelector('.flame-room canvas').width > 0").await;
    // The root is in the first lane, from the left edge to the right one.
    browser.press(".flame-scroll", (0.5, 14.0), (0.5, 14.0)).await;
    browser.wait_for("the root", "return location.search.includes('span=0000000000000001')").await;
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_groups_spans_by_an_attribute_and_sorts_them_both_ways() {
    if !wanted() {
        return;
    }
    let (_dir, server, browser) = open().await;
    browser.go(&path(&server, "?tab=statistics")).await;
    browser.wait_for_some("group-row").await;
    let names =
        "return [...document.querySelectorAll('[data-testid=\"group-row\"] .name')].map(one => one.textContent)";
    let choose = "const choice = document.querySelector('[data-testid=\"group-by\"]'); \
                  choice.value = 'attr.db.system.name'; choice.dispatchEvent(new Event('change'))";
    browser.run(choose).await;
    browser.wait_for("two groups", &format!("return (() => {{ {names} }})().length === 2")).await;
    assert_eq!(browser.run(names).await, json!(["without it", "postgresql"]));
    let sort = "[...document.querySelectorAll('[data-testid=\"statistics\"] .sort')].find(one => one.textContent.startsWith('Spans')).click()";
    browser.run(sort).await;
    browser.wait_for("most spans first", &format!("return (() => {{ {names} }})()[0] === 'postgresql'")).await;
    browser.run(sort).await;
    browser.wait_for("least spans first", &format!("return (() => {{ {names} }})()[0] === 'without it'")).await;
    assert!(browser.url().await.contains("by=-count"), "{}", browser.url().await);
    browser.screenshot("statistics").await;
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_shows_calls_events_repeats_and_where_errors_began() {
    if !wanted() {
        return;
    }
    let (_dir, server, browser) = open().await;
    browser.go(&path(&server, "?tab=map")).await;
    browser.wait_for_some("map-node").await;
    let calls = browser.run("return [...document.querySelectorAll('[data-testid=\"call-row\"]')].map(one => one.innerText.split('\\t').map(cell => cell.trim()))").await;
    assert_eq!(calls, json!([["shop", "postgresql", "6", "–"], ["shop", "payment", "1", "1"]]));
    browser.screenshot("trace-map").await;
    browser.click("tab-logs").await;
    let event = "return document.querySelector('[data-testid=\"log-row\"]')?.textContent.includes('card checked')";
    browser.wait_for("the event", event).await;
    let repeats = "return /6 × SELECT in a loop, .* together, below shop /.test(document.querySelector('[data-testid=\"repeats\"]').textContent)";
    browser.wait_for("the loop", repeats).await;
    browser.click("error-origin").await;
    browser.wait_for("the failed span", "return location.search.includes('span=0000000000000003')").await;
    // The whole trace as a file.
    browser
        .run("window.kept = []; HTMLAnchorElement.prototype.click = function () { window.kept.push(this.download) }")
        .await;
    browser.click("tab-json").await;
    browser.click("download").await;
    browser.wait_for("a file", &format!("return window.kept[0] === '{TRACE}.json'")).await;
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_compares_a_trace_with_one_whose_id_is_pasted() {
    if !wanted() {
        return;
    }
    let (_dir, server, browser) = open().await;
    browser.go(&path(&server, "?tab=compare")).await;
    browser.wait_for_some("compare-offer").await;
    browser.screenshot("compare-entry").await;
    let paste = format!(
        "const field = document.querySelector('[data-testid=\"compare-with\"]'); field.value = ' {} '; \
         field.dispatchEvent(new Event('input', {{ bubbles: true }})); field.form.requestSubmit()",
        OTHER.to_uppercase()
    );
    browser.run(&paste).await;
    browser.wait_for_some("compare-row").await;
    assert!(browser.url().await.contains(&format!("with={OTHER}")), "{}", browser.url().await);
    let facts = browser.run("return document.querySelector('[data-testid=\"compare-facts\"]').innerText").await;
    assert!(facts.as_str().unwrap().contains("+300 ms"), "{facts}");
    let rows = "return [...document.querySelectorAll('[data-testid=\"compare-row\"]')].map(one => [one.dataset.where, one.querySelector('.span-op').textContent])";
    let found = browser.run(rows).await;
    let expected =
        json!([["same", "POST /checkout"], ["same", "Charge"], ["changed", "Charge"], ["only-here", "Retry"]]);
    assert_eq!(found, expected);
    browser.run("document.querySelector('[data-testid=\"compare-row\"][data-where=\"changed\"]').click()").await;
    let details = "const text = document.querySelector('[data-testid=\"compare-details\"]')?.innerText ?? ''; \
                   return text.includes('card.kind') && text.includes('credit') && text.includes('debit')";
    browser.wait_for("the attribute", details).await;
    browser.screenshot("compare").await;
    // The address alone shows the same.
    let address = browser.url().await;
    browser.go(&address).await;
    browser.wait_for_some("compare-row").await;
    browser.go(&path(&server, "?tab=compare&with=ffffffffffffffffffffffffffffffff")).await;
    let said = "return document.querySelector('[data-testid=\"empty\"]')?.textContent.includes('was not found')";
    browser.wait_for("that it is not there", said).await;
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_moves_through_the_tree_as_through_any_tree() {
    if !wanted() {
        return;
    }
    let (_dir, server, browser) = open().await;
    browser.go(&path(&server, "")).await;
    browser.wait_for_some("span-row").await;
    let tree = browser
        .run(
            "const rows = [...document.querySelectorAll('[role=tree] [role=treeitem]')]; const root = rows[0]; \
             return [root.ariaLevel, root.ariaSetSize, root.ariaPosInSet, root.ariaExpanded, rows[1].ariaLevel, rows[1].ariaSetSize]",
        )
        .await;
    assert_eq!(tree, json!(["1", "1", "1", "true", "2", "7"]));
    // As the tab key does it.
    browser.run("document.querySelector('[role=tree]').focus({ focusVisible: true })").await;
    let at = "const tree = document.querySelector('[role=tree]'); \
              return document.getElementById(tree.getAttribute('aria-activedescendant'))?.dataset.span ?? ''";
    for (key, span) in [
        ("ArrowDown", "0000000000000001"),
        ("ArrowRight", "000000000000000a"),
        ("End", "0000000000000004"),
        ("ArrowLeft", "0000000000000003"),
    ] {
        browser.key_on("[role=tree]", key).await;
        browser.wait_for(&format!("{span} after {key}"), &format!("return (() => {{ {at} }})() === '{span}'")).await;
    }
    browser.key_on("[role=tree]", "ArrowLeft").await;
    browser
        .wait_for(
            "the closed row",
            "return document.querySelector('[data-span=\"0000000000000003\"]').ariaExpanded === 'false'",
        )
        .await;
    browser.key("?").await;
    browser.wait_for_some("key-sheet").await;
    browser.screenshot("keys").await;
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_keeps_folded_spans_and_the_critical_path_in_the_address() {
    if !wanted() {
        return;
    }
    let (_dir, server, browser) = open().await;
    browser.go(&path(&server, "")).await;
    browser.wait_for_some("span-row").await;
    let param = |name: &str| format!("return new URLSearchParams(location.search).get('{name}')");
    let rows =
        |count: usize| format!("return document.querySelectorAll('[data-testid=\"span-row\"]').length === {count}");
    browser.wait_for("all rows", &rows(10)).await;
    // The span below the payment's call, then all.
    browser.run("document.querySelector('[data-span=\"0000000000000003\"] .twisty').click()").await;
    browser.wait_for("a span in the address", &param("fold")).await;
    browser.wait_for("a row less", &rows(9)).await;
    browser.key("]").await;
    browser.wait_for("the root", &rows(1)).await;
    assert_eq!(browser.wait_for("all in the address", &param("fold")).await, "0");
    browser.key("c").await;
    assert_eq!(browser.wait_for("the path in the address", &param("critical")).await, "off");
    let critical = "return document.querySelectorAll('.span-time .critical').length";
    // The address alone shows the same, and so does going back to it.
    let address = browser.url().await;
    browser.go(&path(&server, "?fold=.0000000000000003")).await;
    browser.wait_for("a row less", &rows(9)).await;
    browser.wait_for("the path", critical).await;
    browser.go(&address).await;
    browser.wait_for_some("span-row").await;
    browser.wait_for("the root", &rows(1)).await;
    assert_eq!(browser.run(critical).await, 0);
    assert_eq!(browser.url().await, address);
    browser.key("c").await;
    browser.key("[").await;
    browser.wait_for("all rows", &rows(10)).await;
    browser.wait_for("a bare address", "return location.search === ''").await;
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_goes_through_one_operation_and_zooms_to_a_span_by_keys() {
    if !wanted() {
        return;
    }
    let (_dir, server, browser) = open().await;
    browser.go(&path(&server, "?span=000000000000000a")).await;
    browser.wait_for_some("span-details").await;
    let selected = "return new URLSearchParams(location.search).get('span')";
    for (key, span) in [
        (".", "000000000000000b"),
        (".", "000000000000000c"),
        (",", "000000000000000b"),
        (",", "000000000000000a"),
        (",", "000000000000000f"),
    ] {
        browser.key(key).await;
        browser.wait_for(span, &format!("return (() => {{ {selected} }})() === '{span}'")).await;
    }
    let view = "return new URLSearchParams(location.search).get('view')";
    browser.key("m").await;
    let near = browser.wait_for("a window", view).await;
    browser.key("-").await;
    let wider = browser
        .wait_for("a wider one", &format!("const it = (() => {{ {view} }})(); return it !== {near} && it"))
        .await;
    browser.key("+").await;
    browser.wait_for("a nearer one", &format!("return (() => {{ {view} }})() !== {wider}")).await;
    browser.key("0").await;
    browser.wait_for("the whole trace", &format!("return (() => {{ {view} }})() === null")).await;
    browser.key("q").await;
    browser.wait_for("no details", "return document.querySelector('[data-testid=\"span-details\"]') === null").await;
    browser.key("q").await;
    browser.wait_for_some("span-details").await;
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_cuts_no_name_that_has_room() {
    if !wanted() {
        return;
    }
    let (_dir, server, browser) = open().await;
    // Those whose text is wider than what is seen of it.
    let cut = |names: &str| {
        format!(
            "return [...document.querySelectorAll('{names}')].filter(name => {{ \
               const text = document.createRange(); text.selectNodeContents(name); \
               return text.getBoundingClientRect().width > name.getBoundingClientRect().width + 0.02; \
             }}).map(name => name.textContent)"
        )
    };
    browser.go(&path(&server, "")).await;
    browser.wait_for_some("span-row").await;
    let title = ".trace-title .service-name, .trace-title .op";
    assert_eq!(browser.run(&cut(title)).await, json!([]));
    browser.go(&path(&server, &format!("?tab=compare&with={OTHER}&show=all"))).await;
    browser.wait_for_some("compare-row").await;
    assert_eq!(browser.run(&cut(".compare-row .link")).await, json!([]));
    browser.screenshot("compare-names").await;
    browser.check_no_errors().await;
}
