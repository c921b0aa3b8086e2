//! What does a repair keep, and what does it leave alone?

use super::*;
use proptest::prelude::*;
use segment::{HEADER_LEN, RECORD_HEADER_LEN};
use std::ops::Range;

const ASIDE: &str = "/damaged";

/// Where each record lies, by segment and bytes, and its payload.
type Places = Vec<(u64, Range<u64>, String)>;

/// Groups of several records in three segments.
fn sample(disk: &SimulatedDisk) -> Places {
    let segments: [&[&[&str]]; 3] = [
        &[&["one", "two"], &["three"], &["four", "", "five"]],
        &[&["six"], &["seven", "eight"]],
        &[&["nine"], &["ten"]],
    ];
    let mut places = Vec::new();
    let mut wal = open(disk);
    for (groups, number) in segments.into_iter().zip(1..) {
        wal.rotate().unwrap();
        let mut at = HEADER_BYTES;
        for group in groups {
            append(&mut wal, group).unwrap();
            for payload in *group {
                let end = at + RECORD_HEADER_BYTES + ("default".len() + payload.len()) as u64;
                places.push((number, at..end, (*payload).to_owned()));
                at = end;
            }
        }
        assert_eq!(disk.open(&path(number)).unwrap().len(), at);
    }
    places
}

fn mend(disk: &SimulatedDisk) -> Result<Vec<RepairedSegment>> {
    repair(disk, Path::new(DIR), Some(0), Path::new(ASIDE))
}

fn payloads(places: &Places, kept: impl Fn(u64, &Range<u64>) -> bool) -> Vec<&str> {
    places.iter().filter(|(number, bytes, _)| kept(*number, bytes)).map(|(.., payload)| payload.as_str()).collect()
}

#[test]
fn a_sound_log_is_left_alone_and_so_is_a_torn_end() {
    let disk = SimulatedDisk::new(1);
    assert_eq!(mend(&disk).unwrap(), [], "there is no log");
    let places = sample(&disk);
    assert_eq!(mend(&disk).unwrap(), []);
    let torn = [disk.contents(&path(3)).unwrap(), vec![7; 50]].concat();
    disk.place(&path(3), &torn).unwrap();
    assert_eq!(mend(&disk).unwrap(), []);
    assert_eq!(disk.contents(&path(3)).unwrap(), torn);
    assert_eq!(read(&disk).unwrap(), payloads(&places, |_, _| true));
}

#[test]
fn segments_that_were_released_are_not_missed_where_nobody_tells_which_count() {
    let disk = SimulatedDisk::new(1);
    sample(&disk);
    disk.remove_file(&path(1)).unwrap();
    let all = |disk: &SimulatedDisk| repair(disk, Path::new(DIR), None, Path::new(ASIDE)).unwrap();
    assert_eq!(all(&disk), []);
    disk.flip(&path(2), HEADER_BYTES + 3, 1).unwrap();
    let repaired: Vec<_> = all(&disk).into_iter().map(|segment| segment.path).collect();
    assert_eq!(repaired, [path(2)]);
}

#[test]
fn w12_one_flipped_bit_costs_the_record_that_it_lies_in_and_no_other() {
    let whole = SimulatedDisk::new(1);
    let places = sample(&whole);
    for number in 1..=3 {
        for offset in 0..whole.open(&path(number)).unwrap().len() {
            let disk = whole.fork();
            disk.flip(&path(number), offset, (offset % 8) as u8).unwrap();
            let damaged = disk.contents(&path(number)).unwrap();
            if read(&disk).is_ok() {
                assert_eq!((number, mend(&disk).unwrap()), (3, vec![]), "{offset} looks like a torn end");
                continue;
            }
            let repaired = mend(&disk).unwrap();
            let expected = payloads(&places, |segment, bytes| segment != number || !bytes.contains(&offset));
            assert_eq!(read(&disk).unwrap(), expected, "segment {number} byte {offset}");

            let [repaired] = &repaired[..] else { panic!("{repaired:?}") };
            let in_segment = payloads(&places, |segment, _| segment == number).len();
            let lost = places.iter().find(|(segment, bytes, _)| *segment == number && bytes.contains(&offset));
            let lost: Vec<Range<u64>> = lost.iter().map(|(_, bytes, _)| bytes.clone()).collect();
            assert_eq!((repaired.records as usize, &repaired.lost), (in_segment - lost.len(), &lost));
            assert_eq!(repaired.path, path(number));
            // W13
            assert_eq!(disk.contents(repaired.aside.as_ref().unwrap()).unwrap(), damaged);
            assert_eq!(mend(&disk).unwrap(), [], "once is enough");
            append(&mut open(&disk), &["after"]).unwrap();
            assert_eq!(read(&disk).unwrap(), [&expected[..], &["after"]].concat());
        }
    }
}

