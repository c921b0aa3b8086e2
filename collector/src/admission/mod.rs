//! May this request come in? Decided before it is decoded, and while it is read.
//!
//! A1  What is reserved is given back when the [`Ticket`] is dropped, whatever became of the request.
//! A2  A request that could never fit is refused for good and told which setting says so; one that does not fit now is
//!     told to come again.
//! A3  Tenants are told apart by a header that anybody can set, so their number here is bounded; those beyond it
//!     share one account.
//!
//! - `bucket`: bytes per second.
//! - `memory`: bytes at a time.
//! - `series`: active series; `whole`: those of all tenants, and the share of those whom nobody knows.

mod bucket;
mod memory;
mod series;
mod whole;

pub(crate) use memory::{Pool, Ticket};

use crate::CollectorConfig;
use crate::decode::identity::{self, Identities};
use crate::error::Refusal;
use crate::telemetry::LastReceived;
use bucket::Bucket;
pub(crate) use series::WINDOW;
use series::{ActiveSeries, Blame, New, shown};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::metric::Series;
use storage::model::{Batch, TenantId};
pub(crate) use whole::KNOWN_AFTER;
use whole::{Full, WHOLE, Whole};
use xxhash_rust::xxh3::xxh3_64;

/// Tenants with an account of their own.
const MAX_TENANTS: usize = 4_096;

/// So often at most all accounts are looked at for series to let go of, where there is no room for new ones.
const TURN_ALL_EVERY: Duration = Duration::from_secs(1);

/// Accounts of memory and rate.
#[derive(Debug)]
pub(crate) struct Admission {
    memory: Arc<Pool>,
    tenants: Mutex<HashMap<TenantId, Arc<Account>>>,
    /// For tenants beyond [`MAX_TENANTS`].
    shared: Arc<Account>,
    tenant_bytes_in_flight: usize,
    rate: u64,
    burst: u64,
    /// Active series of all tenants.
    series: Whole,
    /// When all accounts may be looked at again.
    turn_all_at: Mutex<Duration>,
    series_left_out: AtomicUsize,
}

/// Rows that do not come in, and what their sender is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// They rise.
    pub(crate) rows: Vec<usize>,
    pub(crate) message: String,
}

/// One tenant's account.
#[derive(Debug)]
pub(crate) struct Account {
    memory: Pool,
    bucket: Mutex<Bucket>,
    series: Mutex<ActiveSeries>,
    last: Mutex<Option<LastReceived>>,
}

impl Account {
    fn new(memory: usize, burst: u64) -> Self {
        Account {
            memory: Pool::new(memory),
            bucket: Mutex::new(Bucket::full(burst)),
            series: Mutex::default(),
            last: Mutex::new(None),
        }
    }

    fn series(&self) -> MutexGuard<'_, ActiveSeries> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_last(&self, last: LastReceived) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }
}

impl Admission {
    pub(crate) fn new(config: &CollectorConfig) -> Self {
        let shared = Account::new(config.tenant_bytes_in_flight, config.tenant_burst_bytes);
        Admission {
            memory: Arc::new(Pool::new(config.max_bytes_in_flight)),
            tenants: Mutex::default(),
            shared: Arc::new(shared),
            tenant_bytes_in_flight: config.tenant_bytes_in_flight,
            rate: config.tenant_bytes_per_second,
            burst: config.tenant_burst_bytes,
            series: Whole::new(config.tenant_active_series),
            turn_all_at: Mutex::default(),
            series_left_out: AtomicUsize::new(0),
        }
    }

    /// Active series of all tenants, how many they may have, and data points of further ones that were left out.
    pub(crate) fn series(&self) -> (usize, usize, usize) {
        let (count, most) = self.series.of_all();
        (count, most, self.series_left_out.load(Ordering::Relaxed))
    }

    /// The active series of a tenant, and how many it may have.
    pub(crate) fn series_of(&self, tenant: &TenantId, now: Duration) -> (usize, usize) {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let count = tenants.get(tenant).map_or(0, |account| {
            let mut series = account.series();
            series.turn(now, &self.series);
            series.count()
        });
        (count, self.series.of_tenant())
    }

