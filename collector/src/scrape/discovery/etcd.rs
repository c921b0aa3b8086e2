//! Which services have registered themselves in etcd, under a prefix? As they do with a lease: while they live they keep it alive, and
//! when they are gone their key goes with it.
//!
//! A key's value is an address (`10.0.0.7:8080`); or JSON: an object with `Addr` or `addr` or `address`, whose further texts and
//! `Metadata` become labels, as etcd's own naming writes it; or targets and labels, as a file lists them. Asked is etcd's JSON
//! gateway, which every member has on its client port.
//!
//! A watch only says when to look again: what is there is always read whole, so that no event can be missed.

use super::super::client::Client;
use super::super::config::EtcdDiscovery;
use super::super::fetch;
use super::{Group, LIST_TIMEOUT, LOOK_INTERVAL, MAX_LIST_BYTES};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Keys that one prefix may have.
const MAX_KEYS: usize = 10_000;
/// Bytes of a watch that are read before it is begun anew.
const MAX_WATCH_BYTES: usize = 1 << 20;

/// A prefix and whom to ask.
pub(super) struct Prefix {
    settings: EtcdDiscovery,
    client: Arc<Client>,
    /// The member that answered last.
    member: usize,
    token: Option<String>,
    /// The revision of the last look, if it succeeded.
    seen: Option<i64>,
    told_bad: bool,
}

/// An answer of `/v3/kv/range`; numbers of 64 bits are texts there.
#[derive(Debug, Deserialize)]
struct Range {
    header: Header,
    #[serde(default)]
    kvs: Option<Vec<KeyValue>>,
    #[serde(default)]
    more: bool,
}

#[derive(Debug, Deserialize)]
struct Header {
    #[serde(default)]
    revision: String,
}

#[derive(Debug, Deserialize)]
struct KeyValue {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    lease: String,
}

impl Prefix {
    pub(super) fn new(settings: EtcdDiscovery, client: Arc<Client>) -> Self {
        Prefix { settings, client, member: 0, token: None, seen: None, told_bad: false }
    }

    /// A group for each key.
    pub(super) async fn look(&mut self) -> Result<Vec<Group>, String> {
        self.seen = None;
        let mut failure = String::new();
        // Once more than there are members: a token may have ended.
        for _ in 0..=self.settings.endpoints.len() {
            let asked = tokio::time::timeout(LIST_TIMEOUT, self.range()).await;
            match asked.unwrap_or_else(|_| Err(format!("no answer within {} s", LIST_TIMEOUT.as_secs()))) {
                Ok(range) => return self.groups(range),
                Err(error) => failure = format!("etcd at {}: {error}", self.endpoint()),
            }
            self.token = None;
            self.member = (self.member + 1) % self.settings.endpoints.len();
        }
        Err(failure)
    }

    fn groups(&mut self, range: Range) -> Result<Vec<Group>, String> {
        if range.more {
            return Err(format!("etcd has more than {MAX_KEYS} keys under {:?}", self.settings.prefix));
        }
        self.seen = range.header.revision.parse().ok();
        let (mut groups, mut first_bad) = (Vec::new(), None);
        for pair in range.kvs.iter().flatten() {
            match group(pair, &self.settings.prefix) {
                Ok(group) => groups.push(group),
                Err(error) => drop(first_bad.get_or_insert(error)),
            }
        }
        // One service that registers nonsense must not take the others away; it is told once.
        if let Some(error) = &first_bad
            && !self.told_bad
        {
            tracing::warn!(prefix = self.settings.prefix, error, "what is registered in etcd is no target");
        }
        self.told_bad = first_bad.is_some();
        Ok(groups)
    }

    fn endpoint(&self) -> &str {
        let endpoint = self.settings.endpoints.get(self.member).map_or("", String::as_str);
        endpoint.trim_end_matches('/')
    }

    fn keys(&self) -> Map<String, Value> {
        let prefix = self.settings.prefix.as_bytes();
        let mut keys = Map::new();
        keys.insert("key".to_owned(), STANDARD.encode(prefix).into());
        keys.insert("range_end".to_owned(), STANDARD.encode(behind(prefix)).into());
        keys
    }

    async fn range(&mut self) -> Result<Range, String> {
        let mut body = self.keys();
        body.insert("limit".to_owned(), MAX_KEYS.to_string().into());
        let request = self.request("/v3/kv/range", &body.into()).await?;
        let answer = fetch::whole(request, MAX_LIST_BYTES, &mut |_| Ok(())).await?;
        serde_json::from_slice(&answer.body).map_err(|error| format!("the answer is not etcd's: {error}"))
    }

    async fn request(&mut self, path: &str, body: &Value) -> Result<RequestBuilder, String> {
        if self.token.is_none()
            && let Some((name, password)) = self.client.user().await?
        {
            self.token = Some(self.authenticate(&name, &password).await?);
        }
        let request = self.client.bare(Method::POST, &format!("{}{path}", self.endpoint())).await?;
        let request = match &self.token {
            Some(token) => request.header(AUTHORIZATION, token),
            None => request,
        };
        Ok(request.body(body.to_string()))
    }

