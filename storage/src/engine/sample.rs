//! When is a trace decided, and what becomes of its spans?
//!
//! D1  A block of spans that is flushed while its tenant has policies is *undecided*, and no other merge touches it. Once it has been there
//!     for the wait its traces are decided: blocks without the spans that are dropped take the place of it, in one commit whatever windows
//!     they lie in, which remembers what was dropped. Before it a trace is there whole, behind it whole or not at all, also after a crash.
//! D2  A trace of which there are spans in memory, or in blocks that have not waited yet, grows: its spans go to an undecided block of
//!     their own, and wait on, until the newest of its spans has been in a block for the wait. Traces whose newest spans came at about the
//!     same time wait together, so what waits is written anew a few times at most, however many blocks come meanwhile. A trace that
//!     began ten waits ago is decided all the same, by all of its spans.
//! D3  What comes late of a trace that was decided shares its fate. What was kept is found in the blocks that are decided, with the
//!     threshold by which it was; what was dropped is remembered for an hour, and of a tenant two million traces at most, the last ones.
//! D4  Where several processes write to one bucket each may decide, and of two that decide traces of a tenant at once one gives up. What
//!     others have in memory is in blocks at the latest when it is as old as the flush lets it be, so the wait is longer by that.
//! D5  When a tenant has no policies any more, what is undecided stays.
//!
//! Not here: which traces are kept (`sampling`).

use super::maintain::{Opened, Pace, are_whole, hidden_meanwhile};
use super::metrics::EngineMetrics;
use super::publish::Placed;
use super::store::Store;
use super::threads::chain;
use super::traces::united;
use super::view::View;
use crate::block::{BlockId, Shown, Window};
use crate::compaction::{CompactionConfig, Sieve, sift};
use crate::error::{Class, Error, Result};
use crate::manifest::{BlockEntry, Commit, Dropped, Manifest, Sampled, SamplingTally};
use crate::memtable::MemBatch;
use crate::model::schema::column as name;
use crate::model::trace_state::{self, Threshold};
use crate::model::{Signal, TenantId, TraceId};
use crate::sampling::{Decision, Policies, TailSampling, Traces};
use crate::scan::{ScanRequest, required};
use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, RecordBatch, StringArray};
use arrow_select::filter::filter_record_batch;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

const SECOND: i64 = 1_000_000_000;
/// For so long it is known which traces were dropped.
const REMEMBERED_FOR: i64 = 3_600 * SECOND;
/// Of so many of a tenant, eight bytes each.
const MOST_REMEMBERED: usize = 2 << 20;
/// A trace that grows is decided when it began so many waits ago.
const MOST_WAITS: i64 = 10;
/// Blocks that came within such a part of the wait are waited for together: nothing waits longer than that in vain.
const WAITED_FOR_TOGETHER: i64 = 16;
/// What is known of a trace while it is decided; in the worst case each row is one.
const TRACE_BYTES: usize = 128;

/// What becomes of a trace's spans.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Stays(Threshold),
    Goes,
    /// The newest spans of it came into a block at this time.
    Waits(i64),
}

/// When traces are decided.
#[derive(Debug, Clone, Copy)]
struct Clockwork {
    now: i64,
    wait: i64,
    /// How long others may have spans in memory.
    of_others: i64,
}

/// Traces that are decided at once.
struct Step<'a> {
    tenant: &'a TenantId,
    view: &'a View,
    clockwork: Clockwork,
    policies: Policies,
    inputs: &'a [Shown],
    traces: Traces,
    fates: HashMap<TraceId, Fate>,
    tallies: BTreeMap<String, SamplingTally>,
}

