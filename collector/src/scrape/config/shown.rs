//! How is the file of jobs shown to those who may ask but not read it? As YAML, without its secrets, as Prometheus shows its own.

use super::names::{Escaping, Validation};
use super::{Job, duration_text};
use serde_json::{Value, json};

const HIDDEN: &str = "<secret>";

/// Keys whose values are secrets, wherever they stand.
const SECRETS: [&str; 7] =
    ["password", "credentials", "client_secret", "bearer_token", "key", "secrets", "proxy_connect_header"];

/// What a file's text says.
pub(super) fn shown(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    let mut value: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    hide(&mut value);
    let mut out = String::new();
    put(&mut out, &value, 0);
    Ok(out)
}

/// What a file says of a job, with what holds where it says nothing.
pub(in super::super) fn shown_job(job: &Job, mut said: Value) -> String {
    hide(&mut said);
    let limits = [
        ("body_size_limit", job.body_size_limit),
        ("sample_limit", job.sample_limit),
        ("target_limit", job.target_limit),
        ("label_limit", job.label_limit),
        ("label_name_length_limit", job.label_name_length_limit),
        ("label_value_length_limit", job.label_value_length_limit),
        ("keep_dropped_targets", job.keep_dropped_targets),
        ("native_histogram_bucket_limit", job.native_histogram_bucket_limit),
    ];
    let failure_log = job.failure_log.iter().map(|_| ("scrape_failure_log_file", json!(job.scrape_failure_log_file)));
    let limits = limits.into_iter().filter(|(_, limit)| *limit > 0).map(|(key, limit)| (key, json!(limit)));
    let factor = Some(job.native_histogram_min_bucket_factor).filter(|factor| *factor > 0.0);
    let factor = factor.map(|factor| ("native_histogram_min_bucket_factor", json!(factor)));
    let protocols: Vec<&str> = job.scrape_protocols.iter().map(|protocol| protocol.name()).collect();
    let others = [
        ("scrape_interval", json!(duration_text(job.scrape_interval))),
        ("scrape_timeout", json!(duration_text(job.scrape_timeout))),
        ("scrape_protocols", json!(protocols)),
        ("scrape_native_histograms", json!(job.scrape_native_histograms)),
        ("always_scrape_classic_histograms", json!(job.always_scrape_classic_histograms)),
        ("convert_classic_histograms_to_nhcb", json!(job.convert_classic_histograms_to_nhcb)),
        ("extra_scrape_metrics", json!(job.extra_scrape_metrics)),
        ("metric_name_validation_scheme", json!(job.metric_name_validation_scheme.map(Validation::name))),
        ("metric_name_escaping_scheme", json!(job.metric_name_escaping_scheme.map(Escaping::name))),
        ("metrics_path", json!(job.metrics_path)),
        ("scheme", json!(job.scheme)),
        ("honor_labels", json!(job.honor_labels)),
        ("honor_timestamps", json!(job.honor_timestamps)),
        ("track_timestamps_staleness", json!(job.track_timestamps_staleness)),
        ("enable_compression", json!(job.enable_compression)),
        ("follow_redirects", json!(job.http.follow_redirects)),
        ("enable_http2", json!(job.http.enable_http2)),
    ];
    if let Value::Object(fields) = &mut said {
        fields
            .extend(limits.chain(factor).chain(failure_log).chain(others).map(|(key, value)| (key.to_owned(), value)));
    }
    let mut out = String::new();
    put(&mut out, &said, 0);
    out
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::Null => {}
                    _ if SECRETS.contains(&key.as_str()) => *value = HIDDEN.into(),
                    value => hide(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(hide),
        Value::String(text) => {
            // A URL may hold a password.
            if let Ok(mut url) = reqwest::Url::parse(text)
                && url.password().is_some()
                && url.set_password(Some("xxxxx")).is_ok()
            {
                *text = url.into();
            }
        }
        _ => {}
    }
}

/// A value as YAML: maps and lists a line per entry, texts quoted as in JSON.
fn put(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
                let key = if key.chars().all(is_plain) { key.clone() } else { Value::from(key.as_str()).to_string() };
                out.push_str(&format!("{indent}{key}:"));
                put_behind(out, value, depth);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for value in list {
                out.push_str(&format!("{indent}-"));
                put_behind(out, value, depth);
            }
        }
        other => out.push_str(&format!("{indent}{other}\n")),
    }
}

fn put_behind(out: &mut String, value: &Value, depth: usize) {
    let is_nested = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    if is_nested {
        out.push('\n');
        put(out, value, depth + 1);
    } else {
        out.push_str(&format!(" {value}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_shown_with_what_holds_where_it_says_nothing() {
        let text = "global: {scrape_failure_log_file: f.log, metric_name_validation_scheme: legacy, extra_scrape_metrics: true}\n\
                    scrape_configs: [{job_name: a, native_histogram_bucket_limit: 9, native_histogram_min_bucket_factor: 1.5}]\n";
        let jobs = super::super::parse(text, std::path::Path::new("/etc/jobs")).unwrap();
        let told = shown_job(&jobs.list[0], json!({ "job_name": "a" }));
        for line in [
            "scrape_failure_log_file: \"f.log\"",
            "metric_name_validation_scheme: \"legacy\"",
            "metric_name_escaping_scheme: \"underscores\"",
            "extra_scrape_metrics: true",
            "convert_classic_histograms_to_nhcb: false",
            "native_histogram_bucket_limit: 9",
            "native_histogram_min_bucket_factor: 1.5",
        ] {
            assert!(told.lines().any(|own| own == line), "{line}: {told}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let text = "scrape_configs:\n- job_name: a\n  basic_auth: {username: u, password: hunter2, password_file: f}\n  \
                    proxy_url: http://u:hunter2@proxy:1\n  http_headers: {X: {secrets: [hunter2], values: ['v: 1']}}\n  \
                    static_configs: [{targets: ['h:1'], labels: {}}]\n";
        let told = shown(text).unwrap();
        assert!(!told.contains("hunter2"), "{told}");
        for kept in
            ["password_file: \"f\"", "username: \"u\"", "\"v: 1\"", "http://u:xxxxx@proxy:1", "password: \"<secret>\""]
        {
            assert!(told.contains(kept), "{kept}: {told}");
        }
        let again: Value = serde_saphyr::from_str(&told).unwrap();
        assert_eq!(again["scrape_configs"][0]["static_configs"][0]["targets"][0], "h:1");
        assert_eq!(shown(" \n"), Ok(String::new()));
    }
}
