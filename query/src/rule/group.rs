//! What does one evaluation of a group do?

use super::alert::{Alerts, GRACE, Patience, State};
use super::board::{GroupView, Health, RuleView, Tally};
use super::evaluate::{ALERT_NAME, Evaluated, FOR_STATE, Given, evaluate, written};
use super::file::{GroupSpec, RuleKind, RuleSpec};
use super::run::Context;
use super::template::Found;
use super::write::messages;
use crate::error::{Error, Result as ServerResult};
use crate::exec::{Control, QueryContext};
use crate::series::{Labels, NAME, Value};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A group and what it remembers.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) spec: Arc<GroupSpec>,
    rules: Vec<RuleState>,
    /// Series of rules that are no more.
    ended: BTreeSet<Labels>,
    /// Evaluations that are left until alerts are taken up; `None` once they were.
    until_restored: Option<u8>,
    /// The moment of the last evaluation, and of the next one.
    last: Option<i64>,
    next: i64,
    tally: Tally,
    seconds: f64,
    evaluated_at: Option<i64>,
}

#[derive(Debug, Default)]
struct RuleState {
    alerts: Alerts,
    /// What it gave last.
    series: BTreeSet<Labels>,
    health: Health,
    error: String,
    /// What PromQL warned of last.
    warnings: Vec<String>,
    seconds: f64,
    evaluated_at: Option<i64>,
}

/// Whether alerts of before are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restore {
    /// After the second evaluation: what others send, and what recording rules give, is there again by then.
    Yes,
    No,
}

impl Group {
    pub(super) fn new(spec: Arc<GroupSpec>, now: i64, restore: Restore) -> Self {
        let rules = spec.rules.iter().map(|_| RuleState::default()).collect();
        let next = slot(&spec, now) + spec.interval;
        Group {
            spec,
            rules,
            ended: BTreeSet::new(),
            until_restored: (restore == Restore::Yes).then_some(2),
            last: None,
            next,
            tally: Tally::default(),
            seconds: 0.0,
            evaluated_at: None,
        }
    }

    /// Takes over from a group that this one replaces (L5).
    pub(super) fn adopting(mut self, old: Group) -> Self {
        let mut places: BTreeMap<(String, BTreeMap<String, String>), VecDeque<RuleState>> = BTreeMap::new();
        for (spec, state) in old.spec.rules.iter().zip(old.rules) {
            places.entry((spec.name.clone(), spec.labels.clone())).or_default().push_back(state);
        }
        for (spec, state) in self.spec.rules.iter().zip(&mut self.rules) {
            let key = (spec.name.clone(), spec.labels.clone());
            let Some(before) = places.get_mut(&key).and_then(VecDeque::pop_front) else { continue };
            state.series = before.series;
            if matches!(spec.kind, RuleKind::Alerting(_)) {
                state.alerts = before.alerts;
            }
        }
        self.ended = old.ended;
        self.ended.extend(places.into_values().flatten().flat_map(|state| state.series));
        self.until_restored = old.until_restored;
        self.tally = old.tally;
        (self.seconds, self.evaluated_at) = (old.seconds, old.evaluated_at);
        self
    }

    /// When it is to be evaluated next.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// Whether its time has come; also where the clock has jumped back.
    pub(super) fn is_due(&self, now: i64) -> bool {
        now >= self.next || now < self.next.saturating_sub(self.spec.interval.saturating_mul(2))
    }

    /// Whether it gave a series last.
    pub(super) fn gives(&self, labels: &Labels) -> bool {
        self.rules.iter().any(|rule| rule.series.contains(labels))
    }

    /// Every series that it gave and that nothing gives any more.
    pub(super) fn into_series(self) -> BTreeSet<Labels> {
        self.rules.into_iter().flat_map(|rule| rule.series).chain(self.ended).collect()
    }

    /// Evaluates, and gives itself back.
    pub(super) async fn turn(mut self, context: Arc<Context>) -> Self {
        let now = context.now();
        let (moment, interval) = (slot(&self.spec, now), self.spec.interval);
        if let Some(last) = self.last {
            let missed = moment.saturating_sub(last) / interval - 1;
            self.tally.missed += u64::try_from(missed).unwrap_or(0);
        }
        self.tally.iterations += 1;
        (self.last, self.next) = (Some(moment), moment + interval);
        let started = context.monotonic();
        let mut samples = 0;
        for place in 0..self.rules.len() {
            samples += self.rule(&context, place, moment).await;
        }
        self.end_gone(&context, moment).await;
        self.tally.samples = samples;
        self.seconds = context.monotonic().saturating_sub(started).as_secs_f64();
        self.evaluated_at = Some(now);
        if let Some(left) = self.until_restored {
            self.until_restored = left.checked_sub(1).filter(|left| *left > 0);
            if self.until_restored.is_none() {
                self.restore(&context).await;
            }
        }
        self
    }

