//! Are targets found where they are listed? Files and the DNS; URLs and etcd are asked over real HTTP in the tests of the doors.

use super::file::{Files, matches, matching};
use super::*;
use crate::scrape::config;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::net::SocketAddr;
use std::path::Path;
use tokio::net::UdpSocket;

fn job(lines: &str, folder: &Path) -> Job {
    let indented: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    config::parse(&format!("scrape_configs:\n- job_name: j\n{indented}"), folder).unwrap().list.remove(0)
}

fn targets(groups: &[Group]) -> Vec<&str> {
    groups.iter().flat_map(|group| &group.targets).map(String::as_str).collect()
}

#[test]
fn stars_stand_for_any_letters_of_the_last_part() {
    for (pattern, name, expected) in [
        ("a*.json", "a.json", true),
        ("a*.json", "abc.json", true),
        ("a*.json", "b.json", false),
        ("*a*b*", "xxaxxbxx", true),
        ("*a*b*", "xxbxxaxx", false),
        ("aba*aba", "aba", false),
        ("*", "", true),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
    let dir = tempfile::tempdir().unwrap();
    for name in ["b.json", "a.json", "c.yml"] {
        std::fs::write(dir.path().join(name), "[]").unwrap();
    }
    let found = matching(&dir.path().join("*.json"));
    assert_eq!(found, [dir.path().join("a.json"), dir.path().join("b.json")]);
    assert_eq!(matching(Path::new("/a/b.json")), [Path::new("/a/b.json")]);
}

#[tokio::test]
async fn s5_a_file_that_cannot_be_read_keeps_its_targets_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let job = job("file_sd_configs: [{files: ['*.json', 'more.yml']}]", dir.path());
    let mut files = Files::from(&job.file_sd_configs[0]);
    write("a.json", "[{\"targets\": [\"a:1\"], \"labels\": {\"zone\": \"z\"}}]");
    write("b.json", "[{\"targets\": [\"b:1\"]}]");
    write("more.yml", "- targets: [c:1, d:1]\n");
    let found = files.look().await.unwrap();
    assert_eq!(targets(&found), ["a:1", "b:1", "c:1", "d:1"]);
    assert_eq!(found[0].labels["__meta_filepath"], dir.path().join("a.json").to_string_lossy());
    write("a.json", "[{\"targets\": 5}]");
    write("b.json", "[{\"targets\": [\"b:2\"]}]");
    write("more.yml", "");
    assert_eq!(targets(&files.look().await.unwrap()), ["a:1", "b:2"]);
    std::fs::remove_file(dir.path().join("a.json")).unwrap();
    assert_eq!(targets(&files.look().await.unwrap()), ["b:2"], "a file that is gone lists nothing");
}

#[tokio::test]
async fn what_is_null_is_empty_as_for_go() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let job = job("file_sd_configs: [{files: ['a.json', 'b.yml']}]", dir.path());
    let mut files = Files::from(&job.file_sd_configs[0]);
    write("a.json", "[{\"targets\": [\"a:1\"], \"labels\": {\"x\": null}}]");
    write("b.yml", "- targets: [b:1]\n  labels:\n");
    let found = files.look().await.unwrap();
    assert_eq!((targets(&found), found[0].labels["x"].as_str()), (vec!["a:1", "b:1"], ""));
    write("a.json", "[{\"targets\": null, \"labels\": null}, {\"targets\": [\"a:2\"], \"labels\": null}]");
    write("b.yml", "- targets:\n");
    assert_eq!(targets(&files.look().await.unwrap()), ["a:2"]);
    write("a.json", "null");
    write("b.yml", "null\n");
    assert_eq!(files.look().await.unwrap(), []);
    // A group that is null is a mistake, for Prometheus as well: what the file listed last stays.
    write("a.json", "[{\"targets\": [\"a:3\"]}]");
    assert_eq!(targets(&files.look().await.unwrap()), ["a:3"]);
    write("a.json", "[null]");
    assert_eq!(targets(&files.look().await.unwrap()), ["a:3"]);
}

