//! How are numbers added up without losing the small ones? By Neumaier's variant of Kahan's summation.

/// A number that others are added to: a plain one, or one with its rounding error kept.
pub(crate) trait Amount: Copy + Default + std::fmt::Debug {
    /// The number itself.
    fn of(value: f64) -> Self;
    /// Adds.
    fn add(&mut self, value: f64);
    /// Adds another amount of its kind.
    fn merge(&mut self, other: Self);
    /// Multiplies.
    fn scale(&mut self, factor: f64);
    /// Divides.
    fn divide(&mut self, divisor: f64);
    /// The number without its rounding error.
    fn rounded(self) -> f64;
    /// The number.
    fn total(self) -> f64;
}

impl Amount for f64 {
    fn of(value: f64) -> Self {
        value
    }

    fn add(&mut self, value: f64) {
        *self += value;
    }

    fn merge(&mut self, other: Self) {
        *self += other;
    }

    fn scale(&mut self, factor: f64) {
        *self *= factor;
    }

    fn divide(&mut self, divisor: f64) {
        *self /= divisor;
    }

    fn rounded(self) -> f64 {
        self
    }

    fn total(self) -> f64 {
        self
    }
}

/// A sum, and what rounding took from it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Kahan {
    pub(crate) sum: f64,
    pub(crate) residue: f64,
}

impl Amount for Kahan {
    fn of(value: f64) -> Self {
        Kahan { sum: value, residue: 0.0 }
    }

    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.residue = if sum.is_infinite() {
            0.0
        } else if self.sum.abs() >= value.abs() {
            self.residue + ((self.sum - sum) + value)
        } else {
            self.residue + ((value - sum) + self.sum)
        };
        self.sum = sum;
    }

    fn merge(&mut self, other: Self) {
        self.add(other.sum);
        self.add(other.residue);
    }

    fn scale(&mut self, factor: f64) {
        self.sum *= factor;
        self.residue *= factor;
    }

    fn divide(&mut self, divisor: f64) {
        self.sum /= divisor;
        self.residue /= divisor;
    }

    fn rounded(self) -> f64 {
        self.sum
    }

    fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.residue }
    }
}

/// The mean of numbers as they come. It stays finite where their sum would not.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mean {
    value: Kahan,
    count: f64,
    is_incremental: bool,
}

impl Mean {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.is_incremental {
            let mut sum = self.value;
            sum.add(value);
            if !sum.sum.is_infinite() || self.count == 1.0 {
                self.value = sum;
                return;
            }
            // The sum overflows: from here on the mean itself is kept.
            self.is_incremental = true;
            self.value.divide(self.count - 1.0);
        }
        self.value.scale((self.count - 1.0) / self.count);
        self.value.add(value / self.count);
    }

    pub(crate) fn get(&self) -> f64 {
        if self.is_incremental {
            return self.value.sum + self.value.residue;
        }
        self.value.sum / self.count + self.value.residue / self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_survive_large_ones() {
        let mut sum = Kahan::default();
        [1.0, 1e100, 1.0, -1e100].into_iter().for_each(|value| sum.add(value));
        assert_eq!(sum.total(), 2.0);
    }

    #[test]
    fn a_mean_does_not_overflow() {
        let mut mean = Mean::default();
        [f64::MAX, f64::MAX, f64::MAX].into_iter().for_each(|value| mean.add(value));
        assert!((mean.get() / f64::MAX - 1.0).abs() < 1e-12, "{}", mean.get());
    }
}
