//! How are folded rows written into the URL? As the level from which everything is folded, and the spans that are folded or open
//! against it.
//!
//! FO1  What is written is read as the same rows, if at most `SPANS` of them stand against the level; of more, the first ones are.
//! FO2  A span that the trace does not have, and a text that means nothing, are passed over.
//! FO3  Of a large trace, whose rows the server folds, the text is the same: a trace that grows stays as it was folded.

use super::tree::Trace;
use std::collections::HashSet;

/// Spans that are written: with them an address has about a thousand letters more.
const SPANS: usize = 64;

/// Writes which rows are folded: `3.00f1…` is all rows below three levels that have children, but for that span. Nothing where none is.
pub fn write(trace: &Trace, closed: &HashSet<usize>) -> Option<String> {
    if closed.is_empty() {
        return None;
    }
    let level = level(trace, closed);
    let base = from_level(trace, level);
    let mut against: Vec<usize> =
        closed.symmetric_difference(&base).copied().filter(|row| *row < trace.rows.len()).collect();
    against.sort_unstable();
    text_of(level, against.into_iter().map(|row| trace.rows[row].span.span_id.as_str()))
}

/// Writes a level, and the spans against it.
pub fn text_of<'a>(level: Option<usize>, spans: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut text = level.map_or_else(String::new, |level| level.to_string());
    for span in spans.take(SPANS) {
        text.push('.');
        text.push_str(span);
    }
    Some(text).filter(|text| !text.is_empty())
}

/// Reads them.
pub fn parts_of(text: &str) -> (Option<usize>, Vec<&str>) {
    let mut parts = text.split('.');
    let level = parts.next().and_then(|level| level.parse().ok());
    let is_id = |span: &&str| span.len() == 16 && span.bytes().all(|byte| byte.is_ascii_hexdigit());
    (level, parts.take(SPANS).filter(is_id).collect())
}

/// Reads it.
pub fn read(trace: &Trace, text: &str) -> HashSet<usize> {
    let (level, spans) = parts_of(text);
    let mut closed = from_level(trace, level);
    let wanted: HashSet<&str> = spans.into_iter().collect();
    if wanted.is_empty() {
        return closed;
    }
    for (at, row) in trace.rows.iter().enumerate() {
        if row.subtree > 1 && wanted.contains(row.span.span_id.as_str()) && !closed.remove(&at) {
            closed.insert(at);
        }
    }
    closed
}

fn from_level(trace: &Trace, level: Option<usize>) -> HashSet<usize> {
    let Some(level) = level else { return HashSet::new() };
    (0..trace.rows.len()).filter(|row| trace.rows[*row].subtree > 1 && trace.rows[*row].depth >= level).collect()
}

/// The level against which the fewest rows stand; none where that is no level.
fn level(trace: &Trace, closed: &HashSet<usize>) -> Option<usize> {
    let deepest = trace.rows.iter().map(|row| row.depth).max()?;
    // By depth, how many rows more are right than wrong if it is folded.
    let mut gain = vec![0i64; deepest + 1];
    for (at, row) in trace.rows.iter().enumerate().filter(|(_, row)| row.subtree > 1) {
        gain[row.depth] += if closed.contains(&at) { 1 } else { -1 };
    }
    let (mut best, mut sum) = ((0, None), 0);
    for (depth, gain) in gain.into_iter().enumerate().rev() {
        sum += gain;
        if sum > best.0 {
            best = (sum, Some(depth));
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use proptest::prelude::*;

    /// A trace in which the parent of each span is told by its number.
    fn trace(parents: &[usize]) -> Trace {
        let span = |(number, parent): (usize, &usize)| {
            let parent = if number == 0 { 0 } else { parent % number + 1 };
            (number as u64 + 1, parent as u64, 1 + number as u64, 5_000)
        };
        sample::trace(&parents.iter().enumerate().map(span).collect::<Vec<_>>())
    }

    #[test]
    fn everything_folded_is_a_level_and_one_row_its_span() {
        // 1 > 2 > 3 > 4, and 1 > 5 > 6
        let trace = trace(&[0, 0, 1, 2, 0, 4]);
        assert_eq!(write(&trace, &HashSet::new()), None);
        assert_eq!(write(&trace, &trace.all_closed()).as_deref(), Some("0"));
        assert_eq!(write(&trace, &HashSet::from([2])).as_deref(), Some("2"));
        let fifth = trace.row_of("0000000000000005").unwrap();
        assert_eq!(write(&trace, &HashSet::from([fifth])).as_deref(), Some(".0000000000000005"));
        let mut open = trace.all_closed();
        open.remove(&fifth);
        assert_eq!(write(&trace, &open).as_deref(), Some("0.0000000000000005"));
        for text in ["", "x", "0.", "0.<b>", "99999999999999999999", "-1"] {
            let level = if text.starts_with("0.") { trace.all_closed() } else { HashSet::new() };
            assert_eq!(read(&trace, text), level, "FO2 {text}");
        }
    }

    #[test]
    fn fo1_the_address_stays_short() {
        let pairs: Vec<usize> = (0..2_000).map(|number| if number % 2 == 0 { 0 } else { number - 1 }).collect();
        let trace = trace(&pairs);
        let every_third: HashSet<usize> = trace.all_closed().into_iter().filter(|row| row % 3 == 0).collect();
        let text = write(&trace, &every_third).unwrap();
        assert!(text.len() <= 8 + SPANS * 17, "{}", text.len());
        assert!(!read(&trace, &text).is_empty());
    }

    proptest! {
        #[test]
        fn fo1_what_is_written_is_read(parents in proptest::collection::vec(0usize..40, 1..40), folded in proptest::collection::vec(0usize..40, 0..20)) {
            let trace = trace(&parents);
            let closed: HashSet<usize> = folded.into_iter().filter(|row| trace.all_closed().contains(row)).collect();
            let text = write(&trace, &closed).unwrap_or_default();
            prop_assert_eq!(read(&trace, &text), closed, "{}", text);
        }

        #[test]
        fn fo2_no_text_breaks_the_reader(text in "\\PC{0,40}") {
            read(&trace(&[0, 0, 1]), &text);
        }
    }
}
