//! How many series has a tenant, and may it have one more? Counted by what it sent lately, so that a label with a value of its own
//! for every request fills neither the store nor the indexes.
//!
//! L1  A series that was seen in this window or in the one before is active, and always comes in.
//! L2  A series that is new comes in while fewer are active than the limit says. Nothing else is left out. What a scrape tells of itself always
//!     comes in, and counts: the list of targets bounds it, and a limit that is reached must blind nobody to who is up.
//! L3  What is held is a hash per series and window; all tenants together have some times the series of one (`whole`).
//! L4  What is left out is told by metric and label: those with the most new series and values of the request; beside it, where that is
//!     another, the metric with the most since the limit was reached.
//!
//! L5  After a start those are active of which the store has samples of the last window (`Collector::remember`).
//!
//! Two series whose 64-bit hashes are equal count as one; that errs towards letting in. Not here: which rows are one series
//! (`decode::identity`).

use super::whole::{Full, Standing, Whole};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use storage::hashed::AsIs;
use xxhash_rust::xxh3::xxh3_64;

/// A series is active for one to two of these: longer than any interval at which metrics are sent, shorter than a day of deployments.
pub(crate) const WINDOW: Duration = Duration::from_secs(1_800);
/// Metrics and labels that are looked at for the one to blame.
const MAX_METRICS: usize = 16;
const MAX_LABELS: usize = 32;
/// Characters of the first series that is told.
const TOLD_LETTERS: usize = 300;

type Hashes = HashSet<u64, AsIs>;

/// The active series of one account.
#[derive(Debug, Default)]
pub(crate) struct ActiveSeries {
    this: Hashes,
    before: Hashes,
    /// Those that are in both.
    in_both: usize,
    window_ends: Duration,
    standing: Standing,
    blame: Blame,
}

/// What to say of what is left out.
#[derive(Debug, Default)]
pub(crate) struct Blame {
    metrics: BTreeMap<Box<str>, BlamedMetric>,
    names: Distinct,
}

#[derive(Debug, Default)]
struct BlamedMetric {
    series: Distinct,
    labels: BTreeMap<Box<str>, Distinct>,
}

/// A series that does not come in.
#[derive(Debug)]
pub(crate) struct New<'a, L> {
    pub(crate) hash: u64,
    pub(crate) name: &'a str,
    /// Labels and their values as text.
    pub(crate) labels: L,
}

impl ActiveSeries {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.this.len() + self.before.len() - self.in_both
    }

    /// Lets go of what was not seen for long.
    pub(crate) fn turn(&mut self, now: Duration, whole: &Whole) {
        if now < self.window_ends {
            return;
        }
        let held = self.count();
        let is_long_ago = now >= self.window_ends.saturating_add(WINDOW);
        self.before = std::mem::take(&mut self.this);
        if is_long_ago {
            self.before = Hashes::default();
        }
        (self.in_both, self.blame) = (0, Blame::default());
        self.window_ends = now.saturating_add(WINDOW);
        let count = self.count();
        whole.let_go(self.standing, held - count);
        self.standing = whole.standing(self.standing, count, now);
    }

    /// How its tenant stands.
    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    /// Takes its tenant for one that has been here for long.
    pub(crate) fn make_known(&mut self, whole: &Whole) {
        self.standing = whole.known(self.standing, self.count());
    }

    /// Takes note of a series if it comes in; else says why it does not.
    pub(crate) fn admit(&mut self, hash: u64, whole: &Whole) -> Result<(), Full> {
        if self.this.contains(&hash) {
            return Ok(());
        }
        if self.before.contains(&hash) {
            self.in_both += 1;
        } else if self.count() >= whole.of_tenant() {
            return Err(Full::Tenant);
        } else {
            whole.admit(self.standing)?;
        }
        self.this.insert(hash);
        Ok(())
    }

    /// Takes note of a series that always comes in.
    pub(crate) fn add(&mut self, hash: u64, whole: &Whole) {
        if !self.this.insert(hash) {
            return;
        }
        if self.before.contains(&hash) {
            self.in_both += 1;
        } else {
            whole.add(self.standing);
        }
    }

    /// What was left out since the limit was reached (L4).
    pub(crate) fn blamed(&mut self) -> &mut Blame {
        &mut self.blame
    }
}

