//! Is the file of jobs read again, and does only that change which it says otherwise?

use super::*;

const HEAD: &str = "global: {scrape_interval: 400ms, scrape_timeout: 300ms}\nscrape_configs:\n";

/// Writes the file of jobs and says that it is to be read.
fn write(scraping: &Scraping, text: &str) {
    std::fs::write(scraping.dir.path().join("jobs.yml"), text).unwrap();
    let process = std::process::id().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
}

fn told(scraping: &Scraping) -> Value {
    scraping.door.collector.describe_targets(&storage::model::TenantId::default())
}

/// Whether a target of a job has ended.
fn ended(scraping: &Scraping, job: &str) -> bool {
    let of = |sample: &Sample| sample.labels.get("job").is_some_and(|own| own == job);
    scraping.samples().into_iter().any(|sample| sample.name == "up" && of(&sample) && sample.value.is_none())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_read_again_when_it_changes_and_what_stays_in_it_goes_on() {
    let target = serve(Router::new().route("/metrics", get(async || text("a 1\n")))).await;
    let scraping = Scraping::start(&["kept", "changed", "gone"].map(|name| job(name, &target, "")), folder()).await;
    for name in ["kept", "changed", "gone"] {
        scraping.wait_up(name, 1.0).await;
    }
    let since = told(&scraping)["loading"]["since"].as_i64().unwrap();
    // A file that cannot be used changes nothing, and is told.
    write(&scraping, "scrape_configs: [{job_nam: x}]\n");
    scraping.wait("it is told", |own| told(own)["loading"]["isUsable"] == false).await;
    let tenant = storage::model::TenantId::default();
    let trouble = scraping.door.collector.scrape_trouble(&tenant).unwrap();
    assert!(trouble.contains("job_nam") && trouble.contains("jobs.yml") && !trouble.contains("/jobs.yml"), "{trouble}");
    assert_eq!(told(&scraping)["droppedTargetCounts"], json!({ "kept": 0, "changed": 0, "gone": 0 }));
    let rule = "metric_relabel_configs: [{target_label: x, replacement: y}]";
    let jobs = [job("kept", &target, ""), job("changed", &target, rule), job("new", &target, "")];
    write(&scraping, &format!("{HEAD}{}", jobs.concat()));
    scraping.wait_up("new", 1.0).await;
    scraping.wait("the rule", |own| own.last("changed", "a").is_some_and(|last| last.labels.contains_key("x"))).await;
    scraping.wait("the end of what is gone", |own| ended(own, "gone")).await;
    scraping.wait("the list", |own| told(own)["activeTargets"].as_array().unwrap().len() == 3).await;
    scraping.wait("the names", |own| told(own)["droppedTargetCounts"].get("gone").is_none()).await;
    assert!(!ended(&scraping, "kept") && !ended(&scraping, "changed"), "no series of what stays ends");
    let loading = told(&scraping)["loading"].clone();
    assert!(loading["isUsable"] == true && loading["since"].as_i64().unwrap() > since, "{loading}");
    let door = &scraping.door.collector;
    assert_eq!(door.scrape_trouble(&tenant), None);
    let shown = door.describe_scrape_pool(&tenant, "changed").unwrap();
    for line in ["job_name: \"changed\"\n", "scrape_interval: \"400ms\"\n", "metrics_path: \"/metrics\"\n"] {
        assert!(shown.contains(line), "{shown}");
    }
    assert_eq!(door.describe_scrape_pool(&tenant, "gone"), None);
    assert!(told(&scraping)["config"].as_str().unwrap().contains("job_name: \"new\""));
    scraping.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_go_on_that_another_list_has_too() {
    let [stays, goes, comes] = [(); 3].map(|()| serve(Router::new().route("/metrics", get(async || text("a 1\n")))));
    let (stays, goes, comes) = (stays.await, goes.await, comes.await);
    let dir = folder();
    let list = |name: &str, targets: [SocketAddr; 2]| {
        let targets = targets.map(|address| address.to_string());
        std::fs::write(dir.path().join(name), json!([{ "targets": targets, "labels": null }]).to_string()).unwrap();
    };
    list("one.json", [stays, goes]);
    list("two.json", [stays, comes]);
    let job = |name: &str| format!("- {{job_name: j, file_sd_configs: [{{files: [{name}]}}]}}\n");
    let scraping = Scraping::start(&[job("one.json")], dir).await;
    let up = |own: &Scraping, address: SocketAddr| -> Vec<Option<f64>> {
        let of = |sample: &Sample| sample.labels.get("instance").is_some_and(|own| *own == address.to_string());
        own.samples()
            .into_iter()
            .filter(|sample| sample.name == "up" && of(sample))
            .map(|sample| sample.value)
            .collect()
    };
    scraping.wait("the first list", |own| !up(own, stays).is_empty() && !up(own, goes).is_empty()).await;
    write(&scraping, &format!("{HEAD}{}", job("two.json")));
    scraping.wait("the second list", |own| !up(own, comes).is_empty() && up(own, goes).contains(&None)).await;
    let before = up(&scraping, stays).len();
    scraping.wait("what both have", |own| up(own, stays).len() > before).await;
    assert!(!up(&scraping, stays).contains(&None) && !up(&scraping, comes).contains(&None));
    scraping.close().await;
}
