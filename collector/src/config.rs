//! Which limits and times has the collector? One struct; every default is a named constant with its reason.

use crate::decode::DecodeLimits;
use std::time::Duration;

/// OTLP's recommendation for the size of a request after decompression.
pub const MAX_REQUEST_BYTES: usize = 64 << 20;
/// A quarter of the gigabyte that the process may use at full load. Four requests of the largest size fit.
pub const MAX_BYTES_IN_FLIGHT: usize = 256 << 20;
/// Far more than one machine can write; it stops a runaway sender, not a busy one.
pub const TENANT_BYTES_PER_SECOND: u64 = 256 << 20;
/// Two seconds' worth, so that a burst after a restart of the senders passes.
pub const TENANT_BURST_BYTES: u64 = 512 << 20;
/// As many as a server of one gigabyte holds at 1 KiB each, with what they are told apart by (some 40 MB).
pub const TENANT_ACTIVE_SERIES: usize = 1_000_000;
/// The largest request at one megabyte per second.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Headers are sent at once; who takes longer holds a connection for nothing.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than the ten seconds in which the process must have ended.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);
/// A quarter of the file descriptors that are commonly allowed, times 16; then connecting waits.
pub const MAX_CONNECTIONS: usize = 4_096;
/// Requests at a time on one HTTP/2 connection. Exporters use one or a few.
pub const MAX_CONCURRENT_STREAMS: u32 = 256;

/// Settings of the collector.
#[derive(Debug, Clone)]
pub struct CollectorConfig {
    /// Size of one request, before and after decompression. Default 64 MiB.
    pub max_request_bytes: usize,
    /// Memory for all requests that are being read, decoded or written. Default 256 MiB.
    pub max_bytes_in_flight: usize,
    /// The same for one tenant. Default 256 MiB: lower it where tenants must not crowd each other out.
    pub tenant_bytes_in_flight: usize,
    /// Decompressed bytes per second and tenant, over time. Default 256 MiB.
    pub tenant_bytes_per_second: u64,
    /// Decompressed bytes that a tenant may send at once. Default 512 MiB.
    pub tenant_burst_bytes: u64,
    /// Series of metrics that a tenant sends within half an hour to an hour; further ones are left out. Default 1,000,000.
    pub tenant_active_series: usize,
    /// Time to send a request's body. Default 60 s.
    pub body_timeout: Duration,
    /// Time to send a request's headers. Default 10 s.
    pub header_timeout: Duration,
    /// Time that requests get to finish after the shutdown has begun. Default 8 s.
    pub shutdown_timeout: Duration,
    /// Connections per door. Default 4,096.
    pub max_connections: usize,
    /// Concurrent requests per HTTP/2 connection. Default 256.
    pub max_concurrent_streams: u32,
    /// Which web pages may send telemetry from a browser. Default: those of this machine.
    pub cors_origins: CorsOrigins,
    /// Limits on what a request may hold.
    pub decode: DecodeLimits,
}

impl Default for CollectorConfig {
    fn default() -> Self {
        CollectorConfig {
            max_request_bytes: MAX_REQUEST_BYTES,
            max_bytes_in_flight: MAX_BYTES_IN_FLIGHT,
            tenant_bytes_in_flight: MAX_BYTES_IN_FLIGHT,
            tenant_bytes_per_second: TENANT_BYTES_PER_SECOND,
            tenant_burst_bytes: TENANT_BURST_BYTES,
            tenant_active_series: TENANT_ACTIVE_SERIES,
            body_timeout: BODY_TIMEOUT,
            header_timeout: HEADER_TIMEOUT,
            shutdown_timeout: SHUTDOWN_TIMEOUT,
            max_connections: MAX_CONNECTIONS,
            max_concurrent_streams: MAX_CONCURRENT_STREAMS,
            cors_origins: CorsOrigins::default(),
            decode: DecodeLimits::default(),
        }
    }
}

