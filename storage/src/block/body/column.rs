//! How are the words of one place in a template kept, for many lines?
//!
//! Words that are all the same are kept once; words that repeat by number, in order of frequency; numbers, times and
//! addresses as numbers, as such, by their differences, or by how far they are from the row's time; digits of hashes by
//! the half byte; others as they are. Which of these is estimated from the words themselves.
//!
//! V1  `decode` gives back every word as it was (`number`, Y1).
//! V2  Columns of repeating words that tell much of each other (a client's address and its agent) share one column of
//!     numbers, which stand for combinations.
//!
//! ```text
//! of a chunk   := varint(rows) kind* varint(key columns) key-column* dictionary*
//! kind         := 0 bytes | 1 | 2 form varint(power) codec | 3 varint(digits) | 4         one per slot
//! key-column   := varint(members) varint(slot)*
//! dictionary   := varint(words) numbers(lengths) section(bytes)                         one per slot of kind 1, then
//!               | varint(combinations) numbers(of the first member) …                   one per key column of many members
//! of a granule := numbers(per key column), then per slot of kind 2 numbers (form 1: varint(zigzag(first)) and numbers of
//!                 the differences), 3 section, 4 numbers(lengths) section
//! ```
//!
//! Not here: which lines (`write`), templates (`mine`).

use super::number::Codec;
use super::section::{Packer, Unpacker};
use crate::block::interner::{IntegerInterner, Interner};
use crate::model::record::{put_bytes, put_varint, take_bytes, take_varint};
use std::io;

/// A dictionary is read whole before a word of it is.
const LARGEST_DICTIONARY: usize = 256 * 1024;
/// Before so many distinct words nothing is said about whether they repeat.
const FEW_DISTINCT: usize = 512;
/// Shorter hashes are kept as words.
const SHORTEST_HASH: usize = 8;
/// So many key columns are looked at for what they tell of each other.
const MOST_JOINED: usize = 12;
/// Rows that are looked at for it.
const JOIN_SAMPLE: usize = 8 * 1024;
/// Bytes of a dictionary's words are worth so many bits each after compression, about.
const WORD_BITS: f64 = 3.0;
/// A repeated key that compression finds behind it costs so many bits, about.
const CHANGE_BITS: f64 = 8.0;

/// The words of a template's lines in a chunk.
#[derive(Debug, Default)]
pub(super) struct Lines<'a> {
    /// Per slot the words, line by line.
    pub(super) slots: Vec<Vec<&'a [u8]>>,
    /// Of each line's row.
    pub(super) times: Vec<i64>,
    /// How many lines end with each granule.
    pub(super) ends: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Delta,
    /// How far from the row's time.
    Clock,
}

#[derive(Debug)]
enum Kind {
    Constant(Vec<u8>),
    Coded,
    Number { form: Form, power: usize, codec: Codec },
    Hash { digits: usize },
    Text,
}

/// A column about to be written.
enum Chosen {
    Constant,
    Coded { dictionary: Interner, keys: Vec<u32> },
    Number { form: Form, power: usize, codec: Codec, numbers: Vec<i64> },
    Hash { digits: usize },
    Text,
}

/// Appends a template's lines: what counts for the chunk, and what for each granule.
pub(super) fn encode(
    packer: &mut Packer,
    lines: &Lines<'_>,
    chunk: &mut Vec<u8>,
    granules: &mut [Vec<u8>],
) -> io::Result<()> {
    put_varint(chunk, lines.times.len() as u64);
    let columns: Vec<Chosen> = lines.slots.iter().map(|words| choose(words, &lines.times)).collect();
    for (column, words) in columns.iter().zip(&lines.slots) {
        put_kind(column, words, chunk);
    }
    let coded: Vec<usize> = (0..columns.len()).filter(|&slot| matches!(columns[slot], Chosen::Coded { .. })).collect();
    let groups = join(&columns, coded);
    put_varint(chunk, groups.len() as u64);
    for members in &groups {
        put_varint(chunk, members.len() as u64);
        members.iter().for_each(|&slot| put_varint(chunk, slot as u64));
    }
    for column in &columns {
        if let Chosen::Coded { dictionary, .. } = column {
            put_varint(chunk, dictionary.len() as u64);
            put_words(packer, chunk, dictionary.iter())?;
        }
    }
    let mut key_columns: Vec<Vec<i64>> = Vec::with_capacity(groups.len());
    for members in &groups {
        key_columns.push(put_combinations(packer, chunk, &columns, members)?);
    }
    let mut from = 0;
    for (&to, out) in lines.ends.iter().zip(granules) {
        if to > from {
            for keys in &key_columns {
                packer.put_numbers(out, &keys[from..to])?;
            }
            for (column, words) in columns.iter().zip(&lines.slots) {
                put_granule(packer, out, column, &words[from..to], from..to)?;
            }
        }
        from = to;
    }
    Ok(())
}

