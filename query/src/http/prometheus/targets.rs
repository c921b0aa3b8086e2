//! What is told of scraping, and of how the server is set up? What the scraper knows, of which readers choose.

use super::ask::Asked;
use super::refusal::Refusal;
use crate::config::Config;
use crate::http::state::QueryState;
use crate::promql::{self, Settings};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use storage::model::TenantId;

/// Bytes of labels to which rules are applied.
const MOST_LABEL_BYTES: usize = 64 * 1024;

type Result<T> = std::result::Result<T, Refusal>;

fn told(state: &QueryState, tenant: &TenantId) -> Value {
    (state.host().targets)(tenant)
}

/// `/targets`: of one state or all, of one job or all.
pub(super) fn targets(asked: &Asked, state: &QueryState, tenant: &TenantId) -> Value {
    let told = told(state, tenant);
    let wanted = asked.text("state").unwrap_or("any").to_lowercase();
    let pool = asked.text("scrapePool");
    let list = |name: &str, is_wanted: bool| -> Vec<&Value> {
        let fits = |target: &&Value| is_wanted && pool.is_none_or(|pool| target["scrapePool"] == pool);
        told[name].as_array().into_iter().flatten().filter(fits).collect()
    };
    let (active, dropped) = (matches!(&*wanted, "any" | "active"), matches!(&*wanted, "any" | "dropped"));
    let counts = told["droppedTargetCounts"].as_object().filter(|_| dropped);
    json!({
        "activeTargets": list("activeTargets", active),
        "droppedTargets": list("droppedTargets", dropped),
        "droppedTargetCounts": counts.cloned().unwrap_or_default(),
    })
}

/// `/scrape_pools`: the names of all jobs.
pub(super) fn pools(state: &QueryState, tenant: &TenantId) -> Value {
    let told = told(state, tenant);
    let pools: Vec<&String> =
        told["droppedTargetCounts"].as_object().into_iter().flatten().map(|(job, _)| job).collect();
    json!({ "scrapePools": pools })
}

/// `/scrape_pools/config`: a job as it is scraped.
pub(super) fn pool(asked: &Asked, state: &QueryState, tenant: &TenantId) -> Result<Value> {
    let name = required(asked, "scrapePool")?;
    let yaml = (state.host().scrape_pool)(tenant, name).ok_or_else(|| no_pool(name))?;
    Ok(json!({ "yaml": yaml }))
}

/// `/targets/relabel_steps`: what the rules of a job make of labels, one after another.
pub(super) fn relabel_steps(asked: &Asked, state: &QueryState, tenant: &TenantId) -> Result<Value> {
    let (name, labels) = (required(asked, "scrapePool")?, required(asked, "labels")?);
    if labels.len() > MOST_LABEL_BYTES {
        return Err(Refusal::bad_data(format!("labels has more than {MOST_LABEL_BYTES} bytes")));
    }
    let unread = |error: serde_json::Error| Refusal::bad_data(format!("error parsing labels: {error}"));
    let labels: BTreeMap<String, String> = serde_json::from_str(labels).map_err(unread)?;
    let steps = (state.host().relabel_steps)(tenant, name, labels).ok_or_else(|| no_pool(name))?;
    Ok(json!({ "steps": steps }))
}

fn required<'a>(asked: &'a Asked, name: &str) -> Result<&'a str> {
    asked.text(name).ok_or_else(|| Refusal::bad_data(format!("no {name} parameter provided")))
}

fn no_pool(name: &str) -> Refusal {
    Refusal::bad_data(format!("error retrieving scrape config: scrape pool {} not found", json!(name)))
}

