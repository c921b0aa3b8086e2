//! Where did the time of a trace go? Its spans grouped by service, operation, or any attribute.
//!
//! ST1  Counts add up to the spans of the trace, self times to the sum of theirs.
//! ST2  A span without the attribute is in a group of its own, apart from one whose value is an empty text.

use super::super::{attribute, order};
use super::tree::{Row, Trace, kind_word};
use std::collections::{BTreeSet, HashMap};

/// What spans are grouped by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Key {
    /// Service and operation.
    #[default]
    Both,
    /// Service.
    Service,
    /// Operation.
    Operation,
    /// Kind.
    Kind,
    /// Status.
    Status,
    /// An attribute: the span's own, else its resource's, else its scope's.
    Attribute(String),
}

/// What comes before an attribute's key in the URL.
const ATTRIBUTE: &str = "attr.";

impl Key {
    /// What the URL names; anything else is the usual one.
    pub fn parse(text: &str) -> Key {
        match text {
            "service" => Key::Service,
            "operation" => Key::Operation,
            "kind" => Key::Kind,
            "status" => Key::Status,
            other => other.strip_prefix(ATTRIBUTE).map_or(Key::Both, |key| Key::Attribute(key.to_owned())),
        }
    }

    /// How the URL names an attribute.
    pub fn of_attribute(key: &str) -> String {
        format!("{ATTRIBUTE}{key}")
    }
}

/// Spans that are alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Index of the service, where they are grouped by it.
    pub service: Option<usize>,
    /// Operation, kind, status or value; none where the attribute is absent.
    pub name: Option<String>,
    /// Spans.
    pub count: usize,
    /// Of those, with status error.
    pub errors: usize,
    /// Sum of their durations; overlapping ones count twice.
    pub total: i64,
    /// Sum of their self times.
    pub self_time: i64,
    /// Longest of them.
    pub longest: i64,
    /// The first of them: a row to go to.
    pub first: usize,
}

/// What groups are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Self time.
    SelfTime,
    /// Total time.
    Total,
    /// Total time by spans.
    Average,
    /// Spans.
    Count,
    /// Longest span.
    Longest,
    /// Errors.
    Errors,
}

impl Group {
    /// Its mean duration.
    pub fn average(&self) -> i64 {
        self.total / i64::try_from(self.count).unwrap_or(i64::MAX).max(1)
    }

    fn figure(&self, by: By) -> f64 {
        match by {
            By::SelfTime => self.self_time as f64,
            By::Total => self.total as f64,
            By::Average => self.average() as f64,
            By::Count => self.count as f64,
            By::Longest => self.longest as f64,
            By::Errors => self.errors as f64,
        }
    }
}

/// All groups, that of the greatest figure first; ties in the order of the trace.
pub fn groups(trace: &Trace, key: &Key, by: By) -> Vec<Group> {
    let mut index: HashMap<(Option<usize>, Option<String>), usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (row_index, row) in trace.rows.iter().enumerate() {
        let of_service = matches!(key, Key::Both | Key::Service).then_some(row.service);
        let name = name(trace, row, key);
        let at = *index.entry((of_service, name)).or_insert_with_key(|(service, name)| {
            groups.push(Group { service: *service, name: name.clone(), first: row_index, ..Group::default() });
            groups.len() - 1
        });
        let group = &mut groups[at];
        group.count += 1;
        group.errors += usize::from(row.is_error());
        group.total = group.total.saturating_add(row.duration);
        group.self_time = group.self_time.saturating_add(row.self_time);
        group.longest = group.longest.max(row.duration);
    }
    order::falling(groups, |group| group.figure(by))
}

fn name(trace: &Trace, row: &Row, key: &Key) -> Option<String> {
    match key {
        Key::Both | Key::Operation => Some(row.span.name.clone()),
        Key::Service => None,
        Key::Kind => Some(kind_word(row.span.kind).to_owned()),
        Key::Status => {
            Some(["unset", "ok", "error"].get(row.span.status.code as usize).unwrap_or(&"unset").to_string())
        }
        Key::Attribute(key) => attribute::find(&row.span.attributes, key)
            .or_else(|| attribute::find(&trace.resources[row.resource].attributes, key))
            .or_else(|| attribute::find(&trace.scopes[row.scope].attributes, key)),
    }
}

/// The attributes that a trace can be grouped by, by name.
pub fn keys(trace: &Trace) -> Vec<String> {
    let own = trace.rows.iter().flat_map(|row| &row.span.attributes);
    let others = trace.resources.iter().flat_map(|resource| &resource.attributes);
    let scopes = trace.scopes.iter().flat_map(|scope| &scope.attributes);
    let keys: BTreeSet<&str> = own.chain(others).chain(scopes).map(|attribute| attribute.key.as_str()).collect();
    keys.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::{attribute, of, span};
    use super::*;
    use query_api::otlp::{Span, Status};

    fn sample() -> Trace {
        let one = |place, name: &str, code, value: Option<&str>| Span {
            name: name.into(),
            status: Status { code, ..Status::default() },
            attributes: value.map(|value| attribute("k", value)).into_iter().collect(),
            ..span(place)
        };
        of(vec![
            ("a", one((1, 0, 0, 100), "x", 0, None)),
            ("b", one((2, 1, 10, 40), "y", 2, Some("1"))),
            ("b", one((3, 1, 50, 60), "y", 0, Some(""))),
        ])
    }

    fn found(key: &str, by: By) -> Vec<(Option<usize>, Option<String>, usize)> {
        groups(&sample(), &Key::parse(key), by).into_iter().map(|g| (g.service, g.name, g.count)).collect()
    }

    #[test]
    fn groups_add_up_to_the_trace() {
        let groups = groups(&sample(), &Key::Both, By::Count);
        assert_eq!((groups[0].count, groups[0].errors, groups[0].total, groups[0].longest), (2, 1, 40, 30));
        assert_eq!((groups[0].average(), groups[1].self_time, groups[1].first), (20, 60, 0));
    }

    #[test]
    fn spans_are_grouped_by_anything_they_have() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(found("", By::SelfTime), [(Some(0), some("x"), 1), (Some(1), some("y"), 2)]);
        assert_eq!(found("service", By::Count), [(Some(1), None, 2), (Some(0), None, 1)]);
        assert_eq!(found("status", By::Errors), [(None, some("error"), 1), (None, some("unset"), 2)]);
        assert_eq!(found("kind", By::Total), [(None, some("unspecified"), 3)]);
        let by_value = [(None, None, 1), (None, some("1"), 1), (None, some(""), 1)];
        assert_eq!(found(&Key::of_attribute("k"), By::Longest), by_value, "st2");
        let by_service = [(None, some("a"), 1), (None, some("b"), 2)];
        assert_eq!(found("attr.service.name", By::SelfTime), by_service);
        assert_eq!(keys(&sample()), ["k", "service.name"]);
    }
}
