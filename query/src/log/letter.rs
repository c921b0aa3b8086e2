//! Which dead letters are there, and what are the bytes of one? Newest first, each with whether it was replayed.
//!
//! D1  A letter and the word of its replay have the same time, that of its keeping, so one scan from the newest on sees both before it ends.
//! D2  No message is read for the list: what is told of one stands in its record's attributes. The bytes of one are read once it is found,
//!     alone, and are held twice at most.
//!
//! Not here: its replay (`http::letter`).

use super::Filter;
use crate::column::Columns;
use crate::error::{Error, Result};
use crate::exec::Control;
use query_api::letter::DeadLetter;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use storage::model::Signal;
use storage::model::attribute::{Map, Value};
use storage::model::schema::column;
use storage::scan::{AttributeScope, Compare, Field, Predicate, Scalar, ScanOrder, Threshold, TimeRange};

/// The attribute that holds a letter's id, on the letter and on the word of its replay.
pub(crate) const ID: &str = "spanlight.dead_letter.id";
/// The event that a letter is.
pub(crate) const LETTER: &str = "spanlight.dead_letter";
/// The event that a replay is.
pub(crate) const REPLAYED: &str = "spanlight.dead_letter.replayed";
/// The attribute that holds its topic.
const TOPIC: &str = "messaging.destination.name";

/// Which letters are asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LettersQuery {
    /// By the time at which they were kept.
    pub(crate) range: TimeRange,
    /// Of one topic.
    pub(crate) topic: Option<String>,
    /// At most so many.
    pub(crate) limit: usize,
}

/// By time and id, the newest first.
type Key = (Reverse<i64>, String);

/// What was found so far.
#[derive(Default)]
struct Found {
    letters: BTreeMap<Key, (DeadLetter, usize)>,
    /// Letters that were replayed, be they among those or not.
    replayed: BTreeMap<Key, usize>,
}

/// The newest letters, and whether there are more.
pub(crate) fn letters(control: &Control, query: &LettersQuery) -> Result<(Vec<DeadLetter>, bool)> {
    let threshold = Threshold::at_least(column::TIME);
    let filter = Filter { range: query.range, predicate: predicate(query) };
    let mut request = filter.request(&[column::TIME, column::EVENT_NAME, column::ATTRIBUTES]);
    request.order = ScanOrder::Newest;
    request.threshold = Some(threshold.clone());
    let mut found = Found::default();
    control.scan(Signal::Logs, request, |batch| {
        let columns = Columns(batch);
        let (times, events) = (columns.times(column::TIME)?, columns.text(column::EVENT_NAME)?);
        let attributes = columns.cells(column::ATTRIBUTES)?;
        for row in 0..columns.rows() {
            let letter = read(times.value(row), Map::new(attributes.get(row)));
            let key = (Reverse(letter.time_unix_nano), letter.id.clone());
            // As text, once in the key and once in the letter.
            let bytes = 2 * attributes.get(row).len() + size_of::<DeadLetter>();
            control.charge(bytes)?;
            let replaced = match events.get(row) {
                REPLAYED => found.replayed.insert(key, bytes),
                _ => found.letters.insert(key, (letter, bytes)).map(|(_, bytes)| bytes),
            };
            control.release(replaced.unwrap_or_default());
        }
        if let Some(oldest) = found.trim(control, query.limit) {
            threshold.set(oldest);
        }
        Ok(())
    })?;
    let is_truncated = found.letters.len() > query.limit;
    let Found { letters, replayed } = found;
    let told = letters.into_iter().take(query.limit);
    let letters: Vec<DeadLetter> =
        told.map(|(key, (letter, _))| DeadLetter { replayed: replayed.contains_key(&key), ..letter }).collect();
    control.collect(letters.len())?;
    Ok((letters, is_truncated))
}

/// The letter of that id.
pub(crate) fn letter(control: &Control, id: &str) -> Result<DeadLetter> {
    let mut request = Filter { range: TimeRange::ALL, predicate: of_id(id) }.request(&[
        column::TIME,
        column::EVENT_NAME,
        column::ATTRIBUTES,
    ]);
    request.order = ScanOrder::Newest;
    let (mut found, mut is_replayed) = (None, false);
    control.scan(Signal::Logs, request, |batch| {
        let columns = Columns(batch);
        let (times, events) = (columns.times(column::TIME)?, columns.text(column::EVENT_NAME)?);
        let attributes = columns.cells(column::ATTRIBUTES)?;
        for row in 0..columns.rows() {
            match events.get(row) {
                REPLAYED => is_replayed = true,
                LETTER => found = Some(read(times.value(row), Map::new(attributes.get(row)))),
                _ => {}
            }
        }
        Ok(())
    })?;
    if !control.missing().is_empty() {
        let message = "blocks that may say whether it was replayed are damaged";
        return Err(Error::Host { message: message.into() });
    }
    let letter = found.ok_or_else(|| Error::NotFound { what: "this tenant has no such dead letter".into() })?;
    Ok(DeadLetter { replayed: is_replayed, ..letter })
}

/// The bytes of a letter.
pub(crate) fn payload(control: &Control, letter: &DeadLetter) -> Result<Vec<u8>> {
    let time = letter.time_unix_nano;
    let range = TimeRange { start: time, end: time.saturating_add(1) };
    let predicate = of_id(&letter.id).and(Predicate::equal(column::EVENT_NAME, Scalar::String(LETTER.into())));
    let request = Filter { range, predicate }.request(&[column::BODY_VALUE]);
    let mut found = None;
    let scanned = control.scan(Signal::Logs, request, |batch| {
        let cells = Columns(batch).cells(column::BODY_VALUE)?;
        if let Some(Value::Bytes(bytes)) = cells.opt(0).and_then(Value::parse) {
            control.charge(bytes.len())?;
            found = Some(bytes.to_vec());
        }
        Ok(())
    });
    scanned.map_err(|error| match (error, letter.size) {
        (Error::Limit { .. }, Some(size)) => Error::Limit {
            message: format!(
                "the letter has {size} bytes, more than half of `query.memory_bytes`; it can be read with more"
            ),
        },
        (other, _) => other,
    })?;
    found.ok_or(Error::Cell { what: "dead letter" })
}

