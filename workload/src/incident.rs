//! What goes wrong, when, and whose telemetry shows it?
//!
//! Invariants
//! - N1: outside `[start, end)` an incident has no effect of its own (queues that it filled may take a while to drain).
//! - N2: `Truth::affected` holds the service itself and every service that calls it, directly or not, and no other.
//!
//! Not here: how slow or failing work spreads; that follows from the model (timeouts, retries, full queues).

use crate::catalog::Service;
use crate::config::SECOND;

/// The ways in which a service can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// Everything the service does, and its database, takes many times longer.
    SlowDependency,
    /// A third of the requests to the service end in an exception.
    ErrorBurst,
    /// The service fails often and its callers retry at once and often, which multiplies its load.
    RetryStorm,
    /// The service's cache is empty: nearly every read misses and goes to the database.
    ColdCache,
}

/// One injected fault.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Incident {
    /// What goes wrong.
    pub kind: IncidentKind,
    /// Where.
    pub service: Service,
    /// First affected nanosecond since 1970.
    pub start: u64,
    /// First nanosecond after it.
    pub end: u64,
}

/// What an answer about an incident is measured against.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Truth {
    /// The injected fault; its service is the root cause.
    pub incident: Incident,
    /// The root cause and all services that depend on it, in catalogue order.
    pub affected: Vec<Service>,
}

/// How many times longer a slow dependency takes: enough that some of its callers' deadlines pass.
const SLOW: f64 = 24.0;

/// How a service behaves now: the sum of the incidents that hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Effect {
    /// Factor on all service times, the database's included.
    pub(crate) slowness: f64,
    /// Share of requests that end in an exception.
    pub(crate) error_share: f64,
    /// Do callers retry at once and often?
    pub(crate) retry_storm: bool,
    /// Factor on the cache's hit ratio.
    pub(crate) warmth: f64,
}

impl Effect {
    /// A quiet day.
    pub(crate) const NONE: Self = Self { slowness: 1.0, error_share: 0.0, retry_storm: false, warmth: 1.0 };

    /// What holds for a service at a moment.
    pub(crate) fn at(incidents: &[Incident], service: Service, now: u64) -> Self {
        let mut effect = Self::NONE;
        let holds = |incident: &&Incident| incident.service == service && (incident.start..incident.end).contains(&now);
        for incident in incidents.iter().filter(holds) {
            match incident.kind {
                IncidentKind::SlowDependency => effect.slowness *= SLOW,
                IncidentKind::ErrorBurst => effect.error_share = effect.error_share.max(0.35),
                IncidentKind::RetryStorm => {
                    effect.error_share = effect.error_share.max(0.6);
                    effect.slowness *= 2.0;
                    effect.retry_storm = true;
                }
                IncidentKind::ColdCache => effect.warmth *= 0.05,
            }
        }
        effect
    }
}

impl Incident {
    /// Is it going on?
    pub fn holds_at(&self, unix_nano: u64) -> bool {
        (self.start..self.end).contains(&unix_nano)
    }

    /// The demo's day: from `start` on, one incident every ten minutes for a day, each two to three minutes long, the
    /// kinds in turn. The first begins four minutes after the start, so that a quarter of an hour of history has one.
    pub fn demo_schedule(start: u64) -> Vec<Self> {
        const TURN: [(IncidentKind, Service, u64); 6] = [
            (IncidentKind::SlowDependency, Service::Payment, 150),
            (IncidentKind::ErrorBurst, Service::Inventory, 120),
            (IncidentKind::ColdCache, Service::Cart, 180),
            (IncidentKind::RetryStorm, Service::Shipping, 120),
            (IncidentKind::SlowDependency, Service::Search, 150),
            (IncidentKind::ErrorBurst, Service::User, 120),
        ];
        (0..144_u64)
            .zip(TURN.into_iter().cycle())
            .map(|(turn, (kind, service, seconds))| {
                let begin = start + (4 * 60 + turn * 600) * SECOND;
                Self { kind, service, start: begin, end: begin + seconds * SECOND }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n1_effects_hold_only_inside_the_window() {
        let incident = Incident { kind: IncidentKind::ErrorBurst, service: Service::User, start: 10, end: 20 };
        let at = |service, now| Effect::at(std::slice::from_ref(&incident), service, now);
        assert_eq!(at(Service::User, 9), Effect::NONE);
        assert_ne!(at(Service::User, 10), Effect::NONE);
        assert_ne!(at(Service::User, 19), Effect::NONE);
        assert_eq!(at(Service::User, 20), Effect::NONE);
        assert_eq!(at(Service::Cart, 15), Effect::NONE);
    }

    #[test]
    fn demo_incidents_do_not_overlap_and_cover_a_day() {
        let schedule = Incident::demo_schedule(1_000);
        assert_eq!(schedule.len(), 144);
        assert!(schedule.windows(2).all(|pair| pair[0].end < pair[1].start));
        assert!(schedule.iter().all(|incident| incident.start < incident.end));
    }
}
