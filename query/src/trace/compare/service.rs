//! What has each service to do with the difference? Its sums in both traces, and what differs of its resources.

use super::pair::{NONE, Pair};
use super::side::{Interner, Node, Side};
use crate::attribute::any_value;
use crate::error::Result;
use crate::exec::Control;
use query_api::compare::{ComparedService, ResourceDifference, ServiceSums};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use storage::model::attribute::Value;
use storage::model::origin::Resource;

/// So many resources of a service are looked into: those of its first spans.
const MOST_RESOURCES: usize = 100;
/// So many keys of a service are told.
const MOST_KEYS: usize = 100;
/// So many values of a key are told.
const MOST_VALUES: usize = 10;

/// What is known of a service in one trace.
#[derive(Default)]
struct Part<'a> {
    sums: ServiceSums,
    resources: HashSet<&'a [u8]>,
}

impl<'a> Part<'a> {
    fn add(&mut self, side: &Side<'a>, node: &Node, is_alone: bool) {
        let sums = &mut self.sums;
        sums.span_count = sums.span_count.saturating_add(1);
        sums.error_count = sums.error_count.saturating_add(u32::from(node.is_error()));
        sums.only_count = sums.only_count.saturating_add(u32::from(is_alone));
        sums.duration_nano = sums.duration_nano.saturating_add(node.duration);
        sums.self_nano = sums.self_nano.saturating_add(node.self_nano);
        if self.resources.len() < MOST_RESOURCES {
            self.resources.insert(side.resource(node));
        }
    }

    /// The encoded values of each attribute of its resources.
    fn values(&self) -> BTreeMap<&'a [u8], BTreeSet<&'a [u8]>> {
        let mut values: BTreeMap<&[u8], BTreeSet<&[u8]>> = BTreeMap::new();
        for resource in self.resources.iter().filter_map(|cell| Resource::parse(cell)) {
            for entry in resource.attributes.raw_entries() {
                values.entry(entry.key).or_default().insert(entry.value);
            }
        }
        values
    }
}

/// Every service of either trace, by how much its self time has changed, then by name.
pub(super) fn services<'a>(
    control: &Control,
    (base, other): (&Side<'a>, &Side<'a>),
    pairs: &[Pair],
    names: &Interner<'a>,
) -> Result<Vec<ComparedService>> {
    let mut parts: HashMap<u32, [Part<'a>; 2]> = HashMap::new();
    for pair in pairs {
        let is_alone = pair.base == NONE || pair.other == NONE;
        for (at, side, node) in [(0, base, base.node(pair.base)), (1, other, other.node(pair.other))] {
            let Some(node) = node else { continue };
            let part = parts.entry(node.key.service).or_default().get_mut(at);
            part.into_iter().for_each(|part| part.add(side, node, is_alone));
        }
    }
    let mut services = Vec::with_capacity(parts.len());
    for (service, [one, two]) in parts {
        control.check()?;
        let name = names.text(service).to_owned();
        control.charge(size_of::<ComparedService>() + name.len())?;
        let resource = resource_differences(control, &one, &two)?;
        services.push(ComparedService { name, base: one.sums, other: two.sums, resource });
    }
    let change = |service: &ComparedService| service.other.self_nano.abs_diff(service.base.self_nano);
    services.sort_by(|one, two| change(two).cmp(&change(one)).then_with(|| one.name.cmp(&two.name)));
    Ok(services)
}

/// What differs, where both traces have the service.
fn resource_differences(control: &Control, one: &Part<'_>, two: &Part<'_>) -> Result<Vec<ResourceDifference>> {
    if one.resources.is_empty() || two.resources.is_empty() || one.resources == two.resources {
        return Ok(Vec::new());
    }
    let (mut base, mut other) = (one.values(), two.values());
    let keys: BTreeSet<&[u8]> = base.keys().chain(other.keys()).copied().collect();
    let mut found = Vec::new();
    for key in keys {
        let (base, other) = (base.remove(key).unwrap_or_default(), other.remove(key).unwrap_or_default());
        if base == other {
            continue;
        }
        if found.len() == MOST_KEYS {
            break;
        }
        let told = |values: BTreeSet<&[u8]>| {
            let told = values.into_iter().take(MOST_VALUES);
            let mut list = Vec::new();
            for encoded in told {
                control.charge(size_of::<ResourceDifference>() + 2 * encoded.len())?;
                list.extend(Value::parse(encoded).map(any_value));
            }
            Ok::<_, crate::error::Error>(list)
        };
        let key = String::from_utf8_lossy(key).into_owned();
        found.push(ResourceDifference { key, base: told(base)?, other: told(other)? });
    }
    Ok(found)
}