fn of_id(id: &str) -> Predicate {
    let field = Field::Attribute(AttributeScope::Any, ID.to_owned());
    Predicate::Compare { field, compare: Compare::Equal, value: Scalar::Typed(id.into()) }
}

impl Found {
    /// Lets go of what is older than the letters that are wanted, and one more, which tells whether there are others; says from when
    /// on something is wanted yet.
    fn trim(&mut self, control: &Control, limit: usize) -> Option<i64> {
        while self.letters.len() > limit + 1
            && let Some((_, (_, bytes))) = self.letters.pop_last()
        {
            control.release(bytes);
        }
        if self.letters.len() <= limit {
            return None;
        }
        let last = self.letters.last_key_value()?.0.clone();
        while self.replayed.last_key_value().is_some_and(|(key, _)| *key > last)
            && let Some((_, bytes)) = self.replayed.pop_last()
        {
            control.release(bytes);
        }
        Some(last.0.0)
    }
}

fn predicate(query: &LettersQuery) -> Predicate {
    let event = |name: &str| Predicate::equal(column::EVENT_NAME, Scalar::String(name.into()));
    let of_topic = query.topic.as_ref().map_or(Predicate::All, |topic| {
        let field = Field::Attribute(AttributeScope::Any, TOPIC.to_owned());
        Predicate::Compare { field, compare: Compare::Equal, value: Scalar::Typed(topic.clone()) }
    });
    Predicate::Or(vec![event(LETTER).and(of_topic), event(REPLAYED)])
}

fn read(time: i64, attributes: Map<'_>) -> DeadLetter {
    // Once a letter had its message's time.
    let mut letter = DeadLetter { time_unix_nano: time, sent_unix_nano: time, ..DeadLetter::default() };
    for (key, value) in attributes.iter() {
        match (key, value) {
            (ID, Value::String(text)) => letter.id = text.into(),
            (TOPIC, Value::String(text)) => letter.topic = text.into(),
            ("messaging.destination.partition.id", Value::Int(number)) => letter.partition = natural(number),
            ("messaging.kafka.offset", Value::Int(number)) => letter.offset = natural(number),
            ("spanlight.message.end", Value::Int(number)) => letter.end = Some(natural(number)),
            ("messaging.message.body.size", Value::Int(number)) => letter.size = Some(natural(number)),
            ("spanlight.message.time", Value::Int(time)) => letter.sent_unix_nano = time,
            ("spanlight.reason", Value::String(text)) => letter.reason = text.into(),
            ("spanlight.tenant", Value::String(text)) => letter.tenant = text.into(),
            ("spanlight.signal", Value::String(text)) => letter.signal = text.into(),
            ("spanlight.encoding", Value::String(text)) => letter.encoding = text.into(),
            ("spanlight.partial", Value::Bool(flag)) => letter.partial = flag,
            _ => {}
        }
    }
    letter
}

fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, NOW, TestLog, block_on, logs};

    fn record(time: i64, event: &'static str, id: &'static str, topic: &'static str) -> TestLog {
        let attributes = vec![(ID, id), (TOPIC, topic), ("spanlight.reason", "no protobuf")];
        TestLog { time, event, attributes, ..TestLog::default() }
    }

    fn found(fixture: &Fixture, topic: Option<&str>, limit: usize) -> (Vec<(String, bool)>, bool) {
        let query = LettersQuery { range: TimeRange::ALL, topic: topic.map(str::to_owned), limit };
        let (letters, more) = block_on(fixture.run(move |control| letters(control, &query))).unwrap();
        (letters.into_iter().map(|letter| (letter.id, letter.replayed)).collect(), more)
    }

    #[test]
    fn letters_come_newest_first_with_whether_they_were_replayed() {
        let fixture = Fixture::new();
        let all = [
            record(NOW - 3, LETTER, "a", "x"),
            record(NOW - 2, LETTER, "b", "y"),
            record(NOW - 2, LETTER, "c", "x"),
            TestLog { time: NOW - 1, event: "other", ..TestLog::default() },
        ];
        block_on(fixture.put(logs(&all)));
        block_on(fixture.flush());
        // The word of a replay comes later, and is of no topic.
        let word = TestLog { attributes: vec![(ID, "b")], ..record(NOW - 2, REPLAYED, "b", "") };
        let orphan = TestLog { attributes: vec![(ID, "gone")], ..record(NOW - 9, REPLAYED, "gone", "") };
        block_on(fixture.put(logs(&[word, orphan])));
        let [a, b, c] = [("a".to_owned(), false), ("b".to_owned(), true), ("c".to_owned(), false)];
        assert_eq!(found(&fixture, None, 10), (vec![b.clone(), c.clone(), a.clone()], false));
        assert_eq!(found(&fixture, None, 2), (vec![b.clone(), c.clone()], true));
        assert_eq!(found(&fixture, Some("y"), 10), (vec![b], false));
        assert_eq!(found(&fixture, Some("x"), 10), (vec![c, a], false));
        assert_eq!(found(&fixture, Some("z"), 10), (vec![], false));
    }
}
