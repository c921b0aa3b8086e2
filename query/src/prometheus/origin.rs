//! What do PromQL's labels tell of where a series came from, its resource and its scope?
//!
//! O1  Resources that differ do not become one series, for `rate` over two counters is neither's: one that tells no instance gets an
//!     `instance` made of its place and a number of all its attributes. What is said of the telemetry alone (`telemetry.*`) is no
//!     reason for one, and resources that tell the same instance are the same.
//! O2  Nothing that is told is lost. `job`, a told `instance` and what is told of the scope go before a point's attribute, which is
//!     called `exported_…` then, as a scrape does; a point's attribute goes before a promoted one and a made `instance`, which are called
//!     `resource_…`.
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
use storage::model::origin::Resource;

/// Attributes of a resource that become `job` and `instance`.
const IDENTIFYING: [&str; 3] = ["service.namespace", "service.name", "service.instance.id"];

/// Of those of a pod its name in full is made, as OpenTelemetry's operator does where nobody says which instance it is.
const POD: [&str; 3] = ["k8s.namespace.name", "k8s.pod.name", "k8s.container.name"];

/// Other places; the first that is there counts.
const PLACES: [&str; 5] = ["k8s.pod.uid", "faas.instance", "container.id", "host.name", "host.id"];

/// Tells processes of one place apart.
const PROCESS: &str = "process.pid";

/// What keys begin with that tell of the telemetry itself.
const OF_TELEMETRY: &str = "telemetry.";

/// What a point's attribute is called where another label has its name.
const OF_POINT: &str = "exported_";

/// What a resource's label is called where a point's attribute has its name.
const OF_RESOURCE: &str = "resource_";

/// A label.
type Pair = (Arc<str>, Arc<str>);

/// Labels of attributes.
type Pairs = BTreeMap<Arc<str>, Arc<str>>;

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
    yielding: Vec<Pair>,
    /// Those that go before attributes of points.
    fixed: Vec<Pair>,
    /// Those of the resource's `target_info`; `None` where it would tell nothing.
    pub(super) target: Option<Labels>,
}

impl Origin {
    /// The labels of a series from there with these attributes (O2). `part` is the label that tells its parts apart, which no attribute
    /// sets.
    pub(super) fn labels(&self, mut attributes: Pairs, part: Option<&str>) -> Labels {
        let names = self.fixed.iter().map(|(name, _)| &**name).chain(part);
        let yields = |name: &str| has(&self.yielding, name);
        give_way(&mut attributes, names, yields);
        let goes_before = |name: &str| attributes.contains_key(name) || has(&self.fixed, name);
        let yielding = self.yielding.iter().map(|(name, value)| match goes_before(name) {
            true => (free(OF_RESOURCE, name, |name| goes_before(name) || yields(name)), Arc::clone(value)),
            false => (Arc::clone(name), Arc::clone(value)),
        });
        let yielding: Vec<Pair> = yielding.collect();
        Labels::new(yielding.into_iter().chain(attributes).chain(self.fixed.iter().cloned()))
    }
}

fn has(pairs: &[Pair], name: &str) -> bool {
    pairs.iter().any(|(other, _)| **other == *name)
}

/// Calls attributes that have the names of other labels as a scrape would.
fn give_way<'n>(attributes: &mut Pairs, names: impl Iterator<Item = &'n str>, is_taken: impl Fn(&str) -> bool) {
    for name in names {
        if let Some(value) = attributes.remove(name) {
            let name = free(OF_POINT, name, |name| is_taken(name) || attributes.contains_key(name));
            attributes.insert(name, value);
        }
    }
}

