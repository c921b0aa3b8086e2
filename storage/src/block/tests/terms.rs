//! What the index proposes loses no row, whatever the texts are; and its damage is noticed.

use super::*;
use crate::error::Error;
use crate::model::attribute::{Map, MapBuilder, Value, put_map, put_value};
use crate::model::origin::{Resource, Scope};
use crate::model::{LogBatchBuilder, LogRecord, Span, SpanBatchBuilder, SpanId};
use crate::scan::{AttributeScope, Compare, Field, Predicate, Scalar, TextQuery};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// What texts are made of: words, ids, scripts without spaces, letters that change with case, junk.
const PIECES: &[&str] = &[
    "error",
    "Timeout",
    "GET",
    "user",
    "42",
    "7",
    "503",
    "a",
    "é",
    "größe",
    "東京都",
    "京都",
    "エラー",
    "ΑΣ",
    "Σ",
    "ς",
    "İ",
    "K",
    "ſ",
    "\u{0}",
    "\u{7f}",
    "\u{10ffff}",
    "-",
    " ",
    ".",
    "_",
    "/",
    "\n",
    "deadbeef",
    "b7ad6b7169203331",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "DEADBEEFDEADBEEFDEADBEEF",
    "k8s",
];

pub(super) fn text(random: &mut Pcg64Mcg) -> String {
    let mut text = String::new();
    for _ in 0..random.random_range(0..9) {
        match random.random_range(0..40) {
            // Far beyond what a token may have.
            0 => text.push_str(&"long".repeat(random.random_range(1..60))),
            1 => text.push_str(&"0a1b".repeat(random.random_range(1..60))),
            2 => text.push_str(&format!("{:x}", random.random::<u64>())),
            3 => text.push(random.random()),
            _ => text.push_str(PIECES[random.random_range(0..PIECES.len())]),
        }
        if random.random_range(0..3) == 0 {
            text.push(' ');
        }
    }
    text
}

/// A part of some text, from letter to letter, maybe in another case.
fn needle(random: &mut Pcg64Mcg, texts: &[String]) -> String {
    let text = match random.random_range(0..8) {
        0 => PIECES[random.random_range(0..PIECES.len())],
        _ => &texts[random.random_range(0..texts.len())],
    };
    let letters: Vec<char> = text.chars().collect();
    let from = random.random_range(0..=letters.len());
    let to = random.random_range(from..=letters.len());
    let part: String = letters[from..to].iter().collect();
    match random.random_range(0..4) {
        0 => part.to_uppercase(),
        1 => part.to_lowercase(),
        _ => part,
    }
}

pub(super) fn logs(random: &mut Pcg64Mcg, texts: &[String]) -> Vec<Batch> {
    let mut builder = LogBatchBuilder::default();
    builder.set_resource(&Resource::default());
    builder.set_scope(&Scope::default());
    for (row, text) in (0i64..).zip(texts) {
        let mut body = Vec::new();
        match random.random_range(0..6) {
            0 => put_map(&mut body, |out| {
                let mut map = MapBuilder::default();
                map.push("message", Value::String(text));
                map.push(text, Value::Int(row));
                map.finish_into(out);
            }),
            1 => put_value(&mut body, Value::Bytes(text.as_bytes())),
            2 => put_value(&mut body, Value::Int(row % 5)),
            _ => put_value(&mut body, Value::String(text)),
        }
        let mut map = MapBuilder::default();
        map.push("text", Value::String(text));
        map.push("number", Value::Int(row * 7_919));
        if row % 9 == 0 {
            map.push(&format!("rare.{}", row % 27), Value::Double((row % 4) as f64 / 2.0));
        }
        let attributes = map.finish();
        let record = LogRecord {
            time: row,
            severity_number: i32::try_from(row % 30).unwrap(),
            severity_text: if row % 3 == 0 { text } else { "" },
            body: &body,
            attributes: Map::new(&attributes),
            ..LogRecord::default()
        };
        builder.append(&record).unwrap();
    }
    vec![builder.finish().unwrap()]
}

