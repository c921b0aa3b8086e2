//! What becomes of an alert? Pending while its cause has not lasted long enough, then firing, for a while even without its cause.
//!
//! A1  An alert is known by its labels, with those that the rule adds.
//! A2  It fires once its cause was there at every evaluation for as long as `for` says, and goes with its cause, or as much later as
//!     `keep_firing_for` says.
//!
//! Not here: when that is evaluated (`group`), who is told.

use crate::series::Labels;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long the server may have been away for an alert to be taken up again, in milliseconds.
pub(super) const OUTAGE_TOLERANCE: i64 = 3_600_000;
/// How long at least an alert that is taken up waits before it fires; those with a shorter `for` are not taken up.
pub(super) const GRACE: i64 = 600_000;

/// Pending or firing; one that is neither is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Pending,
    Firing,
}

impl State {
    /// As Prometheus calls it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Firing => "firing",
        }
    }
}

/// An alert. Times are milliseconds since 1970.
#[derive(Debug, Clone)]
pub(crate) struct Alert {
    pub(crate) labels: Labels,
    pub(crate) annotations: Vec<(String, String)>,
    pub(crate) state: State,
    pub(crate) value: f64,
    pub(crate) active_at: i64,
    pub(crate) keep_firing_since: Option<i64>,
}

/// What an evaluation found to be a cause.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    pub(super) labels: Labels,
    pub(super) annotations: Vec<(String, String)>,
    pub(super) value: f64,
}

/// For how long an alert must last and goes on, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) hold: i64,
    pub(super) keep: i64,
}

/// The last sample of `ALERTS_FOR_STATE`: when it was written, and since when the alert was active then, both in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) at: i64,
    pub(super) active_at: i64,
}

/// The alerts of a rule (A1).
#[derive(Debug, Clone, Default)]
pub(super) struct Alerts(BTreeMap<Labels, Alert>);

impl Alerts {
    /// Goes on to another evaluation's causes. More than the limit are an error, and then none is left.
    pub(super) fn advance(
        &mut self,
        causes: Vec<Cause>,
        now: i64,
        patience: Patience,
        limit: usize,
    ) -> Result<(), String> {
        let mut fresh: BTreeMap<Labels, Cause> = BTreeMap::new();
        for cause in causes {
            if fresh.insert(cause.labels.clone(), cause).is_some() {
                return Err("vector contains metrics with the same labelset after applying alert labels".to_owned());
            }
        }
        self.0.retain(|labels, alert| match fresh.remove(labels) {
            Some(cause) => {
                (alert.value, alert.annotations, alert.keep_firing_since) = (cause.value, cause.annotations, None);
                true
            }
            None => {
                let since = *alert.keep_firing_since.get_or_insert(now);
                alert.state == State::Firing && now - since < patience.keep
            }
        });
        for (labels, Cause { annotations, value, .. }) in fresh {
            let state = State::Pending;
            let alert =
                Alert { labels: labels.clone(), annotations, state, value, active_at: now, keep_firing_since: None };
            self.0.insert(labels, alert);
        }
        if limit > 0 && self.0.len() > limit {
            let count = self.0.len();
            self.0.clear();
            return Err(format!("exceeded limit of {limit} with {count} alerts"));
        }
        for alert in self.0.values_mut() {
            let is_due = now.saturating_sub(alert.active_at) >= patience.hold;
            alert.state = if is_due { State::Firing } else { State::Pending };
        }
        Ok(())
    }