/// A name with so many prefixes that none other is it.
fn free(prefix: &str, name: &str, is_taken: impl Fn(&str) -> bool) -> Arc<str> {
    let mut name = format!("{prefix}{name}");
    while is_taken(&name) {
        name.insert_str(0, prefix);
    }
    name.into()
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
        let whole = series.resource();
        let (resource, (told, made)) = (whole.attributes, identity(&whole));
        let promoted = resource.iter().filter(|(key, _)| self.promote.has(key));
        let mut promoted = attribute_labels(promoted, self.translation);
        give_way(&mut promoted, made.iter().map(|(name, _)| &**name), |_| false);
        let mut fixed = if self.promote.scope_metadata { self.scope_labels(series) } else { Vec::new() };
        fixed.extend(told.iter().cloned());
        let target = self.target(resource, told.into_iter().chain(made.clone()).collect());
        Origin { yielding: promoted.into_iter().chain(made).collect(), fixed, target }
    }

    /// The labels of a resource's `target_info`.
    fn target(&self, resource: Map<'_>, identity: Vec<Pair>) -> Option<Labels> {
        let others = resource.iter().filter(|(key, _)| !IDENTIFYING.contains(key));
        let mut others = attribute_labels(others, self.translation);
        if identity.is_empty() || others.is_empty() {
            return None;
        }
        give_way(&mut others, identity.iter().map(|(name, _)| &**name), |_| false);
        let name: Pair = (NAME.into(), "target_info".into());
        Some(Labels::new(others.into_iter().chain(identity).chain([name])))
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

/// `job` and `instance`, as far as they are told, and an `instance` that was made.
fn identity(resource: &Resource<'_>) -> (Vec<Pair>, Option<Pair>) {
    let [namespace, name, instance] = IDENTIFYING.map(|key| text(resource.attributes, key));
    let job = if namespace.is_empty() || name.is_empty() { name } else { format!("{namespace}/{name}") };
    let made = if instance.is_empty() { made_instance(resource) } else { None };
    let told = [("job", job), ("instance", instance)].into_iter().filter(|(_, value)| !value.is_empty());
    let told = told.map(|(name, value)| (name.into(), value.into()));
    (told.collect(), made.map(|value| ("instance".into(), value.into())))
}

/// The instance of a resource that tells none (O1); `None` where `job` tells all that there is.
fn made_instance(resource: &Resource<'_>) -> Option<String> {
    let attributes = resource.attributes;
    let has_name = !text(attributes, "service.name").is_empty();
    let is_told = |key: &str| IDENTIFYING.contains(&key) && (has_name || key != "service.namespace");
    if attributes.iter().all(|(key, _)| is_told(key) || key.starts_with(OF_TELEMETRY)) {
        return None;
    }
    let number = number(resource);
    Some(match place(attributes) {
        Some(place) => format!("{place}/{:08x}", number >> 32),
        None => format!("resource-{number:016x}"),
    })
}

/// Where a resource runs, as a reader would say it; others may say the same of theirs.
fn place(resource: Map<'_>) -> Option<String> {
    let pod = POD.map(|key| text(resource, key));
    let place = if pod[1].is_empty() {
        PLACES.into_iter().map(|key| text(resource, key)).find(|place| !place.is_empty())?
    } else {
        pod.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
    };
    let process = text(resource, PROCESS);
    Some(if process.is_empty() { place } else { format!("{place}:{process}") })
}

/// A number of all attributes and their schema, always the same (FNV-1a).
fn number(resource: &Resource<'_>) -> u64 {
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let bytes = resource.attributes.as_bytes().iter().chain(resource.schema_url.as_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, add)
}

fn text(map: Map<'_>, key: &str) -> String {
    map.get(key).map_or_else(String::new, |value| text_of(value).into_owned())
}

/// Attributes as labels. Where two become one label, their values stand side by side.
pub(super) fn attribute_labels<'a>(
    attributes: impl Iterator<Item = (&'a str, Value<'a>)>,
    translation: TranslationStrategy,
) -> Pairs {
    // In the order of keys; of two values of one key the last counts.
    let values: BTreeMap<&str, Value<'a>> = attributes.collect();
    let mut labels = Pairs::new();
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