#[test]
fn w12_a_segment_that_was_cut_keeps_what_lies_before_the_cut() {
    let whole = SimulatedDisk::new(1);
    let places = sample(&whole);
    for number in 1..=2 {
        let bytes = whole.contents(&path(number)).unwrap();
        for len in 0..bytes.len() {
            let disk = whole.fork();
            disk.place(&path(number), &bytes[..len]).unwrap();
            assert_eq!(mend(&disk).unwrap().len(), 1);
            let expected = payloads(&places, |segment, bytes| segment != number || bytes.end <= len as u64);
            assert_eq!(read(&disk).unwrap(), expected, "segment {number} cut at {len}");
        }
    }
}

#[test]
fn a_missing_segment_costs_its_own_records() {
    for number in 1..=2 {
        let disk = SimulatedDisk::new(1);
        let places = sample(&disk);
        disk.remove_file(&path(number)).unwrap();
        let repaired = mend(&disk).unwrap();
        assert_eq!((repaired.len(), &repaired[0].aside), (1, &None));
        assert_eq!(read(&disk).unwrap(), payloads(&places, |segment, _| segment != number));
    }
}

#[test]
fn what_a_repair_gave_up_is_told_by_every_replay() {
    let disk = SimulatedDisk::new(1);
    let places = sample(&disk);
    let (number, bytes, _) = &places[2];
    disk.flip(&path(*number), bytes.start + 3, 1).unwrap();
    let text = mend(&disk).unwrap()[0].to_string();
    for word in [path(1).display().to_string(), format!("at byte {}", bytes.start), "5 records kept".to_owned()] {
        assert!(text.contains(&word), "{text}");
    }
    let report = replay(&disk, Path::new(DIR), 0, &mut |_| Ok(())).unwrap();
    assert_eq!((report.records, report.lost_bytes), (places.len() as u64 - 1, bytes.end - bytes.start));
}

#[test]
fn long_gaps_are_filled_piece_by_piece() {
    let disk = SimulatedDisk::new(1);
    let mut wal = open(&disk);
    let long = "x".repeat(5 << 20);
    for payload in ["before", &long, "after"] {
        append(&mut wal, &[payload]).unwrap();
    }
    wal.rotate().unwrap();
    append(&mut wal, &["last"]).unwrap();
    disk.flip(&path(1), 1 << 20, 0).unwrap();
    assert_eq!(mend(&disk).unwrap()[0].records, 2);
    assert_eq!(read(&disk).unwrap(), ["before", "after", "last"]);
}

#[test]
fn a_record_that_this_program_cannot_name_is_given_up() {
    let disk = SimulatedDisk::new(1);
    let places = sample(&disk);
    let mut bytes = disk.contents(&path(1)).unwrap();
    bytes[HEADER_LEN + RECORD_HEADER_LEN - 4] = 9;
    let end = places[0].1.end as usize;
    super::damage::reseal(&mut bytes[HEADER_LEN..end], HEADER_BYTES);
    disk.place(&path(1), &bytes).unwrap();
    assert!(matches!(read(&disk), Err(Error::Damaged { .. })));
    mend(&disk).unwrap();
    assert_eq!(read(&disk).unwrap(), payloads(&places, |number, bytes| number > 1 || bytes.start > HEADER_BYTES));
}

