//! How is a request cut into messages, each of one partition of a topic and no larger than allowed?
//!
//! X1  Together the messages hold each record once, with its resource and scope as they were sent, unknown fields too. What the
//!     decoder left out is in none.
//! X2  The spans of a trace, the log records of a resource, the points of a metric of a resource go to one partition, in the order
//!     in which they came, whatever else is in the request and whichever process cuts it.
//! X3  No message is larger than allowed. A record that is too large by itself, with what stands around it, is in none, and counted.
//! X4  What the messages hold is asked for before it is held: a large resource of many traces is in the messages of many partitions.
//!
//! For requests that [`super::decode`] has accepted. Not here: how messages are sent (`receiver::kafka`).

use super::wire::{self, Reader, Result};
use super::{Malformed, malformed, metrics};
use std::collections::BTreeMap;
use std::ops::Range;
use storage::model::Signal;
use storage::model::record::{put_bytes, put_varint};
use xxhash_rust::xxh3::xxh3_64;

/// The field of resources in a request, of a resource or a scope in what surrounds it, of attributes in a resource, of the trace id in
/// a span, of the name in a metric.
const FIRST: u32 = wire::bytes(1);
/// The field of scopes, of records in a scope.
const ITEMS: u32 = wire::bytes(2);
/// The tag and the length of an enclosing message, at most.
const ENVELOPE_BYTES: usize = 16;
/// A message beside its payload, here and in the client's queue.
const MESSAGE_BYTES: usize = 512;
/// Memory is asked for in such portions.
const GRANT_BYTES: usize = 4 << 10;

/// How messages may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mould {
    /// Partitions of the topic; at least one.
    pub(crate) partitions: u32,
    /// Bytes of a message, at most.
    pub(crate) bytes: usize,
}

/// A request in messages.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    /// Partition and payload.
    pub(crate) messages: Vec<(u32, Vec<u8>)>,
    /// Records that fit into no message.
    pub(crate) too_large: u64,
    /// Bytes that the first of those takes.
    pub(crate) first_too_large: Option<usize>,
}

/// Cuts a request. `left_out` are the rows that the decoder left out, rising; `reserve` is asked for memory.
pub(crate) fn cut<E: From<Malformed>>(
    signal: Signal,
    payload: &[u8],
    left_out: &[Range<usize>],
    mould: Mould,
    reserve: &mut dyn FnMut(usize) -> std::result::Result<(), E>,
) -> std::result::Result<Cut, E> {
    let mut knife = Knife {
        signal,
        mould,
        left_out,
        row: 0,
        path: Vec::with_capacity(4),
        made: 0,
        open: BTreeMap::new(),
        granted: 0,
        reserve,
        refused: None,
        cut: Cut::default(),
    };
    let walked = knife.request(payload);
    match knife.refused {
        Some(refused) => return Err(refused),
        None => walked.map_err(|fault| malformed(*fault, payload))?,
    }
    let open = std::mem::take(&mut knife.open).into_iter().filter(|(_, draft)| draft.bytes > 0);
    knife.cut.messages.extend(open.map(|(partition, draft)| (partition, draft.finish())));
    Ok(knife.cut)
}

/// A message that surrounds the records at hand.
#[derive(Debug)]
struct Level {
    /// No two of a request have the same.
    number: usize,
    /// Its field in what surrounds it.
    key: u32,
    /// All its fields but the records and what surrounds them.
    head: Vec<u8>,
}

/// A message of a partition in the making.
#[derive(Debug, Default)]
struct Draft {
    done: Vec<u8>,
    /// What is not closed yet, outermost first: number, field, content.
    open: Vec<(usize, u32, Vec<u8>)>,
    /// Bytes that it takes when all is closed, at most.
    bytes: usize,
}

