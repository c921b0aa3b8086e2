//! How do some spans differ from the others? Counts of every value of every attribute, for both.
//!
//! K1  Each span is of the selection or of the baseline. Counts are exact; told are the values of most spans of each attribute.
//! K2  An attribute with more than [`MOST_VALUES`] values is told by its totals and an error instead, as it distinguishes
//!     nothing and would cost memory without end.

use super::super::ast::{Comparison, KINDS, STATUSES, Scope};
use super::super::expression::{Expression, Spot};
use super::super::value::Value;
use super::{Axis, Series};
use crate::error::{Error, Result};
use crate::exec::Control;
use std::collections::{BTreeMap, HashMap};
use storage::model::schema::column;

/// What is compared beside attributes.
pub(super) const COLUMNS: [&str; 7] = [
    column::ATTRIBUTES,
    column::RESOURCE,
    column::SERVICE_NAME,
    column::NAME,
    column::KIND,
    column::STATUS_CODE,
    column::STATUS_MESSAGE,
];
/// Distinct values of an attribute that are counted.
const MOST_VALUES: usize = 10_000;
/// Values told unless the query says how many.
const USUAL_TOP: usize = 10;

#[derive(Debug)]
pub(super) struct Comparing {
    axis: Axis,
    selection: Option<Expression>,
    range: Option<(i64, i64)>,
    top: usize,
    attributes: HashMap<String, Attribute>,
}

#[derive(Debug, Default)]
struct Attribute {
    /// By value: of the baseline, of the selection.
    values: HashMap<String, [Vec<f64>; 2]>,
    totals: [Vec<f64>; 2],
    has_too_many: bool,
}

impl Comparing {
    pub(super) fn new(axis: Axis, comparison: &Comparison) -> Result<Self> {
        let selection = comparison.selection.as_ref().map(Expression::new).transpose();
        Ok(Comparing {
            axis,
            selection: selection.map_err(|message| Error::parameter("q", message))?,
            range: comparison.range,
            top: comparison.top.and_then(|top| usize::try_from(top).ok()).unwrap_or(USUAL_TOP),
            attributes: HashMap::new(),
        })
    }

    pub(super) fn take(&mut self, control: &Control, spot: Spot<'_>) -> Result<()> {
        let time = spot.spans.start(spot.row);
        let Some(step) = self.axis.place(time) else { return Ok(()) };
        let in_range = self.range.is_none_or(|(start, end)| (start..end).contains(&time));
        let selected = in_range && self.selection.as_ref().is_none_or(|selection| selection.holds(spot));
        let side = usize::from(selected);
        let named = |names: &[&str], number: i32| {
            let name = usize::try_from(number).ok().and_then(|number| names.get(number));
            name.map_or_else(|| number.to_string(), |name| (*name).to_owned())
        };
        self.count(control, "name", spot.spans.name(spot.row).to_owned(), side, step)?;
        self.count(control, "kind", named(&KINDS, spot.spans.kind(spot.row)), side, step)?;
        self.count(control, "status", named(&STATUSES, spot.spans.status(spot.row)), side, step)?;
        let message = spot.spans.message(spot.row);
        if !message.is_empty() {
            self.count(control, "statusMessage", message.to_owned(), side, step)?;
        }
        self.count(control, "resource.service.name", spot.spans.service(spot.row).to_owned(), side, step)?;
        let mut entries: Vec<(String, String)> = Vec::new();
        spot.spans.each_attribute(spot.row, |scope, key, value| {
            let prefix = if scope == Scope::Resource { "resource" } else { "span" };
            if let Some(text) = text_of(&value).filter(|_| scope != Scope::Resource || key != "service.name") {
                entries.push((format!("{prefix}.{key}"), text));
            }
        });
        entries.into_iter().try_for_each(|(key, value)| self.count(control, &key, value, side, step))
    }

    fn count(&mut self, control: &Control, key: &str, value: String, side: usize, step: usize) -> Result<()> {
        let steps = self.axis.len();
        let series_bytes = 2 * steps * size_of::<f64>();
        if !self.attributes.contains_key(key) {
            control.charge(series_bytes + key.len() + size_of::<Attribute>())?;
            let totals = [vec![0.0; steps], vec![0.0; steps]];
            self.attributes.insert(key.to_owned(), Attribute { totals, ..Attribute::default() });
        }
        let Some(attribute) = self.attributes.get_mut(key) else { return Ok(()) };
        if let Some(total) = attribute.totals.get_mut(side).and_then(|totals| totals.get_mut(step)) {
            *total += 1.0;
        }
        if attribute.has_too_many {
            return Ok(());
        }
        if !attribute.values.contains_key(&value) {
            if attribute.values.len() >= MOST_VALUES {
                attribute.has_too_many = true;
                attribute.values = HashMap::new();
                return Ok(());
            }
            control.charge(series_bytes + 2 * value.len() + 64)?;
        }
        let counts = attribute.values.entry(value).or_insert_with(|| [vec![0.0; steps], vec![0.0; steps]]);
        if let Some(count) = counts.get_mut(side).and_then(|counts| counts.get_mut(step)) {
            *count += 1.0;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<Series> {
        let mut series = Vec::new();
        let attributes: BTreeMap<String, Attribute> = self.attributes.into_iter().collect();
        for (key, attribute) in attributes {
            for (side, name) in ["baseline", "selection"].into_iter().enumerate() {
                let total = attribute.totals.get(side).cloned().unwrap_or_default();
                let sum = |counts: &[Vec<f64>; 2]| counts.get(side).map_or(0.0, |counts| counts.iter().sum::<f64>());
                let mut values: Vec<(&String, &[Vec<f64>; 2])> = attribute.values.iter().collect();
                values.retain(|(_, counts)| sum(counts) > 0.0);
                values.sort_by(|(a, one), (b, other)| sum(other).total_cmp(&sum(one)).then_with(|| a.cmp(b)));
                for (value, counts) in values.into_iter().take(self.top) {
                    let counts = counts.get(side).cloned().unwrap_or_default();
                    series.push(told(name, &key, Value::Text(value.clone().into()), counts));
                }
                if total.iter().sum::<f64>() > 0.0 {
                    if attribute.has_too_many {
                        let mut failed = told(name, &key, Value::Nil, total.clone());
                        failed.labels.push(("__meta_error".to_owned(), Value::Text("__too_many_values__".into())));
                        series.push(failed);
                    }
                    series.push(told(&format!("{name}_total"), &key, Value::Nil, total));
                }
            }
        }
        series
    }
}

fn told(r#type: &str, key: &str, value: Value<'static>, values: Vec<f64>) -> Series {
    let labels = vec![("__meta_type".to_owned(), Value::Text(r#type.to_owned().into())), (key.to_owned(), value)];
    Series { labels, values, exemplars: Vec::new() }
}

/// A value as a text; lists, maps and bytes are not compared.
fn text_of(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Float(value) => Some(value.to_string()),
        _ => None,
    }
}