#[test]
fn w13_a_repair_that_is_cut_short_is_finished_by_the_next_and_nothing_is_read_between() {
    for (number, offset) in [(1, 5), (2, 50), (3, 45)] {
        let whole = SimulatedDisk::new(1);
        let places = sample(&whole);
        whole.flip(&path(number), offset, 1).unwrap();
        let expected = payloads(&places, |segment, bytes| segment != number || !bytes.contains(&offset));
        let last = {
            let disk = whole.fork();
            mend(&disk).unwrap();
            disk.operations()
        };
        for operation in whole.operations() + 1..=last {
            for loss in [Loss::None, Loss::Some, Loss::All] {
                let disk = whole.fork();
                disk.crash_at(operation);
                let cut_short = mend(&disk).is_err();
                disk.crash(loss);
                match read(&disk) {
                    Ok(found) => assert_eq!(found, expected, "{number} {operation} {loss:?}"),
                    Err(error) => assert!(cut_short && matches!(error, Error::Damaged { .. }), "{error}"),
                }
                mend(&disk).unwrap();
                assert_eq!(read(&disk).unwrap(), expected, "{number} {operation} {loss:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn after_any_damage_the_log_is_read_and_lacks_no_untouched_record_but_of_a_torn_end(
        patches in proptest::collection::vec((1_u64..4, 0_u64..400, proptest::collection::vec(any::<u8>(), 1..40)), 1..6),
    ) {
        let disk = SimulatedDisk::new(1);
        let places = sample(&disk);
        let mut touched = Vec::new();
        for (number, offset, bytes) in &patches {
            let offset = offset % disk.open(&path(*number)).unwrap().len();
            disk.corrupt(&path(*number), offset, bytes).unwrap();
            touched.push((*number, offset..offset + bytes.len() as u64));
        }
        mend(&disk).unwrap();
        let found = read(&disk).unwrap();
        let is_touched = |number: u64, bytes: &Range<u64>| {
            touched.iter().any(|(segment, patch)| *segment == number && patch.start < bytes.end && bytes.start < patch.end)
        };
        let kept = payloads(&places, |number, bytes| number < 3 && !is_touched(number, bytes));
        prop_assert!(kept.iter().all(|payload| found.iter().any(|found| found == payload)), "{kept:?} {found:?}");
        let mut all = places.iter();
        prop_assert!(found.iter().all(|found| all.any(|(.., payload)| payload == found)), "{found:?}: out of order");
        append(&mut open(&disk), &["after"]).unwrap();
        prop_assert_eq!(read(&disk).unwrap().len(), found.len() + 1);
    }
}

#[test]
fn w12_what_the_disk_does_not_give_is_told_of_and_costs_the_records_that_lie_there() {
    let whole = SimulatedDisk::new(1);
    let mut places: Places = Vec::new();
    for number in 1..=2 {
        let mut wal = open(&whole);
        wal.rotate().unwrap();
        let mut at = HEADER_BYTES;
        for record in 0..6 {
            let payload = format!("{number}.{record}").repeat(100);
            append(&mut wal, &[&payload]).unwrap();
            let end = at + RECORD_HEADER_BYTES + ("default".len() + payload.len()) as u64;
            places.push((number, at..end, payload));
            at = end;
        }
    }
    for number in 1..=2 {
        let len = whole.open(&path(number)).unwrap().len();
        for offset in (0..len).step_by(100) {
            let disk = whole.fork();
            disk.spoil(&path(number), offset..offset + 1).unwrap();
            let error = read(&disk).unwrap_err();
            assert!(matches!(&error, Error::Damaged { .. }), "also at the end, it is not torn: {error}");
            let repaired = mend(&disk).unwrap();
            assert_eq!(repaired.len(), 1);
            let kept = read(&disk).unwrap();
            let near = |bytes: &Range<u64>| bytes.start < offset + 1024 && offset < bytes.end + 1024;
            let far = payloads(&places, |segment, bytes| segment != number || !near(bytes));
            assert!(far.iter().all(|payload| kept.contains(&(*payload).to_owned())), "{number} {offset}");
            let lost = places.iter().filter(|(.., payload)| !kept.contains(payload)).count();
            assert_eq!(lost == 0, repaired[0].lost.is_empty(), "{number} {offset}: what is lost is told");
            assert_eq!(mend(&disk).unwrap(), [], "once is enough");
            append(&mut open(&disk), &["after"]).unwrap();
            assert_eq!(read(&disk).unwrap().last().unwrap(), "after");
        }
    }
    let disk = whole.fork();
    disk.spoil(&path(1), 0..u64::MAX).unwrap();
    assert!(matches!(read(&disk), Err(Error::Damaged { .. })));
    mend(&disk).unwrap();
    assert_eq!(read(&disk).unwrap(), payloads(&places, |segment, _| segment == 2));
}