/// A name server that knows some records, by name and type.
async fn name_server(records: Vec<(&'static str, u16, Vec<Vec<u8>>)>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut query = [0u8; 1_500];
        loop {
            let (length, from) = socket.recv_from(&mut query).await.unwrap();
            let query = &query[..length];
            let (mut name, mut at) = (String::new(), 12);
            while query[at] != 0 {
                let end = at + 1 + usize::from(query[at]);
                name.push_str(&String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
                name.push('.');
                at = end;
            }
            let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
            if name == "hang." {
                continue;
            }
            let found = records.iter().find(|(own, own_kind, _)| (*own, *own_kind) == (&*name, kind));
            let answers = found.map_or(&[][..], |(_, _, list)| list);
            let code = if name == "broken." {
                2
            } else if found.is_some() {
                0
            } else {
                3
            };
            let mut answer = query[..2].to_vec();
            answer.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(answers.len()).unwrap(), 0, 0, 0, 0]);
            answer.extend_from_slice(&query[12..at + 5]);
            for data in answers {
                // The name of the question, the type, IN, one minute.
                answer.extend([0xc0, 12]);
                answer.extend(kind.to_be_bytes());
                answer.extend([0, 1, 0, 0, 0, 60]);
                answer.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
                answer.extend_from_slice(data);
            }
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    address
}

fn domain(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| {
        let length = u8::try_from(label.len()).unwrap();
        [length].into_iter().chain(label.bytes())
    });
    labels.chain([0]).collect()
}

#[tokio::test]
async fn records_of_the_dns_are_targets() {
    let srv = |port: u16, target: &str| {
        let head = [0, 1, 0, 1].into_iter().chain(port.to_be_bytes());
        head.chain(domain(target)).collect::<Vec<u8>>()
    };
    let mx = [0, 10].into_iter().chain(domain("mail.test")).collect();
    let server = name_server(vec![
        ("_m._tcp.test.", 33, vec![srv(9100, "a.test"), srv(9200, "b.test")]),
        ("a.test.", 1, vec![vec![10, 0, 0, 7], vec![10, 0, 0, 8]]),
        ("a.test.", 28, vec![[vec![0xfd], vec![0; 14], vec![1]].concat()]),
        ("test.", 15, vec![mx]),
    ])
    .await;
    let mut connection = ConnectionConfig::udp();
    connection.port = server.port();
    let servers = vec![NameServerConfig::new(server.ip(), true, vec![connection])];
    let config = ResolverConfig::from_parts(None, vec![], servers);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    (builder.options_mut().timeout, builder.options_mut().attempts) = (Duration::from_millis(100), 1);
    let dns = Dns::of(builder.build().unwrap());
    let look = async |lines: &str| {
        let job = job(&format!("dns_sd_configs: [{{{lines}}}]"), Path::new(""));
        let settings = &job.dns_sd_configs[0];
        dns::Records::new(&settings.names[0], settings, dns.clone()).look().await
    };
    let found = look("names: [_m._tcp.test.]").await.unwrap();
    assert_eq!(targets(&found), ["a.test:9100", "b.test:9200"]);
    let labels = &found[0].labels;
    assert_eq!(labels["__meta_dns_name"], "_m._tcp.test.");
    assert_eq!((&*labels["__meta_dns_srv_record_target"], &*labels["__meta_dns_srv_record_port"]), ("a.test.", "9100"));
    assert_eq!(targets(&look("names: [a.test.], type: A, port: 80").await.unwrap()), ["10.0.0.7:80", "10.0.0.8:80"]);
    assert_eq!(targets(&look("names: [a.test.], type: AAAA, port: 80").await.unwrap()), ["[fd00::1]:80"]);
    let mail = look("names: [test.], type: MX, port: 25").await.unwrap();
    assert_eq!((targets(&mail), &*mail[0].labels["__meta_dns_mx_record_target"]), (vec!["mail.test:25"], "mail.test."));
    assert_eq!(look("names: [nobody.test.]").await, Ok(Vec::new()), "a name that is not there has no targets");
    for unknown in ["broken.", "hang."] {
        let error = look(&format!("names: [{unknown}], type: A, port: 1")).await.unwrap_err();
        assert!(error.contains(&format!("A records of {unknown:?}")), "{error}");
    }
}