fn choose(words: &[&[u8]], times: &[i64]) -> Chosen {
    let Some(first) = words.first() else { return Chosen::Constant };
    if words.iter().all(|word| word == first) {
        return Chosen::Constant;
    }
    let coded = code(words);
    let coded_bits = coded.as_ref().map_or(f64::INFINITY, |(dictionary, keys)| {
        key_bits(keys, dictionary.len()) + dictionary.bytes_len() as f64 * WORD_BITS
    });
    if let Some((codec, numbers)) = Codec::of(words) {
        let (form, power, bits) = best_form(&codec, &numbers, times);
        if bits <= coded_bits {
            let numbers = if form == Form::Clock { formed(form, power, &codec, &numbers, times) } else { numbers };
            return Chosen::Number { form, power, codec, numbers };
        }
    }
    if let Some((dictionary, keys)) = coded {
        let (dictionary, keys) = by_frequency(&dictionary, &keys);
        return Chosen::Coded { dictionary, keys };
    }
    let digits = first.len();
    let hashes = digits >= SHORTEST_HASH && digits.is_multiple_of(2);
    match hashes && words.iter().all(|word| word.len() == digits && word.iter().all(|byte| nibble(*byte).is_some())) {
        true => Chosen::Hash { digits },
        false => Chosen::Text,
    }
}

/// The words by number, if they repeat.
fn code(words: &[&[u8]]) -> Option<(Interner, Vec<u32>)> {
    let mut dictionary = Interner::default();
    let mut keys = Vec::with_capacity(words.len());
    let (mut last, mut key): (Option<&[u8]>, u32) = (None, 0);
    for (seen, &word) in words.iter().enumerate() {
        let distinct = dictionary.len();
        if last != Some(word) {
            (last, key) = (Some(word), dictionary.intern(word));
        }
        keys.push(key);
        let grew = dictionary.len() > distinct;
        if grew && distinct.is_multiple_of(FEW_DISTINCT) && distinct > 0 {
            let repeats = distinct * 2 <= seen && dictionary.bytes_len() <= LARGEST_DICTIONARY;
            if !repeats {
                return None;
            }
        }
    }
    let repeats = dictionary.len() * 2 <= words.len() && dictionary.bytes_len() <= LARGEST_DICTIONARY;
    repeats.then_some((dictionary, keys))
}

/// Numbers the words anew, the most frequent first.
fn by_frequency(dictionary: &Interner, keys: &[u32]) -> (Interner, Vec<u32>) {
    let counts = counts(keys, dictionary.len());
    let mut order: Vec<u32> = (0u32..).take(dictionary.len()).collect();
    order.sort_by_key(|&key| std::cmp::Reverse(counts[key as usize]));
    let mut sorted = Interner::default();
    let mut rank = vec![0; order.len()];
    for key in order {
        rank[key as usize] = sorted.intern(dictionary.get(key));
    }
    (sorted, keys.iter().map(|&key| rank[key as usize]).collect())
}

fn counts(keys: &[u32], distinct: usize) -> Vec<u32> {
    let mut counts = vec![0u32; distinct];
    keys.iter().for_each(|&key| counts[key as usize] += 1);
    counts
}