    /// Which rows of a tenant's metrics are of series that it may not have, but for so many at the end, which all come in. Who leaves them out
    /// says so to [`Self::left_out`].
    pub(crate) fn admit_series(
        &self,
        account: &Account,
        tenant: &TenantId,
        (batch, own): (&Batch, usize),
        now: Duration,
    ) -> Option<LeftOut> {
        let identities = Identities::of(batch)?;
        let hashes = identities.hashes(seed(tenant));
        let standing = account.series().standing();
        if !self.series.has_room(standing) {
            self.turn_all(now);
        }
        let mut series = account.series();
        series.turn(now, &self.series);
        let sent = hashes.len().saturating_sub(own);
        for hash in hashes.iter().skip(sent) {
            series.add(*hash, &self.series);
        }
        let (mut last, mut full) = (None, Full::Tenant);
        let mut is_new = |hash: u64| match last {
            Some((own, is_new)) if own == hash => is_new,
            _ => {
                let admitted = series.admit(hash, &self.series);
                let is_new = admitted.is_err();
                full = admitted.err().unwrap_or(full).max(full);
                last = Some((hash, is_new));
                is_new
            }
        };
        let sent = hashes.into_iter().take(sent).enumerate();
        let left_out: Vec<(usize, u64)> = sent.filter(|(_, hash)| is_new(*hash)).collect();
        let (first, _) = *left_out.first()?;
        let mut own = Blame::default();
        for (row, hash) in &left_out {
            own.add(New { hash: *hash, name: identities.name(*row), labels: identities.labels(*row) });
        }
        let (count, active, limit) = (left_out.len(), series.count(), self.series.of_tenant());
        let share = match full {
            Full::Newcomers => format!(
                ", and of those that have been here for less than a day {} together, which they have now",
                self.series.of_newcomers()
            ),
            Full::All => ", which they have now".to_owned(),
            Full::Tenant => String::new(),
        };
        let lately = series.blamed();
        lately.add_all(&own);
        let message = format!(
            "{count} data points of new series left out, {}{}; tenant {tenant} has {active} active series, and \
             `otlp.tenant_active_series` allows {limit} (of all tenants {WHOLE} times as many{share}); the first is {}",
            own.told(),
            lately.told_beside(&own),
            shown(identities.name(first), identities.labels(first)),
        );
        Some(LeftOut { rows: left_out.into_iter().map(|(row, _)| row).collect(), message })
    }

    /// Counts data points that were left out.
    pub(crate) fn left_out(&self, points: usize) {
        self.series_left_out.fetch_add(points, Ordering::Relaxed);
    }

    /// Takes a series that the store has for one that came lately; whether there was room.
    pub(crate) fn remember(&self, tenant: &TenantId, known: &Series, now: Duration) -> bool {
        let account = self.account(tenant);
        let mut series = account.series();
        series.turn(now, &self.series);
        series.admit(identity::hash_of(known, seed(tenant)), &self.series).is_ok()
    }

    /// Takes a tenant for one that has been here for long.
    pub(crate) fn know(&self, tenant: &TenantId) {
        self.account(tenant).series().make_known(&self.series);
    }

    /// Lets go of series that tenants sent long ago, who may never come again.
    fn turn_all(&self, now: Duration) {
        let mut next = self.turn_all_at.lock().unwrap_or_else(PoisonError::into_inner);
        if now < *next {
            return;
        }
        *next = now.saturating_add(TURN_ALL_EVERY);
        drop(next);
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.values().chain([&self.shared]).for_each(|account| account.series().turn(now, &self.series));
    }

    /// The memory that is in flight now, and the most that ever was.
    pub(crate) fn bytes_in_flight(&self) -> (usize, usize) {
        (self.memory.used(), self.memory.peak())
    }

    /// Tenants with an account of their own, and how many may have one.
    pub(crate) fn tenants(&self) -> (usize, usize) {
        (self.tenants.lock().unwrap_or_else(PoisonError::into_inner).len(), MAX_TENANTS)
    }

