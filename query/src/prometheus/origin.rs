//! What do PromQL's labels tell of where a series came from, its resource and its scope?
//!
//! O1  Resources that differ do not become one series, for `rate` over two counters is neither's: one that tells no instance gets an
//!     `instance` made of its place and a number of all that no other label tells. What is said of the telemetry itself
//!     (`telemetry.*`) tells nobody apart, and resources that tell the same instance are the same.
//! O2  A point's own attribute goes before a promoted one, which is called `resource_…` then, and `job`, `instance` and what is told of
//!     the scope go before both.
//!
//! Why so: `docs/adr/035-labels-that-keep-resources-and-scopes-apart.md`.
//!
//! Not here: what keys become as names (`naming`).

use super::naming;
use crate::config::{PromoteConfig, TranslationStrategy};
use crate::series::{Labels, NAME};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::metric::{Series, text_of};
use storage::model::attribute::{Map, Value};

/// Attributes of a resource that become `job` and `instance`.
const IDENTIFYING: [&str; 3] = ["service.namespace", "service.name", "service.instance.id"];

/// Of those of a pod its name in full is made, as OpenTelemetry's operator does where nobody says which instance it is.
const POD: [&str; 3] = ["k8s.namespace.name", "k8s.pod.name", "k8s.container.name"];

/// Other places that no two have in common, the first that is there counts.
const ALONE: [&str; 3] = ["k8s.pod.uid", "faas.instance", "container.id"];

/// Those that others may share; the first that is there counts.
const HOSTS: [&str; 2] = ["host.name", "host.id"];

/// Tells processes of one place apart.
const PROCESS: &str = "process.pid";

/// What keys begin with that tell of the telemetry itself.
const OF_TELEMETRY: &str = "telemetry.";

/// A label.
type Pair = (Arc<str>, Arc<str>);

/// How names and labels are made of OpenTelemetry's.
#[derive(Debug)]
pub(crate) struct Strategy {
    pub(super) translation: TranslationStrategy,
    promote: Arc<PromoteConfig>,
    /// Series that follow each other mostly share resource and scope.
    last: RefCell<Option<Known>>,
}

/// Cells of a resource and scope, and what became of them.
#[derive(Debug)]
struct Known {
    resource: Arc<[u8]>,
    scope: Arc<[u8]>,
    origin: Arc<Origin>,
}

/// What labels tell of a resource and a scope.
#[derive(Debug)]
pub(super) struct Origin {
    /// Those that attributes of points go before.
    pub(super) promoted: Vec<Pair>,
    /// Those that go before attributes of points.
    pub(super) fixed: Vec<Pair>,
    /// Those of the resource's `target_info`; `None` where it would tell nothing.
    pub(super) target: Option<Labels>,
}

impl Strategy {
    pub(super) fn new(translation: TranslationStrategy, promote: &Arc<PromoteConfig>) -> Self {
        Strategy { translation, promote: Arc::clone(promote), last: RefCell::new(None) }
    }

    /// What labels tell of a series' resource and scope.
    pub(super) fn origin(&self, series: &Series) -> Arc<Origin> {
        let known = self.last.borrow();
        if let Some(known) = &*known
            && known.resource == series.resource
            && known.scope == series.scope
        {
            return Arc::clone(&known.origin);
        }
        drop(known);
        let origin = Arc::new(self.origin_of(series));
        let (resource, scope) = (Arc::clone(&series.resource), Arc::clone(&series.scope));
        self.last.replace(Some(Known { resource, scope, origin: Arc::clone(&origin) }));
        origin
    }

    fn origin_of(&self, series: &Series) -> Origin {
        let resource = series.resource().attributes;
        let identity = self.identity(resource);
        let promoted = resource.iter().filter(|(key, _)| self.promote.has(key));
        let promoted = attribute_labels(promoted, self.translation);
        let others = resource.iter().filter(|(key, _)| !IDENTIFYING.contains(key));
        let others = attribute_labels(others, self.translation);
        let target = (!identity.is_empty() && !others.is_empty()).then(|| {
            let name: Pair = (NAME.into(), "target_info".into());
            Labels::new(others.into_iter().chain(identity.iter().cloned()).chain([name]))
        });
        let mut fixed = if self.promote.scope_metadata { self.scope_labels(series) } else { Vec::new() };
        fixed.extend(identity);
        Origin { promoted: promoted.into_iter().collect(), fixed, target }
    }