impl Draft {
    /// How many of the path's levels are open, and the bytes that a record takes with those that are not.
    fn fit(&self, path: &[Level], record: &[u8]) -> (usize, usize) {
        let shared = self.open.iter().zip(path).take_while(|((number, ..), level)| *number == level.number).count();
        let new = path.iter().skip(shared).map(|level| level.head.len().saturating_add(ENVELOPE_BYTES));
        (shared, new.sum::<usize>().saturating_add(record.len()))
    }

    fn put(&mut self, path: &[Level], record: &[u8], (shared, bytes): (usize, usize)) {
        while self.open.len() > shared {
            self.close();
        }
        self.open.extend(path.iter().skip(shared).map(|level| (level.number, level.key, level.head.clone())));
        self.innermost().extend_from_slice(record);
        self.bytes += bytes;
    }

    fn close(&mut self) {
        let Some((_, key, content)) = self.open.pop() else { return };
        let around = self.innermost();
        put_varint(around, key.into());
        put_bytes(around, &content);
    }

    fn innermost(&mut self) -> &mut Vec<u8> {
        self.open.last_mut().map_or(&mut self.done, |(.., content)| content)
    }

    fn finish(mut self) -> Vec<u8> {
        while !self.open.is_empty() {
            self.close();
        }
        self.done
    }
}

/// A field as it was sent.
struct Field<'a> {
    key: u32,
    /// With its tag.
    raw: &'a [u8],
    /// What it holds, if its length stands before it.
    content: &'a [u8],
}

fn next<'a>(reader: &mut Reader<'a>) -> Result<Option<Field<'a>>> {
    let before = reader.rest();
    let Some(key) = reader.key()? else { return Ok(None) };
    let content = if key == wire::bytes(key >> 3) {
        reader.bytes()?
    } else {
        reader.other(key, 0)?;
        &[]
    };
    let raw = before.get(..before.len() - reader.rest().len()).unwrap_or_default();
    Ok(Some(Field { key, raw, content }))
}

/// Calls back for each field.
fn each<'a>(message: &'a [u8], mut found: impl FnMut(Field<'a>) -> Result<()>) -> Result<()> {
    let mut reader = Reader::new(message);
    while let Some(field) = next(&mut reader)? {
        found(field)?;
    }
    Ok(())
}

struct Knife<'w, E> {
    signal: Signal,
    mould: Mould,
    /// Of the rows that are still to come.
    left_out: &'w [Range<usize>],
    row: usize,
    path: Vec<Level>,
    made: usize,
    open: BTreeMap<u32, Draft>,
    granted: usize,
    reserve: &'w mut dyn FnMut(usize) -> std::result::Result<(), E>,
    refused: Option<E>,
    cut: Cut,
}

