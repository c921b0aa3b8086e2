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
use serde::Deserialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

pub(super) use dns::Dns;

/// Bytes of one list of targets: a hundred thousand of them.
const MAX_LIST_BYTES: usize = 16 << 20;
/// How long a list of targets may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// Between looks at files, and at a place that could not be read.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Targets with labels in common.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    #[serde(default)]
    pub(super) targets: Vec<String>,
    #[serde(default)]
    pub(super) labels: Labels,
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
    job: Arc<Job>,
    /// Those who look; they end with this.
    _watchers: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Found {
    by_place: Mutex<Vec<Vec<Group>>>,
    changed: Notify,
}

/// Where targets are listed.
enum Place {
    Files(file::Files),
    Url(HttpDiscovery, Client),
    Dns(dns::Records),
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
    pub(super) fn start(job: &Arc<Job>, servers: Servers, dns: &Dns) -> Self {
        let mut places = Vec::new();
        places.extend(job.file_sd_configs.iter().map(|files: &FileDiscovery| Place::Files(files.into())));
        let lists = job.http_sd_configs.iter().zip(servers.lists);
        places.extend(lists.map(|(list, client)| Place::Url(HttpDiscovery::clone(list), client)));
        for records in &job.dns_sd_configs {
            let names = records.names.iter();
            places.extend(names.map(|name| Place::Dns(dns::Records::new(name, records, dns.clone()))));
        }
        let prefixes = job.etcd_sd_configs.iter().zip(servers.etcd);
        places.extend(
            prefixes.map(|(prefix, client)| Place::Etcd(etcd::Prefix::new(EtcdDiscovery::clone(prefix), client))),
        );
        let found = Arc::new(Found::default());
        found.by_place().resize(places.len(), Vec::new());
        let mut watchers = JoinSet::new();
        for (number, place) in places.into_iter().enumerate() {
            watchers.spawn(watch(place, number, Arc::clone(&found), Arc::clone(job)));
        }
        Discovery { found, job: Arc::clone(job), _watchers: watchers }
    }

    /// All groups as of now.
    pub(super) fn groups(&self) -> Vec<Group> {
        let by_place = self.found.by_place();
        self.job.static_configs.iter().chain(by_place.iter().flatten()).cloned().collect()
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
    let mut told: Option<String> = None;
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
        place.wait().await;
    }
}

/// Notes where groups come from.
fn note(groups: &mut [Group], label: &str, place: &str) {
    for group in groups {
        group.labels.insert(label.to_owned(), place.to_owned());
    }
}
