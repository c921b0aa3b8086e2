//! When is which group evaluated, and by which files?

use super::board::Key;
use super::config::{RulesConfig, RulesError, Text, groups};
use super::file::GroupSpec;
use super::group::{Group, Restore};
use super::write::messages;
use crate::door::Door;
use crate::http::QueryState;
use crate::series::Labels;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{Id, JoinError, JoinSet};

/// Between looks at files.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The texts of files, and the groups in them.
type Read = (Vec<Text>, Vec<Arc<GroupSpec>>);

/// What groups need of the server.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) state: Arc<QueryState>,
    door: Door,
}

impl Context {
    /// Milliseconds since 1970.
    pub(super) fn now(&self) -> i64 {
        self.state.now().div_euclid(1_000_000)
    }

    pub(super) fn monotonic(&self) -> Duration {
        self.state.monotonic()
    }

    pub(super) async fn send(&self, spec: &GroupSpec, message: Bytes) -> Result<(), String> {
        self.door.send(spec.tenant.clone(), message).await
    }
}

/// Series of a group that went from the files, and when they are told to have ended.
#[derive(Debug)]
struct Leaving {
    spec: Arc<GroupSpec>,
    series: BTreeSet<Labels>,
    since: i64,
    due: i64,
}

/// All rules of a server.
#[derive(Debug)]
pub struct Rules {
    config: RulesConfig,
    context: Arc<Context>,
    /// What the files said; `None` before they were read.
    texts: Option<Vec<Text>>,
    plan: BTreeMap<Key, Arc<GroupSpec>>,
    idle: BTreeMap<Key, Group>,
    working: JoinSet<Group>,
    busy: HashMap<Id, Key>,
    leaving: Vec<Leaving>,
    look_at: Duration,
}

impl Rules {
    /// Rules of files. The door takes messages of remote write 2, without snappy.
    pub fn new(config: RulesConfig, state: Arc<QueryState>, door: Door) -> Self {
        Rules {
            config,
            look_at: state.monotonic(),
            context: Arc::new(Context { state, door }),
            texts: None,
            plan: BTreeMap::new(),
            idle: BTreeMap::new(),
            working: JoinSet::new(),
            busy: HashMap::new(),
            leaving: Vec::new(),
        }
    }

