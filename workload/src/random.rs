//! Where does chance come from? One PCG stream per model, drawn in event order.
//!
//! Invariants
//! - R1: the same seed and stream give the same draws, on every machine with IEEE doubles and the same `libm`.
//!
//! Not here: identifiers (see `identity`), which must be unique and are therefore counted and permuted, not drawn.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// A source of draws for the model.
#[derive(Debug, Clone)]
pub(crate) struct Dice(Pcg64Mcg);

impl Dice {
    /// A source that depends on the seed and on a stream number, so that sub-models do not share draws.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(mix(seed ^ mix(stream))))
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in `[0, bound)`; 0 when the bound is 0. The bias is below 2^-32 for the small bounds used here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// Exponentially distributed with this mean: the gaps of a Poisson process.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -(1.0 - self.unit()).ln() * mean
    }

    /// Log-normal with this median; `sigma` is the spread of the logarithm (0.5 is a tight service, 1.0 a wild one).
    pub(crate) fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.unit()).cos();
        median * (sigma * normal).exp()
    }
}

/// A bijection of 64-bit words that looks random: the finaliser of SplitMix64.
pub(crate) const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_draws_and_other_stream_other_draws() {
        let draw = |seed, stream| {
            let mut dice = Dice::new(seed, stream);
            (0..8).map(|_| dice.below(1_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        assert_ne!(draw(7, 1), draw(8, 1));
    }

    #[test]
    fn log_normal_has_the_asked_median() {
        let mut dice = Dice::new(1, 1);
        let mut draws: Vec<f64> = (0..4001).map(|_| dice.log_normal(20.0, 0.6)).collect();
        draws.sort_by(f64::total_cmp);
        assert!((draws[2000] - 20.0).abs() < 1.0, "median {}", draws[2000]);
    }

    #[test]
    fn exponential_has_the_asked_mean() {
        let mut dice = Dice::new(2, 1);
        let mean = (0..20_000).map(|_| dice.exponential(3.0)).sum::<f64>() / 20_000.0;
        assert!((mean - 3.0).abs() < 0.1, "mean {mean}");
    }
}
