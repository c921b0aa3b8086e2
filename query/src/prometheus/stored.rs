//! What does PromQL call a stored metric, and which stored metrics does it call so?
//!
//! Not here: what its series are called (`translate`), how names are made (`naming`).

use super::Store;
use super::naming::Named;
use super::translate::{base_name, has_samples, names};
use crate::config::TranslationStrategy;
use crate::error::{Error, Result};
use crate::exec::Control;
use crate::promql::Matcher;
use crate::series::NAME;
use query_api::metric::{Metric, MetricType};
use std::collections::BTreeSet;
use storage::metric::{Relation, Series};
use storage::scan::TimeRange;

/// What a name takes in a set, its letters aside.
const NAME_BYTES: usize = 64;

/// What PromQL calls a metric of OpenTelemetry's, without the suffixes of its parts; `None` where it cannot name it.
pub(crate) fn promql_name(metric: &Metric, translation: TranslationStrategy) -> Option<String> {
    let is_counter = metric.r#type == MetricType::Sum && metric.is_monotonic;
    let is_gauge = metric.r#type == MetricType::Gauge;
    Named { name: &metric.name, unit: &metric.unit, is_counter, is_gauge }.metric(translation)
}

/// The stored names, among those with a sample about that time, of metrics that PromQL calls so, or a part of which.
pub(crate) fn stored_names(control: &Control, name: &str, time: TimeRange) -> Result<BTreeSet<String>> {
    let store = Store::new(control);
    let milliseconds = (time.start.div_euclid(1_000_000).saturating_sub(1), time.end.div_euclid(1_000_000));
    let is_called = |series: &Series| {
        let is_base = || base_name(series, store.strategy()).as_deref() == Some(name);
        has_samples(series) && (is_base() || names(series, store.strategy()).iter().any(|own| own == name))
    };
    let mut found = BTreeSet::new();
    // A classic histogram has no series of its bare name, but one that counts.
    for sought in [name.to_owned(), format!("{name}_count")] {
        let matcher = Matcher::new(NAME, Relation::Equal, &sought).map_err(Error::bug)?;
        store.each_stored(&[matcher], milliseconds, &mut |series| {
            if !found.contains(&*series.name) && is_called(series) {
                control.charge(series.name.len() + NAME_BYTES)?;
                found.insert(series.name.to_string());
            }
            Ok(())
        })?;
    }
    Ok(found)
}
