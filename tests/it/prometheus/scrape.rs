//! Does a server with a file of jobs fetch what its targets tell, and say when they are gone?

use crate::server::{Server, eventually};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// A target that tells a text, one that sends elsewhere, and one that is no text.
async fn target(text: Arc<Mutex<String>>) -> String {
    let told = move || {
        let text = text.lock().unwrap().clone();
        async move { text }
    };
    let elsewhere = async || (StatusCode::FOUND, [(header::LOCATION, "http://169.254.169.254/latest/meta-data/")]);
    let never = async || std::future::pending::<&'static str>().await;
    let router = Router::new()
        .route("/metrics", get(told))
        .route("/elsewhere", get(elsewhere))
        .route("/never", get(never))
        .route("/page", get(async || axum::response::Html("<p>up 1</p>")));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn wait(server: &Server, query: &str, expected: &str) {
    eventually(query, || async {
        let path = format!("/prometheus/api/v1/query?query={}", super::encoded(query));
        let answer = server.json(&path).await;
        let found = answer["data"]["result"][0]["value"][1].as_str().unwrap_or_default().to_owned();
        (found == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_scraped_and_their_end_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let text = Arc::new(Mutex::new("# TYPE a counter\na_total{job=\"own\"} 3\nb 1\n".to_owned()));
    let address = target(Arc::clone(&text)).await;
    let list = dir.path().join("list.json");
    std::fs::write(&list, format!("[{{\"targets\": [\"{address}\"], \"labels\": {{\"zone\": \"z\"}}}}]")).unwrap();
    let bad: String = ["elsewhere", "never", "page"]
        .map(|path| {
            format!("- {{job_name: {path}, metrics_path: /{path}, static_configs: [{{targets: ['{address}']}}]}}\n")
        })
        .concat();
    let file = format!(
        "global: {{scrape_interval: 200ms}}\nscrape_configs:\n- job_name: listed\n  file_sd_configs: [{{files: ['{}/li*.json']}}]\n{bad}",
        dir.path().display()
    );
    let jobs = dir.path().join("jobs.yml");
    std::fs::write(&jobs, file).unwrap();
    let data = dir.path().join("data");
    let server = Server::start_with(&data, &[], &[("SPANLIGHT_SCRAPE_CONFIG_FILE", jobs.to_str().unwrap())]);

    wait(&server, "up{job=\"listed\"}", "1").await;
    wait(&server, "a_total{job=\"listed\",zone=\"z\",exported_job=\"own\"}", "3").await;
    wait(&server, "scrape_samples_scraped{job=\"listed\"}", "2").await;
    for job in ["elsewhere", "never", "page"] {
        wait(&server, &format!("up{{job=\"{job}\"}}"), "0").await;
    }
    let targets = super::ask(&server, "targets", &[("scrapePool", "elsewhere")]).await;
    let [told] = &targets["activeTargets"].as_array().unwrap()[..] else { panic!("{targets}") };
    assert_eq!((&told["health"], &told["scrapeInterval"]), (&"down".into(), &"200ms".into()), "{told}");
    assert!(told["lastError"].as_str().unwrap().contains("redirect"), "{told}");
    let targets = super::ask(&server, "targets", &[]).await;
    let up = targets["activeTargets"].as_array().unwrap().iter().filter(|target| target["health"] == "up");
    let up: Vec<_> = up.map(|target| (&target["labels"]["zone"], &target["lastError"])).collect();
    assert_eq!(up, [(&"z".into(), &"".into())]);
    *text.lock().unwrap() = "a_total{job=\"own\"} 4\n".to_owned();
    wait(&server, "absent(b)", "1").await;
    wait(&server, "a_total", "4").await;
    *text.lock().unwrap() = "a_total{".to_owned();
    wait(&server, "up{job=\"listed\"}", "0").await;
    wait(&server, "absent(a_total)", "1").await;
    *text.lock().unwrap() = "a_total 5\n".to_owned();
    wait(&server, "a_total", "5").await;
    // A target that is listed no more is gone, with what it told.
    std::fs::write(&list, "[]").unwrap();
    wait(&server, "absent(up{job=\"listed\"})", "1").await;
    wait(&server, "absent(a_total)", "1").await;
    let (code, _) = server.terminate();
    assert_eq!(code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_explodes_blinds_nobody_to_who_is_up() {
    let dir = tempfile::tempdir().unwrap();
    let users: String = (0..100).map(|user| format!("hits{{user=\"{user}\"}} 1\n")).collect();
    let (explodes, other) = (target(Arc::new(Mutex::new(users))).await, target(Arc::default()).await);
    let list = dir.path().join("list.json");
    let listed =
        |targets: &[&str]| std::fs::write(&list, serde_json::json!([{ "targets": targets }]).to_string()).unwrap();
    listed(&[&explodes]);
    let file = format!(
        "global: {{scrape_interval: 200ms}}\nscrape_configs:\n- job_name: listed\n  file_sd_configs: [{{files: ['{}']}}]\n",
        list.display()
    );
    let jobs = dir.path().join("jobs.yml");
    std::fs::write(&jobs, file).unwrap();
    let settings =
        [("SPANLIGHT_SCRAPE_CONFIG_FILE", jobs.to_str().unwrap()), ("SPANLIGHT_OTLP_TENANT_ACTIVE_SERIES", "10")];
    let server = Server::start_with(&dir.path().join("data"), &[], &settings);
    wait(&server, "count(hits)", "5").await;
    wait(&server, "scrape_samples_scraped", "100").await;
    // A target that is listed while there is no room.
    listed(&[&explodes, &other]);
    wait(&server, &format!("up{{instance=\"{other}\"}}"), "1").await;
    wait(&server, "count(hits)", "5").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_converted_histogram_has_the_quantiles_of_its_classic_form() {
    let dir = tempfile::tempdir().unwrap();
    let text = "# TYPE h histogram\nh_bucket{route=\"/\",le=\"0.1\"} 5\nh_bucket{route=\"/\",le=\"0.5\"} 9\nh_bucket{route=\"/\",le=\"2.5\"} 12\n\
                h_bucket{route=\"/\",le=\"+Inf\"} 13\nh_sum{route=\"/\"} 8.75\nh_count{route=\"/\"} 13\n";
    let text = Arc::new(Mutex::new(text.to_owned()));
    let address = target(Arc::clone(&text)).await;
    let file = format!(
        "global: {{scrape_interval: 200ms, convert_classic_histograms_to_nhcb: true}}\nscrape_configs:\n\
         - {{job_name: both, always_scrape_classic_histograms: true, static_configs: [{{targets: ['{address}']}}]}}\n\
         - {{job_name: native, static_configs: [{{targets: ['{address}']}}]}}\n\
         - {{job_name: classic, static_configs: [{{targets: ['{address}'], labels: {{__convert_classic_histograms_to_nhcb__: 'false'}}}}]}}\n"
    );
    let jobs = dir.path().join("jobs.yml");
    std::fs::write(&jobs, file).unwrap();
    let settings = [("SPANLIGHT_SCRAPE_CONFIG_FILE", jobs.to_str().unwrap())];
    let server = Server::start_with(&dir.path().join("data"), &[], &settings);
    for (query, expected) in [
        ("histogram_count(h{job=\"native\",route=\"/\"})", "13"),
        ("histogram_sum(h{job=\"both\"})", "8.75"),
        ("h_count{job=\"both\"}", "13"),
        ("absent(h_count{job=\"native\"})", "1"),
        ("scrape_samples_scraped{job=\"native\"}", "1"),
        ("scrape_samples_scraped{job=\"both\"}", "7"),
        ("scrape_samples_scraped{job=\"classic\"}", "6"),
        ("absent(h{job=\"classic\"})", "1"),
        ("histogram_fraction(0, 0.5, h{job=\"both\"}) * 13", "9"),
    ] {
        wait(&server, query, expected).await;
    }
    for quantile in ["0.1", "0.5", "0.9", "0.99"] {
        let of = |form: &str| format!("histogram_quantile({quantile}, {form}{{job=\"both\"}})");
        let agree = format!("abs({} - {}) < bool 1e-12", of("h"), of("h_bucket"));
        wait(&server, &agree, "1").await;
    }
    // What is not told any more has ended, whichever form it had.
    text.lock().unwrap().clear();
    wait(&server, "absent({__name__=~\"h.*\"})", "1").await;
}
