//! Bodies come back as they were and are found, however they are kept; and damage of their file is noticed.

use super::terms::{logs, predicate, text};
use super::*;
use crate::error::{Class, Error};
use crate::model::attribute::{Map, Value, put_value};
use crate::model::origin::{Resource, Scope};
use crate::model::{LogBatchBuilder, LogRecord};
use crate::scan::{Compare, Field, Predicate, Scalar};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::ops::Range;

const SECOND: i64 = 1_000_000_000;

pub(super) fn lines(count: i64) -> Vec<(i64, Option<String>)> {
    let noon = 1_795_435_200;
    let line = |n: i64| {
        let time = noon + n / 3;
        let text = match n % 7 {
            0 | 1 => format!(
                "2026-11-23 12:{:02}:{:02} INFO user u{} logged in from 10.0.{}.{}",
                n / 180 % 60,
                n / 3 % 60,
                n % 5,
                n % 11,
                n * 7 % 251
            ),
            2 | 3 => format!(
                "{{\"level\":\"warn\",\"n\":{n},\"ratio\":0.{:03},\"id\":\"{:016x}\"}}",
                n % 1000,
                n.wrapping_mul(0x9e37_79b9)
            ),
            4 => format!("GET /items/{} \"agent {}\" 日本語 took {}ms", n % 90, n % 4, n % 33),
            5 => "x".repeat(usize::try_from(n % 900).unwrap()) + "\u{0}\n\"\\ ",
            _ => return (time * SECOND, None),
        };
        (time * SECOND, Some(text))
    };
    (0..count).map(line).collect()
}