impl CollectorConfig {
    /// Whether the doors can work so; the error names the setting.
    pub fn check(&self) -> Result<(), String> {
        let positive = [
            ("max_request_bytes", self.max_request_bytes > 0),
            ("tenant_bytes_per_second", self.tenant_bytes_per_second > 0),
            ("tenant_active_series", self.tenant_active_series > 0),
            ("body_timeout_seconds", !self.body_timeout.is_zero()),
            ("max_connections", self.max_connections > 0),
        ];
        if let Some((name, _)) = positive.into_iter().find(|(_, positive)| !positive) {
            return Err(format!("`otlp.{name}` is 0; zero does not mean unlimited here"));
        }
        let least = self.max_request_bytes;
        let in_flight = [
            ("max_bytes_in_flight", self.max_bytes_in_flight),
            ("tenant_bytes_in_flight", self.tenant_bytes_in_flight),
        ];
        match in_flight.into_iter().find(|(_, bytes)| *bytes < least) {
            Some((name, bytes)) => {
                Err(format!("`otlp.{name}` is {bytes}, less than the {least} of `otlp.max_request_bytes`"))
            }
            None => Ok(()),
        }
    }
}

/// Which web pages may send telemetry, by their origins. No answer ever allows credentials.
///
/// ```
/// use collector::CorsOrigins;
/// let origins = CorsOrigins::new(["loopback", "https://*.example.com"]);
/// assert!(origins.allows("http://localhost:3000"));
/// assert!(origins.allows("https://shop.example.com"));
/// assert!(!origins.allows("https://example.org"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsOrigins(Vec<String>);

impl Default for CorsOrigins {
    /// Pages served by this machine: enough to develop with, and no page of the internet can write into the store
    /// of whoever looks at it.
    fn default() -> Self {
        CorsOrigins::new(["loopback"])
    }
}

impl CorsOrigins {
    /// Takes origins: exact ones, ones with a `*` for any part, `*` alone for all, or the word `loopback`.
    pub fn new<S: Into<String>>(origins: impl IntoIterator<Item = S>) -> Self {
        CorsOrigins(origins.into_iter().map(Into::into).collect())
    }

    /// Whether a page of this origin may send.
    pub fn allows(&self, origin: &str) -> bool {
        self.0.iter().any(|allowed| match allowed.split_once('*') {
            None if allowed == "loopback" => is_loopback(origin),
            None => allowed == origin,
            Some((before, after)) => origin
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                // What the star stands for must not bring its own path or port.
                .is_some_and(|middle| allowed == "*" || !middle.contains(['/', ':', '@'])),
        })
    }
}

fn is_loopback(origin: &str) -> bool {
    let Some(authority) = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) else {
        return false;
    };
    ["localhost", "127.0.0.1", "[::1]"].into_iter().any(|host| {
        authority.strip_prefix(host).is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_machine_may_send_by_default() {
        let origins = CorsOrigins::default();
        for good in ["http://localhost", "https://localhost:8443", "http://127.0.0.1:5173", "http://[::1]:80"] {
            assert!(origins.allows(good), "{good}");
        }
        for bad in [
            "null",
            "https://example.com",
            "http://localhost.example.com",
            "http://localhost:80.example.com",
            "http://127.0.0.1@example.com",
            "file://localhost",
            "localhost",
            "",
        ] {
            assert!(!origins.allows(bad), "{bad}");
        }
    }

    #[test]
    fn a_star_stands_for_one_part_of_a_host() {
        let origins = CorsOrigins::new(["https://*.example.com"]);
        assert!(origins.allows("https://a.b.example.com"));
        for bad in ["https://example.com", "http://a.example.com", "https://evil.test/.example.com"] {
            assert!(!origins.allows(bad), "{bad}");
        }
        assert!(CorsOrigins::new(["*"]).allows("https://anything.test:1"));
    }
}