fn entropy(counts: &[u32], total: usize) -> f64 {
    let total = total as f64;
    counts.iter().filter(|&&count| count > 0).map(|&count| -f64::from(count) * (f64::from(count) / total).log2()).sum()
}

/// What keys cost: by their frequencies, or by where they change.
fn key_bits(keys: &[u32], distinct: usize) -> f64 {
    let changes = keys.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let by_changes = changes as f64 * ((distinct as f64).log2() + CHANGE_BITS);
    entropy(&counts(keys, distinct), keys.len()).min(by_changes)
}

fn best_form(codec: &Codec, numbers: &[i64], times: &[i64]) -> (Form, usize, f64) {
    let power = numbers.first().zip(times.first()).and_then(|(&number, &time)| codec.clock_power(number, time));
    let mut best = (Form::Plain, 0, number_bits(numbers.iter().copied()));
    let forms = [Some((Form::Delta, 0)), power.map(|power| (Form::Clock, power))];
    for (form, power) in forms.into_iter().flatten() {
        let bits = number_bits(formed(form, power, codec, numbers, times).into_iter());
        if bits < best.2 {
            best = (form, power, bits);
        }
    }
    best
}

fn formed(form: Form, power: usize, codec: &Codec, numbers: &[i64], times: &[i64]) -> Vec<i64> {
    match form {
        Form::Plain => numbers.to_vec(),
        Form::Delta => {
            let mut before = 0;
            numbers.iter().map(|&number| number.wrapping_sub(std::mem::replace(&mut before, number))).collect()
        }
        Form::Clock => {
            numbers.iter().zip(times).map(|(number, &time)| number.wrapping_sub(codec.of_time(power, time))).collect()
        }
    }
}

/// What numbers cost, byte plane by byte plane.
fn number_bits(numbers: impl Iterator<Item = i64> + Clone) -> f64 {
    let least = numbers.clone().skip(1).min().unwrap_or(0);
    let mut counts = vec![[0u32; 256]; 8];
    let (mut total, mut all) = (0, 0);
    // The first of differences is the number itself, once per granule.
    for number in numbers.skip(1) {
        let above = number.wrapping_sub(least).cast_unsigned();
        all |= above;
        total += 1;
        for (counts, byte) in counts.iter_mut().zip(above.to_le_bytes()) {
            counts[usize::from(byte)] += 1;
        }
    }
    let width = (u64::BITS - u64::leading_zeros(all)).div_ceil(8) as usize;
    counts.iter().take(width).map(|counts| entropy(counts, total)).sum()
}

