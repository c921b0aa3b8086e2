//! Who asks for the record of a tenant's deletions gets that tenant's, however many others have.

use super::*;
use crate::engine::EngineConfig;
use crate::fs::{SimulatedClock, SimulatedDisk};
use std::path::Path;

const NOW: i64 = 1_795_435_200_000_000_000;

fn deletion(tenant: &str, time: i64) -> Deletion {
    let tenant = TenantId::new(tenant).unwrap();
    Deletion { time, tenant, signal: Signal::Logs, cause: Cause::Age, predicate: None, blocks: 1, rows: 1 }
}

/// The numbers of the first deletions, and how many of all were not looked at.
fn first(store: &Store, tenant: &str, most: usize) -> (Vec<u64>, usize) {
    let mut record = store.deletions(&TenantId::new(tenant).unwrap()).unwrap();
    while record.found().len() < most && record.advance().unwrap() {}
    (record.found().iter().map(|found| found.version).collect(), record.versions.len())
}

#[test]
fn l5_a_tenant_has_its_own_last_deletions_however_many_others_have() {
    let disk = SimulatedDisk::new(1);
    let dir = Path::new("/data/deletions");
    for version in 1..=100 {
        let tenant = if version % 40 == 2 { "quiet" } else { "busy" };
        retention::record_deletion(&disk, dir, version, &deletion(tenant, NOW)).unwrap();
    }
    let decoder = |_: Signal, _: i64, _: &[u8]| Err("nothing is replayed".to_owned());
    let clock = Arc::new(SimulatedClock::at(NOW));
    let store = Store::open(EngineConfig::new("/data"), Arc::new(disk.clone()), clock, &decoder).unwrap();
    assert_eq!(first(&store, "quiet", 1), (vec![82], 81), "and reads no older one");
    assert_eq!(first(&store, "quiet", 9), (vec![82, 42, 2], 0));
    assert_eq!(first(&store, "busy", 2), (vec![100, 99], 98));
    assert_eq!(first(&store, "none", 1), (vec![], 0));
    disk.flip(&dir.join(format!("{:020}.json", 42)), 3, 1).unwrap();
    assert_eq!(first(&store, "quiet", 9).0, [82, 2], "what cannot be read is passed over");
}
