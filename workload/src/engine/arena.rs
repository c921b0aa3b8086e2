//! Where do frames and calls live while events refer to them?
//!
//! Invariants
//! - A1: a key is never valid again after its entry was removed, although the place is used again.

/// Names an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    place: u32,
    serial: u32,
}

/// Entries with stable keys, in recycled places.
#[derive(Debug)]
pub(super) struct Arena<T> {
    entries: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> Arena<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.entries.len()
    }

    pub(super) fn insert(&mut self, value: T) -> Key {
        if let Some(place) = self.free.pop() {
            let (serial, entry) = &mut self.entries[place as usize];
            *entry = Some(value);
            return Key { place, serial: *serial };
        }
        let place = self.entries.len() as u32;
        self.entries.push((0, Some(value)));
        Key { place, serial: 0 }
    }

    pub(super) fn get(&self, key: Key) -> Option<&T> {
        let (serial, entry) = self.entries.get(key.place as usize)?;
        if *serial == key.serial { entry.as_ref() } else { None }
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (serial, entry) = self.entries.get_mut(key.place as usize)?;
        if *serial == key.serial { entry.as_mut() } else { None }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let (serial, entry) = self.entries.get_mut(key.place as usize)?;
        if *serial != key.serial {
            return None;
        }
        let value = entry.take()?;
        *serial = serial.wrapping_add(1);
        self.free.push(key.place);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a1_a_removed_key_stays_dead_when_its_place_is_used_again() {
        let mut arena = Arena::default();
        let old = arena.insert("old");
        assert_eq!(arena.remove(old), Some("old"));
        assert!(arena.is_empty());
        let new = arena.insert("new");
        assert_eq!(arena.get(old), None);
        assert_eq!(arena.remove(old), None);
        assert_eq!(arena.get(new), Some(&"new"));
        assert!(!arena.is_empty());
    }
}
