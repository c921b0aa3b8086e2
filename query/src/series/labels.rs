//! Who is a series to a query? Its labels, the metric's name among them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The label that holds the metric's name.
pub(crate) const NAME: &str = "__name__";

/// Labels that say what a metric is; they go when an operation makes another quantity of it.
const METADATA: [&str; 3] = [NAME, "__type__", "__unit__"];

type Label = (Arc<str>, Arc<str>);

/// The labels of a series (M1). Clones are cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Labels(Arc<[Label]>);

impl Default for Labels {
    fn default() -> Self {
        Labels(Arc::from([]))
    }
}

impl Labels {
    /// Of two values of one name the later one counts.
    pub(crate) fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut all: Vec<Label> = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        if !all.is_sorted_by(|(one, _), (other, _)| one < other) {
            all = all.into_iter().collect::<BTreeMap<Arc<str>, Arc<str>>>().into_iter().collect();
        }
        all.retain(|(_, value)| !value.is_empty());
        Labels(all.into())
    }

    /// Its value; empty where there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        match self.0.binary_search_by(|(other, _)| other.as_ref().cmp(name)) {
            Ok(at) => self.0.get(at).map_or("", |(_, value)| value),
            Err(_) => "",
        }
    }

    /// The metric's name.
    pub(crate) fn name(&self) -> &str {
        self.get(NAME)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// About how many bytes of memory they take.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len() + 64).sum()
    }

    fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        if self.0.iter().all(|(name, _)| keep(name)) {
            return self.clone();
        }
        Labels(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect())
    }

    /// Only those of these names.
    pub(crate) fn only(&self, names: &[String]) -> Self {
        self.filtered(|name| names.iter().any(|kept| kept == name))
    }

    /// All but those of these names.
    pub(crate) fn without(&self, names: &[String]) -> Self {
        self.filtered(|name| names.iter().all(|dropped| dropped != name))
    }

    /// All but one.
    pub(crate) fn without_label(&self, dropped: &str) -> Self {
        self.filtered(|name| name != dropped)
    }

    /// Without what says which metric it is.
    pub(crate) fn without_metadata(&self) -> Self {
        self.filtered(|name| !METADATA.contains(&name))
    }

    /// With another value for one name; without that name where the value is empty.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let others = self.0.iter().filter(|(other, _)| &**other != name).cloned();
        Labels::new(others.chain([(Arc::from(name), Arc::from(value))]))
    }

    /// With the values that another has.
    pub(crate) fn with_all(&self, other: &[(String, String)]) -> Self {
        let added = other.iter().map(|(name, value)| (Arc::from(name.as_str()), Arc::from(value.as_str())));
        Labels::new(self.0.iter().cloned().chain(added))
    }

    /// The share of all label sets that sort before this one in an order of chance, from 0 to 1.
    pub(crate) fn chance(&self) -> f64 {
        self.hash() as f64 / u64::MAX as f64
    }

    /// The number that Prometheus gives a label set.
    pub(crate) fn hash(&self) -> u64 {
        let mut hash = xxhash_rust::xxh64::Xxh64::new(0);
        for (name, value) in self.iter() {
            for text in [name, value] {
                hash.update(&packed_len(text.len()));
                hash.update(text.as_bytes());
            }
        }
        hash.digest()
    }
}

/// A length as Prometheus packs it before it hashes labels: one byte, or 255 and three.
fn packed_len(len: usize) -> Vec<u8> {
    match u8::try_from(len) {
        Ok(short) if short < u8::MAX => vec![short],
        _ => {
            let [a, b, c, ..] = u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
            vec![u8::MAX, a, b, c]
        }
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (place, (name, value)) in self.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            if is_plain_name(name) {
                write!(f, "{separator}{name}={}", quoted(value.as_bytes()))?;
            } else {
                write!(f, "{separator}{}={}", quoted(name.as_bytes()), quoted(value.as_bytes()))?;
            }
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a label's name needs no quotes.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    name.chars().next().is_some_and(is_letter)
        && name.chars().all(|letter| is_letter(letter) || letter.is_ascii_digit())
}

/// A text between double quotes, as Go's `strconv.Quote` writes it. Bytes that are no UTF-8 are escaped.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut quoted = String::with_capacity(bytes.len() + 2);
    quoted.push('"');
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '\t' => quoted.push_str("\\t"),
                '\u{7}' => quoted.push_str("\\a"),
                '\u{8}' => quoted.push_str("\\b"),
                '\u{b}' => quoted.push_str("\\v"),
                '\u{c}' => quoted.push_str("\\f"),
                control if control.is_control() && u32::from(control) < 0x80 => {
                    quoted.push_str(&format!("\\x{:02x}", u32::from(control)));
                }
                control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
                letter => quoted.push(letter),
            }
        }
        chunk.invalid().iter().for_each(|byte| quoted.push_str(&format!("\\x{byte:02x}")));
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m1_labels_are_sorted_and_none_is_empty() {
        let labels = Labels::new([("b", "2"), ("a", "1"), ("c", ""), ("b", "3")]);
        assert_eq!(labels.to_string(), r#"{a="1", b="3"}"#);
        assert_eq!(labels.with("a", "").with("é", "\"").to_string(), r#"{b="3", "é"="\""}"#);
        assert_eq!(labels.get("b"), "3");
        assert_eq!(labels.get("c"), "");
    }

    #[test]
    fn quotes_are_those_of_go() {
        assert_eq!(quoted(b"a\xc5z\n\x01\"\\"), r#""a\xc5z\n\x01\"\\""#);
    }
}