impl Blame {
    /// Takes note of a series that is left out.
    pub(crate) fn add<'l>(&mut self, series: New<'l, impl Iterator<Item = (&'l str, String)>>) {
        self.names.add(series.name.as_bytes());
        if !self.metrics.contains_key(series.name) {
            if self.metrics.len() >= MAX_METRICS {
                return;
            }
            self.metrics.insert(series.name.into(), BlamedMetric::default());
        }
        let Some(metric) = self.metrics.get_mut(series.name) else { return };
        metric.series.add(&series.hash.to_le_bytes());
        for (label, value) in series.labels {
            if let Some(values) = metric.labels.get_mut(label) {
                values.add(value.as_bytes());
            } else if metric.labels.len() < MAX_LABELS {
                let mut values = Distinct::default();
                values.add(value.as_bytes());
                metric.labels.insert(label.into(), values);
            }
        }
    }

    /// Takes note of all that was left out of a request.
    pub(crate) fn add_all(&mut self, other: &Blame) {
        self.names.add_all(&other.names);
        for (name, theirs) in &other.metrics {
            if !self.metrics.contains_key(name) && self.metrics.len() >= MAX_METRICS {
                continue;
            }
            let own = self.metrics.entry(name.clone()).or_default();
            own.series.add_all(&theirs.series);
            for (label, values) in &theirs.labels {
                if own.labels.contains_key(label) || own.labels.len() < MAX_LABELS {
                    own.labels.entry(label.clone()).or_default().add_all(values);
                }
            }
        }
    }

    fn most(&self) -> Option<(&str, &BlamedMetric)> {
        let most = self.metrics.iter().max_by_key(|(_, metric)| metric.series.estimate());
        most.map(|(name, metric)| (&**name, metric))
    }

    /// What is said of a request beside it; nothing where the same metric has the most of all.
    pub(crate) fn told_beside(&self, request: &Blame) -> String {
        let names = [self, request].map(|blame| blame.most().map(|(name, _)| name));
        let [all, own] = [self, request].map(Blame::told);
        if names[0] == names[1] || all == own { String::new() } else { format!(" (of all requests lately {all})") }
    }

    /// Which metric and label have the most of what is left out (L4).
    pub(crate) fn told(&self) -> String {
        let names = self.names.estimate();
        let Some((name, metric)) = self.most() else { return String::new() };
        let series = metric.series.estimate();
        // Names that differ for every series are the label to blame, too.
        if names > series {
            return format!("most by label \"__name__\", which had {}", self.names);
        }
        let label = metric.labels.iter().max_by_key(|(_, values)| values.estimate());
        let mut told = format!("most of metric {}", quoted(name));
        if let Some((label, values)) = label.filter(|(_, values)| values.estimate() > 1) {
            told.push_str(&format!(", where label {} had {values}", quoted(label)));
        }
        told
    }
}

/// A series as text, for people.
pub(crate) fn shown<'l>(name: &str, labels: impl Iterator<Item = (&'l str, String)>) -> String {
    let pairs: Vec<String> = labels.map(|(label, value)| format!("{label}={value:?}")).collect();
    let text = format!("{name}{{{}}}", pairs.join(","));
    if text.chars().count() <= TOLD_LETTERS {
        return text;
    }
    text.chars().take(TOLD_LETTERS).chain(['…']).collect()
}

fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(TOLD_LETTERS).collect::<String>())
}

/// Bits by which distinct values are counted: hardly any error up to a thousand.
const DISTINCT_BITS: usize = 4_096;

/// How many distinct values there were, about: the share of bits that no value's hash set says so.
#[derive(Debug)]
struct Distinct {
    bits: Box<[u64; DISTINCT_BITS / 64]>,
    set: usize,
}

impl Default for Distinct {
    fn default() -> Self {
        Distinct { bits: Box::new([0; DISTINCT_BITS / 64]), set: 0 }
    }
}

impl Distinct {
    fn add(&mut self, value: &[u8]) {
        let place = usize::try_from(xxh3_64(value) % DISTINCT_BITS as u64).unwrap_or_default();
        if let Some(word) = self.bits.get_mut(place / 64) {
            let bit = 1 << (place % 64);
            self.set += usize::from(*word & bit == 0);
            *word |= bit;
        }
    }

    fn add_all(&mut self, others: &Distinct) {
        for (own, other) in self.bits.iter_mut().zip(others.bits.iter()) {
            *own |= other;
        }
        self.set = self.bits.iter().map(|word| word.count_ones() as usize).sum();
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a logarithm of at most 4,096, times as much"
    )]
    fn estimate(&self) -> usize {
        let bits = DISTINCT_BITS as f64;
        let free = (DISTINCT_BITS - self.set).max(1) as f64;
        (-bits * (free / bits).ln()).round() as usize
    }
}

