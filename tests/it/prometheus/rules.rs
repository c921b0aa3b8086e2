//! Does a server with files of rules evaluate them, over a kill too, and say what is wrong with them?

use super::message::{Request1, Series1, labels, sample};
use super::{ask, push, value};
use crate::server::{Server, eventually, spanlight};
use prost::Message as _;
use rustix::process::{Pid, Signal};
use std::path::Path;
use std::time::SystemTime;

/// Milliseconds since 1970.
fn now() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

async fn send(server: &Server, pairs: &[(&str, &str)], value: f64, time: i64) {
    let timeseries = vec![Series1 { labels: labels(pairs), samples: vec![sample(value, time)] }];
    let (head, text) = push(&server.http, 1, &Request1 { timeseries, metadata: vec![] }.encode_to_vec()).await;
    assert_eq!(head.status, 204, "{text}");
}

async fn wait(server: &Server, query: &str, expected: &str) {
    eventually(query, || async {
        let time = (now() as f64 / 1_000.0).to_string();
        (value(server, query, &time).await == expected).then_some(())
    })
    .await;
}

fn start(data: &Path, rules: &Path) -> Server {
    let files = rules.join("*.yml");
    Server::start_with(data, &[], &[("SPANLIGHT_RULES_FILES", files.to_str().unwrap())])
}

pub(super) const RULES: &str = "
groups:
- name: quick
  interval: 200ms
  rules:
  - {record: 'job:n:sum', expr: 'sum by (job) (n)'}
  - {alert: Large, expr: 'job:n:sum > 1', for: 1h, annotations: {summary: '{{ $labels.job }}: {{ $value | humanize }}'}}
  - {alert: Now, expr: 'n > 1', labels: {severity: page}}
";

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_evaluated_and_go_on_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let (data, rules) = (dir.path().join("data"), dir.path().join("rules"));
    std::fs::create_dir(&rules).unwrap();
    std::fs::write(rules.join("a.yml"), RULES).unwrap();
    let server = start(&data, &rules);
    send(&server, &[("__name__", "n"), ("job", "x"), ("instance", "1")], 1_000.0, now()).await;
    send(&server, &[("__name__", "n"), ("job", "x"), ("instance", "2")], 500.0, now()).await;
    wait(&server, "job:n:sum{job=\"x\"}", "1500").await;
    wait(&server, "count(ALERTS{alertname=\"Now\",alertstate=\"firing\",severity=\"page\"})", "2").await;
    wait(&server, "count(ALERTS_FOR_STATE{alertname=\"Large\"})", "1").await;
    let alerts = ask(&server, "rules", &[("rule_name[]", "Large")]).await;
    let alert = &alerts["groups"][0]["rules"][0]["alerts"][0];
    assert_eq!((alert["state"].as_str(), alert["annotations"]["summary"].as_str()), (Some("pending"), Some("x: 1.5k")));
    // As if it had been pending for half an hour.
    let since = now() / 1_000 - 1_800;
    let large = [("__name__", "ALERTS_FOR_STATE"), ("alertname", "Large"), ("job", "x")];
    let (_, metrics) = server.get("/metrics").await;
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    assert!(metrics.contains("spanlight_rule_evaluation_failures_total{rule_group="), "{metrics}");
    std::fs::remove_file(rules.join("a.yml")).unwrap();
    rustix::process::kill_process(Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap(), Signal::HUP).unwrap();
    wait(&server, "absent(job:n:sum)", "1").await;
    send(&server, &large, since as f64, now()).await;
    server.kill();

    std::fs::write(rules.join("a.yml"), RULES).unwrap();
    let server = start(&data, &rules);
    eventually("the alert is taken up", || async {
        let told = ask(&server, "alerts", &[]).await;
        let alerts = told["alerts"].as_array().unwrap().clone();
        let large = alerts.into_iter().find(|alert| alert["labels"]["alertname"] == "Large")?;
        let at: jiff::Timestamp = large["activeAt"].as_str().unwrap().parse().unwrap();
        assert_eq!(large["state"], "pending");
        (at.as_second() < now() / 1_000 - 1_700).then_some(())
    })
    .await;
    wait(&server, "count(ALERTS_FOR_STATE{alertname=\"Large\"} < time() - 1700)", "1").await;
    let (code, _) = server.terminate();
    assert_eq!(code, Some(0));
}

#[test]
fn what_is_wrong_with_rules_is_told_before_a_server_starts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yml");
    let check = |text: &str, variables: &[(&str, &str)]| {
        std::fs::write(&file, text).unwrap();
        let mut command = spanlight();
        command.arg("check-config").env("SPANLIGHT_RULES_FILES", &file).envs(variables.iter().copied());
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(check(RULES, &[]).0);
    let (is_valid, told) = check(&RULES.replace("sum by", "sum bye").replace("humanize", "humanise"), &[]);
    assert!(!is_valid);
    let path = file.to_str().unwrap();
    for expected in [
        format!("{path}:6:33: group \"quick\", rule 1, \"job:n:sum\": could not parse expression: 1:5: parse error: "),
        format!(
            "{path}:7:75: group \"quick\", rule 2, \"Large\": annotation \"summary\": 1:32: function \"humanise\" not defined"
        ),
    ] {
        assert!(told.contains(&expected), "{expected}\n{told}");
    }
    let (is_valid, told) = check(RULES, &[("SPANLIGHT_OBJECT_STORE_BUCKET", "b")]);
    assert!(!is_valid && told.contains("`rules.files` is for one server"), "{told}");
}
