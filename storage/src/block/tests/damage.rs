//! Damage of any file is noticed and named; no wrong row, no panic.

use super::*;
use crate::doubled::second_at;
use crate::error::{Class, Error};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

fn sample() -> (Arc<Block>, SimulatedDisk, Vec<Row>) {
    let batches = Random::new(11).batches(Signal::Spans, 400);
    let (block, disk) = store(Signal::Spans, &batches, &small());
    (block, disk, rows(&record_batches(&batches)))
}

/// Opens, reads everything, looks for a trace, verifies; the rows that a scan gave without an error.
fn use_it(disk: &SimulatedDisk, crc: u32) -> (Option<Vec<Row>>, Vec<Error>) {
    let mut errors = Vec::new();
    let block = match Block::open(Arc::new(disk.clone()), Path::new(DIR), Signal::Spans, crc) {
        Ok(block) => block,
        Err(error) => return (None, vec![error]),
    };
    let request = Arc::new(ScanRequest::all(all_columns(Signal::Spans)));
    let answer: Result<Vec<RecordBatch>, Error> = block.scan(&request).and_then(Iterator::collect);
    let answer = match answer {
        Ok(batches) => Some(rows(&batches)),
        Err(error) => {
            errors.push(error);
            None
        }
    };
    if answer.is_some() && block.examine().is_ok() {
        // Whatever else is damaged costs no answer.
        let found = (1..60).filter(|id| !block.trace(&TraceId([*id; 16]), &[name::NAME]).unwrap().is_empty());
        assert_eq!(found.count(), block.meta().traces.map_or(0, |traces| traces as usize));
    }
    errors.extend((1..60).filter_map(|id| block.trace(&TraceId([id; 16]), &[name::NAME]).err()));
    errors.extend(block.verify().err());
    (answer, errors)
}

/// Flips bits of files at random places: `read`, which reads and verifies the whole block, gives what it gave before or
/// nothing, and every error names the file.
pub(crate) fn check_flips<T: PartialEq>(
    disk: &SimulatedDisk,
    files: &[&str],
    flips: usize,
    read: impl Fn(&SimulatedDisk) -> (Option<T>, Vec<Error>),
) {
    let (expected, none) = read(disk);
    assert!(expected.is_some() && none.is_empty());
    let mut random = Pcg64Mcg::seed_from_u64(3);
    for file in files {
        let path = Path::new(DIR).join(file);
        let length = disk.contents(&path).unwrap().len() as u64;
        for _ in 0..flips {
            let disk = disk.fork();
            let offset = random.random_range(0..length);
            disk.flip(&path, offset, random.random_range(0..8)).unwrap();
            let (answer, errors) = read(&disk);
            assert!(!errors.is_empty(), "{file} at {offset}");
            for error in &errors {
                assert_eq!(error.class(), Class::Corrupt, "{file} at {offset}: {error}");
                assert!(error.to_string().contains(file), "{file} at {offset}: {error}");
            }
            assert!(answer.is_none() || answer == expected, "{file} at {offset}");
        }
    }
}

/// Whether rows are there although a file was cut; of `meta`, behind its first copy.
fn survives(file: &str, keep: u64, first_copy: u64) -> bool {
    matches!(file, KEYS | TERMS) || (file == meta::META && keep >= first_copy)
}

/// Cuts files short: `read` gives errors of damage, and rows only where a scan or a copy makes up for what is lost.
pub(crate) fn check_cuts<T>(
    disk: &SimulatedDisk,
    files: &[&str],
    read: impl Fn(&SimulatedDisk) -> (Option<T>, Vec<Error>),
) {
    for file in files {
        let path = Path::new(DIR).join(file);
        let bytes = disk.contents(&path).unwrap();
        let length = bytes.len() as u64;
        let first_copy = length.saturating_sub(second_at(&bytes) as u64);
        for keep in [0, 1, 11, length / 4, length / 2 - 1, length - 1] {
            let disk = disk.fork();
            disk.truncate(&path, keep).unwrap();
            let (answer, errors) = read(&disk);
            assert!(answer.is_none() || survives(file, keep, first_copy), "{file} cut to {keep}");
            assert!(
                !errors.is_empty() && errors.iter().all(|error| error.class() == Class::Corrupt),
                "{file} cut to {keep}: {errors:?}"
            );
        }
    }
}

#[test]
fn b3_a_flipped_bit_is_noticed_wherever_it_is() {
    let (block, disk, expected) = sample();
    let read = |disk: &SimulatedDisk| use_it(disk, block.meta().crc());
    assert_eq!(read(&disk).0, Some(expected));
    check_flips(&disk, &[DATA, KEYS, TERMS, meta::META], 120, read);
}

#[test]
fn b3_a_cut_or_missing_file_is_noticed_when_the_block_is_opened() {
    let (block, disk, _) = sample();
    check_cuts(&disk, &[DATA, KEYS, TERMS, meta::META], |disk| use_it(disk, block.meta().crc()));
    for file in [DATA, KEYS, TERMS, meta::META] {
        let path = Path::new(DIR).join(file);
        let disk = disk.fork();
        disk.remove_file(&path).unwrap();
        let (answer, errors) = use_it(&disk, block.meta().crc());
        assert_eq!(answer.is_some(), matches!(file, KEYS | TERMS), "{file}");
        let [Error::Damaged { path: damaged, what }] = &errors[..] else { panic!("{errors:?}") };
        assert!(*damaged == path || what.contains(file), "{errors:?}");
    }
}

#[test]
fn a_block_swapped_for_another_is_noticed() {
    let (block, disk, _) = sample();
    let other = Random::new(12).batches(Signal::Spans, 400);
    let (_, other_disk) = store(Signal::Spans, &other, &small());
    for file in [DATA, KEYS, TERMS, meta::META] {
        let disk = disk.fork();
        let path = Path::new(DIR).join(file);
        disk.place(&path, &other_disk.contents(&path).unwrap()).unwrap();
        let (answer, errors) = use_it(&disk, block.meta().crc());
        assert_eq!(answer.is_some(), matches!(file, KEYS | TERMS), "{file}");
        assert!(!errors.is_empty() && errors.iter().all(|error| error.class() == Class::Corrupt), "{errors:?}");
    }
}

#[test]
fn verify_names_the_damaged_columns() {
    let (block, disk, _) = sample();
    let path = Path::new(DIR).join(DATA);
    disk.flip(&path, 100, 0).unwrap();
    let told = block.verify().unwrap_err().to_string();
    assert!(told.contains("bytes 0..") && told.contains("`trace_id` of row group 0"), "{told}");
}

#[test]
fn a_block_of_a_later_version_is_refused_as_such() {
    let (block, disk, _) = sample();
    let path = Path::new(DIR).join(meta::META);
    let text = String::from_utf8(disk.contents(&path).unwrap()).unwrap();
    disk.place(&path, text.replace("spanlight-block 3 ", "spanlight-block 4 ").as_bytes()).unwrap();
    let (_, errors) = use_it(&disk, block.meta().crc());
    assert!(matches!(&errors[..], [Error::Version { found: 4, known: 3, .. }]), "{errors:?}");
}

#[test]
fn a_failing_disk_is_not_damage() {
    let (block, disk, _) = sample();
    disk.set_faults(crate::fs::Faults { read: 1.0, ..Default::default() });
    let error = block.verify().unwrap_err();
    assert_eq!(error.class(), Class::Unavailable, "{error}");
}