    /// Takes up what was written before the server was away, for the alerts that are there again.
    pub(super) fn restore(&mut self, written: &BTreeMap<Labels, Written>, now: i64, hold: i64) {
        for (labels, alert) in &mut self.0 {
            let Some(written) = written.get(labels) else { continue };
            let (at, active_at) = (written.at.saturating_mul(1_000), written.active_at.saturating_mul(1_000));
            let remaining = hold.saturating_sub(at.saturating_sub(active_at));
            alert.active_at = if remaining <= 0 {
                // It was firing.
                active_at
            } else if remaining < GRACE {
                now + GRACE - hold
            } else {
                active_at.saturating_add(now - at)
            };
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Alert> {
        self.0.values()
    }

    /// As they are now.
    pub(super) fn told(&self) -> Vec<Arc<Alert>> {
        self.0.values().cloned().map(Arc::new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn cause(instance: &str, value: f64) -> Cause {
        Cause { labels: Labels::new([("instance", instance)]), annotations: Vec::new(), value }
    }

    fn told(alerts: &Alerts) -> Vec<(String, State, i64)> {
        let told = alerts.iter().map(|alert| (alert.labels.get("instance").to_owned(), alert.state, alert.active_at));
        told.collect()
    }

    fn advance(alerts: &mut Alerts, causes: &[&str], minute: i64, hold: i64, keep: i64) -> Vec<(String, State, i64)> {
        let causes = causes.iter().map(|instance| cause(instance, minute as f64)).collect();
        let patience = Patience { hold: hold * MINUTE, keep: keep * MINUTE };
        alerts.advance(causes, minute * MINUTE, patience, 0).unwrap();
        told(alerts).into_iter().map(|(instance, state, at)| (instance, state, at / MINUTE)).collect()
    }

    #[test]
    fn a2_alerts_are_pending_then_firing_and_go_with_their_cause() {
        let mut alerts = Alerts::default();
        let a = |state, at| ("a".to_owned(), state, at);
        let b = |state, at| ("b".to_owned(), state, at);
        assert_eq!(advance(&mut alerts, &["a"], 0, 2, 0), [a(State::Pending, 0)]);
        assert_eq!(advance(&mut alerts, &["a", "b"], 1, 2, 0), [a(State::Pending, 0), b(State::Pending, 1)]);
        assert_eq!(advance(&mut alerts, &["a"], 2, 2, 0), [a(State::Firing, 0)]);
        assert_eq!(advance(&mut alerts, &["a", "b"], 3, 2, 0), [a(State::Firing, 0), b(State::Pending, 3)]);
        assert_eq!(advance(&mut alerts, &[], 4, 2, 0), []);
        // Without `for` it fires at once.
        assert_eq!(advance(&mut alerts, &["a"], 5, 0, 0), [a(State::Firing, 5)]);
        // A longer `for`, read from a changed file, makes it wait again.
        assert_eq!(advance(&mut alerts, &["a"], 6, 9, 0), [a(State::Pending, 5)]);
    }

    #[test]
    fn a2_firing_alerts_are_kept_as_long_as_the_rule_says() {
        let mut alerts = Alerts::default();
        let a = |state, at| ("a".to_owned(), state, at);
        assert_eq!(advance(&mut alerts, &["a"], 0, 1, 3), [a(State::Pending, 0)]);
        assert_eq!(advance(&mut alerts, &[], 1, 1, 3), [], "only what fires is kept");
        advance(&mut alerts, &["a"], 2, 1, 3);
        assert_eq!(advance(&mut alerts, &["a"], 3, 1, 3), [a(State::Firing, 2)]);
        assert_eq!(advance(&mut alerts, &[], 4, 1, 3), [a(State::Firing, 2)]);
        assert_eq!(alerts.iter().next().unwrap().keep_firing_since, Some(4 * MINUTE));
        assert_eq!(advance(&mut alerts, &["a"], 5, 1, 3), [a(State::Firing, 2)]);
        assert_eq!(alerts.iter().next().unwrap().keep_firing_since, None, "the cause was back");
        assert_eq!(advance(&mut alerts, &[], 6, 1, 3), [a(State::Firing, 2)]);
        assert_eq!(advance(&mut alerts, &[], 8, 1, 3), [a(State::Firing, 2)]);
        assert_eq!(advance(&mut alerts, &[], 9, 1, 3), []);
    }

    #[test]
    fn same_labels_and_too_many_alerts_are_errors() {
        let mut alerts = Alerts::default();
        let patience = Patience { hold: 0, keep: 0 };
        let error = alerts.advance(vec![cause("a", 1.0), cause("a", 2.0)], 0, patience, 0).unwrap_err();
        assert!(error.contains("same labelset"), "{error}");
        let error = alerts.advance(vec![cause("a", 1.0), cause("b", 2.0)], 0, patience, 1).unwrap_err();
        assert_eq!(error, "exceeded limit of 1 with 2 alerts");
        assert_eq!(told(&alerts), []);
    }

    #[test]
    fn what_was_written_is_taken_up_with_grace() {
        let hour = 60 * MINUTE;
        let restored = |hold: i64, written_at: i64, active_at: i64, now: i64| {
            let mut alerts = Alerts::default();
            let patience = Patience { hold, keep: 0 };
            alerts.advance(vec![cause("a", 1.0)], now, patience, 0).unwrap();
            let written = Written { at: written_at / 1_000, active_at: active_at / 1_000 };
            alerts.restore(&BTreeMap::from([(Labels::new([("instance", "a")]), written)]), now, hold);
            let active_at = alerts.iter().next().unwrap().active_at;
            alerts.advance(vec![cause("a", 1.0)], now, patience, 0).unwrap();
            (active_at, alerts.iter().next().unwrap().state)
        };
        // Half an hour of an hour was waited; then the server was away for ten minutes, which do not count.
        assert_eq!(restored(hour, hour / 2, 0, 40 * MINUTE), (10 * MINUTE, State::Pending));
        // Five minutes were left: there is time to see that all is well again.
        assert_eq!(restored(hour, 55 * MINUTE, 0, 58 * MINUTE), (8 * MINUTE, State::Pending));
        // It was firing, and fires.
        assert_eq!(restored(hour, 70 * MINUTE, 0, 80 * MINUTE), (0, State::Firing));
    }
}
