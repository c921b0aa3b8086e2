//! What are lines called, so that each can be told from the others? By the labels in which they differ; what all have in common is
//! said once.
//!
//! NA1  No two lines have the same name.
//! NA2  What is the same of all lines is in none of their names, unless there is one line only.

use std::collections::{BTreeMap, BTreeSet};

/// A label and its value; one without a name is shown as its value alone.
pub type Label = (String, String);

/// What a line could be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// Told wherever lines differ in them.
    pub told: Vec<Label>,
    /// Told only where lines could not be told apart without them, the first ones first.
    pub spare: Vec<Label>,
}

/// What lines are called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// What all of them have in common; empty where there is one.
    pub common: String,
    /// The one label in which they differ, if it is one and the same: then each is called by its value.
    pub key: String,
    /// Each, in the order of the lines.
    pub each: Vec<String>,
}

impl Names {
    /// What each is called, once.
    pub fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.each)
    }
}

/// The names of lines.
pub fn names(lines: &[Labels]) -> Names {
    let Some(first) = lines.first() else { return Names::default() };
    if lines.len() == 1 {
        return Names { each: vec![named(written(&first.told))], ..Names::default() };
    }
    let all = |label: &Label| lines.iter().all(|line| line.told.contains(label));
    let (common, _): (Vec<Label>, Vec<Label>) = first.told.iter().cloned().partition(all);
    let mut told: Vec<Vec<Label>> =
        lines.iter().map(|line| line.told.iter().filter(|label| !common.contains(label)).cloned().collect()).collect();
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in lines.iter().flat_map(|line| &line.spare) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    for key in keys {
        if !repeats(&told).contains(&true) {
            break;
        }
        let value = |line: &Labels| line.spare.iter().find(|(own, _)| own == key).cloned();
        // It must tell two apart that nothing told apart so far.
        let mut before: BTreeMap<&[Label], Option<Label>> = BTreeMap::new();
        let helps = told.iter().zip(lines).any(|(told, line)| {
            let own = value(line);
            *before.entry(told).or_insert_with(|| own.clone()) != own
        });
        if helps {
            told.iter_mut().zip(lines).for_each(|(told, line)| told.extend(value(line)));
        }
    }
    let key = only_key(&told);
    if !key.is_empty() {
        told.iter_mut().flatten().for_each(|(key, _)| key.clear());
    }
    let mut each: Vec<String> = told.iter().map(|labels| named(written(labels))).collect();
    number(&mut each);
    Names { common: written(&common), key, each }
}

/// The key of the one label that every line has, if none has another; of one without a value nothing would be left.
fn only_key(told: &[Vec<Label>]) -> String {
    let key = |labels: &Vec<Label>| match labels.as_slice() {
        [(key, value)] if !value.is_empty() => Some(key.clone()),
        _ => None,
    };
    let Some(first) = told.first().and_then(key) else { return String::new() };
    if told.iter().all(|labels| key(labels).as_ref() == Some(&first)) { first } else { String::new() }
}

fn named(text: String) -> String {
    if text.is_empty() { "value".to_owned() } else { text }
}

/// Which of them are as one before.
fn repeats<T: Ord>(list: &[T]) -> Vec<bool> {
    let mut seen = BTreeSet::new();
    list.iter().map(|one| !seen.insert(one)).collect()
}

/// Counts those that nothing tells apart.
fn number(each: &mut [String]) {
    let mut taken: BTreeSet<String> = each.iter().cloned().collect();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let repeated = repeats(each);
    for (name, _) in each.iter_mut().zip(repeated).filter(|(_, repeated)| *repeated) {
        let numbered = loop {
            let count = counts.entry(name.clone()).and_modify(|count| *count += 1).or_insert(2);
            let numbered = format!("{name} ({count})");
            if taken.insert(numbered.clone()) {
                break numbered;
            }
        };
        *name = numbered;
    }
}

/// `cart cache.result=hit, region=eu`
fn written(labels: &[Label]) -> String {
    let mut out = String::new();
    let mut before = "";
    for (key, value) in labels.iter().filter(|(key, value)| !(key.is_empty() && value.is_empty())) {
        out.push_str(before);
        if !key.is_empty() {
            out.push_str(key);
            out.push('=');
        }
        out.push_str(value);
        before = if key.is_empty() { " " } else { ", " };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> Vec<Label> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn line(told: &[(&str, &str)], spare: &[(&str, &str)]) -> Labels {
        Labels { told: labels(told), spare: labels(spare) }
    }

    #[test]
    fn na2_what_lines_have_in_common_is_said_once() {
        let of = |result: &str| line(&[("", "cart"), ("cache.result", result), ("region", "eu")], &[("pod", result)]);
        let found = names(&[of("hit"), of("miss")]);
        assert_eq!(found.common, "cart region=eu");
        assert_eq!((found.key.as_str(), found.each), ("cache.result", vec!["hit".to_owned(), "miss".to_owned()]));
        let partly = names(&[line(&[("a", "1")], &[]), line(&[("b", "1")], &[])]);
        assert_eq!((partly.key.as_str(), partly.each), ("", vec!["a=1".to_owned(), "b=1".to_owned()]));
        assert_eq!(names(&[of("hit")]).each, ["cart cache.result=hit, region=eu"]);
        assert_eq!(names(&[line(&[], &[])]).each, ["value"]);
        assert_eq!(names(&[]), Names::default());
    }

    #[test]
    fn na1_a_spare_label_tells_apart_what_nothing_else_does() {
        let of = |service: &str, id: &str, host: &str| {
            line(&[("", service)], &[("os", "linux"), ("instance", id), ("host", host)])
        };
        let found = names(&[of("cart", "1", "a"), of("cart", "2", "b"), of("user", "3", "b")]);
        assert_eq!(found.each, ["cart instance=1", "cart instance=2", "user instance=3"]);
        let twins = names(&[of("cart", "1", "a"), of("cart", "1", "a"), of("cart", "1", "a")]);
        assert_eq!(twins.each, ["value", "value (2)", "value (3)"]);
        assert_eq!(twins.common, "cart");
        let apart = names(&[of("cart", "1", "a"), of("user", "2", "b")]);
        assert_eq!(apart.each, ["cart", "user"]);
    }

    proptest! {
        #[test]
        fn na1_names_differ(lines in proptest::collection::vec(("[ab]{0,1}", "[ab]{0,1}", "[ab]{0,1}"), 0..12)) {
            let lines: Vec<Labels> = lines.iter().map(|(a, b, c)| line(&[("", a), ("x", b)], &[("y", c)])).collect();
            let each = names(&lines).each;
            prop_assert_eq!(each.len(), lines.len());
            prop_assert!(!repeats(&each).contains(&true), "{:?}", each);
        }
    }
}
