//! Which settings apply? Defaults, then one TOML file, then `SPANLIGHT_*` variables, then flags: the later wins.
//!
//! Every key of the file has a variable: `[storage] flush_bytes` is `SPANLIGHT_STORAGE_FLUSH_BYTES`. Unknown keys and
//! variables are errors. `spanlight.toml` in the repository shows every key with its default and its reason.

use crate::command::ServeArguments;
use anyhow::{Context, Result, bail, ensure};
use collector::{CollectorConfig, CorsOrigins, KafkaConfig, ScrapeConfig};
use query::{PromoteConfig, rule::RulesConfig};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use storage::object::ObjectStoreConfig;
use storage::retention::RetentionConfig;

/// Variables that tests and tasks read, parted by blanks; they are no settings.
const NOT_SETTINGS: &str = "BENCH BIN BROWSER CORPORA KAFKA_LIB KAFKA_MESSAGES KAFKA_PYTHON KILLS PROMETHEUS S3_SERVER \
    SCREENSHOTS SIM_FIRST SIM_SEEDS WASM_ROUTE";

/// All settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) http: Http,
    pub(crate) otlp: Otlp,
    pub(crate) kafka: KafkaConfig,
    pub(crate) scrape: ScrapeConfig,
    pub(crate) rules: RulesConfig,
    pub(crate) storage: Storage,
    pub(crate) object_store: ObjectStoreConfig,
    pub(crate) retention: RetentionConfig,
    pub(crate) query: Query,
    pub(crate) promote: PromoteConfig,
    pub(crate) log: Log,
    pub(crate) self_telemetry: SelfTelemetry,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    pub(crate) addr: SocketAddr,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Otlp {
    pub(crate) grpc_addr: SocketAddr,
    pub(crate) http_addr: SocketAddr,
    pub(crate) max_request_bytes: usize,
    pub(crate) max_bytes_in_flight: usize,
    pub(crate) tenant_bytes_in_flight: usize,
    pub(crate) tenant_bytes_per_second: u64,
    pub(crate) tenant_burst_bytes: u64,
    pub(crate) tenant_active_series: usize,
    pub(crate) body_timeout_seconds: u64,
    pub(crate) max_connections: usize,
    pub(crate) cors_origins: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Storage {
    pub(crate) flush_bytes: usize,
    pub(crate) flush_age_seconds: u64,
    pub(crate) memory_limit_bytes: usize,
    pub(crate) min_free_bytes: u64,
    pub(crate) merge_bytes_per_second: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Query {
    pub(crate) timeout_seconds: u64,
    pub(crate) max_timeout_seconds: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) max_rows: u64,
    pub(crate) span_metrics: bool,
    pub(crate) translation_strategy: query::TranslationStrategy,
    pub(crate) concurrency: usize,
    pub(crate) max_waiting: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SelfTelemetry {
    pub(crate) otlp_endpoint: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data_dir: PathBuf::from("data"),
            http: Http::default(),
            otlp: Otlp::default(),
            kafka: KafkaConfig::default(),
            scrape: ScrapeConfig::default(),
            rules: RulesConfig::default(),
            storage: Storage::default(),
            object_store: ObjectStoreConfig::default(),
            retention: RetentionConfig::default(),
            query: Query::default(),
            promote: PromoteConfig::default(),
            log: Log::default(),
            self_telemetry: SelfTelemetry::default(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Http { addr: loopback(7726) }
    }
}

impl Default for Otlp {
    fn default() -> Self {
        let collector = CollectorConfig::default();
        Otlp {
            grpc_addr: loopback(4317),
            http_addr: loopback(4318),
            max_request_bytes: collector.max_request_bytes,
            max_bytes_in_flight: collector.max_bytes_in_flight,
            tenant_bytes_in_flight: collector.tenant_bytes_in_flight,
            tenant_bytes_per_second: collector.tenant_bytes_per_second,
            tenant_burst_bytes: collector.tenant_burst_bytes,
            tenant_active_series: collector.tenant_active_series,
            body_timeout_seconds: collector.body_timeout.as_secs(),
            max_connections: collector.max_connections,
            cors_origins: vec!["loopback".into()],
        }
    }
}

impl Default for Query {
    fn default() -> Self {
        let query = query::Config::default();
        Query {
            timeout_seconds: query.timeout.as_secs(),
            max_timeout_seconds: query.max_timeout.as_secs(),
            memory_bytes: query.memory_per_query,
            max_rows: query.max_rows,
            span_metrics: query.span_metrics,
            translation_strategy: query.translation_strategy,
            concurrency: 4,
            max_waiting: query.queue,
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        let engine = storage::engine::EngineConfig::new("");
        Storage {
            flush_bytes: engine.flush_bytes,
            flush_age_seconds: engine.flush_age.as_secs(),
            memory_limit_bytes: engine.memory_limit_bytes,
            min_free_bytes: engine.min_free_bytes,
            merge_bytes_per_second: engine.compaction.bytes_per_second,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log { filter: "info".into(), format: LogFormat::Text }
    }
}

/// Only this machine may reach the doors until somebody says otherwise: there are no credentials yet.
fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Config {
    /// The settings of the store.
    pub(crate) fn engine(&self) -> storage::engine::EngineConfig {
        let mut engine = storage::engine::EngineConfig::new(&self.data_dir);
        engine.flush_bytes = self.storage.flush_bytes;
        engine.flush_age = Duration::from_secs(self.storage.flush_age_seconds);
        engine.memory_limit_bytes = self.storage.memory_limit_bytes;
        engine.min_free_bytes = self.storage.min_free_bytes;
        engine.compaction.bytes_per_second = self.storage.merge_bytes_per_second;
        engine.retention = self.retention.clone();
        engine.object_store = self.object_store.clone();
        engine
    }

    /// The settings of the doors.
    pub(crate) fn collector(&self) -> CollectorConfig {
        CollectorConfig {
            max_request_bytes: self.otlp.max_request_bytes,
            max_bytes_in_flight: self.otlp.max_bytes_in_flight,
            tenant_bytes_in_flight: self.otlp.tenant_bytes_in_flight,
            tenant_bytes_per_second: self.otlp.tenant_bytes_per_second,
            tenant_burst_bytes: self.otlp.tenant_burst_bytes,
            tenant_active_series: self.otlp.tenant_active_series,
            body_timeout: Duration::from_secs(self.otlp.body_timeout_seconds),
            max_connections: self.otlp.max_connections,
            cors_origins: CorsOrigins::new(self.otlp.cors_origins.clone()),
            shutdown_timeout: crate::serve::GRACE,
            ..CollectorConfig::default()
        }
    }

    /// The settings of queries.
    pub(crate) fn query(&self) -> query::Config {
        query::Config {
            concurrency: self.query.concurrency,
            queue: self.query.max_waiting,
            timeout: Duration::from_secs(self.query.timeout_seconds),
            max_timeout: Duration::from_secs(self.query.max_timeout_seconds),
            memory_per_query: self.query.memory_bytes,
            max_rows: self.query.max_rows,
            span_metrics: self.query.span_metrics,
            translation_strategy: self.query.translation_strategy,
            promote: self.promote.clone().into(),
        }
    }

    fn check(&self) -> Result<()> {
        let query = self.query().check_beside(&self.retention, self.object_store.is_set());
        let rooms = [self.collector().check(), self.engine().check(), query];
        let has_all = !self.object_store.is_set() && (self.kafka.is_read() || !self.kafka.is_front());
        let checked = rooms.into_iter().chain([self.kafka.check(), self.scrape.check(), self.rules.check(has_all)]);
        checked.collect::<Result<(), String>>().map_err(anyhow::Error::msg)?;
        ensure!(!self.data_dir.as_os_str().is_empty(), "`data_dir` is empty");
        let (http, otlp) = (self.http.addr, &self.otlp);
        for (one, other) in [(http, otlp.grpc_addr), (http, otlp.http_addr), (otlp.grpc_addr, otlp.http_addr)] {
            ensure!(
                one != other || one.port() == 0,
                "two of `http.addr`, `otlp.grpc_addr`, `otlp.http_addr` are {one}"
            );
        }
        crate::telemetry::check(&self.self_telemetry).and_then(|()| crate::telemetry::filter(&self.log).map(drop))
    }
}

/// The settings of a run.
pub(crate) fn load(arguments: &ServeArguments) -> Result<Config> {
    let text = match &arguments.config {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?,
        None => String::new(),
    };
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let mut settings = Vec::new();
    for (name, value) in variables {
        let is_setting = |key: &&str| NOT_SETTINGS.split(' ').all(|own| own != *key);
        let Some(key) = name.strip_prefix("SPANLIGHT_").filter(is_setting) else { continue };
        settings.push((key.to_owned(), value.into_string().map_err(|_| anyhow::anyhow!("{name} is not UTF-8"))?));
    }
    let mut config = merge(&text, &settings)?;
    arguments.apply(&mut config);
    config.check()?;
    Ok(config)
}

/// Defaults, then the file's text, then variables without their prefix.
fn merge(text: &str, variables: &[(String, String)]) -> Result<Config> {
    // Reading the text alone first gives errors with line and column.
    toml::from_str::<Config>(text).context("failed to read the settings file")?;
    let mut table: toml::Table = toml::from_str(text)?;
    let defaults = toml::Table::try_from(Config::default())?;
    for (name, value) in variables {
        let Some((section, key, default)) = find(&defaults, name) else {
            bail!("SPANLIGHT_{name} is not a setting; `spanlight.toml` lists them");
        };
        let value = parse_as(&default, value)
            .with_context(|| format!("SPANLIGHT_{name}: expected {}, found `{value}`", default.type_str()))?;
        let target = match section {
            None => &mut table,
            Some(section) => table
                .entry(section)
                .or_insert_with(|| toml::Table::new().into())
                .as_table_mut()
                .context("a section is a table")?,
        };
        target.insert(key, value);
    }
    table.try_into().context("failed to read the settings")
}

/// The section, key and default of a variable's name.
fn find(defaults: &toml::Table, name: &str) -> Option<(Option<String>, String, toml::Value)> {
    for (key, value) in defaults {
        match value {
            toml::Value::Table(section) => {
                let found = section.iter().find(|(inner, _)| format!("{key}_{inner}").to_uppercase() == *name);
                if let Some((inner, default)) = found {
                    return Some((Some(key.clone()), inner.clone(), default.clone()));
                }
            }
            default if key.to_uppercase() == *name => return Some((None, key.clone(), default.clone())),
            _ => {}
        }
    }
    None
}

/// Reads a variable's text as the type of the default. Lists are separated by commas.
fn parse_as(default: &toml::Value, text: &str) -> Result<toml::Value> {
    Ok(match default {
        toml::Value::Integer(_) => toml::Value::Integer(text.trim().parse()?),
        toml::Value::Float(_) => toml::Value::Float(text.trim().parse()?),
        toml::Value::Boolean(_) => toml::Value::Boolean(text.trim().parse()?),
        toml::Value::Array(_) if text.trim_start().starts_with('[') => text.parse()?,
        toml::Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            toml::Value::Array(items.map(|item| toml::Value::String(item.into())).collect())
        }
        toml::Value::Table(_) => text.parse()?,
        _ => toml::Value::String(text.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = include_str!("../spanlight.toml");

    #[test]
    fn the_file_in_the_repository_shows_every_key_with_its_default() {
        assert_eq!(toml::from_str::<Config>(SHOWN).unwrap(), Config::default());
        let shown: toml::Table = toml::from_str(SHOWN).unwrap();
        assert_eq!(shown, toml::Table::try_from(Config::default()).unwrap());
    }

    #[test]
    fn the_readme_names_every_key() {
        let readme = include_str!("../README.md");
        for (section, value) in toml::Table::try_from(Config::default()).unwrap() {
            match value {
                toml::Value::Table(keys) => {
                    for key in keys.keys() {
                        assert!(readme.contains(&format!("`{section}.{key}`")), "README lacks `{section}.{key}`");
                    }
                }
                _ => assert!(readme.contains(&format!("`{section}`")), "README lacks `{section}`"),
            }
        }
    }

    #[test]
    fn variables_win_over_the_file() {
        let text = "data_dir = \"a\"\n[storage]\nflush_bytes = 1\n";
        let variables = [("STORAGE_FLUSH_BYTES", "2"), ("OTLP_CORS_ORIGINS", "https://a, https://b")];
        let config = merge(text, &variables.map(|(name, value)| (name.into(), value.into()))).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("a"));
        assert_eq!(config.storage.flush_bytes, 2);
        assert_eq!(config.otlp.cors_origins, ["https://a", "https://b"]);
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_errors_that_name_them() {
        let error = |text: &str, variables: &[(&str, &str)]| {
            let variables: Vec<_> = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            format!("{:#}", merge(text, &variables).unwrap_err())
        };
        assert!(error("[storage]\nflush_byte = 1\n", &[]).contains("flush_byte"));
        assert!(error("", &[("STORAGE_FLUSH_BYTE", "1")]).contains("SPANLIGHT_STORAGE_FLUSH_BYTE"));
        assert!(error("", &[("STORAGE_FLUSH_BYTES", "many")]).contains("expected integer, found `many`"));
        assert!(error("", &[("HTTP_ADDR", "nowhere")]).contains("addr"));
    }

    #[test]
    fn single_tenants_have_their_retention() {
        let variables = [("RETENTION_LOGS_DAYS", "3"), ("RETENTION_TENANTS", "{ a = { spans_days = 1 } }")];
        let retention = merge("", &variables.map(|(name, value)| (name.into(), value.into()))).unwrap().retention;
        assert_eq!((retention.logs_days, retention.tenants["a"].spans_days), (3, Some(1)));
        for bad in ["[retention]\nspans_days = 0\n", "[retention.tenants.\"a/b\"]\nlogs_days = 1\n"] {
            assert!(merge(bad, &[]).unwrap().check().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_serve_would_refuse_is_told_by_the_check() {
        let error = |text: &str| format!("{:#}", merge(text, &[]).unwrap().check().unwrap_err());
        let twice = error("[otlp]\ngrpc_addr = \"127.0.0.1:7726\"\n");
        assert_eq!(twice, "two of `http.addr`, `otlp.grpc_addr`, `otlp.http_addr` are 127.0.0.1:7726");
        for bad in ["nowhere", "127.0.0.1:4317", "ftp://a:1", "http://"] {
            let error = error(&format!("[self_telemetry]\notlp_endpoint = \"{bad}\"\n"));
            assert!(error.contains("self_telemetry.otlp_endpoint"), "{error}");
        }
        let free = "[http]\naddr = \"127.0.0.1:0\"\n[otlp]\nhttp_addr = \"127.0.0.1:0\"\n[self_telemetry]\notlp_endpoint = \"https://a\"\n";
        merge(free, &[]).unwrap().check().unwrap();
    }

    #[test]
    fn zero_does_not_mean_unlimited() {
        let mut config = Config::default();
        config.query.timeout_seconds = 0;
        assert!(config.check().unwrap_err().to_string().contains("query.timeout_seconds"));
    }
}
