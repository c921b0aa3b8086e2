//! Does the page of the server's status tell what keeps it from its work and how Kafka goes, and lets dead letters be replayed?

use super::driver::Browser;
use super::wanted;
use crate::kafka::batch::{Codec, batch, produce};
use crate::kafka::{Cluster, request};
use crate::server::Server;

const TOPICS: &str =
    r#"{ otlp_logs = { signal = "logs" }, lines = { signal = "logs", encoding = "text", tenant = "plain" } }"#;

/// The text of the first element of that name.
fn text(testid: &str) -> String {
    format!("document.querySelector('[data-testid=\"{testid}\"]')?.textContent ?? ''")
}

async fn says(browser: &Browser, testid: &str, words: &str) {
    let script = format!("return ({}).includes('{words}')", text(testid));
    browser.wait_for(&format!("`{words}` in {testid}"), &script).await;
}

async fn theme(browser: &Browser, theme: &str) {
    browser.run(&format!("document.documentElement.dataset.theme = '{theme}'")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_says_how_kafka_would_be_read_where_it_is_not() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/status", server.http)).await;
    says(&browser, "kafka", "SPANLIGHT_KAFKA_BROKERS").await;
    says(&browser, "stored", "spans").await;
    assert_eq!(browser.count("partitions").await + browser.count("letter-row").await, 0);
    browser.screenshot("status-off").await;
    browser.check_no_errors().await;
    // A server that is gone is told, and what was known stays.
    server.kill();
    browser.wait_for_some("error").await;
    assert_eq!(browser.count("stored").await, 1);
    browser.screenshot("status-gone").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_says_why_the_newest_file_of_scrape_jobs_is_not_used() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let jobs = dir.path().join("jobs.yml");
    let good = "scrape_configs:\n- job_name: shop\n";
    std::fs::write(&jobs, good).unwrap();
    let settings = [("SPANLIGHT_SCRAPE_CONFIG_FILE", jobs.to_str().unwrap())];
    let server = Server::start_with(&dir.path().join("data"), &[], &settings);
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/status", server.http)).await;
    browser.wait_for_some("stored").await;
    assert_eq!(browser.count("trouble").await, 0);
    std::fs::write(&jobs, format!("{good}  scrape_intervall: 5s\n")).unwrap();
    says(&browser, "trouble", "the jobs stay as they were").await;
    says(&browser, "trouble", "scrape_intervall").await;
    let shown = "const lines = document.querySelector('[data-testid=\"trouble\"] pre'); \
                 return lines.textContent.includes('\\n3 |   scrape_intervall: 5s\\n') && lines.clientHeight < 150";
    assert_eq!(browser.run(shown).await, true, "the place is shown line by line");
    let room = "const [page, notice] = ['.page', '[data-testid=\"trouble\"]'].map(one => document.querySelector(one)); \
                return notice.scrollWidth <= notice.clientWidth && page.scrollWidth <= page.clientWidth";
    assert_eq!(browser.run(room).await, true, "the whole reason is on the page");
    browser.screenshot("status-scrape").await;
    theme(&browser, "dark").await;
    browser.screenshot("status-scrape-dark").await;
    std::fs::write(&jobs, good).unwrap();
    browser.wait_for("no trouble", "return document.querySelector('[data-testid=\"trouble\"]') === null").await;
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_shows_partitions_and_replays_a_dead_letter() {
    if !wanted() {
        return;
    }
    let cluster = Cluster::new(&[("otlp_logs", 3), ("lines", 1)]);
    let dir = tempfile::tempdir().unwrap();
    for number in 0..300 {
        cluster.send("otlp_logs", number % 3, &request(0..3), None);
    }
    cluster.send("otlp_logs", 0, b"\x0a\xff", None);
    cluster.send("otlp_logs", 1, b"{\"resourceLogs\":[]}", None);
    cluster.send("lines", 0, b"caf\xe9", None);
    cluster.send("otlp_logs", 2, &request(0..1), Some(("X-Scope-OrgID", "a|b")));
    cluster.flush();
    let server = cluster.serve(dir.path(), &[("SPANLIGHT_KAFKA_TOPICS", TOPICS)]);
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/status", server.http)).await;
    browser.wait_for_some("partition-row").await;
    browser.screenshot("status-partitions").await;
    theme(&browser, "dark").await;
    browser
        .wait_for("all letters", "return document.querySelectorAll('[data-testid=\"letter-row\"]').length === 4")
        .await;
    says(&browser, "kafka-words", "caught up").await;
    browser.screenshot("status-letters-dark").await;

    // Read as what it is not, a letter stays and says why; as what it is, it is stored.
    let row =
        "[...document.querySelectorAll('[data-testid=\"letter-row\"]')].find(row => row.textContent.includes('lines'))";
    let press = format!("return {row}.querySelector('[data-testid=\"replay\"]').click()");
    browser.run(&press).await;
    says(&browser, "letter-fault", "no UTF-8").await;
    browser.screenshot("status-fault").await;
    let choose = format!(
        "const choice = {row}.querySelector('[data-testid=\"letter-encoding\"]'); choice.value = 'raw'; \
         choice.dispatchEvent(new Event('change'))"
    );
    browser.run(&choose).await;
    browser.run(&press).await;
    says(&browser, "replayed", "replayed").await;
    let stored = server.json("/api/v1/dead-letters").await;
    assert_eq!(stored["letters"].as_array().unwrap().len(), 0, "they belong to a tenant of their own");

    // One that tells no tenant is stored for the one that is said.
    let row = "document.querySelector('[data-testid=\"letter-tenant\"]').closest('tr')";
    let is_off = format!("return {row}.querySelector('[data-testid=\"replay\"]').disabled");
    assert_eq!(browser.run(&is_off).await, true);
    let say = format!(
        "const tenant = {row}.querySelector('[data-testid=\"letter-tenant\"]'); tenant.value = 'shop'; \
         tenant.dispatchEvent(new Event('input'))"
    );
    browser.run(&say).await;
    browser.screenshot("status-letter-tenant").await;
    browser.run(&format!("return {row}.querySelector('[data-testid=\"replay\"]').click()")).await;
    browser.wait_for("both", "return document.querySelectorAll('[data-testid=\"replayed\"]').length === 2").await;

    // The message is kept as a file; keys choose a letter and open it.
    let seen = "window.kept = []; const click = HTMLAnchorElement.prototype.click; \
                HTMLAnchorElement.prototype.click = function () { window.kept.push(this.download); }";
    browser.run(seen).await;
    browser.click("download").await;
    browser.wait_for("a file", "return window.kept.length === 1 && window.kept[0].endsWith('.bin')").await;
    for key in ["j", "o"] {
        browser.run(&format!("window.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}' }}))")).await;
    }
    browser.wait_for("another file", "return window.kept.length === 2").await;
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_shows_that_partitions_are_paused_and_why() {
    if !wanted() {
        return;
    }
    let cluster = Cluster::new(&[("otlp_logs", 2), ("lines", 1)]);
    let dir = tempfile::tempdir().unwrap();
    for number in 0..3_000 {
        cluster.send("otlp_logs", number % 2, &request(0..3), None);
    }
    cluster.flush();
    let full = [("SPANLIGHT_KAFKA_TOPICS", TOPICS), ("SPANLIGHT_STORAGE_MIN_FREE_BYTES", "1000000000000000")];
    let server = cluster.serve(dir.path(), &full);
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/status", server.http)).await;
    browser.wait_for_some("partition-row").await;
    let told = "return [...document.querySelectorAll('[data-testid=\"trouble\"]')].some(one => \
                one.textContent.includes('paused') && one.textContent.includes('storage.min_free_bytes'))";
    browser.wait_for("why", told).await;
    says(&browser, "partition-state", "paused").await;
    says(&browser, "kafka-words", "messages behind").await;
    browser.screenshot("status-paused").await;
    theme(&browser, "dark").await;
    browser.screenshot("status-paused-dark").await;
    browser.check_no_errors().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_shows_a_partition_that_stands_and_the_letter_of_what_was_passed_over() {
    if !wanted() {
        return;
    }
    let cluster = Cluster::new(&[("otlp_logs", 2), ("lines", 1)]);
    let dir = tempfile::tempdir().unwrap();
    let broker = cluster.bootstrap_servers();
    cluster.send("otlp_logs", 0, &request(0..3), None);
    cluster.send("otlp_logs", 1, &request(0..3), None);
    cluster.flush();
    produce(&broker, "otlp_logs", 1, &batch(1_500, Codec::Gzip, b"no gzip"));
    let stop = [("SPANLIGHT_KAFKA_TOPICS", TOPICS), ("SPANLIGHT_KAFKA_ON_LOSS", "stop")];
    let server = cluster.serve(dir.path(), &stop);
    let browser = Browser::open(1280, 800).await;
    browser.go(&format!("http://{}/status", server.http)).await;
    let stuck = "return [...document.querySelectorAll('[data-testid=\"partition-state\"]')].map(one => one.textContent).join() === \
                 'read here,read here,▲ stuck'";
    browser.wait_for("the one that stands", stuck).await;
    browser.screenshot("status-stuck").await;
    server.terminate();
    let server = cluster.serve(dir.path(), &[("SPANLIGHT_KAFKA_TOPICS", TOPICS)]);
    browser.go(&format!("http://{}/status", server.http)).await;
    browser.wait_for_some("letter-row").await;
    says(&browser, "letter-row", "1 – 1,500").await;
    assert_eq!(browser.count("download").await + browser.count("letter-encoding").await, 0);
    browser.click("replay").await;
    says(&browser, "letter-fault", "cannot be read").await;
    browser.screenshot("status-batch").await;
    theme(&browser, "dark").await;
    browser.screenshot("status-batch-dark").await;
    browser.check_no_errors().await;
}
