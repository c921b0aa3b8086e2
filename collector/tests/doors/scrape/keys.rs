//! Do keys of Prometheus 3's file do here what they do there?

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_may_send_and_did_is_told_where_a_job_asks_for_it() {
    let long = vec![b'\n'; 2 << 20];
    let router = Router::new()
        .route("/metrics", get(async || text("a 1\nb 2\n")))
        .route("/cut", get(async || text("a 1\nb")))
        .route("/long", get(move || async move { ([(header::CONTENT_TYPE, "text/plain")], long) }))
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR));
    let address = serve(router).await;
    let path = |name: &str, further: &str| {
        job(name, &address, &format!("metrics_path: /{name}, extra_scrape_metrics: true, {further}"))
    };
    let jobs = [
        path("metrics", "sample_limit: 7, scrape_timeout: 250ms"),
        path("cut", ""),
        path("long", "body_size_limit: 1MB"),
        path("broken", ""),
        job("plain", &address, ""),
    ];
    let scraping = Scraping::start(&jobs, folder()).await;
    for (name, up) in [("metrics", 1.0), ("plain", 1.0), ("cut", 0.0), ("long", 0.0), ("broken", 0.0)] {
        scraping.wait_up(name, up).await;
    }
    let told = |job: &str| {
        let last = |name: &str| scraping.last(job, name).and_then(|sample| sample.value);
        ["scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes"].map(last)
    };
    assert_eq!(told("metrics"), [Some(0.25), Some(7.0), Some(8.0)]);
    assert_eq!(told("cut"), [Some(0.3), Some(0.0), Some(5.0)], "it was read, but is no text of metrics");
    assert_eq!(told("long"), [Some(0.3), Some(0.0), Some(-1.0)]);
    assert_eq!(told("broken"), [Some(0.3), Some(0.0), Some(0.0)]);
    assert_eq!(told("plain"), [None; 3]);
    scraping.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_scrapes_are_told_in_a_file_that_may_be_moved_away() {
    let broken = serve(Router::new().route("/metrics", get(async || text("a 1\nb")))).await;
    let log = "scrape_failure_log_file: failures.log";
    let jobs =
        [job("broken", &broken, log), job("away", &"127.0.0.1:1".parse().unwrap(), log), job("silent", &broken, "")];
    let scraping = Scraping::start(&jobs, folder()).await;
    let (path, moved) = (scraping.dir.path().join("failures.log"), scraping.dir.path().join("failures.1"));
    let has = |path: &std::path::Path, job: &str, url: &str, what: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        // The last line may be in the making.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let mut lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.any(|line| {
            let told = line["msg"].as_str().unwrap().contains(what) && line["target"].as_str().unwrap().contains(url);
            told && line["job_name"] == job && line["level"] == "ERROR"
        })
    };
    let url = format!("http://{broken}/metrics");
    scraping.wait("what is no text", |_| has(&path, "broken", &url, "line 2, column 2")).await;
    scraping.wait("who is away", |_| has(&path, "away", "/metrics", "")).await;
    scraping.wait_up("silent", 0.0).await;
    assert!(!has(&path, "silent", "", ""), "it names no file");
    // Moved away, it is made anew once the process is told to read its files again, though none has changed.
    std::fs::rename(&path, &moved).unwrap();
    let process = std::process::id().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
    scraping.wait("the new file", |_| has(&path, "broken", &url, "line 2")).await;
    assert!(has(&moved, "broken", &url, "line 2"));
    // A file that cannot be opened makes the file of jobs one that cannot be used.
    let bad = job("broken", &broken, "scrape_failure_log_file: nowhere/f.log");
    std::fs::write(scraping.dir.path().join("jobs.yml"), format!("scrape_configs:\n{bad}")).unwrap();
    assert!(std::process::Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
    let trouble = || scraping.door.collector.scrape_trouble(&storage::model::TenantId::default());
    scraping.wait("it is told", |_| trouble().is_some()).await;
    let trouble = trouble().unwrap();
    assert!(trouble.contains("scrape_failure_log_file: nowhere/f.log: No such file"), "{trouble}");
    scraping.close().await;
}

/// A proxy that opens tunnels, wherever to, to one address, and answers plain requests itself; and what it was asked.
async fn proxy(behind: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let (listener, asked) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::<Mutex<Vec<String>>>::default());
    let (address, noted) = (listener.local_addr().unwrap(), Arc::clone(&asked));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let noted = Arc::clone(&noted);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                noted.lock().unwrap().push(head.clone());
                if head.starts_with("CONNECT ") {
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                    let mut target = tokio::net::TcpStream::connect(behind).await.unwrap();
                    tokio::io::copy_bidirectional(&mut stream, &mut target).await.ok();
                } else {
                    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\na 1\n";
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (address, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_told_headers_with_requests_for_a_tunnel_and_a_target_never() {
    let authority = authority();
    let target = tls_server(&authority, "metrics.test").await;
    let (proxy, asked) = proxy(target).await;
    let dir = folder();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["client.test".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    for (name, text) in [("ca.pem", authority.pem()), ("cert.pem", own.pem()), ("key.pem", key.serialize_pem())] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let over = format!("proxy_url: 'http://u:p@{proxy}', proxy_connect_header: {{X-Tunnel: [hunter2, b]}}");
    let tls = "tls_config: {ca_file: ca.pem, server_name: metrics.test, cert_file: cert.pem, key_file: key.pem}";
    let far = "10.255.255.1:1".parse().unwrap();
    let jobs = [job("tunnelled", &far, &format!("scheme: https, {over}, {tls}")), job("plain", &far, &over)];
    let scraping = Scraping::start(&jobs, dir).await;
    for name in ["tunnelled", "plain"] {
        scraping.wait_up(name, 1.0).await;
    }
    let asked = asked.lock().unwrap().clone();
    let of = |method: &str| asked.iter().find(|head| head.starts_with(method)).unwrap().to_ascii_lowercase();
    let (tunnel, plain) = (of("CONNECT 10.255.255.1:1 "), of("GET http://10.255.255.1:1/metrics "));
    assert!(tunnel.contains("x-tunnel: hunter2\r\nx-tunnel: b\r\n"), "{tunnel}");
    assert!(!plain.contains("x-tunnel"), "{plain}");
    for head in [tunnel, plain] {
        assert!(head.contains("proxy-authorization: basic "), "{head}");
    }
    let tenant = storage::model::TenantId::default();
    let shown = scraping.door.collector.describe_scrape_pool(&tenant, "tunnelled").unwrap();
    assert!(shown.contains("proxy_connect_header: \"<secret>\"") && !shown.contains("hunter2"), "{shown}");
    scraping.close().await;
}
