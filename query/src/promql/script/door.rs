//! What does a server say when a script is loaded by remote write 2, and its expressions are asked over HTTP?
//!
//! D1  What scripts load at one time has a tenant of its own, so that all of it is in one server, and none sees another's.

use super::remote;
use super::reply::{Line, Reply, Seen, Timed};
use super::run::Said;
use crate::promql::prepare::Frame;
use crate::series::{Interval, Labels, Sample, Value};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A running server; killed and its data removed when dropped.
pub(super) struct Server {
    process: Child,
    _folder: tempfile::TempDir,
    pub(super) address: String,
}

impl Server {
    /// Starts the binary with settings as variables of its environment. What was loaded is as old as 1970, and is kept.
    pub(super) fn start(binary: &OsStr, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SPANLIGHT_")) {
            command.env_remove(name);
        }
        command.arg("serve").arg("--data-dir").arg(folder.path());
        for door in ["--http-addr", "--otlp-grpc-addr", "--otlp-http-addr"] {
            command.args([door, "127.0.0.1:0"]);
        }
        command.env("SPANLIGHT_RETENTION_METRICS_DAYS", "40000").env("SPANLIGHT_LOG_FILTER", "warn");
        command.envs(settings.iter().copied()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let address = line.strip_prefix("listening http ").unwrap().to_owned();
        // The other doors' addresses; the server ends where nobody reads them.
        assert_eq!(lines.by_ref().take(2).count(), 2);
        Server { process, _folder: folder, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A connection, and whose data is asked for.
pub(super) struct Door {
    runtime: tokio::runtime::Runtime,
    sender: SendRequest<Full<Bytes>>,
    host: String,
    pub(super) tenant: String,
}

impl Door {
    pub(super) fn open(address: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender
        });
        Door { runtime, sender, host: address.to_owned(), tenant: String::new() }
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Bytes) -> (u16, Bytes) {
        let mut request = hyper::Request::builder().method(method).uri(path).header("host", &self.host);
        if !self.tenant.is_empty() {
            request = request.header("x-scope-orgid", &self.tenant);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).unwrap();
        self.runtime.block_on(async {
            self.sender.ready().await.unwrap();
            let response = self.sender.send_request(request).await.unwrap();
            let status = response.status().as_u16();
            (status, response.into_body().collect().await.unwrap().to_bytes())
        })
    }

    /// Sends samples, of which none may be refused.
    pub(super) fn load(&mut self, samples: &[(Labels, Sample)]) -> Result<(), String> {
        let headers = [
            ("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
            ("content-encoding", "snappy"),
        ];
        let body = remote::request(samples).into();
        match self.send("POST", "/prometheus/api/v1/write", &headers, body) {
            (204, _) => Ok(()),
            (status, body) => Err(format!("remote write: {status}: {}", String::from_utf8_lossy(&body))),
        }
    }

    /// What the server counts under a name, all label sets together.
    pub(super) fn counted(&mut self, name: &str) -> f64 {
        let (_, text) = self.send("GET", "/metrics", &[], Bytes::new());
        let text = String::from_utf8_lossy(&text).into_owned();
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        text.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    pub(super) fn ask(&mut self, expression: &str, frame: Frame) -> Said {
        let seconds = |milliseconds: i64| (milliseconds as f64 / 1000.0).to_string();
        let mut form = format!("query={}", encoded(expression));
        let path = if frame.step == 0 {
            form += &format!("&time={}", seconds(frame.start));
            "/prometheus/api/v1/query"
        } else {
            let [start, end, step] = [frame.start, frame.end, frame.step].map(seconds);
            form += &format!("&start={start}&end={end}&step={step}");
            "/prometheus/api/v1/query_range"
        };
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let (status, body) = self.send("POST", path, &headers, form.into());
        said(status, &body, frame)
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn said(status: u16, body: &[u8], frame: Frame) -> Said {
    let json: Json = serde_json::from_slice(body).unwrap_or_default();
    let texts = |name: &str| {
        let texts = json[name].as_array().cloned().unwrap_or_default();
        texts.iter().map(|text| text.as_str().unwrap_or_default().to_owned()).collect()
    };
    let reply = if status == 200 && json["status"] == "success" {
        reply(&json["data"], frame).ok_or_else(|| format!("the answer cannot be read: {json}"))
    } else {
        let message = json["error"].as_str().unwrap_or("no reason");
        Err(message.strip_prefix("invalid parameter \"query\": ").unwrap_or(message).to_owned())
    };
    Said { reply, warnings: texts("warnings"), infos: texts("infos") }
}

fn reply(data: &Json, frame: Frame) -> Option<Reply> {
    let result = &data["result"];
    Some(match data["resultType"].as_str()? {
        "string" => Reply::Text(result[1].as_str()?.as_bytes().to_vec()),
        "scalar" => Reply::Scalar(vec![number(&result[1])?]),
        "vector" => {
            let lines = result.as_array()?.iter().map(|series| {
                let cell =
                    if series["value"].is_null() { buckets(&series["histogram"])? } else { float(&series["value"])? };
                (cell.0 == frame.start).then_some(())?;
                Some(Line { labels: labels(series)?, cells: vec![Some(cell.1)] })
            });
            Reply::Instant(lines.collect::<Option<_>>()?)
        }
        "matrix" => {
            let series: Option<Vec<Timed>> = result.as_array()?.iter().map(samples).collect();
            if frame.step == 0 { Reply::Range(series?) } else { Reply::Instant(at_steps(series?, frame)?) }
        }
        _ => return None,
    })
}

fn at_steps(series: Vec<Timed>, frame: Frame) -> Option<Vec<Line>> {
    let grid = frame.grid();
    let line = |(labels, samples): Timed| {
        let mut cells = vec![None; grid.count];
        for (time, seen) in samples {
            let step = usize::try_from((time - grid.start) / grid.step).ok()?;
            (grid.at(step) == time).then_some(())?;
            *cells.get_mut(step)? = Some(seen);
        }
        Some(Line { labels, cells })
    };
    series.into_iter().map(line).collect()
}

fn labels(series: &Json) -> Option<Labels> {
    let pairs = series["metric"].as_object()?.iter();
    Some(Labels::new(pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))))
}

fn samples(series: &Json) -> Option<Timed> {
    let list = |name: &str| series[name].as_array().cloned().unwrap_or_default();
    let floats: Option<Vec<(i64, Seen)>> = list("values").iter().map(float).collect();
    let histograms: Option<Vec<(i64, Seen)>> = list("histograms").iter().map(buckets).collect();
    let mut all = floats?;
    all.extend(histograms?);
    all.sort_by_key(|(time, _)| *time);
    Some((labels(series)?, all))
}

fn number(json: &Json) -> Option<f64> {
    json.as_str()?.parse().ok()
}

fn moment(json: &Json) -> Option<i64> {
    Some((json.as_f64()? * 1000.0).round() as i64)
}

fn float(pair: &Json) -> Option<(i64, Seen)> {
    Some((moment(&pair[0])?, Seen::Value(Value::Float(number(&pair[1])?))))
}

fn buckets(pair: &Json) -> Option<(i64, Seen)> {
    let histogram = &pair[1];
    let interval = |bucket: &Json| {
        let rule = bucket[0].as_u64()?;
        Some(Interval {
            lower: number(&bucket[1])?,
            upper: number(&bucket[2])?,
            lower_inclusive: rule == 1 || rule == 3,
            upper_inclusive: rule == 0 || rule == 3,
            count: number(&bucket[3])?,
        })
    };
    let buckets = histogram["buckets"].as_array().cloned().unwrap_or_default();
    let buckets: Option<Vec<Interval>> = buckets.iter().map(interval).collect();
    let (count, sum) = (number(&histogram["count"])?, number(&histogram["sum"])?);
    Some((moment(&pair[0])?, Seen::Buckets { count, sum, buckets: buckets? }))
}