    pub(crate) fn last_received(&self, tenant: &TenantId) -> Option<LastReceived> {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let last = tenants.get(tenant)?.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    /// Lets a request in that has not been read yet, unless its tenant is in debt.
    pub(crate) fn enter(&self, tenant: &TenantId, now: Duration) -> Result<Ticket, Refusal> {
        let account = self.account(tenant);
        self.charge_account(&account, tenant, 0, now)?;
        Ok(Ticket::new(self.memory.clone(), account))
    }

    /// Takes a request's bytes off its tenant's rate.
    pub(crate) fn charge(
        &self,
        ticket: &Ticket,
        tenant: &TenantId,
        bytes: usize,
        now: Duration,
    ) -> Result<(), Refusal> {
        self.charge_account(ticket.account(), tenant, bytes as u64, now)
    }

    fn charge_account(&self, account: &Account, tenant: &TenantId, bytes: u64, now: Duration) -> Result<(), Refusal> {
        let mut bucket = account.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(bytes, now, self.rate, self.burst).map_err(|retry_after| Refusal::Rate {
            tenant: tenant.to_string(),
            limit: self.rate,
            retry_after,
        })
    }

    /// A tenant's account.
    pub(crate) fn account(&self, tenant: &TenantId) -> Arc<Account> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = tenants.get(tenant) {
            return account.clone();
        }
        if tenants.len() >= MAX_TENANTS {
            return self.shared.clone();
        }
        let account = Arc::new(Account::new(self.tenant_bytes_in_flight, self.burst));
        tenants.insert(tenant.clone(), account.clone());
        account
    }
}