impl Store {
    /// Decides traces of one tenant, if that is due; whether it was.
    pub(super) fn sample(&self, now: i64, pace: Pace<'_>) -> Result<bool> {
        let view = self.view();
        let undecided = view.manifest.blocks.values().filter(|entry| entry.undecided).map(|entry| &entry.tenant);
        let remembering = view.manifest.sampling.iter().filter(|(_, sampling)| sampling.remembered() > 0);
        let tenants: BTreeSet<&TenantId> = undecided.chain(remembering.map(|(tenant, _)| tenant)).collect();
        for tenant in tenants {
            let config = self.config.retention.sampling(tenant);
            let done = match config.is_on() {
                true => self.counted(|| self.decide_some(&view, (tenant, config), now, &mut *pace)),
                false => self.keep_all(tenant, now),
            };
            match done {
                Ok(false) => {}
                Ok(true) | Err(Error::Closing) => return done,
                // What cannot be decided now does not hold up the others.
                Err(error) => {
                    tracing::warn!(%tenant, error = %chain(&error), "failed to decide traces; it is tried again")
                }
            }
        }
        Ok(false)
    }

    /// Nothing that waits is dropped any more (D5).
    fn keep_all(&self, tenant: &TenantId, now: i64) -> Result<bool> {
        self.publish(Vec::new(), None, |manifest| {
            let ours = manifest.blocks.values().filter(|entry| entry.undecided && entry.tenant == *tenant);
            let settled: Vec<BlockId> = ours.map(|entry| entry.id).collect();
            let remembered = manifest.sampling.get(tenant).map_or(0, |sampling| sampling.remembered());
            let dropped = Dropped { time: now, traces: Vec::new() };
            let sampled = Sampled { tenant: tenant.clone(), dropped, tallies: BTreeMap::new(), forget: i64::MAX };
            let is_needed = !settled.is_empty() || remembered > 0;
            is_needed.then(|| Commit { settled, sampled: Some(sampled), ..Commit::default() })
        })
    }

    fn decide_some(
        &self,
        view: &View,
        (tenant, config): (&TenantId, &TailSampling),
        now: i64,
        pace: Pace<'_>,
    ) -> Result<bool> {
        let wait = i64::from(config.wait_seconds).saturating_mul(SECOND);
        let of_others = self.sharing.as_ref().map_or(0, |_| nanos(self.config.flush_age));
        let clockwork = Clockwork { now, wait, of_others };
        let ids = ripe(&view.manifest, tenant, clockwork, &self.config.compaction);
        let opened = if ids.is_empty() { None } else { self.open_inputs(view, &view.manifest, &ids)? };
        let Some(Opened { bytes, inputs, .. }) = opened else { return Ok(false) };
        let mut step = Step {
            tenant,
            view,
            clockwork,
            policies: Policies::new(config).map_err(|what| Error::Request { what })?,
            inputs: &inputs,
            traces: Traces::default(),
            fates: HashMap::new(),
            tallies: BTreeMap::new(),
        };
        let mut pace = |bytes: u64| {
            pace(bytes)?;
            if are_undecided(&self.view().manifest, &ids) { Ok(()) } else { Err(Error::Closing) }
        };
        let made = step.decide(&mut pace).and_then(|()| self.make_sifted(&step, &mut pace));
        if made.is_err() && !are_undecided(&self.view().manifest, &ids) {
            return Ok(false);
        }
        if made.as_ref().is_err_and(|error| error.class() == Class::Corrupt) {
            let all = view.blocks_of(tenant, Signal::Spans).iter().map(|shown| shown.id);
            self.examine_ids(&all.collect::<Vec<_>>())?;
        }
        let made = made?;
        let rows: u64 = made.iter().flatten().map(|made| made.entry.rows).sum();
        let written: u64 = made.iter().flatten().map(|made| made.entry.bytes).sum();
        let published = self.commit_decided(&step, (&ids, now), made)?;
        if published {
            EngineMetrics::add(&self.metrics.compaction_read_blocks, ids.len() as u64);
            EngineMetrics::add(&self.metrics.compaction_read_bytes, bytes);
            EngineMetrics::add(&self.metrics.compaction_rows, rows);
            EngineMetrics::add(&self.metrics.compaction_bytes, written);
        }
        Ok(published)
    }

