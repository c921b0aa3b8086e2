//! How many series may all tenants have together, and which share of them those whom nobody knows yet?
//!
//! A header names the tenant, so anybody can invent some, and each may fill its own limit. Without a share of their own the last known
//! tenant would be out of room for its next deployment as soon as a few invented ones have filled theirs.
//!
//! K1  All together have [`WHOLE`] times the series of one tenant.
//! K2  A tenant is known once it has had series for [`KNOWN_AFTER`], or where the store had samples of it from as long before the start.
//!     Nobody becomes known while the share of the others is used up: then the time begins anew for all of them.
//! K3  Those who are not known have together what is not kept for those who are: each known tenant's limit, half of all at most. Where
//!     nobody is known, as on the first day, they may have all.
//!
//! Not here: which series a tenant has (`series`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Tenants together may have so many times the series of one: a header names the tenant, so their number bounds nothing.
pub(super) const WHOLE: usize = 4;

/// Longer than an explosion goes on before somebody sees it.
pub(crate) const KNOWN_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// The series of all tenants.
#[derive(Debug)]
pub(crate) struct Whole {
    /// Series that one tenant may have.
    tenant: usize,
    all: AtomicUsize,
    /// Those of tenants that are not known, of [`Self::all`].
    newcomers: AtomicUsize,
    known_tenants: AtomicUsize,
}

/// Why there is no room for a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Full {
    /// Its tenant has as many as it may.
    Tenant,
    /// All tenants together have.
    All,
    /// Those that are not known have.
    Newcomers,
}

/// How a tenant stands (K2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Newcomer {
        /// When its time to become known began, if it has series.
        since: Option<Duration>,
    },
    Known,
}

impl Default for Standing {
    fn default() -> Self {
        Standing::Newcomer { since: None }
    }
}

impl Whole {
    pub(super) fn new(tenant: usize) -> Self {
        let (all, newcomers, known_tenants) = Default::default();
        Whole { tenant, all, newcomers, known_tenants }
    }

    /// Series that one tenant may have.
    pub(super) fn of_tenant(&self) -> usize {
        self.tenant
    }

    /// Series of all tenants, and how many they may have.
    pub(super) fn of_all(&self) -> (usize, usize) {
        (self.all.load(Ordering::Relaxed), self.most())
    }

    fn most(&self) -> usize {
        self.tenant.saturating_mul(WHOLE)
    }

    /// Series that tenants who are not known may have together (K3).
    pub(super) fn of_newcomers(&self) -> usize {
        let known = self.tenant.saturating_mul(self.known_tenants.load(Ordering::Relaxed));
        self.most() - known.min(self.most() / 2)
    }

    /// Whether there is room for one of a tenant.
    pub(super) fn has_room(&self, standing: Standing) -> bool {
        let of_newcomers = standing == Standing::Known || self.newcomers.load(Ordering::Relaxed) < self.of_newcomers();
        of_newcomers && self.all.load(Ordering::Relaxed) < self.most()
    }