/// Key columns, by the slots that each stands for.
fn join(columns: &[Chosen], coded: Vec<usize>) -> Vec<Vec<usize>> {
    let keys_of = |slot: usize| match columns.get(slot) {
        Some(Chosen::Coded { keys, dictionary }) => (keys.as_slice(), dictionary.len()),
        _ => (&[][..], 0),
    };
    struct Group {
        members: Vec<usize>,
        keys: Vec<u32>,
        distinct: usize,
        bits: f64,
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut by_distinct = coded;
    by_distinct.sort_by_key(|&slot| std::cmp::Reverse(keys_of(slot).1));
    for slot in by_distinct {
        let (keys, distinct) = keys_of(slot);
        let keys: Vec<u32> = keys.iter().take(JOIN_SAMPLE).copied().collect();
        let bits = key_bits(&keys, distinct);
        let mut best: Option<(f64, usize, Vec<u32>, usize, f64)> = None;
        for (place, group) in groups.iter().enumerate().take(MOST_JOINED) {
            let mut pairs = IntegerInterner::default();
            let pair = |(&a, &b): (&u32, &u32)| pairs.intern((u64::from(a) << 32) | u64::from(b));
            let together: Vec<u32> = group.keys.iter().zip(&keys).map(pair).collect();
            let count = pairs.values().len();
            // Each combination names its members once.
            let added = (count.saturating_sub(group.distinct) * group.members.len() + count) as f64;
            let joined = key_bits(&together, count);
            let saved = group.bits + bits - joined - added * (distinct.max(group.distinct) as f64).log2();
            if saved > 0.02 * (group.bits + bits) && best.as_ref().is_none_or(|best| saved > best.0) {
                best = Some((saved, place, together, count, joined));
            }
        }
        match best.and_then(|(_, place, keys, distinct, bits)| Some((groups.get_mut(place)?, keys, distinct, bits))) {
            Some((group, keys, distinct, bits)) => {
                group.members.push(slot);
                (group.keys, group.distinct, group.bits) = (keys, distinct, bits);
            }
            None => groups.push(Group { members: vec![slot], keys, distinct, bits }),
        }
    }
    let mut groups: Vec<Vec<usize>> = groups.into_iter().map(|group| group.members).collect();
    groups.iter_mut().for_each(|members| members.sort_unstable());
    groups.sort_unstable();
    groups
}

/// The keys of a key column; where it has many members, also appends what each key stands for.
fn put_combinations(
    packer: &mut Packer,
    chunk: &mut Vec<u8>,
    columns: &[Chosen],
    members: &[usize],
) -> io::Result<Vec<i64>> {
    let all = members.iter().filter_map(|&slot| match columns.get(slot) {
        Some(Chosen::Coded { keys, .. }) => Some(keys.as_slice()),
        _ => None,
    });
    let all: Vec<&[u32]> = all.collect();
    let [first, others @ ..] = all.as_slice() else { return Ok(Vec::new()) };
    let mut keys = first.to_vec();
    if others.is_empty() {
        return Ok(keys.into_iter().map(i64::from).collect());
    }
    for other in others {
        let mut pairs = IntegerInterner::default();
        for (key, &other) in keys.iter_mut().zip(*other) {
            *key = pairs.intern((u64::from(*key) << 32) | u64::from(other));
        }
    }
    let distinct = keys.iter().max().map_or(0, |&most| most as usize + 1);
    let counts = counts(&keys, distinct);
    let mut order: Vec<usize> = (0..distinct).collect();
    order.sort_by_key(|&key| std::cmp::Reverse(counts[key]));
    let mut rank = vec![0usize; distinct];
    order.iter().enumerate().for_each(|(place, &key)| rank[key] = place);
    let mut example = vec![0usize; distinct];
    keys.iter().enumerate().for_each(|(row, &key)| example[rank[key as usize]] = row);
    put_varint(chunk, distinct as u64);
    for member in all {
        let of_combinations: Vec<i64> = example.iter().map(|&row| i64::from(member[row])).collect();
        packer.put_numbers(chunk, &of_combinations)?;
    }
    Ok(keys.into_iter().map(|key| i64::try_from(rank[key as usize]).unwrap_or(i64::MAX)).collect())
}

fn put_kind(column: &Chosen, words: &[&[u8]], out: &mut Vec<u8>) {
    match column {
        Chosen::Constant => {
            out.push(0);
            put_bytes(out, words.first().copied().unwrap_or_default());
        }
        Chosen::Coded { .. } => out.push(1),
        Chosen::Number { form, power, codec, .. } => {
            out.extend_from_slice(&[2, *form as u8]);
            put_varint(out, *power as u64);
            codec.describe(out);
        }
        Chosen::Hash { digits } => {
            out.push(3);
            put_varint(out, *digits as u64);
        }
        Chosen::Text => out.push(4),
    }
}

fn put_words<'a>(
    packer: &mut Packer,
    out: &mut Vec<u8>,
    words: impl Iterator<Item = &'a [u8]> + Clone,
) -> io::Result<()> {
    let lengths: Vec<i64> = words.clone().map(|word| i64::try_from(word.len()).unwrap_or(i64::MAX)).collect();
    packer.put_numbers(out, &lengths)?;
    let mut bytes = Vec::with_capacity(words.clone().map(<[u8]>::len).sum());
    words.for_each(|word| bytes.extend_from_slice(word));
    packer.put(out, &bytes)
}

