//! In which order do traces stand that are listed already? By their root's service and name, or by how long they took.
//!
//! LS1  Ties keep the order of the list.
//!
//! Not here: the orders in which the server lists them (`filter`).

use super::order;
use query_api::trace::TraceSummary;
use std::collections::BTreeMap;

/// An order of traces that are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// By service and name of the root.
    Root,
    /// The same backwards.
    RootBack,
    /// The longest trace first.
    Longest,
    /// The shortest trace first.
    Shortest,
}

/// All of them, as the URL names them.
const NAMES: [(&str, Sort); 4] =
    [("root", Sort::Root), ("-root", Sort::RootBack), ("duration", Sort::Longest), ("-duration", Sort::Shortest)];

impl Sort {
    /// What the URL says.
    pub fn parse(text: &str) -> Option<Sort> {
        NAMES.iter().find(|(name, _)| *name == text).map(|(_, sort)| *sort)
    }

    /// How the URL says it.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, sort)| *sort == self).map_or("", |(name, _)| *name)
    }

    /// Whether the greatest stands first.
    pub fn is_falling(self) -> bool {
        matches!(self, Sort::RootBack | Sort::Longest)
    }

    /// The traces in this order.
    pub fn sorted(self, traces: &[TraceSummary]) -> Vec<TraceSummary> {
        let root = |trace: &TraceSummary| (trace.root_service.clone(), trace.root_name.clone());
        let mut ranks: BTreeMap<(String, String), f64> = traces.iter().map(|trace| (root(trace), 0.0)).collect();
        ranks.values_mut().enumerate().for_each(|(rank, slot)| *slot = rank as f64);
        let figure = |trace: &TraceSummary| match self {
            Sort::Root | Sort::RootBack => ranks.get(&root(trace)).copied().unwrap_or(0.0),
            Sort::Longest | Sort::Shortest => trace.duration_nano as f64,
        };
        let turned = if self.is_falling() { -1.0 } else { 1.0 };
        let rising = order::rising(traces.iter().map(|trace| turned * figure(trace)));
        order::pick(traces.to_vec(), &rising)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(by: &str) -> Vec<String> {
        let trace = |id: &str, service: &str, name: &str, duration_nano| TraceSummary {
            trace_id: id.into(),
            root_service: service.into(),
            root_name: name.into(),
            duration_nano,
            ..TraceSummary::default()
        };
        let traces = [trace("1", "shop", "b", 5), trace("2", "cart", "z", 9), trace("3", "shop", "a", 5)];
        Sort::parse(by).unwrap().sorted(&traces).into_iter().map(|trace| trace.trace_id).collect()
    }

    #[test]
    fn ls1_traces_are_sorted_by_root_and_by_duration_and_ties_stay() {
        assert_eq!(sorted("root"), ["2", "3", "1"]);
        assert_eq!(sorted("-root"), ["1", "3", "2"]);
        assert_eq!(sorted("duration"), ["2", "1", "3"]);
        assert_eq!(sorted("-duration"), ["1", "3", "2"]);
        assert_eq!((Sort::parse("x"), Sort::Longest.name()), (None, "duration"));
    }
}
