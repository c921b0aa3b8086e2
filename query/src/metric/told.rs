//! What was told of metrics that bear Prometheus's names? Version 1 of remote write sends type and help apart from the samples, and a
//! classic histogram or a summary comes as series of several names.
//!
//! T1  What a metric's own points say counts; what they do not say is looked up among what was told, which is read once for all.
//! T2  The parts of a classic histogram or of a summary are one metric, called as their family, unless another metric bears that name, or the
//!     family is not what was asked for: then each part stays.
//!
//! Not here: Prometheus's own list of what was told (`prometheus::Catalogue`).

use crate::error::Result;
use crate::exec::Control;
use query_api::metric::{Metric, MetricType, Temporality};
use query_api::otlp::{AnyValue, KeyValue};
use std::collections::{BTreeMap, BTreeSet};
use storage::metric::{Label, Matcher, Relation};
use storage::model::attribute::{Map, Value};
use storage::model::verbatim::{Role, TYPE_KEY};
use storage::scan::TimeRange;

/// Who sends metadata apart does it every minute or so, but may have been away.
const TOLD_BEFORE: i64 = 3_600_000_000_000;

/// A metric, and whether it bears Prometheus's name.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) metric: Metric,
    pub(super) is_verbatim: bool,
}

/// What is told of a family.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Facts {
    r#type: String,
    help: String,
    unit: String,
}