    fn time(&self, moment: i64) -> i64 {
        moment.saturating_sub(self.spec.query_offset)
    }

    /// Evaluates a rule; how many samples it gave.
    async fn rule(&mut self, context: &Arc<Context>, place: usize, moment: i64) -> usize {
        let (now, started) = (context.now(), context.monotonic());
        self.tally.evaluations += 1;
        let given = match self.evaluated(context, place, moment).await {
            Ok(evaluated) => {
                self.warn(place, evaluated.warnings);
                self.kept(place, moment, evaluated.given)
            }
            Err(error) => Err(error),
        };
        let (count, outcome) = match given {
            Ok(samples) => (samples.len(), self.stored(context, place, moment, samples).await),
            Err(error) => (0, Err(error)),
        };
        let seconds = context.monotonic().saturating_sub(started).as_secs_f64();
        self.tally.seconds += seconds;
        let spec = Arc::clone(&self.spec);
        let Some(state) = self.rules.get_mut(place) else { return 0 };
        (state.seconds, state.evaluated_at) = (seconds, Some(now));
        (state.health, state.error) = match outcome {
            Ok(()) => (Health::Ok, String::new()),
            Err(error) => {
                self.tally.failures += 1;
                let rule = spec.rules.get(place).map_or("", |rule| rule.name.as_str());
                tracing::warn!(file = spec.file, group = spec.name, rule, error, "a rule could not be evaluated");
                (Health::Bad, error)
            }
        };
        count
    }

    async fn evaluated(&self, context: &Arc<Context>, place: usize, moment: i64) -> Result<Evaluated, String> {
        let (spec, looks_at) = (Arc::clone(&self.spec), self.time(moment));
        let job = move |control: &Control| match spec.rules.get(place) {
            Some(rule) => evaluate(control, rule, looks_at, moment, spec.limit),
            None => Err(Error::bug("a group has fewer rules than states")),
        };
        match self.run(context, job).await {
            Ok(evaluated) => evaluated,
            Err(error) => Err(error.body().error.message),
        }
    }

    /// Logs what PromQL warns of, where that is not what it warned of before.
    fn warn(&mut self, place: usize, warnings: Vec<String>) {
        let (Some(state), Some(rule)) = (self.rules.get_mut(place), self.spec.rules.get(place)) else { return };
        for warning in warnings.iter().filter(|warning| !state.warnings.contains(warning)) {
            let (file, group, rule) = (&self.spec.file, &self.spec.name, &rule.name);
            tracing::warn!(file, group, rule, warning, "a rule was evaluated with a warning");
        }
        state.warnings = warnings;
    }