fn put_granule(
    packer: &mut Packer,
    out: &mut Vec<u8>,
    column: &Chosen,
    words: &[&[u8]],
    lines: std::ops::Range<usize>,
) -> io::Result<()> {
    match column {
        Chosen::Constant | Chosen::Coded { .. } => Ok(()),
        // `numbers` has its form already but for differences, which begin anew in each granule.
        Chosen::Number { form: Form::Delta, numbers, .. } => {
            let mut before = 0;
            let numbers = numbers[lines].iter();
            let deltas: Vec<i64> =
                numbers.map(|&number| number.wrapping_sub(std::mem::replace(&mut before, number))).collect();
            put_varint(out, super::section::zigzag(deltas.first().copied().unwrap_or(0)));
            packer.put_numbers(out, deltas.get(1..).unwrap_or_default())
        }
        Chosen::Number { numbers, .. } => packer.put_numbers(out, &numbers[lines]),
        Chosen::Hash { .. } => {
            let half = |byte: &u8| nibble(*byte).unwrap_or(0);
            let bytes: Vec<u8> = words
                .iter()
                .flat_map(|word| word.chunks(2).map(|two| two.iter().fold(0, |a, b| (a << 4) | half(b))))
                .collect();
            packer.put(out, &bytes)
        }
        Chosen::Text => put_words(packer, out, words.iter().copied()),
    }
}

