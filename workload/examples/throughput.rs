//! How fast is the model, how large is what it sends, and how fast is the load client against an endpoint that discards
//! everything? Client and endpoint share one thread.
//!
//! `cargo run --release -p workload --example throughput`

#![expect(clippy::print_stdout, reason = "the example's purpose is its output")]

use std::convert::Infallible;
use std::error::Error;
use std::time::Instant;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use workload::client::{LoadConfig, Observer, Protocol, Stop, run_load};
use workload::{Config, Signal, Signals, Workload};

const REQUESTS: u64 = 30_000;

fn main() -> Result<(), Box<dyn Error>> {
    for (name, signals, requests_per_second) in [
        ("spans", Signals::Only(Signal::Spans), 200.0),
        ("logs", Signals::Only(Signal::Logs), 200.0),
        ("metrics", Signals::Only(Signal::Metrics), 20.0),
        ("all", Signals::All, 200.0),
        ("all at 20/s", Signals::All, 20.0),
    ] {
        let config = Config { signals, requests_per_second, stop_after: Some(REQUESTS), ..Config::default() };
        model(name, config)?;
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(client())
}

fn model(name: &str, config: Config) -> Result<(), Box<dyn Error>> {
    let start = config.start_unix_nano;
    let mut shop = Workload::new(config)?;
    let begin = Instant::now();
    let (mut items, mut bytes, mut spans, mut requests) = (0, 0, 0, 0_u64);
    while let Some(batch) = shop.next_batch() {
        items += batch.items;
        bytes += batch.bytes.len() as u64;
        spans += if batch.signal == Signal::Spans { batch.items } else { 0 };
        requests += 1;
    }
    let took = begin.elapsed().as_secs_f64();
    println!(
        "{name}: {items} items ({spans} spans) in {requests} requests, {:.0} items/s, {:.0} bytes each, {:.1} spans per \
         request from outside, {:.0} s of virtual time",
        items as f64 / took,
        bytes as f64 / items as f64,
        spans as f64 / REQUESTS as f64,
        (shop.now_unix_nano() - start) as f64 / 1e9,
    );
    Ok(())
}

async fn client() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    tokio::spawn(discard(listener));
    for protocol in [Protocol::HttpProtobuf, Protocol::HttpJson] {
        let config = LoadConfig {
            endpoint: endpoint.clone(),
            protocol,
            signals: Signals::Only(Signal::Spans),
            stop: Stop::Count(3_000_000),
            ..LoadConfig::default()
        };
        let report = run_load(config, Observer::default(), CancellationToken::new()).await?;
        println!(
            "{protocol:?}: {:.0} spans/s, {}",
            report.accepted as f64 / report.seconds,
            serde_json::to_string(&report)?
        );
    }
    Ok(())
}

async fn discard(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = hyper::service::service_fn(|request: http::Request<Incoming>| async {
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.frame().await {}
            Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
