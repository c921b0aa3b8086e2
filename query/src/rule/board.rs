//! What is told of rules? A view of each group as it was after its last evaluation.

use super::alert::{Alert, State};
use super::file::GroupSpec;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use storage::model::TenantId;

/// How a rule's last evaluation went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Health {
    #[default]
    Unknown,
    Ok,
    Bad,
}

impl Health {
    /// As Prometheus calls it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Ok => "ok",
            Health::Bad => "err",
        }
    }
}

/// A rule; its place is that in the specification.
#[derive(Debug, Clone)]
pub(crate) struct RuleView {
    /// Of an alerting rule that was evaluated: the worst state of its alerts, if there are any.
    pub(crate) state: Option<Option<State>>,
    pub(crate) alerts: Vec<Arc<Alert>>,
    pub(crate) health: Health,
    pub(crate) error: String,
    /// What PromQL warned of, though there is a value.
    pub(crate) warnings: Vec<String>,
    pub(crate) seconds: f64,
    /// Milliseconds since 1970.
    pub(crate) evaluated_at: Option<i64>,
}

/// Counts of a group since the server started.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) iterations: u64,
    pub(super) missed: u64,
    pub(super) evaluations: u64,
    pub(super) failures: u64,
    pub(super) template_failures: u64,
    /// Of all evaluations of rules.
    pub(super) seconds: f64,
    /// That the last evaluation gave.
    pub(super) samples: usize,
}

/// A group.
#[derive(Debug, Clone)]
pub(crate) struct GroupView {
    pub(crate) spec: Arc<GroupSpec>,
    pub(crate) rules: Vec<RuleView>,
    pub(crate) seconds: f64,
    /// Milliseconds since 1970.
    pub(crate) evaluated_at: Option<i64>,
    pub(super) tally: Tally,
}

/// File and name of a group.
pub(super) type Key = (String, String);

impl GroupSpec {
    pub(super) fn key(&self) -> Key {
        (self.file.clone(), self.name.clone())
    }
}

#[derive(Debug, Default)]
struct Told {
    groups: BTreeMap<Key, Arc<GroupView>>,
    /// When files were last read, in milliseconds, and whether they could be used. `None` where there are no rules.
    read: Option<(i64, bool)>,
}

/// All groups of this server.
#[derive(Debug, Default)]
pub struct Board(RwLock<Told>);

impl Board {
    fn write(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn groups(&self) -> Vec<Arc<GroupView>> {
        let told = self.0.read().unwrap_or_else(PoisonError::into_inner);
        told.groups.values().cloned().collect()
    }

    /// The groups of a tenant, by file and name.
    pub(crate) fn of(&self, tenant: &TenantId) -> Vec<Arc<GroupView>> {
        let mut groups = self.groups();
        groups.retain(|group| group.spec.tenant == *tenant);
        groups
    }

    pub(super) fn put(&self, view: GroupView) {
        self.write(|told| drop(told.groups.insert(view.spec.key(), Arc::new(view))));
    }

    pub(super) fn remove(&self, key: &Key) {
        self.write(|told| drop(told.groups.remove(key)));
    }

    pub(super) fn files_read(&self, now: i64, is_usable: bool) {
        self.write(|told| told.read = Some((now, is_usable)));
    }

    /// Whether files could be used when they were last read, or there are none.
    pub(crate) fn is_usable(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).read.is_none_or(|(_, is_usable)| is_usable)
    }

    /// Appends counters and gauges in Prometheus' text format; nothing where there are no rules.
    pub fn render_metrics(&self, out: &mut String) {
        let read = self.0.read().unwrap_or_else(PoisonError::into_inner).read;
        let Some((at, is_usable)) = read else { return };
        let at = at as f64 / 1_000.0;
        let files = [
            (
                "rule_files_usable",
                "Whether the files of rules could be used when they were last read.",
                f64::from(is_usable),
            ),
            ("rule_files_read_timestamp_seconds", "When the files of rules were last read.", at),
        ];
        for (name, help, value) in files {
            out.push_str(&format!(
                "# HELP spanlight_{name} {help}\n# TYPE spanlight_{name} gauge\nspanlight_{name} {value}\n"
            ));
        }
        let groups = self.groups();
        for (name, r#type, help, read) in FAMILIES {
            out.push_str(&format!("# HELP spanlight_rule_{name} {help}\n# TYPE spanlight_rule_{name} {}\n", r#type));
            for group in &groups {
                let key = format!("{};{}", group.spec.file, group.spec.name);
                let key = key.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                out.push_str(&format!("spanlight_rule_{name}{{rule_group=\"{key}\"}} {}\n", read(group)));
            }
        }
    }
}

/// Name, type and help of a figure, and the figure.
type Family = (&'static str, &'static str, &'static str, fn(&GroupView) -> f64);

const FAMILIES: [Family; 12] = [
    ("evaluations_total", "counter", "Evaluations of rules.", |group| group.tally.evaluations as f64),
    ("evaluation_failures_total", "counter", "Evaluations of rules that failed.", |group| group.tally.failures as f64),
    ("evaluation_seconds_total", "counter", "Time that evaluations of rules took.", |group| group.tally.seconds),
    ("template_failures_total", "counter", "Texts of alerts that could not be expanded.", |group| {
        group.tally.template_failures as f64
    }),
    ("group_iterations_total", "counter", "Evaluations of groups.", |group| group.tally.iterations as f64),
    ("group_iterations_missed_total", "counter", "Moments that passed without an evaluation.", |group| {
        group.tally.missed as f64
    }),
    ("group_interval_seconds", "gauge", "Time between two evaluations.", |group| group.spec.interval as f64 / 1_000.0),
    ("group_rules", "gauge", "Rules of a group.", |group| group.rules.len() as f64),
    ("group_last_evaluation_timestamp_seconds", "gauge", "When a group was last evaluated.", |group| {
        group.evaluated_at.unwrap_or_default() as f64 / 1_000.0
    }),
    ("group_last_duration_seconds", "gauge", "How long the last evaluation took.", |group| group.seconds),
    ("group_last_evaluation_samples", "gauge", "Samples that the last evaluation gave.", |group| {
        group.tally.samples as f64
    }),
    ("alerts", "gauge", "Alerts that are pending or firing.", |group| {
        group.rules.iter().map(|rule| rule.alerts.len()).sum::<usize>() as f64
    }),
];
