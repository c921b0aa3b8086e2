//! Do all buckets keep to what `Bucket` says? The one in memory always, a real S3 server where `SPANLIGHT_S3_SERVER` names one.

use super::*;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

fn keeps_to_the_contract(bucket: &dyn Bucket) {
    let whole = |key: &str| bucket.read(key, Span::Whole).map(|part| part.bytes);
    assert_eq!(bucket.list("blocks").unwrap(), []);
    assert_eq!(whole("blocks/none").unwrap_err().kind(), ErrorKind::NotFound);

    // O1
    bucket.create("blocks/b/meta", Bytes::from_static(b"0123456789")).unwrap();
    let taken = bucket.create("blocks/b/meta", Bytes::from_static(b"other"));
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(whole("blocks/b/meta").unwrap(), "0123456789");

    let check = |span: Span, start: u64, bytes: &'static str| {
        let part = bucket.read("blocks/b/meta", span).unwrap();
        assert_eq!(part, Part { bytes: Bytes::from_static(bytes.as_bytes()), start, len: 10 });
    };
    check(Span::Last(3), 7, "789");
    check(Span::Last(1_000), 0, "0123456789");
    check(Span::Range(2..5), 2, "234");
    check(Span::Range(9..10), 9, "9");

    let bytes = pattern(17 * MIB + 5);
    let mut parts = bytes.chunks(8 * MIB).map(Bytes::copy_from_slice);
    bucket.create_in_parts("blocks/b/data", &mut || Ok(parts.next())).unwrap();
    assert_eq!(whole("blocks/b/data").unwrap(), bytes);
    let mut first = Some(Bytes::from(pattern(8 * MIB)));
    let failed = bucket.create_in_parts("blocks/b/cut", &mut || first.take().map(Some).ok_or(ErrorKind::Other.into()));
    assert!(failed.is_err());

    let entry = |name: &str, is_dir: bool, len: usize| Entry { name: name.into(), is_dir, len: len as u64 };
    assert_eq!(bucket.list("blocks").unwrap(), [entry("b", true, 0)]);
    assert_eq!(bucket.list("blocks/b").unwrap(), [entry("data", false, bytes.len()), entry("meta", false, 10)]);
    bucket.remove("blocks/b/meta").unwrap();
    bucket.remove("blocks/b/meta").unwrap();
    assert_eq!(bucket.list("blocks/b").unwrap(), [entry("data", false, bytes.len())]);
    bucket.remove("blocks/b/data").unwrap();
    assert_eq!(bucket.list("blocks/b").unwrap(), []);
}

#[test]
fn a_simulated_bucket_keeps_to_the_contract() {
    keeps_to_the_contract(&SimulatedBucket::new(0));
}

/// Killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_real_store_keeps_to_the_contract_and_its_absence_ends_requests() {
    let variable = |name| std::env::var(name).ok();
    let (Some(program), Some(key), Some(secret)) =
        (variable("SPANLIGHT_S3_SERVER"), variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"))
    else {
        eprintln!("not run: SPANLIGHT_S3_SERVER names no S3 server, or its AWS_* credentials are not set");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (objects, properties) = (dir.path().join("objects"), dir.path().join("properties"));
    [&objects.join("bucket"), &properties].iter().for_each(|dir| crate::fs::Disk.create_dir_all(dir).unwrap());
    // No other test has this address, so nobody takes the port in between.
    let address = TcpListener::bind("127.0.0.7:0").unwrap().local_addr().unwrap().to_string();
    let mut command = Command::new(program);
    command.args(["--quiet", "--access", &key, "--secret", &secret, "--port", &address, "posix", "--sidecar"]);
    let command = command.arg(&properties).arg(&objects).stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running(command.spawn().unwrap());
    while TcpStream::connect(&address).is_err() {
        std::thread::yield_now();
    }
    let config = ObjectStoreConfig {
        bucket: "bucket".into(),
        prefix: "some/where".into(),
        endpoint: format!("http://{address}"),
        ..ObjectStoreConfig::default()
    };
    let shared = connect(&config).unwrap();
    assert_eq!(shared.bucket.place(), "bucket/some/where");
    keeps_to_the_contract(shared.bucket.as_ref());
    drop(running);
    let error = shared.bucket.read("blocks/b/meta", Span::Whole).unwrap_err();
    assert!(!matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists), "{error}");
}
