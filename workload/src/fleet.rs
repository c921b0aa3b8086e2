//! Which processes run, and what does each say of itself?
//!
//! Invariants
//! - F1: instances are numbered in catalogue order, and a service's instances are neighbours.
//! - F2: everything about an instance follows from the seed and its number.
//!
//! Not here: what an instance does (`engine`) and says of its work (`telemetry`).

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::catalog::{Language, ScopeKind, Service};
use crate::engine::Key;
use crate::export::{Buffer, Origin};
use crate::random::mix;
use crate::telemetry::Meter;
use crate::wire::{self, Attributes};

/// The load at which the catalogue's worker counts are meant.
const REFERENCE_RATE: f64 = 20.0;
/// Requests that wait per worker before an instance refuses more.
const QUEUE_PER_WORKER: usize = 12;
/// The version of the semantic conventions that the shop's newer SDKs declare.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// One process.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) service: Service,
    pub(crate) language: Language,
    /// Its IPv4 address in the cluster.
    pub(crate) address: Arc<str>,
    pub(crate) origin: Origin,
    /// Requests being worked on.
    pub(crate) busy: u32,
    pub(crate) workers: u32,
    /// Requests waiting for a worker, oldest first.
    pub(crate) queue: VecDeque<Key>,
    pub(crate) spans: Buffer,
    pub(crate) logs: Buffer,
    pub(crate) meter: Meter,
}

impl Instance {
    /// Share of workers that are busy; above 1 when requests wait.
    pub(crate) fn pressure(&self) -> f64 {
        (f64::from(self.busy) + self.queue.len() as f64) / f64::from(self.workers)
    }

    pub(crate) fn has_free_worker(&self) -> bool {
        self.busy < self.workers
    }

    pub(crate) fn has_room_to_wait(&self) -> bool {
        self.queue.len() < self.workers as usize * QUEUE_PER_WORKER
    }
}

/// All processes, and which belong to which service.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) instances: Vec<Instance>,
    places: Vec<Range<usize>>,
}

impl Fleet {
    /// Deploys the catalogue for a load; more load gets more workers, not more instances.
    pub(crate) fn deploy(seed: u64, requests_per_second: f64, start_unix_nano: u64) -> Self {
        let scale = (requests_per_second / REFERENCE_RATE).max(1.0);
        let mut instances = Vec::new();
        let mut places = Vec::new();
        for service in Service::ALL {
            let first = instances.len();
            for ordinal in 0..service.deployment().instances {
                instances.push(start(seed, service, ordinal, scale, start_unix_nano));
            }
            places.push(first..instances.len());
        }
        Self { instances, places }
    }

    /// The instances of a service.
    pub(crate) fn of(&self, service: Service) -> Range<usize> {
        self.places[service.index()].clone()
    }
}

fn start(seed: u64, service: Service, ordinal: u16, scale: f64, start_unix_nano: u64) -> Instance {
    let deployment = service.deployment();
    let lot = mix(seed ^ mix((service.index() as u64) << 16 | u64::from(ordinal)));
    let address = format!("10.42.{}.{}", lot % 8, 10 + (lot >> 8) % 240);
    let origin = Origin {
        resource: resource(service, ordinal, lot),
        scopes: ScopeKind::ALL.map(|kind| scope(deployment.language, kind)),
        schema_url: match deployment.language {
            Language::Java | Language::Go | Language::Rust => SCHEMA_URL,
            Language::Python | Language::NodeJs | Language::DotNet => "",
        },
    };
    Instance {
        service,
        language: deployment.language,
        address: address.into(),
        origin,
        busy: 0,
        workers: (f64::from(deployment.workers) * scale).ceil() as u32,
        queue: VecDeque::new(),
        spans: Buffer::default(),
        logs: Buffer::default(),
        meter: Meter::new(service, ordinal, start_unix_nano),
    }
}

fn scope(language: Language, kind: ScopeKind) -> Vec<u8> {
    let (name, version) = language.scope(kind);
    let mut out = Vec::new();
    wire::bytes(&mut out, 1, name.as_bytes());
    wire::bytes(&mut out, 2, version.as_bytes());
    if kind == ScopeKind::Application {
        Attributes::new(&mut out, 3).text("shop.team", "storefront");
    }
    out
}

