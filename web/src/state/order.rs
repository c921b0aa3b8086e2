//! How is a list put in order? By a number for each item, so that sorting is compiled once and not for every list.
//!
//! O1  Items whose numbers are equal keep their order.

/// Indexes of the items with these numbers, least first; numbers that are none come last.
pub fn rising(numbers: impl IntoIterator<Item = f64>) -> Vec<usize> {
    let mut keyed: Vec<(f64, usize)> = numbers.into_iter().enumerate().map(|(index, number)| (number, index)).collect();
    sort(&mut keyed);
    keyed.into_iter().map(|(_, index)| index).collect()
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

fn sort(keyed: &mut [(f64, usize)]) {
    keyed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