fn nibble(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

// ---------------------------------------------------------------------------------------------------------------------

/// Words one after the other.
#[derive(Debug, Default)]
struct Words {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Words {
    fn take(unpacker: &mut Unpacker, input: &mut &[u8], count: usize) -> Option<Words> {
        let mut end = 0usize;
        let mut ends = Vec::with_capacity(count);
        for length in unpacker.take_numbers(input, count)? {
            end = end.checked_add(usize::try_from(length).ok()?)?;
            ends.push(end);
        }
        let bytes = unpacker.take(input)?;
        (bytes.len() == end).then_some(Words { bytes, ends })
    }

    fn get(&self, place: usize) -> Option<&[u8]> {
        let end = *self.ends.get(place)?;
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.bytes.get(start..end)
    }
}

/// What a chunk tells of a template's columns.
#[derive(Debug)]
pub(super) struct Columns {
    kinds: Vec<Kind>,
    dictionaries: Vec<Option<Words>>,
    key_columns: Vec<KeyColumn>,
}

#[derive(Debug)]
struct KeyColumn {
    members: Vec<usize>,
    /// Per member the keys of each combination; empty where there is one member.
    combinations: Vec<Vec<i64>>,
}

/// The columns of a template's lines in a granule.
#[derive(Debug)]
pub(super) struct Cells {
    keys: Vec<Vec<i64>>,
    cells: Vec<Cell>,
}

#[derive(Debug)]
enum Cell {
    /// Told by the chunk.
    None,
    Keys {
        column: usize,
        member: usize,
    },
    Numbers(Vec<i64>),
    Hashes(Vec<u8>),
    Words(Words),
}

impl Columns {
    pub(super) fn take(unpacker: &mut Unpacker, input: &mut &[u8], slots: usize) -> Option<Columns> {
        take_varint(input)?;
        let mut kinds = Vec::with_capacity(slots);
        for _ in 0..slots {
            kinds.push(take_kind(input)?);
        }
        let mut key_columns = Vec::new();
        for _ in 0..take_count(input)? {
            let members = (0..take_count(input)?).map(|_| take_count(input)).collect::<Option<Vec<_>>>()?;
            key_columns.push(KeyColumn { members, combinations: Vec::new() });
        }
        let mut dictionaries = Vec::with_capacity(slots);
        for kind in &kinds {
            dictionaries.push(match kind {
                Kind::Coded => {
                    let words = take_count(input)?;
                    Some(Words::take(unpacker, input, words)?)
                }
                _ => None,
            });
        }
        for column in key_columns.iter_mut().filter(|column| column.members.len() > 1) {
            let combinations = take_count(input)?;
            for _ in 0..column.members.len() {
                column.combinations.push(unpacker.take_numbers(input, combinations)?);
            }
        }
        Some(Columns { kinds, dictionaries, key_columns })
    }

    /// The columns of a granule with so many lines.
    pub(super) fn granule(&self, unpacker: &mut Unpacker, input: &mut &[u8], lines: usize) -> Option<Cells> {
        let mut keys = Vec::with_capacity(self.key_columns.len());
        for _ in &self.key_columns {
            keys.push(unpacker.take_numbers(input, lines)?);
        }
        let mut cells = Vec::with_capacity(self.kinds.len());
        for kind in &self.kinds {
            cells.push(match kind {
                Kind::Constant(_) | Kind::Coded => Cell::None,
                Kind::Number { form: Form::Delta, .. } => {
                    let mut number = super::section::unzigzag(take_varint(input)?);
                    let deltas = unpacker.take_numbers(input, lines.checked_sub(1)?)?;
                    let mut numbers = Vec::with_capacity(lines);
                    numbers.push(number);
                    for delta in deltas {
                        number = number.wrapping_add(delta);
                        numbers.push(number);
                    }
                    Cell::Numbers(numbers)
                }
                Kind::Number { .. } => Cell::Numbers(unpacker.take_numbers(input, lines)?),
                Kind::Hash { .. } => Cell::Hashes(unpacker.take(input)?),
                Kind::Text => Cell::Words(Words::take(unpacker, input, lines)?),
            });
        }
        for (column, key_column) in self.key_columns.iter().enumerate() {
            for (member, &slot) in key_column.members.iter().enumerate() {
                *cells.get_mut(slot)? = Cell::Keys { column, member };
            }
        }
        Some(Cells { keys, cells })
    }

    /// Appends the word of a line in a slot.
    pub(super) fn put(&self, cells: &Cells, slot: usize, line: usize, time: i64, out: &mut Vec<u8>) -> Option<()> {
        match (self.kinds.get(slot)?, cells.cells.get(slot)?) {
            (Kind::Constant(word), _) => out.extend_from_slice(word),
            (Kind::Coded, Cell::Keys { column, member }) => {
                let mut key = *cells.keys.get(*column)?.get(line)?;
                if let Some(combinations) = self.key_columns.get(*column)?.combinations.get(*member) {
                    key = *combinations.get(usize::try_from(key).ok()?)?;
                }
                let dictionary = self.dictionaries.get(slot)?.as_ref()?;
                out.extend_from_slice(dictionary.get(usize::try_from(key).ok()?)?);
            }
            (Kind::Number { form, power, codec }, Cell::Numbers(numbers)) => {
                let number = *numbers.get(line)?;
                let near = if *form == Form::Clock { codec.of_time(*power, time) } else { 0 };
                codec.put(number.wrapping_add(near), out);
            }
            (Kind::Hash { digits }, Cell::Hashes(bytes)) => {
                let width = digits / 2;
                let bytes = bytes.get(line.checked_mul(width)?..line.checked_add(1)?.checked_mul(width)?)?;
                out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
            }
            (Kind::Text, Cell::Words(words)) => out.extend_from_slice(words.get(line)?),
            _ => return None,
        }
        Some(())
    }
}

fn take_count(input: &mut &[u8]) -> Option<usize> {
    /// Rows of a block have 31 bits.
    const MOST: usize = 1 << 31;
    usize::try_from(take_varint(input)?).ok().filter(|&count| count <= MOST)
}

fn take_kind(input: &mut &[u8]) -> Option<Kind> {
    let (&kind, rest) = input.split_first()?;
    *input = rest;
    Some(match kind {
        0 => Kind::Constant(take_bytes(input)?.to_vec()),
        1 => Kind::Coded,
        2 => {
            let (&form, rest) = input.split_first()?;
            *input = rest;
            let form = [Form::Plain, Form::Delta, Form::Clock].into_iter().find(|other| *other as u8 == form)?;
            let power = take_count(input)?;
            Kind::Number { form, power, codec: Codec::take(input)? }
        }
        3 => Kind::Hash { digits: take_count(input)? },
        4 => Kind::Text,
        _ => return None,
    })
}
