//! What is told is exact, and damage is told.

use super::file::put_facets;
use super::granule::GranuleBuilder;
use super::*;
use crate::block::encode::{ColumnData, Values};
use crate::block::gather::Source;
use crate::block::layout::{self, Part};
use crate::block::order::order;
use crate::block::tests::random::Random;
use crate::model::attribute::Map;
use crate::model::origin::{Resource, Scope};
use crate::model::{Batch, LogBatchBuilder, LogRecord, Signal};
use crate::scan::{FacetLimits, Facets, Wanted};
use proptest::prelude::*;

/// The part of granules for batches that lie in one row group.
fn granules_of(signal: Signal, batches: &[Batch], granule_rows: usize) -> Vec<u8> {
    let order = order(signal, batches, usize::MAX).unwrap();
    let weights = Weights::of(signal, batches).unwrap();
    let columns = layout::columns(signal, &[]);
    let data = columns.iter().map(|column| {
        let Part::Column(index) = column.part else { return ColumnData::required(Values::Bool(Vec::new())) };
        let arrays = batches.iter().map(|batch| batch.columns().column(index)).collect();
        Source::new(arrays, column.field.is_nullable(), false).gather(&order.rows).unwrap()
    });
    let data: Vec<ColumnData> = data.collect();
    let mut builder = GranuleBuilder::new(signal);
    let rows = &order.rows;
    builder.note_group(&GroupRows { columns: (&columns, &data), rows, weights: &weights, granule_rows }).unwrap();
    builder.finish()
}

/// Log records a nanosecond apart, with severities by their number.
fn logs(severities: impl Iterator<Item = i32>) -> Batch {
    let mut builder = LogBatchBuilder::default();
    builder.set_resource(&Resource::default());
    builder.set_scope(&Scope::default());
    for (time, severity_number) in (0..).zip(severities) {
        let record = LogRecord {
            time,
            observed_time: None,
            severity_number,
            severity_text: "",
            body: &[],
            event_name: "event",
            trace_id: None,
            span_id: None,
            flags: 0,
            attributes: Map::default(),
            dropped_attributes_count: 0,
        };
        builder.append(&record).unwrap();
    }
    builder.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn t1_every_row_is_in_one_granule_and_one_combination(
        signal in prop_oneof![Just(Signal::Spans), Just(Signal::Logs)], seed: u64, count in 1usize..300,
    ) {
        let batches: Vec<Batch> =
            Random::new(seed).batches(signal, count).into_iter().filter(|batch| batch.num_rows() > 0).collect();
        let part = granules_of(signal, &batches, 16);
        let stats = GranuleStats::parse(signal, &part).unwrap();
        let mut rows = 0;
        for granule in stats.walk() {
            let granule = granule.unwrap();
            prop_assert_eq!(granule.rows.start, rows);
            prop_assert_eq!(granule.counts.iter().map(|(_, count)| count.rows).sum::<u64>(), granule.rows.len() as u64);
            rows = granule.rows.end;
        }
        prop_assert_eq!(rows, count);
    }

    #[test]
    fn t2_damaged_bytes_are_told_and_never_a_panic(seed: u64, at: prop::sample::Index, with: u8, cut: bool) {
        let batches = Random::new(seed).batches(Signal::Spans, 100);
        let batches: Vec<Batch> = batches.into_iter().filter(|batch| batch.num_rows() > 0).collect();
        let mut facets = Facets::new(Wanted::All, FacetLimits { keys: 9, values: 9, bytes: 900 });
        batches.iter().for_each(|batch| facets.add_batch(batch.columns()).unwrap());
        for (mut part, is_granules) in [(granules_of(Signal::Spans, &batches, 8), true), (put_facets(&facets), false)] {
            let at = at.index(part.len());
            part[at] ^= with;
            if cut {
                part.truncate(at);
            }
            if is_granules {
                if let Some(stats) = GranuleStats::parse(Signal::Spans, &part) {
                    prop_assert!(stats.walk().all(|granule| granule.is_some()));
                }
                prop_assert!(!cut || GranuleStats::parse(Signal::Spans, &part).is_none());
            } else {
                prop_assert!(!cut || file::take_facets(&part).is_none());
            }
        }
    }
}

#[test]
fn t1_what_is_too_much_is_unknown_and_the_rest_is_told() {
    // 5,000 severities: more than a block tells apart, and each granule of 100 has 100 of them.
    let part = granules_of(Signal::Logs, &[logs(0..5_000)], 100);
    let stats = GranuleStats::parse(Signal::Logs, &part).unwrap();
    let known: Vec<bool> = stats.walk().map(|granule| !granule.unwrap().counts.is_empty()).collect();
    assert_eq!(known, (0..50).map(|granule| granule < 40).collect::<Vec<_>>());
    // More than a granule tells apart.
    let part = granules_of(Signal::Logs, &[logs((0..400).map(|n| if n < 200 { n } else { 7 }))], 200);
    let stats = GranuleStats::parse(Signal::Logs, &part).unwrap();
    let known: Vec<usize> = stats.walk().map(|granule| granule.unwrap().counts.len()).collect();
    assert_eq!(known, [0, 1]);
    assert_eq!(stats.walk().last().unwrap().unwrap().counts[0].1.bytes, 200 * 5);
}

#[test]
fn keys_and_values_beyond_the_limits_are_told_of() {
    let limits = FacetLimits { keys: 2, values: 2, bytes: 1 << 20 };
    let mut facets = Facets::new(Wanted::All, limits);
    for (key, value) in [("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"), ("a", "1"), ("c", "1")] {
        let mut encoded = Vec::new();
        facets.add_entry(0, key.as_bytes(), text_value(&mut encoded, value.as_bytes()), 1);
    }
    let kept = file::take_facets(&put_facets(&facets)).unwrap();
    assert!(!kept.complete, "there is a third key");
    let told: Vec<_> = kept.facets.iter().map(|facet| (facet.rows, facet.values.as_ref().map(Vec::len))).collect();
    assert_eq!(told, [(4, None), (1, Some(1))]);
}
