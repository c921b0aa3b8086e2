//! Does this program still read what versions 1 to 3 wrote, and write what version 3 wrote? The files never change; a new format gets
//! new ones.

use super::*;

const VERSION_1: [&[u8]; 3] = [
    include_bytes!("../../../tests/fixtures/v1/manifest/00000000000000000001.commit"),
    include_bytes!("../../../tests/fixtures/v1/manifest/00000000000000000001.snapshot"),
    include_bytes!("../../../tests/fixtures/v1/manifest/00000000000000000002.commit"),
];
const VERSION_2: [&[u8]; 3] = [
    include_bytes!("../../../tests/fixtures/v2/manifest/00000000000000000001.commit"),
    include_bytes!("../../../tests/fixtures/v2/manifest/00000000000000000001.snapshot"),
    include_bytes!("../../../tests/fixtures/v2/manifest/00000000000000000002.commit"),
];

const VERSION_3: [&[u8]; 3] = [
    include_bytes!("../../../tests/fixtures/v3/manifest/00000000000000000001.commit"),
    include_bytes!("../../../tests/fixtures/v3/manifest/00000000000000000001.snapshot"),
    include_bytes!("../../../tests/fixtures/v3/manifest/00000000000000000002.commit"),
];

fn commits() -> [Commit; 2] {
    let other = BlockEntry { window: Window::OTHER, signal: Signal::Spans, tenant: TenantId::default(), ..entry(3) };
    let checkpoints = BTreeMap::from([("kafka/\"ü\"".to_owned(), "[0,17)".to_owned())]);
    let mut first = adding(u128::MAX);
    first.add.push(entry(2));
    [first, Commit { add: vec![other], remove: vec![BlockId(u128::MAX)], checkpoints, ..Commit::default() }]
}

fn versions() -> [Manifest; 2] {
    let [first, second] = commits();
    let first = Manifest::default().with(&first).unwrap();
    let second = first.with(&second).unwrap();
    [first, second]
}

#[test]
fn files_of_versions_1_to_3_are_read() {
    let [_, second] = versions();
    for [commit_1, snapshot_1, commit_2] in [VERSION_1, VERSION_2, VERSION_3] {
        for (start, bytes) in [(Kind::Commit, commit_1), (Kind::Snapshot, snapshot_1)] {
            let disk = SimulatedDisk::new(1);
            open(&disk).unwrap();
            disk.place(&path(start, 1), bytes).unwrap();
            disk.place(&path(Kind::Commit, 2), commit_2).unwrap();
            assert_eq!(*read(&disk).unwrap(), second);
        }
    }
}

#[test]
fn files_of_version_3_are_written() {
    let [first, second] = commits();
    let written =
        [file::encode_commit(1, &first), file::encode_snapshot(&versions()[0]), file::encode_commit(2, &second)];
    assert_eq!(
        written.map(|bytes| String::from_utf8(bytes).unwrap()),
        VERSION_3.map(|bytes| { String::from_utf8(bytes.to_vec()).unwrap() })
    );
}