pub(super) fn predicate(random: &mut Pcg64Mcg, texts: &[String], depth: u32) -> Predicate {
    let own = |key: &str| Field::Attribute(AttributeScope::Own, key.into());
    let field = match random.random_range(0..6) {
        0..=2 => Field::Column(name::BODY),
        3 => Field::Column(name::SEVERITY_TEXT),
        4 => own("text"),
        _ => Field::Attribute(AttributeScope::Any, "text".into()),
    };
    let compare = if random.random_range(0..5) == 0 { Compare::NotEqual } else { Compare::Equal };
    let needle = needle(random, texts);
    match random.random_range(0..if depth > 1 { 7 } else { 10 }) {
        0..=3 => Predicate::Contains { field, needle, case_sensitive: random.random_range(0..2) == 0 },
        4 => Predicate::Compare {
            field,
            compare,
            value: Scalar::String(texts[random.random_range(0..texts.len())].clone()),
        },
        5 => {
            let key = format!("rare.{}", random.random_range(0..3) * 9);
            let typed = ["0", "0.5", "1", "1.0", "true"][random.random_range(0..5)];
            Predicate::Compare { field: own(&key), compare, value: Scalar::Typed(typed.into()) }
        }
        6 => Predicate::Compare { field, compare, value: Scalar::Typed(needle) },
        7 => Predicate::Not(Box::new(predicate(random, texts, depth + 1))),
        8 => Predicate::Or((0..2).map(|_| predicate(random, texts, depth + 1)).collect()),
        _ => Predicate::And((0..2).map(|_| predicate(random, texts, depth + 1)).collect()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn j1_rows_are_the_same_with_and_without_the_index(seed: u64, count in 1usize..300) {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let texts: Vec<String> = (0..count).map(|_| text(&mut random)).collect();
        let batches = logs(&mut random, &texts);
        let (block, _disk) = store(Signal::Logs, &batches, &small());
        for _ in 0..40 {
            let predicate = predicate(&mut random, &texts, 0);
            let request = ScanRequest { predicate, ..ScanRequest::all([name::TIME]) };
            let expected: Vec<RecordBatch> =
                batches.iter().filter_map(|batch| filter(Signal::Logs, batch.columns(), &request).unwrap()).collect();
            let answer = scan_all(&block, request.clone());
            prop_assert_eq!(rows(&answer), rows(&expected), "{:?}", request.predicate);
        }
    }

    #[test]
    fn i1_words_prefixes_and_combinations_of_texts_are_proposed(seed: u64, count in 30usize..200) {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let texts: Vec<String> = (0..count).map(|_| text(&mut random)).collect();
        let (block, _disk) = store(Signal::Logs, &plain_logs(&texts), &small());
        for _ in 0..30 {
            let parts = [needle(&mut random, &texts), needle(&mut random, &texts)].map(|part| TextQuery::substring(&part));
            let query = match random.random_range(0..3) {
                0 => TextQuery::And(parts.to_vec()),
                1 => TextQuery::Or(parts.to_vec()),
                _ => parts[0].clone(),
            };
            if let Some(ranges) = block.rows_with_text(name::BODY, &query).unwrap() {
                for (row, text) in texts.iter().enumerate().filter(|(_, text)| query.admits(text)) {
                    prop_assert!(ranges.iter().any(|range| range.contains(&row)), "{:?} in {:?}", query, text);
                }
            }
        }
    }
}

/// Records in the order of a block, with these bodies.
fn plain_logs(texts: &[String]) -> Vec<Batch> {
    let mut builder = LogBatchBuilder::default();
    builder.set_resource(&Resource::default());
    builder.set_scope(&Scope::default());
    for (time, text) in (0i64..).zip(texts) {
        let mut body = Vec::new();
        put_value(&mut body, Value::String(text));
        let record = LogRecord { time, severity_number: 9, body: &body, ..LogRecord::default() };
        builder.append(&record).unwrap();
    }
    vec![builder.finish().unwrap()]
}

fn lines() -> Vec<String> {
    let line = |row: usize| match row {
        100 => "payment 4711 was declined: card expired".to_owned(),
        200 => "trace 4bf92f3577b34da6a3ce929d0e0e4736 failed in 東京都".to_owned(),
        _ => format!("request {row} took {} ms on node-{}", row % 97, row % 3),
    };
    (0..400).map(line).collect()
}

/// How many rows are proposed; `None` for all.
fn proposed(block: &Block, query: &TextQuery) -> Option<usize> {
    Some(block.rows_with_text(name::BODY, query).unwrap()?.iter().map(ExactSizeIterator::len).sum())
}

#[test]
fn a_rare_text_is_sought_in_one_granule() {
    let (block, _disk) = store(Signal::Logs, &plain_logs(&lines()), &small());
    for query in [
        TextQuery::words("declined"),
        TextQuery::words("card expired"),
        TextQuery::prefix("decl"),
        TextQuery::substring("eclin"),
        TextQuery::substring("ned: card"),
        TextQuery::substring("DECLINED"),
        TextQuery::substring("京都"),
        TextQuery::substring("都"),
        TextQuery::words("4bf92f3577b34da6a3ce929d0e0e4736"),
        TextQuery::substring("2f3577b34da6a3ce"),
        TextQuery::substring("trace 4bf92f35"),
        TextQuery::needed_by_regex("(?i)card +EXPIRED|declined.*card").unwrap(),
        TextQuery::And(vec![TextQuery::substring("request"), TextQuery::substring("declined")]),
    ] {
        assert_eq!(proposed(&block, &query), Some(8), "{query:?}");
    }
    for query in [TextQuery::substring("nowhere"), TextQuery::words("declin"), TextQuery::Or(Vec::new())] {
        assert_eq!(proposed(&block, &query), Some(0), "{query:?}");
    }
    for query in [TextQuery::words("request"), TextQuery::substring("e"), TextQuery::All] {
        assert_eq!(proposed(&block, &query), None, "{query:?}");
    }
}

#[test]
fn row_groups_that_the_index_does_not_propose_are_not_read() {
    let (block, _disk) = store(Signal::Logs, &plain_logs(&lines()), &small());
    let contains = |needle: &str| Predicate::Contains {
        field: Field::Column(name::BODY),
        needle: needle.into(),
        case_sensitive: true,
    };
    for (needle, found, read) in [("card expired", 1, 1), ("nowhere", 0, 0), ("node-", 398, 8)] {
        let request = ScanRequest { predicate: contains(needle), ..ScanRequest::all([name::BODY]) };
        let mut scan = block.scan(&Arc::new(request)).unwrap();
        let answered: usize = scan.by_ref().map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!((answered, scan.progress().groups_read), (found, read), "{needle}");
    }
}

#[test]
fn attributes_and_origins_are_found_by_value() {
    let mut builder = SpanBatchBuilder::default();
    builder.set_scope(&Scope::default());
    let mut map = MapBuilder::default();
    for row in 0u16..400 {
        map.push("service.name", Value::String(if row == 333 { "rare" } else { "usual" }));
        let resource = map.finish();
        builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
        map.push("order", Value::String(&format!("order-{row}")));
        map.push("code", Value::Int(if row == 77 { 503 } else { 200 }));
        if row == 123 {
            map.push("only.here", Value::Bool(true));
        }
        let attributes = map.finish();
        let span = Span {
            name: "n",
            kind: 1,
            start: row.into(),
            duration: 1,
            attributes: Map::new(&attributes),
            ..Span::new(TraceId([1; 16]), SpanId([1; 8]))
        };
        builder.append(&span).unwrap();
    }
    let (block, _disk) = store(Signal::Spans, &[builder.finish().unwrap()], &small());
    let equal = |scope, key: &str, value| Predicate::Compare {
        field: Field::Attribute(scope, key.into()),
        compare: Compare::Equal,
        value,
    };
    for (predicate, start) in [
        (equal(AttributeScope::Own, "order", Scalar::String("order-50".into())), 50),
        (equal(AttributeScope::Any, "order", Scalar::Typed("order-51".into())), 51),
        (equal(AttributeScope::Own, "code", Scalar::Typed("503".into())), 77),
        (equal(AttributeScope::Own, "code", Scalar::Double(503.0)), 77),
        (equal(AttributeScope::Own, "only.here", Scalar::Typed("true".into())), 123),
        (equal(AttributeScope::Resource, "service.name", Scalar::String("rare".into())), 333),
        (Predicate::equal(name::SERVICE_NAME, Scalar::String("rare".into())), 333),
    ] {
        let request = ScanRequest { predicate: predicate.clone(), ..ScanRequest::all([name::START]) };
        let mut scan = block.scan(&Arc::new(request)).unwrap();
        let found: Vec<i64> = scan.by_ref().flat_map(|batch| as_i64(batch.unwrap().column(0))).collect();
        assert_eq!(found, [start], "{predicate:?}");
        // One granule, and maybe one that a fingerprint proposes wrongly.
        assert!(scan.progress().rows_scanned <= 16, "{predicate:?}: {:?}", scan.progress());
    }
}

#[test]
fn a_block_without_an_index_is_searched_all_the_same() {
    let (block, _disk) = store(Signal::Logs, &plain_logs(&lines()), &BlockConfig { granule_rows: 0, ..small() });
    assert!(block.meta().file(TERMS).is_none());
    let predicate =
        Predicate::Contains { field: Field::Column(name::BODY), needle: "card expired".into(), case_sensitive: true };
    let answer = scan_all(&block, ScanRequest { predicate, ..ScanRequest::all([name::TIME]) });
    assert_eq!(rows(&answer).len(), 1);
    assert_eq!(proposed(&block, &TextQuery::words("declined")), None);
}

#[test]
fn r1_the_index_is_read_when_it_is_asked_and_not_before() {
    let (block, disk) = store(Signal::Logs, &plain_logs(&lines()), &small());
    let path = Path::new(DIR).join(TERMS);
    let length = disk.contents(&path).unwrap().len();
    disk.place(&path, &vec![0; length]).unwrap();
    let crc = block.meta().crc();
    let block = Block::open(Arc::new(disk.clone()), Path::new(DIR), Signal::Logs, crc).unwrap();
    let before = block.memory_bytes();
    let scan = |predicate| block.scan(&Arc::new(ScanRequest { predicate, ..ScanRequest::all([name::TIME]) })).unwrap();
    let greater =
        Predicate::Compare { field: Field::Column(name::TIME), compare: Compare::Greater, value: Scalar::Int(390) };
    for predicate in
        [Predicate::All, Predicate::Trace(TraceId([1; 16])), Predicate::Not(Box::new(Predicate::All)), greater]
    {
        assert!(scan(predicate).all(|batch| batch.is_ok()));
    }
    assert_eq!(block.memory_bytes(), before);
    assert!(block.lost_part().is_none());
    assert!(scan(Predicate::equal(name::BODY, Scalar::String("x".into()))).all(|batch| batch.is_ok()));
    assert!(block.lost_part().is_some());
}

#[test]
fn r3_a_flipped_bit_of_the_index_is_noticed_and_costs_no_row() {
    let texts = lines();
    let (block, disk) = store(Signal::Logs, &plain_logs(&texts), &small());
    let path = Path::new(DIR).join(TERMS);
    let length = disk.contents(&path).unwrap().len() as u64;
    let mut random = Pcg64Mcg::seed_from_u64(5);
    for _ in 0..60 {
        let disk = disk.fork();
        let offset = random.random_range(0..length);
        disk.flip(&path, offset, random.random_range(0..8)).unwrap();
        let block = Block::open(Arc::new(disk), Path::new(DIR), Signal::Logs, block.meta().crc()).unwrap();
        let contains = Predicate::Contains {
            field: Field::Column(name::BODY),
            needle: "card expired".into(),
            case_sensitive: true,
        };
        let request = ScanRequest { predicate: contains, ..ScanRequest::all([name::BODY]) };
        let answer: Result<Vec<RecordBatch>, Error> = block.scan(&Arc::new(request)).and_then(Iterator::collect);
        let found: usize = answer.unwrap().iter().map(RecordBatch::num_rows).sum();
        assert_eq!(found, texts.iter().filter(|text| text.contains("card expired")).count());
        assert!(block.lost_part().is_some_and(|what| what.contains(TERMS)));
        assert!(block.verify().is_err());
    }
}