    async fn authenticate(&self, name: &str, password: &str) -> Result<String, String> {
        #[derive(Deserialize)]
        struct Answer {
            token: String,
        }
        let url = format!("{}/v3/auth/authenticate", self.endpoint());
        let body = json!({ "name": name, "password": password }).to_string();
        let request = self.client.bare(Method::POST, &url).await?.body(body);
        let answer = fetch::whole(request, MAX_LIST_BYTES, &mut |_| Ok(())).await?;
        let answer: Result<Answer, _> = serde_json::from_slice(&answer.body);
        answer.map(|answer| answer.token).map_err(|_| "etcd gave no token".to_owned())
    }

    /// Resolves when a key has changed, or when it is time to look all the same.
    pub(super) async fn wait(&mut self) {
        let interval = self.settings.refresh_interval;
        let Some(seen) = self.seen else {
            return tokio::time::sleep(interval.min(LOOK_INTERVAL)).await;
        };
        let watched = tokio::time::timeout(interval, self.watch(seen)).await;
        if let Ok(Err(error)) = watched {
            tracing::debug!(prefix = self.settings.prefix, error, "a watch of etcd ended");
            tokio::time::sleep(interval.min(LOOK_INTERVAL)).await;
        }
    }

    /// Resolves with the first event behind a revision.
    async fn watch(&mut self, seen: i64) -> Result<(), String> {
        let mut create = self.keys();
        create.insert("start_revision".to_owned(), seen.saturating_add(1).to_string().into());
        let request = self.request("/v3/watch", &json!({ "create_request": create })).await?;
        let mut response = request.send().await.map_err(|error| fetch::told(&error))?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(format!("the answer is {}", response.status()));
        }
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| fetch::told(&error))? {
            text.extend_from_slice(&chunk);
            if text.len() > MAX_WATCH_BYTES {
                return Ok(());
            }
            // A message a line: the first says that the watch is there, others have events.
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                let message: Value = serde_json::from_slice(&line).unwrap_or_default();
                if message.pointer("/result/events").is_some() || message.pointer("/result/canceled").is_some() {
                    return Ok(());
                }
            }
        }
        Err("etcd ended it".to_owned())
    }
}

/// The first key behind all that begin with a prefix.
fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    // Nothing but 0xff: all keys from there on.
    vec![0]
}

fn group(pair: &KeyValue, prefix: &str) -> Result<Group, String> {
    let text = |base64: &str| {
        let bytes = STANDARD.decode(base64).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map_err(|error| error.to_string())
    };
    let key = text(&pair.key).map_err(|error| format!("a key: {error}"))?;
    let value = text(&pair.value).map_err(|error| format!("{key:?}: {error}"))?;
    let mut group = registered(value.trim()).map_err(|error| format!("{key:?}: {error}"))?;
    group.check().map_err(|error| format!("{key:?}: {error}"))?;
    let lease = if pair.lease == "0" { String::new() } else { pair.lease.clone() };
    for (label, text) in
        [("__meta_etcd_key", key), ("__meta_etcd_prefix", prefix.to_owned()), ("__meta_etcd_lease", lease)]
    {
        group.labels.insert(label.to_owned(), text);
    }
    Ok(group)
}

/// What a value says; null says that there is nothing.
fn registered(value: &str) -> Result<Group, String> {
    if value == "null" {
        return Ok(Group::default());
    }
    if !value.starts_with(['{', '[']) {
        return Ok(Group { targets: vec![value.to_owned()], labels: BTreeMap::new() });
    }
    let object: Map<String, Value> = serde_json::from_str(value).map_err(|error| error.to_string())?;
    if object.contains_key("targets") {
        return serde_json::from_value(object.into()).map_err(|error| error.to_string());
    }
    let address = ["Addr", "addr", "address"].into_iter().find_map(|key| object.get(key)?.as_str());
    let address = address.ok_or("there is neither an address (Addr, addr, address) nor targets")?.to_owned();
    let mut labels = BTreeMap::new();
    let metadata = ["Metadata", "metadata"].into_iter().filter_map(|key| object.get(key)?.as_object());
    for (key, value) in object.iter().chain(metadata.flatten()) {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            _ => continue,
        };
        let name: String =
            key.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
        labels.insert(format!("__meta_etcd_value_{name}"), text);
    }
    Ok(Group { targets: vec![address], labels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_null_is_empty() {
        for nothing in ["null", "{\"targets\": null, \"labels\": null}"] {
            assert_eq!(registered(nothing), Ok(Group::default()), "{nothing}");
        }
        let group = registered("{\"targets\": [\"a:1\"], \"labels\": null}").unwrap();
        assert_eq!((group.targets.len(), group.labels.len()), (1, 0));
        let range: Range = serde_json::from_str("{\"header\": {\"revision\": \"5\"}, \"kvs\": null}").unwrap();
        assert!(range.kvs.is_none());
    }
}
