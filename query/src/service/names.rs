//! Which services and peers are there? Names by number, so that spans hold numbers.

use std::collections::HashMap;

/// Names by number, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: HashMap<String, u32>,
    list: Vec<String>,
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

    pub(crate) fn get(&self, number: u32) -> &str {
        self.list.get(number as usize).map_or("", String::as_str)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.list.iter().map(|name| 2 * (name.len() + size_of::<String>()) + 16).sum()
    }
}