/// One series of two tenants is two.
fn seed(tenant: &TenantId) -> u64 {
    xxh3_64(tenant.as_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::model::attribute::{Map, MapBuilder, Value};
    use storage::model::record::Number;
    use storage::model::{MetricHead, Point, PointBatchBuilder, PointData};

    fn admission(config: &CollectorConfig) -> (Admission, TenantId) {
        (Admission::new(config), TenantId::default())
    }

    #[test]
    fn a1_memory_is_given_back_with_the_ticket() {
        let (admission, tenant) =
            admission(&CollectorConfig { max_bytes_in_flight: 100, ..CollectorConfig::default() });
        let mut first = admission.enter(&tenant, Duration::ZERO).unwrap();
        first.reserve(60).unwrap();
        let mut second = admission.enter(&tenant, Duration::ZERO).unwrap();
        assert_eq!(second.reserve(60), Err(Refusal::Memory));
        drop(first);
        assert_eq!(second.reserve(60), Ok(()));
        assert_eq!(admission.bytes_in_flight(), (60, 60));
        drop(second);
        assert_eq!(admission.bytes_in_flight(), (0, 60));
    }

    #[test]
    fn a2_what_can_never_fit_is_refused_for_good_and_names_the_setting() {
        let (whole, tenants) = ("otlp.max_bytes_in_flight", "otlp.tenant_bytes_in_flight");
        for (all, own, named) in [(200, 100, [false, true]), (100, 200, [true, false]), (100, 100, [true, true])] {
            let config =
                CollectorConfig { max_bytes_in_flight: all, tenant_bytes_in_flight: own, ..CollectorConfig::default() };
            let (admission, tenant) = admission(&config);
            let mut ticket = admission.enter(&tenant, Duration::ZERO).unwrap();
            ticket.reserve(60).unwrap();
            let refused = ticket.reserve(50).unwrap_err();
            assert!(matches!(refused, Refusal::TooHeavy { needed: 110, limit: 100, .. }), "{refused:?}");
            assert_eq!([whole, tenants].map(|setting| refused.to_string().contains(setting)), named, "{refused}");
            assert!(matches!(ticket.reserve(usize::MAX), Err(Refusal::TooHeavy { .. })));
            assert_eq!(admission.bytes_in_flight().0, 60, "a refused reservation takes nothing, of no account");
        }
    }

    #[test]
    fn one_tenant_does_not_use_up_the_memory_of_another() {
        let config = CollectorConfig { tenant_bytes_in_flight: 100, ..CollectorConfig::default() };
        let (admission, first) = admission(&config);
        let second = TenantId::new("second").unwrap();
        let mut busy = admission.enter(&first, Duration::ZERO).unwrap();
        busy.reserve(100).unwrap();
        let mut waiting = admission.enter(&first, Duration::ZERO).unwrap();
        assert_eq!(waiting.reserve(1), Err(Refusal::Memory));
        assert_eq!(admission.enter(&second, Duration::ZERO).unwrap().reserve(100), Ok(()));
    }

    #[test]
    fn a_rate_is_told_with_the_time_at_which_the_request_fits() {
        let config =
            CollectorConfig { tenant_bytes_per_second: 10, tenant_burst_bytes: 20, ..CollectorConfig::default() };
        let (admission, tenant) = admission(&config);
        let at = Duration::from_secs;
        let ticket = admission.enter(&tenant, at(0)).unwrap();
        assert_eq!(admission.charge(&ticket, &tenant, 20, at(0)), Ok(()));
        let refused = admission.charge(&ticket, &tenant, 15, at(0)).unwrap_err();
        assert_eq!(refused.retry_after(), Some(Duration::from_millis(1_500)));
        assert_eq!(admission.charge(&ticket, &tenant, 15, at(2)), Ok(()));
        assert_eq!(admission.charge(&ticket, &tenant, 1_000, at(9)), Ok(()), "more than the burst, from a full bucket");
        assert!(admission.enter(&TenantId::new("other").unwrap(), at(9)).is_ok());
    }

    /// Points of a gauge, each with a value of its own for a label.
    fn batch(series: std::ops::Range<i64>) -> Batch {
        let mut builder = PointBatchBuilder::default();
        let (metadata, temporality, is_monotonic) = (Map::default(), 0, false);
        let head = MetricHead { name: "hits", unit: "", description: "", metadata, temporality, is_monotonic };
        builder.set_metric(&head);
        for user in series {
            let mut attributes = MapBuilder::default();
            attributes.push("user", Value::Int(user));
            let (attributes, data) = (attributes.finish(), PointData::Gauge(Some(Number::Int(1))));
            let attributes = Map::new(&attributes);
            builder.append(&Point { attributes, time: 0, start_time: None, flags: 0, exemplars: &[], data }).unwrap();
        }
        builder.finish().unwrap()
    }

    #[test]
    fn invented_tenants_leave_known_ones_room_for_new_series() {
        let (admission, known) = admission(&CollectorConfig { tenant_active_series: 10, ..CollectorConfig::default() });
        let send = |tenant: &TenantId, series: std::ops::Range<i64>, now: Duration| {
            let account = admission.account(tenant);
            let batch = batch(series);
            admission
                .admit_series(&account, tenant, (&batch, 0), now)
                .map(|left_out| (left_out.rows.len(), left_out.message))
        };
        // Somebody has sent for a day.
        let mut now = Duration::ZERO;
        while now <= whole::KNOWN_AFTER + WINDOW {
            assert_eq!(send(&known, 0..4, now), None);
            now += WINDOW / 2;
        }
        // Others are invented, each with as many series as one may have.
        let invent = |number: u32| TenantId::new(&format!("x{number}")).unwrap();
        let mut left_out = Vec::new();
        for number in 0..8 {
            left_out.push(send(&invent(number), 0..10, now));
        }
        assert!(left_out[..3].iter().all(Option::is_none), "{left_out:?}");
        for left_out in &left_out[3..] {
            let (rows, message) = left_out.as_ref().unwrap();
            assert_eq!(*rows, 10, "{message}");
            let share =
                "of all tenants 4 times as many, and of those that have been here for less than a day 30 together";
            assert!(message.contains(share), "{message}");
        }
        // However long that goes on, who was there before has the room that it may have.
        for _ in 0..200 {
            now += WINDOW / 2;
            (0..8).for_each(|number| drop(send(&invent(number), 0..10, now)));
        }
        assert_eq!(send(&known, 0..10, now), None);
        let (rows, message) = send(&known, 0..11, now).unwrap();
        assert!(rows == 1 && message.contains("allows 10 (of all tenants 4 times as many);"), "{message}");
        // A newcomer with a name that nobody invented has to wait until they are gone.
        assert!(send(&invent(99), 0..1, now).is_some());
        assert_eq!(send(&invent(99), 0..1, now + 3 * WINDOW), None);
    }

    #[test]
    fn a3_the_number_of_accounts_is_bounded() {
        let (admission, _) = admission(&CollectorConfig::default());
        for index in 0..MAX_TENANTS + 10 {
            let tenant = TenantId::new(&format!("t{index}")).unwrap();
            assert!(admission.enter(&tenant, Duration::ZERO).is_ok());
        }
        assert_eq!(admission.tenants.lock().unwrap().len(), MAX_TENANTS);
    }
}