    /// Works until `shutdown` resolves, and then until what is under way has ended.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut hangups = signal(SignalKind::hangup()).ok();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            self.step().await;
            let pause = self.pause();
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = received(&mut hangups) => self.look_at = Duration::ZERO,
                Some(ended) = self.working.join_next_with_id() => self.ended(ended),
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.settle().await;
    }

    /// Reads the files where it is time, and begins to evaluate every group whose time has come. What `run` does, again and again.
    pub async fn step(&mut self) {
        while let Some(ended) = self.working.try_join_next_with_id() {
            self.ended(ended);
        }
        if self.context.monotonic() >= self.look_at {
            self.look_at = self.context.monotonic() + LOOK_INTERVAL;
            self.look().await;
        }
        let now = self.context.now();
        let due: Vec<Key> =
            self.idle.iter().filter(|(_, group)| group.is_due(now)).map(|(key, _)| key.clone()).collect();
        for key in due {
            let Some(group) = self.idle.remove(&key) else { continue };
            let task = self.working.spawn(group.turn(Arc::clone(&self.context)));
            self.busy.insert(task.id(), key);
        }
        self.end_left(now).await;
    }

    /// Waits until no group is being evaluated.
    pub async fn settle(&mut self) {
        while let Some(ended) = self.working.join_next_with_id().await {
            self.ended(ended);
        }
    }

    /// How long there is nothing to do.
    fn pause(&self) -> Duration {
        let now = self.context.now();
        let next = self.idle.values().map(Group::next).chain(self.leaving.iter().map(|leaving| leaving.due)).min();
        let until_next = next
            .map_or(LOOK_INTERVAL, |next| Duration::from_millis(u64::try_from(next.saturating_sub(now)).unwrap_or(0)));
        let until_look = self.look_at.saturating_sub(self.context.monotonic());
        until_next.min(until_look).max(Duration::from_millis(1))
    }

    async fn look(&mut self) {
        let (config, before) = (self.config.clone(), self.texts.take());
        let known = before.clone();
        let read = move || -> Result<Option<Read>, RulesError> {
            let texts = config.read()?;
            if known.as_ref() == Some(&texts) {
                return Ok(None);
            }
            let groups = groups(&texts)?;
            Ok(Some((texts, groups)))
        };
        let is_first = before.is_none();
        self.texts = before;
        let read = tokio::task::spawn_blocking(read).await;
        let read = read.unwrap_or_else(|_| Err(RulesError("reading the files ended early".to_owned())));
        let board = self.context.state.rules();
        board.files_read(self.context.now(), read.is_ok());
        match read {
            Ok(None) => {}
            Ok(Some((texts, groups))) => {
                tracing::info!(files = texts.len(), groups = groups.len(), "read the rules");
                self.texts = Some(texts);
                self.plan(groups, if is_first { Restore::Yes } else { Restore::No });
            }
            Err(error) => tracing::error!(%error, "files of rules cannot be used; the rules stay as they were"),
        }
    }

    /// Makes groups what the files say (L5). Those that are being evaluated follow when that has ended.
    fn plan(&mut self, groups: Vec<Arc<GroupSpec>>, restore: Restore) {
        self.plan = groups.into_iter().map(|spec| (spec.key(), spec)).collect();
        for group in std::mem::take(&mut self.idle).into_values() {
            self.place(group);
        }
        let busy: BTreeSet<&Key> = self.busy.values().collect();
        for (key, spec) in &self.plan {
            if !busy.contains(key) && !self.idle.contains_key(key) {
                let group = Group::new(Arc::clone(spec), self.context.now(), restore);
                self.context.state.rules().put(group.view());
                self.idle.insert(key.clone(), group);
            }
        }
    }

    /// Where a group belongs that is not being evaluated.
    fn place(&mut self, group: Group) {
        let (key, now) = (group.spec.key(), self.context.now());
        let board = self.context.state.rules();
        let Some(spec) = self.plan.get(&key) else {
            board.remove(&key);
            let spec = Arc::clone(&group.spec);
            // As long as a rule that was renamed may take to give its series again.
            let due = now.saturating_add(spec.interval.saturating_mul(2));
            self.leaving.push(Leaving { spec, series: group.into_series(), since: now, due });
            return;
        };
        let group =
            if *group.spec == **spec { group } else { Group::new(Arc::clone(spec), now, Restore::No).adopting(group) };
        board.put(group.view());
        self.idle.insert(key, group);
    }

    fn ended(&mut self, ended: Result<(Id, Group), JoinError>) {
        match ended {
            Ok((id, group)) => {
                self.busy.remove(&id);
                self.place(group);
            }
            Err(error) => {
                let Some(key) = self.busy.remove(&error.id()) else { return };
                tracing::error!(file = key.0, group = key.1, %error, "a group's evaluation ended early; it begins anew");
                if let Some(spec) = self.plan.get(&key) {
                    let group = Group::new(Arc::clone(spec), self.context.now(), Restore::Yes);
                    self.idle.insert(key, group);
                }
            }
        }
    }

    /// Ends the series of groups that are gone, but for those that another group gives.
    async fn end_left(&mut self, now: i64) {
        let (due, left) =
            std::mem::take(&mut self.leaving).into_iter().partition(|leaving: &Leaving| leaving.due <= now);
        self.leaving = left;
        for Leaving { spec, mut series, since, .. } in due {
            for group in self.idle.values() {
                series.retain(|labels| !group.gives(labels));
            }
            for message in messages([], &series, since.saturating_sub(spec.query_offset)) {
                if let Err(error) = self.context.send(&spec, message).await {
                    tracing::warn!(group = spec.name, error, "the end of series was not stored");
                }
            }
        }
    }
}

/// Resolves when the process is told to read its files again.
async fn received(hangups: &mut Option<Signal>) {
    match hangups {
        Some(hangups) => drop(hangups.recv().await),
        None => std::future::pending().await,
    }
}
