//! Does the store keep its promises whatever the disk does? Seeded runs of the whole store on a simulated disk, against
//! a model that a person can read.
//!
//! A seed decides everything: what is written, when it is sealed, flushed and merged, when the disk fails, fills up, reads
//! wrong or loses power. After every step the store must show what the model says (E1 to E3 of `storage::engine`):
//! - every acknowledged row, once;
//! - no row that was refused, none that was never sent, and none that was deleted, unless it was sent again;
//! - rows of a write that a crash cut short: all or none of them, and always the same from then on.
//!
//! `SPANLIGHT_SIM_SEEDS` sets how many seeds run; a failing seed is printed and can be run alone with
//! `SPANLIGHT_SIM_FIRST`.

mod bucket;
mod damage;
mod run;
mod source;
mod telemetry;

use run::Run;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 500;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn acknowledged_rows_are_there_once_whatever_the_disk_does() {
    let first = number("SPANLIGHT_SIM_FIRST", 0);
    let seeds = number("SPANLIGHT_SIM_SEEDS", SEEDS);
    let halves: Vec<u64> = (0..2).collect();
    let totals: Vec<run::Totals> = std::thread::scope(|scope| {
        let threads: Vec<_> = halves
            .iter()
            .map(|half| {
                scope.spawn(move || {
                    let mut totals = run::Totals::default();
                    for seed in (first..first + seeds).filter(|seed| seed % 2 == *half) {
                        totals.add(&Run::new(seed).play());
                    }
                    totals
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("see the seed above")).collect()
    });
    let mut total = run::Totals::default();
    totals.iter().for_each(|part| total.add(part));
    eprintln!("{seeds} seeds: {total:?}");
    // A simulation in which nothing happens proves nothing.
    if seeds >= SEEDS {
        assert!(
            total.crashes > seeds
                && total.flushes > seeds
                && total.refused > seeds / 2
                && total.acknowledged > seeds
                && total.merges > seeds / 2
                && total.deletions > seeds / 4
                && total.retained_away > seeds / 4
                && total.thinned > seeds / 10
        );
    }
}

#[test]
fn a_crash_at_any_operation_of_a_thinning_loses_and_doubles_nothing() {
    let (_, made, operations) = run::thin_with_crash(u64::MAX);
    assert!(made == 0 && operations > 20, "{made} blocks in {operations} operations");
    for operation in 0..operations {
        let (shown, ..) = run::thin_with_crash(operation);
        for (shown, when) in shown.iter().zip(["after the crash", "when thinned", "when the samples are gone"]) {
            assert_eq!(*shown, run::rows_of_flush(), "{when}; crash at operation {operation} of {operations}");
        }
    }
}

#[test]
fn a_crash_at_any_operation_of_a_flush_loses_and_doubles_nothing() {
    let operations = Run::flush_with_crash(u64::MAX).1;
    assert!(operations > 20, "{operations} operations");
    for operation in 0..operations {
        let (shown, _) = Run::flush_with_crash(operation);
        assert_eq!(shown, run::rows_of_flush(), "crash at operation {operation} of {operations}");
    }
}