/// The metrics with what was told of them, by name, then type.
pub(super) fn with_told(control: &Control, range: TimeRange, prefix: &str, listed: Vec<Listed>) -> Result<Vec<Metric>> {
    let lacks_type = |one: &Listed| one.is_verbatim && own_type(&one.metric).is_empty();
    let told = if listed.iter().any(lacks_type) { read(control, range)? } else { BTreeMap::new() };
    let mut kept = Vec::with_capacity(listed.len());
    let mut families: BTreeMap<(String, MetricType), Vec<Metric>> = BTreeMap::new();
    for Listed { mut metric, is_verbatim } in listed {
        let family = if is_verbatim { apply(&told, &mut metric) } else { None };
        match family.filter(|(family, _)| family.starts_with(prefix)) {
            Some(family) => families.entry(family).or_default().push(metric),
            None => kept.push(metric),
        }
    }
    let taken: BTreeSet<String> = kept.iter().map(|metric| metric.name.clone()).collect();
    for ((family, r#type), parts) in families {
        if taken.contains(&family) || !is_whole(r#type, &family, &parts) {
            kept.extend(parts);
        } else {
            kept.push(joined(family, r#type, parts));
        }
    }
    kept.sort_by(|a, b| (&a.name, a.r#type, &a.unit).cmp(&(&b.name, b.r#type, &b.unit)));
    Ok(kept)
}

/// What was told apart from samples, by families.
fn read(control: &Control, range: TimeRange) -> Result<BTreeMap<String, Facts>> {
    let scope = Matcher::new(Label::ScopeName, Relation::Equal, Role::Metadata.scope())?;
    let time = TimeRange { start: range.start.saturating_sub(TOLD_BEFORE), end: range.end };
    let mut told: BTreeMap<String, Facts> = BTreeMap::new();
    control.each_series(&[scope], time, |series, facts| {
        if !time.overlaps(facts.first_time, facts.last_time) {
            return Ok(());
        }
        let r#type = match Map::new(&series.metadata).get(TYPE_KEY) {
            Some(Value::String(text)) => text.to_owned(),
            _ => return Ok(()),
        };
        let facts = Facts { r#type, help: series.description.to_string(), unit: series.unit.to_string() };
        let is_better = |known: &Facts| known.r#type == "unknown" || (facts.r#type != "unknown" && *known < facts);
        if told.get(&*series.name).is_none_or(is_better) {
            control.charge(series.name.len() + facts.help.len() + facts.unit.len() + size_of::<Facts>() + 64)?;
            told.insert(series.name.to_string(), facts);
        }
        Ok(())
    })?;
    Ok(told)
}

/// The type that a metric's own points tell.
fn own_type(metric: &Metric) -> &str {
    let own = metric.metadata.iter().find(|entry| entry.key == TYPE_KEY);
    match own.map(|entry| &entry.value) {
        Some(AnyValue::StringValue(text)) => text,
        _ => "",
    }
}

/// The suffixes of the names of a family's series.
fn suffixes(r#type: &str) -> &'static [&'static str] {
    match r#type {
        "histogram" => &["_bucket", "_sum", "_count"],
        "gaugehistogram" => &["_bucket", "_gsum", "_gcount", "_sum", "_count"],
        "summary" => &["_sum", "_count"],
        "counter" => &["_total"],
        "info" => &["_info"],
        _ => &[],
    }
}

/// The family of a series' name, if it is of this type.
fn family<'n>(name: &'n str, r#type: &str) -> Option<&'n str> {
    suffixes(r#type).iter().find_map(|suffix| name.strip_suffix(suffix))
}

/// What was told of a name, or of the family that it is a part of.
fn find<'t>(told: &'t BTreeMap<String, Facts>, name: &str) -> Option<&'t Facts> {
    told.get(name).or_else(|| {
        let (base, _) = name.rsplit_once('_')?;
        told.get(base).filter(|facts| family(name, &facts.r#type) == Some(base))
    })
}

/// Fills in what a metric's points do not say; says of which family and kind it is a part.
fn apply(told: &BTreeMap<String, Facts>, metric: &mut Metric) -> Option<(String, MetricType)> {
    if own_type(metric).is_empty() {
        let facts = find(told, &metric.name)?;
        metric.metadata.push(KeyValue { key: TYPE_KEY.to_owned(), value: AnyValue::StringValue(facts.r#type.clone()) });
        for (own, told) in [(&mut metric.description, &facts.help), (&mut metric.unit, &facts.unit)] {
            if own.is_empty() {
                own.clone_from(told);
            }
        }
    }
    let r#type = own_type(metric).to_owned();
    if metric.r#type != MetricType::Gauge {
        return None;
    }
    let base = family(&metric.name, &r#type);
    let counts = r#type == "counter" || (base.is_some() && matches!(&*r#type, "histogram" | "summary"));
    if counts {
        (metric.r#type, metric.is_monotonic, metric.temporality) = (MetricType::Sum, true, Temporality::Cumulative);
    }
    match (&*r#type, base) {
        ("histogram", Some(base)) => Some((base.to_owned(), MetricType::Histogram)),
        ("summary", base) => Some((base.unwrap_or(&metric.name).to_owned(), MetricType::Summary)),
        _ => None,
    }
}

/// Whether there is of a family what its page asks for.
fn is_whole(r#type: MetricType, family: &str, parts: &[Metric]) -> bool {
    let asked = if r#type == MetricType::Histogram { "_bucket" } else { "" };
    parts.iter().any(|part| part.name.strip_prefix(family) == Some(asked))
}

fn joined(family: String, r#type: MetricType, parts: Vec<Metric>) -> Metric {
    let mut whole = Metric {
        promql_name: family.clone(),
        name: family,
        r#type,
        temporality: Temporality::Cumulative,
        is_in_parts: true,
        ..Metric::default()
    };
    let mut services = BTreeSet::new();
    for part in parts {
        whole.series_count = whole.series_count.saturating_add(part.series_count);
        whole.point_count = whole.point_count.saturating_add(part.point_count);
        whole.last_time_unix_nano = whole.last_time_unix_nano.max(part.last_time_unix_nano);
        services.extend(part.services);
        if whole.description.is_empty() {
            whole.description = part.description;
        }
        if whole.unit.is_empty() {
            whole.unit = part.unit;
        }
        if whole.metadata.is_empty() {
            whole.metadata = part.metadata;
        }
    }
    whole.services = services.into_iter().collect();
    whole
}
