//! Which bucket, how is it reached, and what may be done there?

use super::Role;
use serde::{Deserialize, Serialize};

/// An S3-compatible bucket, as a person writes it in the settings file. Credentials come from the environment, as for other
/// programs that speak to S3 (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and their like).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectStoreConfig {
    /// The bucket, which must be there. Empty: blocks and manifest lie on the disk.
    pub bucket: String,
    /// What all keys begin with; lets stores share a bucket.
    pub prefix: String,
    /// Where the store is, as a URL; empty for Amazon's.
    pub endpoint: String,
    /// The bucket's region.
    pub region: String,
    /// Whether the bucket stands in the path of URLs, or else in their host.
    pub path_style: bool,
    /// Bytes of blocks that the disk keeps for reading.
    pub cache_bytes: u64,
    /// Whether this process only shows what others write.
    pub read_only: bool,
}

impl Default for ObjectStoreConfig {
    fn default() -> Self {
        ObjectStoreConfig {
            bucket: String::new(),
            prefix: String::new(),
            endpoint: String::new(),
            region: "us-east-1".into(),
            path_style: true,
            // Some days of a shop's spans; a tenth of a small machine's disk.
            cache_bytes: 10 << 30,
            read_only: false,
        }
    }
}

impl ObjectStoreConfig {
    /// Whether there is a bucket.
    pub fn is_set(&self) -> bool {
        !self.bucket.is_empty()
    }

    /// What this process may do there.
    pub fn role(&self) -> Role {
        if self.read_only { Role::Reader } else { Role::Writer }
    }

    /// Whether it can be used: an `Err` says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let others = [&self.prefix, &self.endpoint];
        if !self.is_set() && (self.read_only || others.into_iter().any(|text| !text.is_empty())) {
            return Err("`object_store.bucket` is empty, and other keys of `object_store` are not".into());
        }
        if self.cache_bytes == 0 {
            return Err("`object_store.cache_bytes` is 0; zero does not mean unlimited here".into());
        }
        let plain_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if !self.bucket.chars().all(plain_name) || self.bucket.split('.').any(|part| self.is_set() && part.is_empty()) {
            return Err("`object_store.bucket` is not made of letters, digits, `-`, `_` and `.`".into());
        }
        if !(self.endpoint.is_empty() || is_url(&self.endpoint)) {
            return Err("`object_store.endpoint` is not a URL such as `https://s3.example.com:9000`".into());
        }
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
        let sound = |part: &str| !matches!(part, "" | "." | "..");
        let is_path = self.prefix.chars().all(plain) && self.prefix.split('/').all(sound);
        if !(self.prefix.is_empty() || is_path) {
            return Err(
                "`object_store.prefix` is not made of letters, digits, `-`, `_`, `.` with `/` between its parts".into(),
            );
        }
        Ok(())
    }
}

/// Whether a text is the URL of a server: scheme, host, perhaps port and path.
fn is_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else { return false };
    let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
    // An address of IPv6 stands in brackets and has colons of its own.
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (server, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).map_or_else(
        || !host.is_empty() && host.chars().all(|letter| letter.is_ascii_alphanumeric() || "-.".contains(letter)),
        |address| address.parse::<std::net::Ipv6Addr>().is_ok(),
    );
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~/".contains(letter);
    host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0)) && path.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_plain_path_and_needs_a_bucket() {
        let check = |bucket: &str, prefix: &str| {
            let config =
                ObjectStoreConfig { bucket: bucket.into(), prefix: prefix.into(), ..ObjectStoreConfig::default() };
            config.check().is_ok()
        };
        assert!(check("", "") && check("b", "") && check("b", "a/b-c_d.e"));
        for bad in ["/a", "a/", "a//b", "..", "a/../b", "a b", "ä"] {
            assert!(!check("b", bad), "{bad}");
        }
        assert!(!check("", "a"));
        for bad in ["Bad Bucket!", "a b", "../x", "a/b", "a?b", ".", "a..b"] {
            assert!(!check(bad, ""), "{bad}");
        }
    }

    #[test]
    fn an_endpoint_is_the_url_of_a_server() {
        let good =
            ["http://127.0.0.1:9000", "https://s3.example.com", "http://[::1]:9000", "http://localhost:9000/store/"];
        good.into_iter().for_each(|text| assert!(is_url(text), "{text}"));
        let bad = [
            "127.0.0.1:9000",
            "http://",
            "http://127.0.0.1:9 x",
            "http://127.0.0.1:99999",
            "ftp://x",
            "http://:9000",
            "https://a b",
            "http://[::1",
            "http://a:",
        ];
        bad.into_iter().for_each(|text| assert!(!is_url(text), "{text}"));
    }
}
