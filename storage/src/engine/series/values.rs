//! Which values has a label, of many lists in which most come again?
//!
//! - Values are kept once, by the alphabet, and no more than the first so many where that is all that is wanted.
//! - What is held at any moment is told before it grows (Q4 of `series`); once it may not grow, nothing is kept.

/// Values that are collected from lists, each of which rises or is short.
pub(super) struct Values<'r> {
    found: Vec<String>,
    /// Bytes of them.
    held: usize,
    /// How many of them are known to be the only ones, in order.
    settled: usize,
    most: usize,
    has_room: bool,
    room: &'r mut dyn FnMut(usize) -> bool,
}

impl<'r> Values<'r> {
    pub(super) fn new(most: usize, room: &'r mut dyn FnMut(usize) -> bool) -> Self {
        Values { found: Vec::new(), held: 0, settled: 0, most, has_room: true, room }
    }

    /// Takes note of a value; an empty one is none.
    pub(super) fn add(&mut self, value: &str) {
        if !self.has_room || value.is_empty() {
            return;
        }
        // Behind the last one that is wanted there may be a million.
        let last = self.settled.checked_sub(1).filter(|_| self.settled == self.most);
        if last.and_then(|last| self.found.get(last)).is_some_and(|last| **last <= *value) {
            return;
        }
        if self.found.len() >= self.most.saturating_mul(2) {
            self.settle();
        }
        let bytes = bytes_of(value);
        if !(self.room)(self.held + bytes) {
            self.settle();
            if !(self.room)(self.held + bytes) {
                self.has_room = false;
                (self.found, self.settled) = (Vec::new(), 0);
                return;
            }
        }
        self.held += bytes;
        self.found.push(value.to_owned());
    }

    /// Says that a list is at its end. Now and then what came again is thrown away.
    pub(super) fn next_list(&mut self) {
        if self.found.len() > self.settled.saturating_mul(2) {
            self.settle();
        }
    }

    fn settle(&mut self) {
        if self.settled == self.found.len() {
            return;
        }
        // Stable, which is quick where some sorted lists lie one behind the other.
        self.found.sort();
        self.found.dedup();
        self.found.truncate(self.most);
        self.settled = self.found.len();
        self.held = self.found.iter().map(|value| bytes_of(value)).sum();
    }

    /// All that there are.
    pub(super) fn finish(mut self) -> Vec<String> {
        self.settle();
        self.found
    }
}

/// What a value takes: its text, where that lies, and the share of a list that has room for more.
fn bytes_of(value: &str) -> usize {
    value.len() + 2 * size_of::<String>() + 16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected(most: usize, room: usize) -> (Vec<String>, usize) {
        let mut peak = 0;
        let mut has_room = |bytes: usize| {
            let fits = bytes <= room;
            peak = if fits { bytes.max(peak) } else { peak };
            fits
        };
        let mut values = Values::new(most, &mut has_room);
        for list in 0..20 {
            (0..1_000).for_each(|number| values.add(&format!("{:04}", number + list % 2)));
            values.add("");
            values.next_list();
        }
        (values.finish(), peak)
    }

    #[test]
    fn values_are_kept_once_and_by_the_alphabet() {
        let (values, peak) = collected(usize::MAX, usize::MAX);
        assert_eq!((values.len(), values[0].as_str(), values[1_000].as_str()), (1_001, "0000", "1000"));
        assert!(values.is_sorted() && peak < 4_000 * bytes_of("0000"), "twenty lists take no more than some: {peak}");
    }

    #[test]
    fn the_first_ones_take_the_room_of_the_first_ones() {
        let (values, peak) = collected(10, usize::MAX);
        assert_eq!(values, (0..10).map(|number| format!("{number:04}")).collect::<Vec<_>>());
        assert!(peak <= 21 * bytes_of("0000"), "{peak}");
    }

    #[test]
    fn without_room_for_all_there_are_none() {
        let (values, peak) = collected(usize::MAX, 500 * bytes_of("0000"));
        assert!(values.is_empty() && peak <= 500 * bytes_of("0000"));
        let (values, _) = collected(usize::MAX, 1_100 * bytes_of("0000"));
        assert_eq!(values.len(), 1_001, "what came again is thrown away before that");
    }
}
