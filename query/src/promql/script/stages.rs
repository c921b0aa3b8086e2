//! Do scripts hold of a server, wherever it keeps what they loaded: in memory, in blocks, in blocks that were merged?

use super::door::{Door, Server};
use super::read::{Command, Eval, commands};
use super::run::{Place, Tally, check};
use crate::series::{Labels, Sample};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Where the samples are while expressions are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Memory,
    Blocks,
    Merged,
}

/// Far more than anything takes.
const PATIENCE: Duration = Duration::from_secs(300);
/// Longer than the store waits until it looks again for blocks to merge.
const QUIET: Duration = Duration::from_secs(7);
/// So many blocks of a tenant are merged.
const ROUNDS: usize = 8;
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What is asked of what a script had loaded at one time.
#[derive(Debug)]
struct World {
    script: String,
    samples: Vec<(Labels, Sample)>,
    evals: Vec<Eval>,
}

/// Runs all scripts in every stage.
pub(super) fn run_all(binary: &OsStr, scripts: &[PathBuf]) -> Tally {
    let mut all = Tally::default();
    for stage in [Stage::Memory, Stage::Blocks, Stage::Merged] {
        let mut tally = Tally::default();
        let worlds: Vec<World> = scripts.iter().flat_map(|path| worlds(path, &mut tally)).collect();
        let began = Instant::now();
        run(binary, stage, &worlds, &mut tally);
        let seconds = began.elapsed().as_secs();
        println!("  {stage:?}: {} of {} in {seconds} s", tally.passed, tally.total());
        tally.failures.iter().for_each(|failure| println!("    {failure}"));
        all.add(tally);
    }
    all
}

fn worlds(path: &Path, tally: &mut Tally) -> Vec<World> {
    let script = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut worlds: Vec<World> = Vec::new();
    let mut samples = Vec::new();
    let mut is_new = true;
    for command in commands(&std::fs::read_to_string(path).unwrap()) {
        match command {
            Err((line, message)) => tally.failures.push(format!("{script}:{line}: {message}")),
            Ok(Command::Clear) => (samples, is_new) = (Vec::new(), true),
            Ok(Command::Load(load)) => {
                samples.extend(load.samples());
                is_new = true;
            }
            Ok(Command::Eval(eval)) => {
                if is_new {
                    worlds.push(World { script: script.clone(), samples: samples.clone(), evals: Vec::new() });
                    is_new = false;
                }
                worlds.last_mut().unwrap().evals.push(*eval);
            }
        }
    }
    worlds
}

fn tenant(place: usize) -> String {
    format!("world-{place}")
}

fn run(binary: &OsStr, stage: Stage, worlds: &[World], tally: &mut Tally) {
    let flush_age = if stage == Stage::Memory { "86400" } else { "1" };
    let server = Server::start(binary, &[("SPANLIGHT_STORAGE_FLUSH_AGE_SECONDS", flush_age)]);
    let mut door = Door::open(&server.address);
    if stage == Stage::Merged {
        for round in 0..ROUNDS - 1 {
            load(&mut door, worlds, &|place, len| place % len.min(ROUNDS) == round % len.min(ROUNDS), tally);
            settle(&mut door);
        }
    }
    load(&mut door, worlds, &|_, _| true, tally);
    if stage != Stage::Memory {
        settle(&mut door);
    }
    if stage == Stage::Merged {
        merge(&mut door, worlds.iter().filter(|world| !world.samples.is_empty()).count());
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(tally));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut door = Door::open(&server.address);
                while let Some((place, world)) = worlds.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
                    door.tenant = tenant(place);
                    for eval in &world.evals {
                        let checked = check(eval, &mut Place::Server(&mut door));
                        done.lock().unwrap().count(&world.script, eval, checked);
                    }
                }
            });
        }
    });
}

/// Sends the samples that are wanted by their place in a series, and by how many that has.
fn load(door: &mut Door, worlds: &[World], is_wanted: &dyn Fn(usize, usize) -> bool, tally: &mut Tally) {
    for (place, world) in worlds.iter().enumerate() {
        let mut lens: BTreeMap<&Labels, usize> = BTreeMap::new();
        world.samples.iter().for_each(|(labels, _)| *lens.entry(labels).or_default() += 1);
        let mut places: BTreeMap<&Labels, usize> = BTreeMap::new();
        let wanted = world.samples.iter().filter(|&pair| {
            let (labels, _) = pair;
            let place = places.entry(labels).or_default();
            *place += 1;
            is_wanted(*place - 1, lens[labels])
        });
        let samples: Vec<(Labels, Sample)> = wanted.cloned().collect();
        if samples.is_empty() {
            continue;
        }
        door.tenant = tenant(place);
        if let Err(message) = door.load(&samples) {
            let lines = world.evals.iter().map(|eval| eval.line.to_string()).collect::<Vec<_>>().join(", ");
            tally.failures.push(format!("{}: what lines {lines} need: {message}", world.script));
        }
    }
    door.tenant.clear();
}

/// Waits until all is in blocks.
fn settle(door: &mut Door) {
    wait("all is in blocks", || door.counted("spanlight_memtable_bytes") == 0.0);
}

/// Waits until the blocks of each tenant are one.
fn merge(door: &mut Door, tenants: usize) {
    let mut last = (0.0, Instant::now());
    wait("nothing is left to be merged", || {
        let merges = door.counted("spanlight_compactions_total");
        if merges != last.0 {
            last = (merges, Instant::now());
        }
        merges > 0.0 && last.1.elapsed() > QUIET
    });
    let (read, left) = (door.counted("spanlight_compaction_read_blocks_total"), door.counted("spanlight_blocks"));
    println!("  {read} blocks were merged to {left}");
    assert_eq!(left, tenants as f64, "each tenant has one block");
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "in vain waited until {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}
