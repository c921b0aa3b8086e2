//! Which of the texts that come in any order are told, and in which order?
//!
//! B1  Texts that do not fit are not held, and of those that do no more than the best so many: that counts as memory of the query.
//! B2  What was looked at lately is not compared again, though it may come with every series.

use super::score::Wanted;
use crate::error::Result;
use crate::exec::{Control, Held};
use crate::prometheus::{First, text_bytes};
use std::cmp::Ordering;
use std::collections::HashSet;
use storage::hashed::AsIs;
use xxhash_rust::xxh3::xxh3_128;

/// Texts that are known to have been looked at, and what that takes of one, in a table that is half full.
const LATELY: usize = 4_096;
const LATELY_BYTES: usize = 40;

/// How texts follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
    /// The best first; those of one score ascending.
    Score,
}

/// A text that fits.
#[derive(Debug)]
pub(super) struct Fitting {
    order: Order,
    pub(super) score: f64,
    pub(super) text: String,
}

impl Ord for Fitting {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.order {
            Order::Ascending => self.text.cmp(&other.text),
            Order::Descending => other.text.cmp(&self.text),
            Order::Score => other.score.total_cmp(&self.score).then_with(|| self.text.cmp(&other.text)),
        }
    }
}

impl PartialOrd for Fitting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Fitting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Fitting {}

/// The best so many.
pub(super) struct Best<'c> {
    control: &'c Control,
    wanted: &'c Wanted,
    order: Order,
    first: First<'c, Fitting>,
    lately: HashSet<u128, AsIs>,
    held: Held<'c>,
}

impl<'c> Best<'c> {
    pub(super) fn new(control: &'c Control, wanted: &'c Wanted, order: Order, most: usize) -> Result<Self> {
        let first = First::new(control, most, |fitting: &Fitting| text_bytes(&fitting.text));
        Ok(Best { control, wanted, order, first, lately: HashSet::default(), held: control.hold(0)? })
    }

    /// Looks at a text; an empty one is none.
    pub(super) fn look_at(&mut self, text: &str) -> Result<()> {
        if text.is_empty() || !self.is_new(text)? {
            return Ok(());
        }
        self.control.check()?;
        let Some(score) = self.wanted.score(text) else { return Ok(()) };
        self.first.add(Fitting { order: self.order, score, text: text.to_owned() })
    }

    /// Whether it was not looked at lately (B2). That it was once may be forgotten.
    fn is_new(&mut self, text: &str) -> Result<bool> {
        if self.lately.len() >= LATELY {
            self.lately.clear();
        }
        self.held.grow((self.lately.len() + 1) * LATELY_BYTES, LATELY_BYTES * 64)?;
        Ok(self.lately.insert(xxh3_128(text.as_bytes())))
    }

    /// The best ones, in order.
    pub(super) fn finish(self) -> Vec<Fitting> {
        self.first.found.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::score::Algorithm;
    use super::*;
    use crate::fixture::{Fixture, block_on};
    use proptest::prelude::*;

    /// All that fit, sorted, and cut.
    fn sorted(wanted: &Wanted, order: Order, most: usize, texts: &[String]) -> Vec<(f64, String)> {
        let fits = |text: &String| Some((wanted.score(text)?, text.clone()));
        let mut all: Vec<(f64, String)> = texts.iter().filter(|text| !text.is_empty()).filter_map(fits).collect();
        all.sort_by(|a, b| a.1.cmp(&b.1));
        all.dedup();
        match order {
            Order::Ascending => {}
            Order::Descending => all.reverse(),
            Order::Score => all.sort_by(|a, b| b.0.total_cmp(&a.0)),
        }
        all.truncate(most);
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn b1_the_best_are_those_of_all(
            texts in proptest::collection::vec("[ab]{0,4}", 0..60), term in "[ab]{0,2}", most in 1usize..12,
            order in prop_oneof![Just(Order::Ascending), Just(Order::Descending), Just(Order::Score)],
        ) {
            let terms = Some(term).filter(|term| !term.is_empty()).into_iter().collect();
            let wanted = || Wanted {
                terms: Clone::clone(&terms),
                algorithm: Algorithm::Subsequence,
                threshold: 0.2,
                ignores_case: false,
            };
            let expected = sorted(&wanted(), order, most, &texts);
            let (asked, wanted) = (texts.clone(), wanted());
            let found = block_on(async {
                let fixture = Fixture::new();
                let job = move |control: &Control| {
                    let mut best = Best::new(control, &wanted, order, most)?;
                    asked.iter().try_for_each(|text| best.look_at(text))?;
                    Ok(best.finish().into_iter().map(|one| (one.score, one.text)).collect::<Vec<_>>())
                };
                fixture.run(job).await.unwrap()
            });
            prop_assert_eq!(found, expected);
        }
    }

    #[tokio::test]
    async fn b2_what_comes_again_after_many_others_is_found_once() {
        let fixture = Fixture::new();
        let job = |control: &Control| {
            let wanted =
                Wanted { terms: Vec::new(), algorithm: Algorithm::Subsequence, threshold: 0.0, ignores_case: false };
            let mut best = Best::new(control, &wanted, Order::Descending, 3)?;
            for number in (0..3 * LATELY).chain(0..3 * LATELY) {
                best.look_at(&format!("{number:05}"))?;
            }
            Ok(best.finish().into_iter().map(|one| one.text).collect::<Vec<_>>())
        };
        assert_eq!(fixture.run(job).await.unwrap(), ["12287", "12286", "12285"]);
    }
}