    /// The blocks that take the place of a step's; `None` where these stay as they are.
    fn make_sifted(&self, step: &Step<'_>, pace: Pace<'_>) -> Result<Option<Vec<Placed>>> {
        if step.fates.values().all(|fate| *fate == Fate::Stays(Threshold::default())) {
            return Ok(None);
        }
        let mut windows: BTreeMap<Window, (u64, Vec<Shown>)> = BTreeMap::new();
        for shown in step.inputs {
            let Some(entry) = step.view.manifest.blocks.get(&shown.id) else { continue };
            let (written, of_window) = windows.entry(entry.window).or_default();
            *written = entry.written.max(*written);
            of_window.push(shown.clone());
        }
        let kept = |batch: &RecordBatch| step.kept(batch);
        let groups = step.waiting_together();
        let mut placed = Vec::new();
        let mut make = || -> Result<()> {
            for (window, (written, of_window)) in &windows {
                let table = (step.tenant, *window, *written);
                placed.extend(self.make_one(table, of_window, &kept, &mut *pace)?);
                for (since, ids) in &groups {
                    let may_hold = |shown: &&Shown| ids.iter().any(|id| shown.may_hold_trace(id));
                    let of_group: Vec<Shown> = of_window.iter().filter(may_hold).cloned().collect();
                    if of_group.is_empty() {
                        continue;
                    }
                    let waiting = |batch: &RecordBatch| step.waiting(batch, *since);
                    let made = self.make_one(table, &of_group, &waiting, &mut *pace)?;
                    let waits = |entry| BlockEntry { undecided: true, grown_at: Some(*since), ..entry };
                    placed.extend(made.map(|made| Placed { entry: waits(made.entry), ..made }));
                }
            }
            Ok(())
        };
        let made = make();
        made.inspect_err(|_| self.discard(&placed))?;
        Ok(Some(placed))
    }

    fn make_one(
        &self,
        (tenant, window, written): (&TenantId, Window, u64),
        inputs: &[Shown],
        sieve: Sieve<'_>,
        pace: Pace<'_>,
    ) -> Result<Option<Placed>> {
        self.make_verified((tenant, Signal::Spans, window, written), |dir, config| {
            sift(self.fs.as_ref(), dir, inputs, sieve, config, pace)
        })
    }

    fn commit_decided(
        &self,
        step: &Step<'_>,
        (ids, now): (&[BlockId], i64),
        made: Option<Vec<Placed>>,
    ) -> Result<bool> {
        let before = &step.view.manifest;
        let version = |manifest: &Manifest| manifest.sampling.get(step.tenant).map_or(0, |sampling| sampling.version);
        let applied: Vec<u64> = before.tombstones.keys().copied().collect();
        let stay = made.is_none();
        let placed = made.unwrap_or_default();
        let outputs: Vec<BlockId> = placed.iter().map(|placed| placed.entry.id).collect();
        let sampled = step.sampled(now);
        self.publish(placed, None, |manifest| {
            if !are_undecided(manifest, ids) || version(manifest) != version(before) {
                return None;
            }
            let sampled = Some(sampled.clone());
            Some(match stay {
                true => Commit { settled: ids.to_vec(), sampled, ..Commit::default() },
                false => {
                    let hide = hidden_meanwhile(manifest, &applied, ids, &outputs);
                    Commit { remove: ids.to_vec(), hide, sampled, ..Commit::default() }
                }
            })
        })
    }
}

impl Clockwork {
    /// Whether a block's traces can be decided; also where the clock was set back far since. One of a process whose clock is a little
    /// ahead waits.
    fn has_waited(self, entry: &BlockEntry) -> bool {
        let wait = self.wait.saturating_add(self.of_others);
        self.now.abs_diff(entry.waits_since()) >= wait.unsigned_abs()
    }
}