/// `/targets/metadata`: what targets told of their metrics.
pub(super) fn metadata(asked: &Asked, state: &QueryState, tenant: &TenantId) -> Result<Value> {
    let matchers = match asked.text("match_target") {
        None => Vec::new(),
        Some(text) => {
            let selector = promql::parse_selector(text);
            selector.map_err(|fault| Refusal::of_expression(fault, "match_target", text))?.matchers
        }
    };
    let (metric, limit) = (asked.text("metric"), asked.limit_of_metadata()?);
    let mut told = told(state, tenant);
    let all = told["metadata"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let fits = |entry: &Value| {
        let label = |name: &str| entry["target"][name].as_str().unwrap_or_default();
        matchers.iter().all(|matcher| matcher.accepts(label(&matcher.label)))
            && metric.is_none_or(|metric| entry["metric"] == metric)
    };
    let mut found: Vec<Value> = all.into_iter().filter(fits).take(limit).collect();
    if found.is_empty() {
        return Err(Refusal::not_found("specified metadata not found"));
    }
    // Who named the metric is not told it again.
    for entry in found.iter_mut().filter(|_| metric.is_some()).filter_map(Value::as_object_mut) {
        entry.remove("metric");
    }
    Ok(Value::Array(found))
}

/// `/status/config`: the file of jobs and which files of rules there are.
pub(super) fn config(state: &QueryState, tenant: &TenantId) -> Value {
    let told = told(state, tenant);
    let mut yaml = told["config"].as_str().unwrap_or_default().to_owned();
    let files: BTreeSet<String> = state.rules().of(tenant).iter().map(|group| group.spec.file.clone()).collect();
    if !files.is_empty() {
        yaml.push_str("rule_files:\n");
        files.iter().for_each(|file| yaml.push_str(&format!("  - {}\n", json!(file))));
    }
    json!({ "yaml": yaml })
}

/// How files were read that are read again when they change.
pub(super) struct Loading {
    /// Whether all of them could be used the last time.
    pub(super) is_success: bool,
    /// Since when the file of jobs is used as it is, in milliseconds.
    pub(super) time: Option<i64>,
}

pub(super) fn loading(state: &QueryState, tenant: &TenantId) -> Loading {
    let told = &told(state, tenant)["loading"];
    let is_success = state.rules().is_usable() && told["isUsable"].as_bool().unwrap_or(true);
    Loading { is_success, time: told["since"].as_i64() }
}

/// `/status/flags`: those of Prometheus's flags that mean something here.
pub(super) fn flags(config: &Config) -> Value {
    let (settings, seconds) = (Settings::default(), config.timeout.as_secs());
    json!({
        "query.lookback-delta": format!("{}s", settings.lookback / 1_000),
        "query.max-concurrency": config.concurrency.to_string(),
        "query.max-samples": settings.most_samples.to_string(),
        "query.timeout": format!("{seconds}s"),
        "web.enable-otlp-receiver": "true",
        "web.enable-remote-write-receiver": "true",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use crate::http::state::Host;
    use std::collections::HashMap;

    fn state(fixture: &Fixture) -> QueryState {
        let target = |job: &str| json!({ "labels": { "job": job }, "scrapePool": job });
        let metadata = |job: &str, metric: &str| json!({ "target": { "job": job }, "metric": metric, "help": "h" });
        let told = json!({
            "activeTargets": [target("a"), target("b")],
            "droppedTargets": [target("a")],
            "droppedTargetCounts": { "a": 1, "b": 0 },
            "metadata": [metadata("a", "up"), metadata("b", "up"), metadata("b", "hits")],
            "config": "scrape_configs: []\n",
            "loading": { "isUsable": false, "since": 5 },
        });
        let host = Host { targets: Box::new(move |_| told.clone()), ..Host::default() };
        QueryState::new(Config::default(), fixture.engine.clone(), fixture.clock.clone(), host).unwrap()
    }

    fn asked(pairs: &[(&str, &str)]) -> Asked {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Asked { path: HashMap::new(), pairs, now: 0 }
    }

    #[test]
    fn targets_are_chosen_by_state_and_pool() {
        let (fixture, tenant) = (Fixture::new(), TenantId::default());
        let state = state(&fixture);
        let counts = |pairs: &[(&str, &str)]| {
            let told = targets(&asked(pairs), &state, &tenant);
            ["activeTargets", "droppedTargets"].map(|list| told[list].as_array().unwrap().len())
        };
        assert_eq!(counts(&[]), [2, 1]);
        assert_eq!(counts(&[("state", "Active")]), [2, 0]);
        assert_eq!(counts(&[("state", "dropped")]), [0, 1]);
        assert_eq!(counts(&[("scrapePool", "b")]), [1, 0]);
        assert_eq!(pools(&state, &tenant), json!({ "scrapePools": ["a", "b"] }));
        assert_eq!(config(&state, &tenant)["yaml"], "scrape_configs: []\n");
        let Loading { is_success, time } = loading(&state, &tenant);
        assert_eq!((is_success, time), (false, Some(5)));
        assert_eq!(flags(&Config::default())["query.lookback-delta"], "300s");
    }

    #[test]
    fn metadata_are_chosen_by_target_and_metric() {
        let (fixture, tenant) = (Fixture::new(), TenantId::default());
        let state = state(&fixture);
        let found = |pairs: &[(&str, &str)]| metadata(&asked(pairs), &state, &tenant);
        assert_eq!(found(&[]).unwrap().as_array().unwrap().len(), 3);
        let of_b = found(&[("match_target", "{job=\"b\"}"), ("limit", "1")]).unwrap();
        assert_eq!(of_b, json!([{ "target": { "job": "b" }, "metric": "up", "help": "h" }]));
        let up = found(&[("metric", "up"), ("match_target", "{job=\"a\"}")]).unwrap();
        assert_eq!(up, json!([{ "target": { "job": "a" }, "help": "h" }]));
        for none in [&[("metric", "x")][..], &[("limit", "0")], &[("match_target", "{")]] {
            assert!(found(none).is_err(), "{none:?}");
        }
    }
}
