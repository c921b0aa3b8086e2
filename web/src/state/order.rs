//! How is a list put in order? By a number for each item, so that sorting is compiled once and not for every list.
//!
//! O1  Items whose numbers are equal keep their order.

use query_api::tree;

/// Indexes of the items with these numbers, least first; numbers that are none come last.
pub fn rising(numbers: impl IntoIterator<Item = f64>) -> Vec<usize> {
    // Of doubles the order of their bits as whole numbers, where those of negative ones are turned around.
    let whole = |number: f64| {
        let bits = number.to_bits() as i64;
        bits ^ (bits >> 63).cast_unsigned().wrapping_shr(1).cast_signed()
    };
    tree::rising(numbers.into_iter().map(whole))
}

/// The items, the one with the greatest number first.
pub fn falling<T>(items: Vec<T>, number: impl Fn(&T) -> f64) -> Vec<T> {
    let order = rising(items.iter().map(|item| -number(item)));
    pick(items, &order)
}

/// The items in an order that holds every index once.
pub fn pick<T>(items: Vec<T>, order: &[usize]) -> Vec<T> {
    let mut slots: Vec<Option<T>> = items.into_iter().map(Some).collect();
    order.iter().filter_map(|index| slots.get_mut(*index)?.take()).collect()
}

/// The number in the middle; none of nothing.
pub fn median(numbers: &[i64]) -> Option<i64> {
    let order = rising(numbers.iter().map(|number| *number as f64));
    order.get(order.len() / 2).map(|index| numbers[*index])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_rise_whatever_their_sign_and_those_that_are_none_come_last() {
        let numbers = [f64::NAN, 2.0, -0.5, f64::INFINITY, -3.0, 0.0, f64::NEG_INFINITY, -0.0, 1e-300];
        assert_eq!(rising(numbers), [6, 4, 2, 7, 5, 8, 1, 3, 0]);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[9, 1, 5]), Some(5));
        assert_eq!(median(&[]), None);
    }

    proptest! {
        #[test]
        fn items_fall_and_equal_ones_keep_their_order(numbers in proptest::collection::vec(0u8..10, 0..40)) {
            let items: Vec<(usize, u8)> = numbers.iter().copied().enumerate().collect();
            let mut expected = items.clone();
            expected.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
            prop_assert_eq!(falling(items, |(_, number)| f64::from(*number)), expected);
        }
    }
}