impl Step<'_> {
    /// Decides the traces of the blocks, and counts them.
    fn decide(&mut self, pace: Pace<'_>) -> Result<()> {
        let now = self.clockwork.now;
        let columns = Traces::columns(&self.policies);
        let request = Arc::new(ScanRequest::all(columns.iter().copied()));
        for shown in self.inputs {
            for batch in shown.scan(&request)? {
                pace(0)?;
                self.traces.add(&self.policies, &batch?, |_| true)?;
            }
        }
        self.share_fates(now, pace)?;
        let own = self.wait_or_gather(&columns, pace)?;
        let open = self.traces.of.iter().filter(|(id, _)| !self.fates.contains_key(*id));
        let decided = self.policies.decide(open);
        for (id, traits) in &self.traces.of {
            let spans = own.get(id).copied().unwrap_or(traits.spans);
            let (fate, name, traces) = match decided.get(id) {
                Some(Decision::Kept(policy, threshold)) => (Fate::Stays(*threshold), self.policies.name(*policy), 1),
                Some(Decision::Dropped(policy)) => (Fate::Goes, self.policies.name(Some(*policy)), 1),
                None => (self.fates.get(id).copied().unwrap_or(Fate::Waits(now)), Policies::LATE, 0),
            };
            self.fates.insert(*id, fate);
            let tally = match fate {
                Fate::Stays(_) => SamplingTally { kept_traces: traces, kept_spans: spans, ..SamplingTally::default() },
                Fate::Goes => {
                    SamplingTally { dropped_traces: traces, dropped_spans: spans, ..SamplingTally::default() }
                }
                Fate::Waits(_) => continue,
            };
            self.tallies.entry(name.to_owned()).or_default().add(&tally);
        }
        Ok(())
    }

    /// The other blocks of the tenant's spans, undecided or not.
    fn others(&self, undecided: bool) -> impl Iterator<Item = &Shown> {
        let blocks = self.view.blocks_of(self.tenant, Signal::Spans).iter();
        let is_wanted = move |shown: &&Shown| {
            let entry = self.view.manifest.blocks.get(&shown.id);
            entry.is_some_and(|entry| entry.undecided == undecided) && self.inputs.iter().all(|one| one.id != shown.id)
        };
        blocks.filter(is_wanted)
    }

    fn open(&self) -> Vec<TraceId> {
        self.traces.of.keys().filter(|id| !self.fates.contains_key(*id)).copied().collect()
    }

    /// Traces that were decided before (D3).
    fn share_fates(&mut self, now: i64, pace: Pace<'_>) -> Result<()> {
        let prints: HashMap<u64, TraceId> = self.traces.of.keys().map(|id| (print(id), *id)).collect();
        let remembered = self.view.manifest.sampling.get(self.tenant);
        let dropped = remembered.iter().flat_map(|sampling| sampling.dropped.values());
        // The manifest forgets at the next decision.
        let dropped = dropped.filter(|dropped| dropped.time >= now.saturating_sub(REMEMBERED_FOR));
        let gone = dropped.flat_map(|dropped| &dropped.traces).filter_map(|print| prints.get(print));
        self.fates.extend(gone.map(|id| (*id, Fate::Goes)));
        let open = self.open();
        let mut kept: HashMap<TraceId, Threshold> = HashMap::new();
        for shown in self.others(false) {
            pace(0)?;
            for batch in spans_of(shown, &open, &[name::TRACE_ID, name::TRACE_STATE])? {
                let states = required(&batch, name::TRACE_STATE)?.as_string::<i32>();
                for (row, id) in ids(&batch)?.into_iter().enumerate() {
                    let state = if states.is_valid(row) { states.value(row) } else { "" };
                    let threshold = trace_state::threshold(state).unwrap_or_default();
                    // A span may have been sampled before it came, by a higher one than its trace was here.
                    kept.entry(id).and_modify(|least| *least = threshold.min(*least)).or_insert(threshold);
                }
            }
        }
        self.fates.extend(kept.into_iter().map(|(id, threshold)| (id, Fate::Stays(threshold))));
        Ok(())
    }

    /// Lets traces wait that grow, and gathers what else there is of those that have grown for too long (D2). How many spans the
    /// blocks have of these.
    fn wait_or_gather(&mut self, columns: &[&'static str], pace: Pace<'_>) -> Result<HashMap<TraceId, u64>> {
        let Clockwork { now, wait, .. } = self.clockwork;
        let open = self.open();
        let wanted: HashSet<TraceId> = open.iter().copied().collect();
        // The time of their newest spans.
        let mut growing: HashMap<TraceId, i64> = HashMap::new();
        // By parts of the wait the newest block of each.
        let mut newest: BTreeMap<i64, i64> = BTreeMap::new();
        let part = |time: i64| time.div_euclid((wait / WAITED_FOR_TOGETHER).max(1));
        let later = |newest: &mut i64, time: i64| *newest = time.max(*newest);
        for shown in self.others(true) {
            pace(0)?;
            let since = self.waits_since(shown);
            later(newest.entry(part(since)).or_insert(since), since);
            for batch in spans_of(shown, &open, &[name::TRACE_ID])? {
                ids(&batch)?.into_iter().for_each(|id| later(growing.entry(id).or_insert(since), since));
            }
        }
        let generations = self.view.generations();
        let in_memory: Vec<Arc<MemBatch>> =
            generations.flat_map(|generation| generation.batches(self.tenant, Signal::Spans)).collect();
        for batch in &in_memory {
            batch.each_trace(|id| {
                if wanted.contains(&id) {
                    growing.insert(id, now);
                    later(newest.entry(part(now)).or_insert(now), now);
                }
            })?;
        }
        let may_wait = |id: &TraceId| {
            let start = self.traces.of.get(id).map_or(now, |traits| traits.start);
            start <= now && now.saturating_sub(start) < wait.saturating_mul(MOST_WAITS)
        };
        let (waiting, overdue): (HashMap<_, _>, HashMap<_, _>) = growing.into_iter().partition(|(id, _)| may_wait(id));
        let overdue: HashSet<TraceId> = overdue.into_keys().collect();
        let together = |since: i64| newest.get(&part(since)).copied().unwrap_or(since);
        self.fates.extend(waiting.into_iter().map(|(id, since)| (id, Fate::Waits(together(since)))));
        let spans = |id: &TraceId| self.traces.of.get(id).map_or(0, |traits| traits.spans);
        let own = overdue.iter().map(|id| (*id, spans(id))).collect();
        if overdue.is_empty() {
            return Ok(own);
        }
        let overdue_ids: Vec<TraceId> = overdue.iter().copied().collect();
        let mut rest = Vec::new();
        for shown in self.others(true) {
            rest.extend(spans_of(shown, &overdue_ids, columns)?);
        }
        for batch in &in_memory {
            rest.extend(batch.of_traces(&overdue, columns, self.view.manifest.version, |_, error| Err(error))?);
        }
        rest.iter().try_for_each(|batch| self.traces.add(&self.policies, batch, |id| overdue.contains(id)))?;
        Ok(own)
    }

    /// Since when another block waits. One that has waited, and is more than can be decided at once, waits once more.
    fn waits_since(&self, shown: &Shown) -> i64 {
        let entry = self.view.manifest.blocks.get(&shown.id).filter(|entry| !self.clockwork.has_waited(entry));
        entry.map_or(self.clockwork.now, |entry| entry.waits_since())
    }

    /// The traces that wait, by the time of their newest spans.
    fn waiting_together(&self) -> BTreeMap<i64, Vec<TraceId>> {
        let mut groups: BTreeMap<i64, Vec<TraceId>> = BTreeMap::new();
        for (id, fate) in &self.fates {
            if let Fate::Waits(since) = fate {
                groups.entry(*since).or_default().push(*id);
            }
        }
        groups
    }

    fn fate(&self, id: &TraceId) -> Fate {
        // Every row was looked at; what should not be known stays.
        self.fates.get(id).copied().unwrap_or(Fate::Stays(Threshold::default()))
    }

    /// The rows that stay, each with the threshold by which its trace was kept.
    fn kept(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let fates: Vec<Fate> = ids(batch)?.iter().map(|id| self.fate(id)).collect();
        let kept = chosen(batch, fates.iter().map(|fate| matches!(fate, Fate::Stays(_))))?;
        let thresholds: Vec<Threshold> = fates
            .into_iter()
            .filter_map(|fate| if let Fate::Stays(least) = fate { Some(least) } else { None })
            .collect();
        if thresholds.iter().all(|least| least.keeps_all()) {
            return Ok(kept);
        }
        let place = kept.schema_ref().index_of(name::TRACE_STATE);
        let place = place.map_err(|source| Error::Columns { action: "find the states of traces", source })?;
        let states = kept.column(place).as_string::<i32>();
        let states = thresholds.iter().zip(states).map(|(least, state)| match state {
            None if least.keeps_all() => None,
            state => Some(trace_state::with_threshold(state.unwrap_or_default(), *least)),
        });
        let states: StringArray = states.collect();
        let mut columns = kept.columns().to_vec();
        if let Some(column) = columns.get_mut(place) {
            *column = Arc::new(states);
        }
        RecordBatch::try_new(kept.schema(), columns)
            .map_err(|source| Error::Columns { action: "say how traces were sampled", source })
    }

    fn waiting(&self, batch: &RecordBatch, since: i64) -> Result<RecordBatch> {
        let ids = ids(batch)?;
        chosen(batch, ids.iter().map(|id| self.fate(id) == Fate::Waits(since)))
    }

    /// What the commit says.
    fn sampled(&self, now: i64) -> Sampled {
        let gone = self.fates.iter().filter(|(_, fate)| **fate == Fate::Goes);
        let mut traces: Vec<u64> = gone.map(|(id, _)| print(id)).collect();
        traces.sort_unstable();
        let mut forget = now.saturating_sub(REMEMBERED_FOR);
        let mut remembered = traces.len();
        let before = self.view.manifest.sampling.get(self.tenant);
        for dropped in before.iter().flat_map(|sampling| sampling.dropped.values().rev()) {
            remembered += dropped.traces.len();
            if remembered > MOST_REMEMBERED {
                forget = forget.max(dropped.time.saturating_add(1));
            }
        }
        let (tenant, tallies) = (self.tenant.clone(), self.tallies.clone());
        Sampled { tenant, dropped: Dropped { time: now, traces }, tallies, forget }
    }
}