    /// Counts a new series of a tenant, if there is room for it.
    pub(super) fn admit(&self, standing: Standing) -> Result<(), Full> {
        let room = |most: usize| move |now: usize| (now < most).then_some(now + 1);
        let take = |count: &AtomicUsize, most| count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room(most));
        let is_newcomer = standing != Standing::Known;
        if is_newcomer && take(&self.newcomers, self.of_newcomers()).is_err() {
            return Err(Full::Newcomers);
        }
        if take(&self.all, self.most()).is_err() {
            self.newcomers.fetch_sub(usize::from(is_newcomer), Ordering::Relaxed);
            return Err(Full::All);
        }
        Ok(())
    }

    /// Counts a new series for which there is always room.
    pub(super) fn add(&self, standing: Standing) {
        self.all.fetch_add(1, Ordering::Relaxed);
        self.newcomers.fetch_add(usize::from(standing != Standing::Known), Ordering::Relaxed);
    }

    /// Lets go of series of a tenant.
    pub(super) fn let_go(&self, standing: Standing, series: usize) {
        self.all.fetch_sub(series, Ordering::Relaxed);
        if standing != Standing::Known {
            self.newcomers.fetch_sub(series, Ordering::Relaxed);
        }
    }

    /// How a tenant stands that has so many series now (K2).
    pub(super) fn standing(&self, before: Standing, series: usize, now: Duration) -> Standing {
        let Standing::Newcomer { since } = before else { return before };
        if series == 0 {
            return Standing::default();
        }
        let is_full = self.newcomers.load(Ordering::Relaxed) >= self.of_newcomers();
        match since.filter(|_| !is_full) {
            Some(since) if now.saturating_sub(since) >= KNOWN_AFTER => self.known(before, series),
            Some(_) => before,
            None => Standing::Newcomer { since: Some(now) },
        }
    }

    /// Makes a tenant with so many series a known one.
    pub(super) fn known(&self, before: Standing, series: usize) -> Standing {
        if before != Standing::Known {
            self.newcomers.fetch_sub(series, Ordering::Relaxed);
            self.known_tenants.fetch_add(1, Ordering::Relaxed);
        }
        Standing::Known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(whole: &Whole, standing: Standing) -> usize {
        std::iter::repeat_with(|| whole.admit(standing)).take_while(Result::is_ok).count()
    }

    #[test]
    fn k1_k3_newcomers_have_all_where_nobody_is_known() {
        let whole = Whole::new(5);
        assert_eq!(admitted(&whole, Standing::default()), 5 * WHOLE);
        assert_eq!((whole.of_all(), whole.admit(Standing::Known)), ((20, 20), Err(Full::All)));
        whole.let_go(Standing::default(), 1);
        assert_eq!(whole.admit(Standing::Known), Ok(()));
    }

    #[test]
    fn k3_for_each_known_tenant_its_limit_is_kept_and_half_of_all_at_most() {
        for (known, newcomers) in [(1, 15), (2, 10), (3, 10), (100, 10)] {
            let whole = Whole::new(5);
            let standings: Vec<Standing> = (0..known).map(|_| whole.known(Standing::default(), 0)).collect();
            assert!(standings.iter().all(|standing| *standing == Standing::Known));
            assert_eq!(admitted(&whole, Standing::default()), newcomers, "{known}");
            assert_eq!(whole.admit(Standing::default()), Err(Full::Newcomers));
            assert_eq!(admitted(&whole, Standing::Known), 20 - newcomers, "{known}");
        }
        // What is not kept is everybody's.
        let whole = Whole::new(5);
        whole.known(Standing::default(), 0);
        assert_eq!((admitted(&whole, Standing::Known), whole.admit(Standing::default())), (20, Err(Full::All)));
    }

    #[test]
    fn k2_a_tenant_becomes_known_by_having_had_series_for_long() {
        let whole = Whole::new(5);
        let begun = whole.standing(Standing::default(), 1, Duration::from_secs(60));
        assert_eq!(begun, Standing::Newcomer { since: Some(Duration::from_secs(60)) });
        assert_eq!(whole.standing(begun, 1, KNOWN_AFTER), begun);
        assert_eq!(whole.standing(begun, 0, KNOWN_AFTER), Standing::default(), "it had none meanwhile");
        whole.admit(begun).unwrap();
        assert_eq!(whole.standing(begun, 1, KNOWN_AFTER + Duration::from_secs(60)), Standing::Known);
        assert_eq!(whole.of_newcomers(), 15);
        // While newcomers have all that they may, none of them becomes known.
        admitted(&whole, Standing::default());
        let late = 2 * KNOWN_AFTER;
        assert_eq!(whole.standing(begun, 1, late), Standing::Newcomer { since: Some(late) });
        assert_eq!(whole.standing(Standing::Known, 0, late), Standing::Known);
    }
}
