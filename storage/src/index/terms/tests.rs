//! What is noted is proposed, across segments and beyond limits; what is read is never trusted.

use super::build::Limits;
use super::*;
use crate::block::open_checked;
use crate::error::{Class, Result};
use proptest::prelude::*;

/// So small that a few texts fill a segment, or pass a limit.
fn tiny() -> Limits {
    Limits { words: 40, word_bytes: 400, places: 300, values: 5, value_bytes: 60, segment_bytes: 2_000 }
}

/// An index over groups of texts, a granule for each four; the texts are noted as texts and as values.
fn index(groups: &[Vec<String>], limits: Limits) -> (TermIndex, usize) {
    let mut builder = TermsBuilder::with_limits(limits);
    let mut bytes = Vec::new();
    for (number, texts) in groups.iter().enumerate() {
        bytes.extend(builder.begin_group(texts.len(), 4).unwrap());
        let (mut column, mut ends) = (Vec::new(), Vec::new());
        for text in texts {
            column.extend_from_slice(text.as_bytes());
            ends.push(column.len());
        }
        builder.field("words", Style::Words).plain(&column, &ends, None, |_| false);
        let mut dictionary = crate::block::Interner::default();
        let keys: Vec<u32> = texts.iter().map(|text| dictionary.intern(text.as_bytes())).collect();
        for (field, style) in [("texts", Style::Text), ("values", Style::Exact)] {
            // Whether a column has a dictionary is up to each row group.
            match number % 3 {
                2 => builder.field(field, style).plain(&column, &ends, None, |_| false),
                _ => builder.field(field, style).coded(&dictionary, &keys, None, |_| false),
            }
        }
        builder.field("prints", Style::Prints).coded_cells(&dictionary, &keys, None, |notes, cell| {
            notes.print(fingerprint(cell));
        });
    }
    bytes.extend(builder.finish().unwrap());
    let granules: usize = groups.iter().map(|texts| texts.len().div_ceil(4)).sum();
    let index = TermIndex::new(open_checked(&bytes));
    assert_eq!(index.directory().unwrap().granules, granules);
    (index, bytes.len())
}

fn ask(index: &TermIndex, field: &str, value: &str) -> Result<Granules> {
    let equal = |values: &[&[u8]]| Ok(values.iter().map(|other| *other == value.as_bytes()).collect());
    let prints = [fingerprint(value.as_bytes())];
    let text = TextQuery::words(value);
    index.propose(field, &Ask { exact: None, prints: Some(&prints), text: &text, select: &equal })
}

/// Each text's granule.
fn placed(groups: &[Vec<String>]) -> impl Iterator<Item = (usize, &String)> {
    let mut first = 0;
    groups.iter().flat_map(move |texts| {
        let from = first;
        first += texts.len().div_ceil(4);
        texts.iter().enumerate().map(move |(row, text)| (from + row / 4, text))
    })
}

fn any_groups() -> impl Strategy<Value = Vec<Vec<String>>> {
    let text = prop_oneof![
        3 => "[ab]{1,3}( [ab]{1,3}){0,3}",
        1 => "[0-9a-f]{14,40}",
        1 => "(中|文|字|a|-){1,6}",
        1 => "[a-z0-9]{250,260}",
    ];
    proptest::collection::vec(proptest::collection::vec(text, 1..40), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn u1_what_is_noted_is_proposed(groups in any_groups(), few: bool) {
        let (index, _) = index(&groups, if few { tiny() } else { Limits::default() });
        for (granule, text) in placed(&groups) {
            for field in ["words", "texts", "values", "prints"] {
                prop_assert!(ask(&index, field, text).unwrap().contains(granule), "{} {:?}", field, text);
            }
            let letters: Vec<char> = text.chars().collect();
            let part: String = letters[letters.len() / 3..].iter().collect();
            let select = |values: &[&[u8]]| Ok(vec![true; values.len()]);
            let text = &TextQuery::substring(&part);
            let found = index.propose("words", &Ask { exact: None, prints: None, text, select: &select }).unwrap();
            prop_assert!(found.contains(granule), "{:?}", part);
        }
    }

    #[test]
    fn i2_any_bytes_are_read_without_panic(
        groups in any_groups(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut builder = TermsBuilder::default();
        let mut bytes = builder.begin_group(groups[0].len(), 4).unwrap();
        let ends: Vec<usize> = (1..=groups[0].len()).map(|row| row * 3).collect();
        let column: Vec<u8> = groups[0].iter().flat_map(|text| text.bytes().chain(*b"  ").take(3)).collect();
        let ends = &ends[..column.len() / 3];
        builder.field("words", Style::Words).plain(&column, ends, None, |_| false);
        builder.field("prints", Style::Prints).plain(&column, ends, None, |_| false);
        bytes.extend(builder.finish().unwrap());
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // The checksums are those of the bytes as they are now.
        let index = TermIndex::new(open_checked(&bytes));
        for field in ["words", "prints"] {
            if let Err(error) = ask(&index, field, "aba").and_then(|_| ask(&index, field, "a")) {
                prop_assert_eq!(error.class(), Class::Corrupt);
            }
        }
    }
}

#[test]
fn a_large_index_has_segments_and_each_knows_its_granules() {
    let groups: Vec<Vec<String>> =
        (0..10).map(|group| (0..40).map(|row| format!("common word{group}x{row}")).collect()).collect();
    let limits = Limits { segment_bytes: 2_000, ..Limits::default() };
    let (index, _) = index(&groups, limits);
    assert!(index.directory().unwrap().segments.len() > 4);
    for (granule, text) in placed(&groups) {
        for field in ["words", "texts", "values"] {
            let found = ask(&index, field, text).unwrap();
            // Some segments know values by fingerprints, which propose a wrong granule now and then.
            let most = if field == "values" { 5 } else { 1 };
            assert!(found.contains(granule) && found.count() <= most, "{field} {text:?} {found:?}");
        }
    }
    assert_eq!(ask(&index, "words", "common").unwrap().count(), 100);
    assert!(ask(&index, "words", "wor").unwrap().is_empty());
    assert_eq!(ask(&index, "no such field", "common").unwrap().count(), 100);
}

#[test]
fn what_goes_beyond_the_limits_is_unknown() {
    let junk: Vec<String> = (0..400).map(|row| format!("junk{row}")).collect();
    let (index, _) = index(&[junk], tiny());
    // The first forty words are known; the granules of the others are proposed for every question.
    let found = ask(&index, "words", "nowhere").unwrap();
    assert!(!found.contains(0) && found.contains(99), "{found:?}");
}

#[test]
fn a_fingerprint_that_is_not_there_proposes_few_granules() {
    let texts: Vec<String> = (0..8_000).map(|row| format!("id-{row:05}")).collect();
    let (index, bytes) = index(&[texts], Limits { values: 0, words: 0, ..Limits::default() });
    let wrong: usize = (0..1_000).map(|absent| ask(&index, "prints", &format!("no-{absent}")).unwrap().count()).sum();
    assert!(wrong < 400, "{wrong} granules for 1,000 values");
    assert!(bytes < 8_000 * 2 * 3, "{bytes} bytes");
}
