//! Where did the time of a trace go? Its spans grouped by service and operation.
//!
//! ST1  Counts add up to the spans of the trace, self times to the sum of theirs.

use super::super::order;
use super::tree::Trace;
use std::collections::HashMap;

/// Spans of one service and operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Index of the service.
    pub service: usize,
    /// Span name.
    pub name: String,
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
    /// Self time, greatest first.
    SelfTime,
    /// Total time.
    Total,
    /// Spans.
    Count,
    /// Longest span.
    Longest,
    /// Errors.
    Errors,
}

/// All groups, in order.
pub fn groups(trace: &Trace, by: By) -> Vec<Group> {
    let mut index: HashMap<(usize, &str), usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (row_index, row) in trace.rows.iter().enumerate() {
        let at = *index.entry((row.service, row.span.name.as_str())).or_insert_with(|| {
            let (service, name) = (row.service, row.span.name.clone());
            groups.push(Group { service, name, first: row_index, ..Group::default() });
            groups.len() - 1
        });
        let group = &mut groups[at];
        group.count += 1;
        group.errors += usize::from(row.is_error());
        group.total = group.total.saturating_add(row.duration);
        group.self_time = group.self_time.saturating_add(row.self_time);
        group.longest = group.longest.max(row.duration);
    }
    order::falling(groups, |group| match by {
        By::SelfTime => group.self_time as f64,
        By::Total => group.total as f64,
        By::Count => group.count as f64,
        By::Longest => group.longest as f64,
        By::Errors => group.errors as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use query_api::otlp::{ResourceSpans, ScopeSpans, Span, Status, TracesData};

    #[test]
    fn groups_add_up_to_the_trace() {
        let span = |id: &str, parent: &str, name: &str, start, end, code| Span {
            span_id: id.into(),
            parent_span_id: parent.into(),
            name: name.into(),
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            status: Status { code, ..Status::default() },
            ..Span::default()
        };
        let spans = vec![span("a", "", "x", 0, 100, 0), span("b", "a", "y", 10, 40, 2), span("c", "a", "y", 50, 60, 0)];
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        let data = TracesData {
            resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
            ..TracesData::default()
        };
        let trace = Trace::new(data);
        let found = groups(&trace, By::Count);
        assert_eq!(found[0].name, "y");
        assert_eq!((found[0].count, found[0].errors, found[0].total, found[0].longest), (2, 1, 40, 30));
        assert_eq!((found[1].self_time, found[1].first), (60, 0));
        assert_eq!(groups(&trace, By::SelfTime)[0].name, "x");
    }
}
