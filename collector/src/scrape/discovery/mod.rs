//! Which targets are there? Those that the file of jobs names, and those that are listed elsewhere: in files, behind URLs, in the DNS,
//! in etcd.
//!
//! Each place is watched on its own, so that one that hangs keeps nobody waiting. Where one cannot be read, what it said last
//! stays (S5), and why is told once.
//!
//! - `file`, `web`, `dns`, `etcd`: the places.

mod dns;
mod etcd;
mod file;
#[cfg(test)]
mod tests;
mod web;

use super::Servers;
use super::client::Client;
use super::config::{EtcdDiscovery, FileDiscovery, HttpDiscovery, Job};
use super::relabel::Labels;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

pub(super) use dns::Dns;

/// Bytes of one list of targets: a hundred thousand of them.
const MAX_LIST_BYTES: usize = 16 << 20;
/// How long a list of targets may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// Between looks at files, and at a place that could not be read.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Targets with labels in common. What is null is empty, as for Go, which writes empty lists and maps so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Group {
    #[serde(deserialize_with = "texts")]
    pub(super) targets: Vec<String>,
    #[serde(deserialize_with = "labels")]
    pub(super) labels: Labels,
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts = Option::<Vec<Option<String>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(texts.into_iter().map(Option::unwrap_or_default).collect())
}

fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
    let labels = Option::<BTreeMap<String, Option<String>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(labels.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect())
}

impl Group {
    /// Whether its labels can be some.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.labels.contains_key("") { Err("a label has an empty name".to_owned()) } else { Ok(()) }
    }
}

/// What is found for a job, place by place.
#[derive(Debug)]
pub(super) struct Discovery {
    found: Arc<Found>,
    /// Those who look; they end with this.
    _watchers: JoinSet<()>,
}

#[derive(Debug)]
struct Found {
    by_place: Mutex<Vec<Vec<Group>>>,
    changed: Notify,
    /// A permit for each place that was looked at.
    looked: Semaphore,
}

/// Where targets are listed.
enum Place {
    Files(file::Files),
    Url(HttpDiscovery, Arc<Client>),
    Dns(Box<dns::Records>),
    Etcd(etcd::Prefix),
}

impl Place {
    async fn look(&mut self) -> Result<Vec<Group>, String> {
        match self {
            Place::Files(files) => files.look().await,
            Place::Url(settings, client) => web::look(settings, client).await,
            Place::Dns(records) => records.look().await,
            Place::Etcd(prefix) => prefix.look().await,
        }
    }

    /// Resolves when it should be looked at again.
    async fn wait(&mut self) {
        match self {
            Place::Files(_) => tokio::time::sleep(LOOK_INTERVAL).await,
            Place::Url(settings, _) => tokio::time::sleep(settings.refresh_interval).await,
            Place::Dns(records) => tokio::time::sleep(records.refresh_interval()).await,
            Place::Etcd(prefix) => prefix.wait().await,
        }
    }
}

impl Discovery {
    /// Begins to look.
    pub(super) fn start(job: &Arc<Job>, servers: &Servers, dns: &Dns) -> Self {
        let mut places = Vec::new();
        places.extend(job.file_sd_configs.iter().map(|files: &FileDiscovery| Place::Files(files.into())));
        let lists = job.http_sd_configs.iter().zip(&servers.lists);
        places.extend(lists.map(|(list, client)| Place::Url(HttpDiscovery::clone(list), Arc::clone(client))));
        for records in &job.dns_sd_configs {
            let names = records.names.iter();
            places.extend(names.map(|name| Place::Dns(Box::new(dns::Records::new(name, records, dns.clone())))));
        }
        let prefixes = job.etcd_sd_configs.iter().zip(&servers.etcd);
        places.extend(
            prefixes.map(|(prefix, client)| {
                Place::Etcd(etcd::Prefix::new(EtcdDiscovery::clone(prefix), Arc::clone(client)))
            }),
        );
        let by_place = Mutex::new(vec![Vec::new(); places.len()]);
        let found = Arc::new(Found { by_place, changed: Notify::new(), looked: Semaphore::new(0) });
        let mut watchers = JoinSet::new();
        for (number, place) in places.into_iter().enumerate() {
            watchers.spawn(watch(place, number, Arc::clone(&found), Arc::clone(job)));
        }
        Discovery { found, _watchers: watchers }
    }

    /// Resolves when every place was looked at once, whether it could be read or not.
    pub(super) async fn looked(&self) {
        let count = u32::try_from(self.found.by_place().len()).unwrap_or(u32::MAX);
        drop(tokio::time::timeout(2 * LIST_TIMEOUT, self.found.looked.acquire_many(count)).await);
    }

    /// All groups as of now, those that the job itself names before others.
    pub(super) fn groups(&self, job: &Job) -> Vec<Group> {
        let by_place = self.found.by_place();
        job.static_configs.iter().chain(by_place.iter().flatten()).cloned().collect()
    }

    /// Resolves when there are others.
    pub(super) async fn changed(&self) {
        self.found.changed.notified().await;
    }
}

impl Found {
    fn by_place(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Group>>> {
        self.by_place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, number: usize, groups: Vec<Group>) {
        let mut by_place = self.by_place();
        if let Some(before) = by_place.get_mut(number).filter(|before| **before != groups) {
            *before = groups;
            self.changed.notify_one();
        }
    }
}

async fn watch(mut place: Place, number: usize, found: Arc<Found>, job: Arc<Job>) {
    let (mut told, mut is_first): (Option<String>, bool) = (None, true);
    loop {
        let looked = place.look().await;
        let checked = looked.and_then(|groups| groups.iter().try_for_each(Group::check).map(|()| groups));
        match checked {
            Ok(groups) => {
                found.put(number, groups);
                told = None;
            }
            Err(error) if told.as_ref() != Some(&error) => {
                tracing::warn!(job = job.job_name, error, "targets cannot be listed; those listed last stay");
                told = Some(error);
            }
            Err(_) => {}
        }
        if is_first {
            found.looked.add_permits(1);
            is_first = false;
        }
        place.wait().await;
    }
}

/// Notes where groups come from.
fn note(groups: &mut [Group], label: &str, place: &str) {
    for group in groups {
        group.labels.insert(label.to_owned(), place.to_owned());
    }
}