/// The undecided blocks that have waited, those that were made first first, so many as are decided at once.
fn ripe(manifest: &Manifest, tenant: &TenantId, clockwork: Clockwork, config: &CompactionConfig) -> Vec<BlockId> {
    let has_waited = |entry: &&Arc<BlockEntry>| clockwork.has_waited(entry);
    let ours = manifest.blocks.values().filter(|entry| entry.undecided && entry.tenant == *tenant);
    let ours = ours.filter(|entry| !manifest.quarantined.contains_key(&entry.id)).filter(has_waited);
    let most_rows = config.most_rows.min((config.memory_bytes / TRACE_BYTES) as u64);
    let (mut bytes, mut rows) = (0u64, 0u64);
    let mut ids = Vec::new();
    for entry in ours {
        (bytes, rows) = (bytes.saturating_add(entry.bytes), rows.saturating_add(entry.rows));
        if !ids.is_empty() && (bytes > config.most_bytes || rows > most_rows) {
            break;
        }
        ids.push(entry.id);
    }
    ids
}

fn are_undecided(manifest: &Manifest, ids: &[BlockId]) -> bool {
    are_whole(manifest, ids) && ids.iter().all(|id| manifest.blocks.get(id).is_some_and(|entry| entry.undecided))
}

/// A block's rows of some traces.
fn spans_of(shown: &Shown, traces: &[TraceId], columns: &[&'static str]) -> Result<Vec<RecordBatch>> {
    let candidates: Vec<TraceId> = traces.iter().filter(|id| shown.may_hold_trace(id)).copied().collect();
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let ranges = shown.rows_of_all(&candidates)?.into_iter().map(|(_, rows)| rows).collect();
    shown.rows_of_traces(&candidates.into_iter().collect(), &united(ranges), columns)
}

/// The trace of each row.
fn ids(batch: &RecordBatch) -> Result<Vec<TraceId>> {
    let ids = required(batch, name::TRACE_ID)?.as_fixed_size_binary();
    let (ids, _) = ids.value_data().as_chunks::<16>();
    Ok(ids.iter().copied().map(TraceId).collect())
}

fn chosen(batch: &RecordBatch, rows: impl Iterator<Item = bool>) -> Result<RecordBatch> {
    let rows: BooleanArray = rows.map(Some).collect();
    filter_record_batch(batch, &rows).map_err(|source| Error::Columns { action: "choose spans of traces", source })
}

/// What is remembered of a trace.
fn print(id: &TraceId) -> u64 {
    xxh3_64(&id.0)
}

fn nanos(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