impl<E> Knife<'_, E> {
    fn request(&mut self, payload: &[u8]) -> Result<()> {
        each(payload, |field| if field.key == FIRST { self.resource(field.content) } else { Ok(()) })
    }

    fn resource(&mut self, message: &[u8]) -> Result<()> {
        let (mut head, mut identity) = (Vec::new(), 0);
        each(message, |field| {
            match field.key {
                ITEMS => return Ok(()),
                FIRST => identity = attributes(field.content, identity)?,
                _ => {}
            }
            head.extend_from_slice(field.raw);
            Ok(())
        })?;
        self.within(FIRST, head, |knife| {
            each(message, |field| if field.key == ITEMS { knife.scope(field.content, identity) } else { Ok(()) })
        })
    }

    fn scope(&mut self, message: &[u8], resource: u64) -> Result<()> {
        let mut head = Vec::new();
        each(message, |field| {
            if field.key != ITEMS {
                head.extend_from_slice(field.raw);
            }
            Ok(())
        })?;
        self.within(ITEMS, head, |knife| {
            each(message, |field| match field.key {
                ITEMS => knife.record(&field, resource),
                _ => Ok(()),
            })
        })
    }

    fn record(&mut self, field: &Field<'_>, resource: u64) -> Result<()> {
        match self.signal {
            Signal::Spans => {
                let mut trace = &[][..];
                each(field.content, |inner| {
                    if inner.key == FIRST {
                        trace = inner.content;
                    }
                    Ok(())
                })?;
                self.put(xxh3_64(trace), field.raw)
            }
            Signal::Logs => self.put(resource, field.raw),
            Signal::Metrics => self.metric(field.content, resource),
        }
    }

    /// Cuts between the points of a metric. Of several kinds of data the last counts, and its pieces are one.
    fn metric(&mut self, message: &[u8], resource: u64) -> Result<()> {
        let (mut head, mut name) = (Vec::new(), &[][..]);
        let mut data: Option<(u32, Vec<&[u8]>)> = None;
        each(message, |field| {
            match (&mut data, field.key) {
                (Some((key, pieces)), found) if found == *key => pieces.push(field.content),
                (_, key) if metrics::DATA_KEYS.contains(&key) => data = Some((key, vec![field.content])),
                (_, key) => {
                    if key == FIRST {
                        name = field.content;
                    }
                    head.extend_from_slice(field.raw);
                }
            }
            Ok(())
        })?;
        let Some((key, pieces)) = data else { return Ok(()) };
        let mut data_head = Vec::new();
        for piece in &pieces {
            each(piece, |field| {
                if field.key != metrics::POINTS {
                    data_head.extend_from_slice(field.raw);
                }
                Ok(())
            })?;
        }
        let series = resource.wrapping_add(xxh3_64(name));
        self.within(ITEMS, head, |knife| {
            knife.within(key, data_head, |knife| {
                let mut point = |field: Field<'_>| match field.key {
                    metrics::POINTS => knife.put(series, field.raw),
                    _ => Ok(()),
                };
                pieces.iter().try_for_each(|piece| each(piece, &mut point))
            })
        })
    }

    fn within(&mut self, key: u32, head: Vec<u8>, walk: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.made += 1;
        self.path.push(Level { number: self.made, key, head });
        walk(self)?;
        self.path.pop();
        Ok(())
    }

    /// Puts a record, with its tag, into the message of its partition.
    fn put(&mut self, identity: u64, record: &[u8]) -> Result<()> {
        let row = self.row;
        self.row += 1;
        while self.left_out.first().is_some_and(|range| range.end <= row) {
            self.left_out = self.left_out.get(1..).unwrap_or_default();
        }
        if self.refused.is_some() || self.left_out.first().is_some_and(|range| range.contains(&row)) {
            return Ok(());
        }
        // The remainder of a division by 32 bits has no more.
        let partition = u32::try_from(identity % u64::from(self.mould.partitions.max(1))).unwrap_or_default();
        let draft = self.open.entry(partition).or_default();
        let mut fit = draft.fit(&self.path, record);
        let mut held = 0;
        if draft.bytes.saturating_add(fit.1) > self.mould.bytes {
            fit = Draft::default().fit(&self.path, record);
            if fit.1 > self.mould.bytes {
                self.cut.too_large += 1;
                self.cut.first_too_large.get_or_insert(fit.1);
                return Ok(());
            }
            self.cut.messages.push((partition, std::mem::take(draft).finish()));
        }
        if draft.bytes == 0 {
            held = MESSAGE_BYTES;
        }
        held += fit.1;
        if held > self.granted {
            let asked = (held - self.granted).max(GRANT_BYTES);
            if let Err(refused) = (self.reserve)(asked) {
                self.refused = Some(refused);
                return Ok(());
            }
            self.granted += asked;
        }
        self.granted -= held;
        draft.put(&self.path, record, fit);
        Ok(())
    }
}

/// Who a resource is, whatever the order of its attributes.
fn attributes(resource: &[u8], before: u64) -> Result<u64> {
    let mut identity = before;
    each(resource, |field| {
        if field.key == FIRST {
            identity = identity.wrapping_add(xxh3_64(field.content));
        }
        Ok(())
    })?;
    Ok(identity)
}