impl std::fmt::Display for Distinct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Where almost every bit is set, nobody knows.
        if self.set * 16 > DISTINCT_BITS * 15 {
            return write!(f, "more than 10000 values");
        }
        write!(f, "about {} values", self.estimate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blame(blame: &mut Blame, name: &str, labels: &[(&str, &str)]) {
        let hash = xxh3_64(format!("{name}{labels:?}").as_bytes());
        let labels = labels.iter().map(|(label, value)| (*label, (*value).to_owned()));
        blame.add(New { hash, name, labels });
    }

    #[test]
    fn l1_l2_known_series_come_in_and_new_ones_up_to_the_limit() {
        let (mut active, whole) = (ActiveSeries::default(), Whole::new(3));
        active.turn(Duration::ZERO, &whole);
        let admitted: Vec<bool> = (0..5).map(|hash| active.admit(hash, &whole).is_ok()).collect();
        assert_eq!(admitted, [true, true, true, false, false]);
        assert_eq!((active.admit(1, &whole), active.admit(7, &whole)), (Ok(()), Err(Full::Tenant)), "1 is known");
        assert_eq!((active.count(), whole.of_all().0), (3, 3));
        // In the next window those of the one before are known still; the one after has forgotten them.
        active.turn(WINDOW, &whole);
        assert!(active.admit(2, &whole).is_ok() && active.admit(7, &whole).is_err());
        active.turn(2 * WINDOW, &whole);
        assert_eq!((active.count(), whole.of_all().0), (1, 1), "2 alone was seen again");
        assert!(active.admit(7, &whole).is_ok());
        active.turn(9 * WINDOW, &whole);
        assert_eq!((active.count(), whole.of_all().0), (0, 0));
    }

    #[test]
    fn l2_what_always_comes_in_counts_and_is_forgotten_like_others() {
        let (mut active, whole) = (ActiveSeries::default(), Whole::new(1));
        active.turn(Duration::ZERO, &whole);
        assert!(active.admit(1, &whole).is_ok());
        for hash in [7, 7, 8, 1] {
            active.add(hash, &whole);
        }
        assert_eq!(active.admit(2, &whole), Err(Full::Tenant));
        assert_eq!((active.count(), whole.of_all().0), (3, 3));
        active.turn(9 * WINDOW, &whole);
        assert_eq!((active.count(), whole.of_all().0), (0, 0));
    }

    #[test]
    fn l3_tenants_together_have_some_times_the_series_of_one() {
        let whole = Whole::new(2);
        let admitted = (0..10).map(|_| {
            let mut active = ActiveSeries::default();
            active.turn(Duration::ZERO, &whole);
            (0..3).filter(|hash| active.admit(*hash, &whole).is_ok()).count()
        });
        assert_eq!(admitted.sum::<usize>(), whole.of_all().1);
    }

    #[test]
    fn l4_metric_and_label_are_told() {
        let mut active = Blame::default();
        blame(&mut active, "up", &[("job", "a")]);
        assert_eq!(active.told(), "most of metric \"up\"");
        for user in 0..800 {
            blame(
                &mut active,
                "hits",
                &[("path", "/"), ("user", &user.to_string()), ("zone", &(user % 7).to_string())],
            );
        }
        let told = active.told();
        let count = told.strip_prefix("most of metric \"hits\", where label \"user\" had about ");
        let count: usize = count.and_then(|rest| rest.strip_suffix(" values")).unwrap().parse().unwrap();
        assert!(count.abs_diff(800) < 40, "{count}");
        for user in 0..20_000 {
            blame(&mut active, "hits", &[("user", &user.to_string())]);
        }
        assert!(active.told().ends_with("label \"user\" had more than 10000 values"), "{}", active.told());
        let mut active = Blame::default();
        (0..500).for_each(|n| blame(&mut active, &format!("metric_{n}"), &[("job", "a")]));
        assert!(active.told().starts_with("most by label \"__name__\", which had about "), "{}", active.told());
    }

    #[test]
    fn l4_a_request_is_told_what_of_it_was_left_out() {
        let (mut all, mut attack) = (Blame::default(), Blame::default());
        (0..900).for_each(|user| blame(&mut attack, "attack", &[("uid", &user.to_string())]));
        all.add_all(&attack);
        assert_eq!(all.told(), attack.told());
        assert_eq!(all.told_beside(&attack), "", "it is said once");
        let mut request = Blame::default();
        (0..3).for_each(|path| blame(&mut request, "hits", &[("path", &path.to_string())]));
        all.add_all(&request);
        assert_eq!(request.told(), "most of metric \"hits\", where label \"path\" had about 3 values");
        let beside = all.told_beside(&request);
        assert!(
            beside.starts_with(" (of all requests lately most of metric \"attack\", where label \"uid\""),
            "{beside}"
        );
    }
}
