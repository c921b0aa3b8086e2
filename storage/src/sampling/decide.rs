//! What becomes of traces that are decided together?
//!
//! Q1  Where a policy has a rate, the traces of a service that start within the same ten seconds are kept from the greatest randomness
//!     down, as many as the rate allows. The threshold is the least that does not keep the first of the others: so what is kept tells
//!     for how many it stands as exactly as any sample can (bottom-k sampling), and of traces with one randomness all are kept, or none.

use super::policy::Share;
use super::{Policies, Traits};
use crate::model::TraceId;
use crate::model::trace_state::Threshold;
use std::collections::{BTreeMap, HashMap};

/// Rates are counted over so long.
const PERIOD_SECONDS: i64 = 10;
const PERIOD: i64 = PERIOD_SECONDS * 1_000_000_000;

/// What has a rate of its own: a policy by its place, a service, a period.
type Rated = (usize, u32, i64);

/// What becomes of a trace, and by which policy, by its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Decision {
    Kept(Option<usize>, Threshold),
    Dropped(usize),
}

impl Policies {
    /// Decides traces (Y1).
    pub(crate) fn decide<'t>(
        &self,
        traces: impl Iterator<Item = (&'t TraceId, &'t Traits)>,
    ) -> HashMap<TraceId, Decision> {
        let mut decided = HashMap::new();
        let mut by_rate: BTreeMap<Rated, (f64, Vec<(u64, TraceId)>)> = BTreeMap::new();
        for (id, traits) in traces {
            let randomness = traits.randomness(id);
            match self.first_met(traits) {
                None => drop(decided.insert(*id, Decision::Kept(None, Threshold::default()))),
                Some((place, Share::Of(threshold))) => drop(decided.insert(*id, by(place, threshold, randomness))),
                Some((place, Share::Rate(rate))) => {
                    let key = (place, traits.service(), traits.start.div_euclid(PERIOD));
                    by_rate.entry(key).or_insert_with(|| (rate, Vec::new())).1.push((randomness, *id));
                }
            }
        }
        for ((place, ..), (rate, mut traces)) in by_rate {
            traces.sort_unstable_by(|a, b| b.cmp(a));
            let threshold =
                traces.get(most(rate)).map_or_else(Threshold::default, |(first, _)| Threshold::above(*first));
            decided.extend(traces.iter().map(|(randomness, id)| (*id, by(place, threshold, *randomness))));
        }
        decided
    }
}

fn by(place: usize, threshold: Threshold, randomness: u64) -> Decision {
    if threshold.keeps(randomness) { Decision::Kept(Some(place), threshold) } else { Decision::Dropped(place) }
}

/// So many of a period; at least one.
fn most(rate: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was checked to be up to a million")]
    let most = (rate * PERIOD_SECONDS as f64).floor().max(1.0) as usize;
    most
}

#[cfg(test)]
mod tests;