/// Five letters or digits, as Kubernetes gives them to pods.
fn pod_suffix(mut lot: u64) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut suffix = String::with_capacity(5);
    for _ in 0..5 {
        suffix.push(char::from(ALPHABET[(lot % 27) as usize]));
        lot /= 27;
    }
    suffix
}

fn uuid(lot: u64) -> String {
    let (high, low) = (mix(lot ^ 1), mix(lot ^ 2));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0x0fff,
        0x8000 | (low >> 50),
        low & 0xffff_ffff_ffff
    )
}

fn resource(service: Service, ordinal: u16, lot: u64) -> Vec<u8> {
    let deployment = service.deployment();
    let runtime = deployment.language.runtime();
    let replica_set = pod_suffix(mix(service.index() as u64) >> 8);
    let pod = format!("{}-{replica_set}-{}", deployment.name, pod_suffix(lot >> 3));
    let node = format!("node-{:02}", 1 + (lot >> 40) % 6);
    let mut out = Vec::new();
    let mut attributes = Attributes::new(&mut out, 1);
    attributes.text("service.name", deployment.name);
    attributes.text("service.namespace", "shop");
    // The first instance of a service runs the release before, as during a rolling update.
    let canary = ordinal == 0 && deployment.instances > 2;
    attributes
        .formatted("service.version", format_args!("{}{}", deployment.version, if canary { "+canary" } else { "" }));
    attributes.text("service.instance.id", &uuid(lot));
    attributes.text("deployment.environment.name", "production");
    attributes.text("host.name", &node);
    attributes.text("host.arch", "amd64");
    attributes.text("os.type", "linux");
    attributes.text("cloud.provider", "aws");
    attributes.text("cloud.region", "eu-central-1");
    attributes
        .formatted("cloud.availability_zone", format_args!("eu-central-1{}", char::from(b'a' + (lot >> 20) as u8 % 3)));
    attributes.text("k8s.cluster.name", "shop-eu");
    attributes.text("k8s.namespace.name", "shop");
    attributes.text("k8s.node.name", &node);
    attributes.text("k8s.pod.name", &pod);
    attributes.text("k8s.pod.uid", &uuid(lot ^ 0x00ff_00ff));
    attributes.text("k8s.deployment.name", deployment.name);
    attributes.text("k8s.container.name", deployment.name);
    attributes.formatted("container.image.name", format_args!("registry.example.com/shop/{}", deployment.name));
    attributes.texts("container.image.tags", &[deployment.version]);
    attributes.int("process.pid", 1 + (lot >> 50).cast_signed() % 40);
    attributes.text("process.runtime.name", runtime.name);
    attributes.text("process.runtime.version", runtime.version);
    attributes.text("process.runtime.description", runtime.description);
    attributes.text("telemetry.sdk.name", "opentelemetry");
    attributes.text("telemetry.sdk.language", runtime.sdk_language);
    attributes.text("telemetry.sdk.version", runtime.sdk_version);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f1_instances_of_a_service_are_neighbours_in_catalogue_order() {
        let fleet = Fleet::deploy(1, 20.0, 0);
        let order: Vec<Service> = fleet.instances.iter().map(|instance| instance.service).collect();
        assert!(order.is_sorted());
        for service in Service::ALL {
            let places = fleet.of(service);
            assert_eq!(places.len(), usize::from(service.deployment().instances));
            assert!(fleet.instances[places].iter().all(|instance| instance.service == service));
        }
    }

    #[test]
    fn f2_a_seed_fixes_every_resource_and_no_two_are_equal() {
        let resources = |seed| -> Vec<Vec<u8>> {
            Fleet::deploy(seed, 20.0, 0).instances.into_iter().map(|i| i.origin.resource).collect()
        };
        assert_eq!(resources(4), resources(4));
        let mut all = resources(4);
        let before = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), before);
        assert_ne!(resources(4), resources(5));
    }
}