    /// Runs on the executor. Where too many queries wait, it tries again until the group's next turn.
    async fn run<T: Send + 'static>(
        &self,
        context: &Arc<Context>,
        job: impl Fn(&Control) -> ServerResult<T> + Clone + Send + 'static,
    ) -> ServerResult<T> {
        loop {
            let executor = context.state.executor();
            let query = QueryContext { tenant: self.spec.tenant.clone(), timeout: executor.config().timeout };
            match executor.run(query, job.clone()).await {
                Err(Error::Busy { retry_after, .. }) if context.now() < self.next => {
                    tokio::time::sleep(retry_after.min(Duration::from_secs(1))).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// What a rule gave, as samples.
    fn kept(&mut self, place: usize, moment: i64, given: Given) -> Result<Vec<Found>, String> {
        let is_restored = self.until_restored.is_none();
        let spec = Arc::clone(&self.spec);
        let (Some(state), Some(rule)) = (self.rules.get_mut(place), spec.rules.get(place)) else {
            return Ok(Vec::new());
        };
        let (causes, failures) = match given {
            Given::Samples(samples) => return Ok(samples),
            Given::Causes { causes, failures } => (causes, failures),
        };
        self.tally.template_failures += failures;
        let RuleKind::Alerting(alerting) = &rule.kind else { return Ok(Vec::new()) };
        let patience = Patience { hold: alerting.hold, keep: alerting.keep };
        state.alerts.advance(causes, moment, patience, spec.limit)?;
        Ok(if is_restored { samples(&state.alerts) } else { Vec::new() })
    }

    /// Stores samples, and ends the series that a rule does not give any more (L3).
    async fn stored(
        &mut self,
        context: &Context,
        place: usize,
        moment: i64,
        samples: Vec<Found>,
    ) -> Result<(), String> {
        let series: BTreeSet<Labels> = samples.iter().map(|found| found.labels.clone()).collect();
        let others = |labels: &Labels| {
            self.rules.iter().enumerate().any(|(other, state)| other != place && state.series.contains(labels))
        };
        let before = self.rules.get(place).map(|state| &state.series);
        let ended = before.into_iter().flat_map(|before| before.difference(&series)).filter(|labels| !others(labels));
        for message in messages(&samples, ended, self.time(moment)) {
            context.send(&self.spec, message).await?;
        }
        if let Some(state) = self.rules.get_mut(place) {
            state.series = series;
        }
        Ok(())
    }

    /// Ends the series of rules that are no more.
    async fn end_gone(&mut self, context: &Context, moment: i64) {
        let ended: Vec<&Labels> = self.ended.iter().filter(|labels| !self.gives(labels)).collect();
        for message in messages([], ended, self.time(moment)) {
            if let Err(error) = context.send(&self.spec, message).await {
                tracing::warn!(group = self.spec.name, error, "the end of series was not stored; it is tried again");
                return;
            }
        }
        self.ended.clear();
    }

    /// Takes up alerts of before (L4).
    async fn restore(&mut self, context: &Arc<Context>) {
        let spec = Arc::clone(&self.spec);
        for (place, rule) in spec.rules.iter().enumerate() {
            let RuleKind::Alerting(alerting) = &rule.kind else { continue };
            if alerting.hold < GRACE {
                continue;
            }
            let (now, own) = (context.now(), Arc::clone(&spec));
            let job = move |control: &Control| match own.rules.get(place) {
                Some(rule) => written(control, rule, now),
                None => Ok(BTreeMap::new()),
            };
            match self.run(context, job).await {
                Ok(written) => {
                    if let Some(state) = self.rules.get_mut(place) {
                        state.alerts.restore(&written, now, alerting.hold);
                    }
                }
                Err(error) => {
                    tracing::error!(group = spec.name, rule = rule.name, %error, "alerts of before were not taken up");
                }
            }
        }
    }

    /// What is told of it.
    pub(super) fn view(&self) -> GroupView {
        let rule = |(spec, state): (&RuleSpec, &RuleState)| RuleView {
            alerts: state.alerts.told(),
            state: match spec.kind {
                RuleKind::Recording => None,
                RuleKind::Alerting(_) => state.evaluated_at.map(|_| state.alerts.iter().map(|alert| alert.state).max()),
            },
            health: state.health,
            error: state.error.clone(),
            warnings: state.warnings.clone(),
            seconds: state.seconds,
            evaluated_at: state.evaluated_at,
        };
        GroupView {
            rules: self.spec.rules.iter().zip(&self.rules).map(rule).collect(),
            spec: Arc::clone(&self.spec),
            seconds: self.seconds,
            evaluated_at: self.evaluated_at,
            tally: self.tally,
        }
    }
}

/// `ALERTS` and `ALERTS_FOR_STATE` of each alert.
fn samples(alerts: &Alerts) -> Vec<Found> {
    let one =
        |name: &str, labels: Labels, value: f64| Found { labels: labels.with(NAME, name), value: Value::Float(value) };
    let samples = alerts.iter().flat_map(|alert| {
        debug_assert!(!alert.labels.get(ALERT_NAME).is_empty(), "A1");
        let state: State = alert.state;
        let since = alert.active_at.div_euclid(1_000) as f64;
        [
            one("ALERTS", alert.labels.with("alertstate", state.as_str()), 1.0),
            one(FOR_STATE, alert.labels.clone(), since),
        ]
    });
    samples.collect()
}

/// The latest moment of a group's until now (L1). Groups of one interval do not come at one moment.
fn slot(spec: &GroupSpec, now: i64) -> i64 {
    let key = Labels::new([("file", spec.file.as_str()), ("name", spec.name.as_str())]);
    let interval = spec.interval.unsigned_abs().max(1);
    let offset = i64::try_from(key.hash() % interval).unwrap_or(0);
    now.saturating_sub(offset).div_euclid(spec.interval).saturating_mul(spec.interval).saturating_add(offset)
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;
    use super::*;

    #[test]
    fn l1_moments_of_groups_do_not_depend_on_when_they_are_asked_for() {
        let text = "groups: [{name: a, interval: 15s}, {name: b, interval: 15s}]";
        let groups = parse("rules.yml", text).unwrap();
        let [a, b] = groups.as_slice() else { panic!("two groups") };
        let now = 1_795_413_600_000;
        let first = slot(a, now);
        assert!((now - 15_000..=now).contains(&first));
        for later in 0..15_000 {
            assert_eq!((slot(a, first + later), slot(a, first - 1)), (first, first - 15_000));
        }
        assert_ne!(slot(a, now), slot(b, now), "they have offsets of their own");
    }
}
