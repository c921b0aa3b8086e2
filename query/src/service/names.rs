//! Which services and peers are there? Names by number, so that spans hold numbers.
//!
//! Not here: what is told of a name.

use std::collections::HashMap;

/// A map that is asked for every row. Its seed is random, so that nobody can choose keys that collide.
pub(crate) type RowMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Names by number, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: RowMap<String, u32>,
    list: Vec<String>,
    /// Names that are two names with a slash between.
    joined: RowMap<(u32, u32), u32>,
}

impl Names {
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.to_owned(), number);
        self.list.push(name.to_owned());
        number
    }

    /// The number of `name/rest`.
    pub(crate) fn number_of_both(&mut self, name: &str, rest: &str) -> u32 {
        let both = (self.number(name), self.number(rest));
        if let Some(number) = self.joined.get(&both) {
            return *number;
        }
        let number = self.number(&format!("{name}/{rest}"));
        self.joined.insert(both, number);
        number
    }

    pub(crate) fn get(&self, number: u32) -> &str {
        self.list.get(number as usize).map_or("", String::as_str)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let joined = 2 * size_of::<((u32, u32), u32)>() * self.joined.len();
        self.list.iter().map(|name| 2 * (name.len() + size_of::<String>()) + 16).sum::<usize>() + joined
    }
}

/// Numbers of the names that a column of a batch repeats, each asked for once.
#[derive(Debug)]
pub(crate) struct Numbered(Vec<Option<u32>>);

impl Numbered {
    /// For a column of so many distinct values.
    pub(crate) fn new(values: usize) -> Self {
        Numbered(vec![None; values])
    }

    /// The number of a value by its key.
    pub(crate) fn number<'a>(&mut self, key: usize, names: &mut Names, name: impl FnOnce(usize) -> &'a str) -> u32 {
        match self.0.get_mut(key) {
            Some(number) => *number.get_or_insert_with(|| names.number(name(key))),
            None => names.number(name(key)),
        }
    }
}