    /// `job` and `instance`.
    fn identity(&self, resource: Map<'_>) -> Vec<Pair> {
        let [namespace, name, instance] = IDENTIFYING.map(|key| text(resource, key));
        let job = if namespace.is_empty() || name.is_empty() { name } else { format!("{namespace}/{name}") };
        let instance = if instance.is_empty() { self.made_instance(resource) } else { instance };
        let all = [("job", job), ("instance", instance)];
        all.into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    /// The instance of a resource that tells none (O1).
    fn made_instance(&self, resource: Map<'_>) -> String {
        let pod = POD.map(|key| text(resource, key));
        let first = |keys: &[&'static str]| {
            keys.iter().map(|key| (*key, text(resource, key))).find(|(_, place)| !place.is_empty())
        };
        let mut used = vec![PROCESS];
        let (place, is_alone) = if !pod[1].is_empty() {
            used.extend(POD);
            (pod.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("."), false)
        } else if let Some((_, place)) = first(&ALONE) {
            (place, true)
        } else if let Some((key, place)) = first(&HOSTS) {
            used.push(key);
            (place, false)
        } else {
            let rest = self.rest(resource, &[]);
            return rest.map_or_else(String::new, |rest| format!("resource-{rest:016x}"));
        };
        let process = text(resource, PROCESS);
        let place = if process.is_empty() { place } else { format!("{place}:{process}") };
        match self.rest(resource, &used).filter(|_| !is_alone) {
            Some(rest) => format!("{place}/{:08x}", rest >> 32),
            None => place,
        }
    }

    /// A number of what a resource tells that neither another label nor those keys tell; `None` where that is nothing.
    fn rest(&self, resource: Map<'_>, used: &[&str]) -> Option<u64> {
        let is_told = |key: &str| {
            IDENTIFYING.contains(&key) || used.contains(&key) || key.starts_with(OF_TELEMETRY) || self.promote.has(key)
        };
        let rest = resource.iter().filter(|(key, _)| !is_told(key));
        let rest: BTreeMap<&str, Value<'_>> = rest.collect();
        let rest: Vec<(&str, Value<'_>)> = rest.into_iter().filter(|(_, value)| !text_of(*value).is_empty()).collect();
        if rest.is_empty() { None } else { Some(number(&rest)) }
    }

    /// `otel_scope_name` and the others.
    fn scope_labels(&self, series: &Series) -> Vec<Pair> {
        let scope = series.scope();
        let own = [("name", scope.name), ("version", scope.version), ("schema_url", scope.schema_url)];
        let attributes = scope.attributes.iter().filter(|(key, _)| own.iter().all(|(name, _)| name != key));
        let attributes: Vec<(String, Value<'_>)> =
            attributes.map(|(key, value)| (format!("otel_scope_{key}"), value)).collect();
        let attributes = attributes.iter().map(|(key, value)| (key.as_str(), *value));
        let own = own.into_iter().filter(|(_, value)| !value.is_empty());
        let own = own.map(|(name, value)| (format!("otel_scope_{name}").into(), value.into()));
        attribute_labels(attributes, self.translation).into_iter().chain(own).collect()
    }
}

/// A number that pairs have in common with nothing else, and always have (FNV-1a). A number and its digits differ.
fn number(pairs: &[(&str, Value<'_>)]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (key, value) in pairs {
        let text = text_of(*value);
        let middle: &[u8] = if matches!(value, Value::String(_)) { &[0xff] } else { &[0xfd] };
        let parts = [key.as_bytes(), middle, text.as_bytes(), &[0xfe]];
        hash = parts
            .into_iter()
            .flatten()
            .fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    }
    hash
}

fn text(map: Map<'_>, key: &str) -> String {
    map.get(key).map_or_else(String::new, |value| text_of(value).into_owned())
}

/// Attributes as labels. Where two become one label, their values stand side by side.
pub(super) fn attribute_labels<'a>(
    attributes: impl Iterator<Item = (&'a str, Value<'a>)>,
    translation: TranslationStrategy,
) -> BTreeMap<Arc<str>, Arc<str>> {
    // In the order of keys; of two values of one key the last counts.
    let values: BTreeMap<&str, Value<'a>> = attributes.collect();
    let mut labels: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
    for (key, value) in values {
        let Some(name) = naming::label(key, translation) else { continue };
        let value = text_of(value);
        if value.is_empty() {
            continue;
        }
        match labels.get_mut(name.as_str()) {
            Some(before) => *before = format!("{before};{value}").into(),
            None => drop(labels.insert(name.into(), value.as_ref().into())),
        }
    }
    labels
}

#[cfg(test)]
mod tests;