pub(super) fn batch(lines: &[(i64, Option<String>)]) -> Batch {
    let mut builder = LogBatchBuilder::default();
    builder.set_resource(&Resource::default());
    builder.set_scope(&Scope::default());
    for (time, text) in lines {
        let mut body = Vec::new();
        if let Some(text) = text {
            put_value(&mut body, Value::String(text));
        }
        let record = LogRecord {
            time: *time,
            observed_time: None,
            severity_number: 9,
            severity_text: "",
            body: &body,
            event_name: "",
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

fn has_bodies(block: &Block) -> bool {
    block.meta().files.iter().any(|file| file.name == body::FILE)
}

/// Whether the bodies of a row group are templates.
fn is_taken_apart(block: &Block, group: usize) -> bool {
    block.rows().unwrap().bodies(group).unwrap().is_some()
}

#[test]
fn d1_d2_d3_lines_of_templates_come_back_are_counted_and_are_found() {
    let lines = lines(9_000);
    let batches = [batch(&lines)];
    let config = BlockConfig { row_group_rows: 5_000, ..BlockConfig::default() };
    let (block, _disk) = store(Signal::Logs, &batches, &config);
    assert!(is_taken_apart(&block, 0) && is_taken_apart(&block, 1));
    let all = scan_all(&block, ScanRequest::all(all_columns(Signal::Logs)));
    assert!(rows(&all) == rows(&record_batches(&batches)));
    block.verify().unwrap();
    let column = block.meta().columns.iter().find(|column| column.name == body::FILE).unwrap();
    let bytes: usize = lines.iter().filter_map(|(_, text)| text.as_ref()).map(String::len).sum();
    assert!(column.raw == bytes as u64 && column.compressed * 4 < column.raw, "{column:?}");
    let templates = block.templates().unwrap();
    let with_text = lines.iter().filter(|(_, text)| text.is_some()).count() as u64;
    assert_eq!(templates.iter().map(|template| template.lines).sum::<u64>(), with_text);
    let user = templates.iter().filter(|template| template.text().contains("logged in from"));
    assert_eq!(
        user.map(|template| template.lines).sum::<u64>(),
        lines.iter().filter(|(_, t)| t.as_ref().is_some_and(|t| t.contains("logged"))).count() as u64
    );
    let body = || Field::Column(name::BODY);
    let needles = [
        "logged in",
        "LOGGED IN",
        "u3 logged",
        "10.0.3.",
        "日本語",
        "no such",
        "",
        "warn\",\"n\":1",
        "x\u{0}",
        "12:00:07 INFO",
    ];
    let contains = needles.iter().flat_map(|needle| {
        [true, false].map(|case_sensitive| Predicate::Contains {
            field: body(),
            needle: (*needle).into(),
            case_sensitive,
        })
    });
    let texts = lines.iter().filter_map(|(_, text)| text.clone()).step_by(701).chain(["INFO".into()]);
    let compared = texts.flat_map(|text| {
        [Compare::Equal, Compare::NotEqual, Compare::Less].map(|compare| Predicate::Compare {
            field: body(),
            compare,
            value: Scalar::String(text.clone()),
        })
    });
    for predicate in contains.chain(compared).chain([Predicate::Exists(body())]) {
        let request = ScanRequest { predicate, ..ScanRequest::all([name::BODY, name::TIME]) };
        let expected: Vec<RecordBatch> =
            batches.iter().filter_map(|batch| filter(Signal::Logs, batch.columns(), &request).unwrap()).collect();
        assert!(rows(&scan_all(&block, request.clone())) == rows(&expected), "{:?}", request.predicate);
    }
}

/// What a statement of a program would write, or anything.
fn line(random: &mut Pcg64Mcg) -> String {
    let number = random.random_range(0..100_000u32);
    match random.random_range(0..8) {
        0 => format!("user {number} logged in from 10.0.{}.{}", number % 3, number % 251),
        1 => {
            format!("2026-11-23 12:{:02}:{:02},{:03} 東京都 took {number} ms", number % 60, number % 59, number % 1000)
        }
        2 => format!("{{\"k\":{number},\"größe\":\"{}\",\"id\":\"{:016x}\"}}", number % 7, random.random::<u64>()),
        3 => "-".repeat(random.random_range(0..3_000)),
        4 => String::new(),
        _ => text(random),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn d1_d3_rows_are_the_same_however_bodies_are_kept(seed: u64, count in 1usize..400) {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let texts: Vec<String> = (0..count).map(|_| line(&mut random)).collect();
        let batches = logs(&mut random, &texts);
        let [templates, column, alone] = [(BodyEncoding::Templates, 8), (BodyEncoding::Column, 8), (BodyEncoding::Templates, 0)]
            .map(|(bodies, granule_rows)| store(Signal::Logs, &batches, &BlockConfig { bodies, granule_rows, ..small() }).0);
        prop_assert!(!has_bodies(&column));
        let expected = rows(&record_batches(&batches));
        for block in [&templates, &column] {
            let answer = rows(&scan_all(block, ScanRequest::all(all_columns(Signal::Logs))));
            prop_assert!(answer == expected, "{:?}", difference(&answer, &expected));
        }
        for _ in 0..30 {
            let predicate = predicate(&mut random, &texts, 0);
            let request = ScanRequest { predicate, ..ScanRequest::all([name::TIME, name::BODY, name::BODY_VALUE]) };
            let expected: Vec<RecordBatch> =
                batches.iter().filter_map(|batch| filter(Signal::Logs, batch.columns(), &request).unwrap()).collect();
            for block in [&templates, &column, &alone] {
                prop_assert_eq!(rows(&scan_all(block, request.clone())), rows(&expected), "{:?}", request.predicate);
            }
        }
        for block in [&templates, &column] {
            let ordered = ScanRequest { order: ScanOrder::Newest, ..ScanRequest::all([name::BODY]) };
            prop_assert_eq!(scan_all(block, ordered).iter().map(RecordBatch::num_rows).sum::<usize>(), count);
        }
    }
}

/// Lines that no template makes smaller.
fn noise(count: i64) -> Vec<(i64, Option<String>)> {
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let letters: Vec<char> = ('a'..='z').chain('A'..='Z').collect();
    let word = |random: &mut Pcg64Mcg| (0..90).map(|_| letters[random.random_range(0..letters.len())]).collect();
    (0..count).map(|time| (time, Some(word(&mut random)))).collect()
}

#[test]
fn a_trial_decides_row_group_by_row_group() {
    let config = BlockConfig { row_group_rows: 2_000, ..BlockConfig::default() };
    let disk = SimulatedDisk::new(1);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    let mut writer = BlockWriter::create(&disk, Path::new(DIR), Signal::Logs, &[], &config).unwrap();
    let batches = [noise(2_000), lines(2_000), lines(2_000), noise(2_000)].map(|lines| batch(&lines));
    batches.iter().for_each(|batch| writer.put(std::slice::from_ref(batch)).unwrap());
    let meta = writer.finish().unwrap();
    let block = Block::open(Arc::new(disk), Path::new(DIR), Signal::Logs, meta.crc()).unwrap();
    // After the trial that failed a row group is not tried.
    assert_eq!([0, 1, 2, 3].map(|group| is_taken_apart(&block, group)), [false, false, true, false]);
    let answer = rows(&scan_all(&block, ScanRequest::all(all_columns(Signal::Logs))));
    assert!(answer == rows(&record_batches(&batches)));
}

#[test]
fn a_row_group_of_long_bodies_has_several_chunks() {
    let text = |time: i64| format!("{time} {}", "payload 12345 of \"größe\"; ".repeat(12_000));
    let lines: Vec<(i64, Option<String>)> = (0..60).map(|time| (time, (time % 13 != 5).then(|| text(time)))).collect();
    let config = BlockConfig { bodies: BodyEncoding::Templates, ..BlockConfig::default() };
    let batches = [batch(&lines)];
    let (block, _disk) = store(Signal::Logs, &batches, &config);
    let (bodies, rows_of_group) = block.rows().unwrap().bodies(0).unwrap().unwrap();
    assert_eq!(rows_of_group, 0..60);
    assert!(bodies.rows_at(&(0..u64::MAX)).unwrap().len() > 1);
    for time in [TimeRange::ALL, TimeRange { start: 41, end: 47 }] {
        let request = ScanRequest { time, ..ScanRequest::all([name::TIME, name::BODY]) };
        let expected: Vec<RecordBatch> =
            batches.iter().filter_map(|batch| filter(Signal::Logs, batch.columns(), &request).unwrap()).collect();
        assert!(rows(&scan_all(&block, request)) == rows(&expected));
    }
}

#[test]
fn few_bodies_and_bodies_that_repeat_stay_a_column() {
    let repeated: Vec<(i64, Option<String>)> =
        (0..5_000).map(|time| (time, Some(format!("the same {} again and again", time % 9)))).collect();
    for lines in [lines(300), repeated] {
        let (block, _disk) = store(Signal::Logs, &[batch(&lines)], &BlockConfig::default());
        assert!(!has_bodies(&block) && block.templates().unwrap().is_empty());
    }
}

#[test]
fn a_page_of_texts_has_few_bytes_or_one_row() {
    let text = |time: i64| "word ".repeat(if time % 700 == 3 { 9_000 } else { usize::try_from(time % 40).unwrap() });
    let lines: Vec<(i64, Option<String>)> =
        (0..3_000).map(|time| (time, (time % 11 > 0).then(|| format!("{time} {}", text(time))))).collect();
    let config = BlockConfig { text_page_bytes: 4096, bodies: BodyEncoding::Column, ..BlockConfig::default() };
    let (block, _disk) = store(Signal::Logs, &[batch(&lines)], &config);
    let block = block.rows().unwrap();
    let leaf = block.leaf(name::BODY).unwrap();
    let pages = block.metadata().offset_index().unwrap()[0][leaf].page_locations();
    let starts = pages.iter().map(|page| usize::try_from(page.first_row_index).unwrap());
    let ends = starts.clone().skip(1).chain([lines.len()]);
    let length =
        |rows: Range<usize>| lines[rows].iter().filter_map(|(_, text)| text.as_ref()).map(String::len).sum::<usize>();
    let pages: Vec<Range<usize>> = starts.zip(ends).map(|(from, to)| from..to).collect();
    assert!(pages.iter().all(|page| page.len() == 1 || length(page.clone()) <= 4096), "{pages:?}");
    assert!(pages.len() < 150, "{} pages", pages.len());
}

/// A block with two row groups of templates.
fn sample(count: i64) -> (Arc<Block>, SimulatedDisk, Vec<Batch>) {
    let batches = vec![batch(&lines(count))];
    let config = BlockConfig { row_group_rows: 2_000, ..BlockConfig::default() };
    let (block, disk) = store(Signal::Logs, &batches, &config);
    (block, disk, batches)
}

/// Opens, reads everything, verifies: the errors, and the rows if there were none.
fn use_it(disk: &SimulatedDisk, crc: u32) -> (Option<Vec<Row>>, Vec<Error>) {
    let block = match Block::open(Arc::new(disk.clone()), Path::new(DIR), Signal::Logs, crc) {
        Ok(block) => block,
        Err(error) => return (None, vec![error]),
    };
    let request = Arc::new(ScanRequest::all(all_columns(Signal::Logs)));
    let answer: Result<Vec<RecordBatch>, Error> = block.scan(&request).and_then(Iterator::collect);
    let mut errors: Vec<Error> = block.verify().err().into_iter().collect();
    let answer = answer.map_err(|error| errors.push(error)).ok().map(|batches| rows(&batches));
    (answer, errors)
}

#[test]
fn b3_damage_of_bodies_is_noticed_and_named() {
    let (block, disk, batches) = sample(4_000);
    let expected = rows(&record_batches(&batches));
    let path = Path::new(DIR).join(body::FILE);
    let check = |disk: &SimulatedDisk, told: &str| {
        let (answer, errors) = use_it(disk, block.meta().crc());
        assert!(!errors.is_empty(), "{told}");
        for error in &errors {
            assert_eq!(error.class(), Class::Corrupt, "{told}: {error}");
            assert!(error.to_string().contains(body::FILE), "{told}: {error}");
        }
        assert!(answer.is_none_or(|answer| answer == expected), "{told}");
    };
    let length = disk.contents(&path).unwrap().len() as u64;
    for offset in (0..length).step_by(usize::try_from(length / 60).unwrap().max(1)) {
        let disk = disk.fork();
        disk.flip(&path, offset, 3).unwrap();
        check(&disk, &format!("a bit at {offset}"));
    }
    for keep in [0, 1, 11, length / 2, length - 1] {
        let disk = disk.fork();
        disk.truncate(&path, keep).unwrap();
        check(&disk, &format!("cut to {keep}"));
    }
    let removed = disk.fork();
    removed.remove_file(&path).unwrap();
    check(&removed, "removed");
    let (_, other, _) = sample(3_900);
    let swapped = disk.fork();
    swapped.place(&path, &other.contents(&path).unwrap()).unwrap();
    check(&swapped, "swapped");
}

#[test]
fn the_row_groups_whose_bodies_are_whole_can_be_saved() {
    let config = BlockConfig { row_group_rows: 2_000, bodies: BodyEncoding::Templates, ..BlockConfig::default() };
    let (block, disk) = store(Signal::Logs, &[batch(&noise(4_000))], &config);
    let path = Path::new(DIR).join(body::FILE);
    disk.flip(&path, 100, 0).unwrap();
    let block = Block::open_rows(Arc::new(disk), Path::new(DIR), Signal::Logs, block.meta().crc()).unwrap();
    assert_eq!(block.row_group(0).unwrap_err().class(), Class::Corrupt);
    assert_eq!(block.row_group(1).unwrap().unwrap().num_rows(), 2_000);
    let told = block.verify().unwrap_err().to_string();
    assert!(told.contains("bodies of rows 0..2000"), "{told}");
}
