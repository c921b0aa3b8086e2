//! Which targets do records in the DNS name? SRV with ports of their own; A, AAAA and MX with that of the settings.

use super::super::config::{DnsDiscovery, RecordKind};
use super::{Group, LIST_TIMEOUT};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{ResolverBuilder, TokioResolver};
use std::collections::BTreeMap;
use std::time::Duration;

/// Records of one name that are taken.
const MAX_RECORDS: usize = 10_000;

/// Whom to ask: the name servers of this machine, which are read anew for each look; or, in tests, a certain one.
#[derive(Clone, Default)]
pub(in super::super) struct Dns(Option<TokioResolver>);

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dns")
    }
}

impl Dns {
    #[cfg(test)]
    pub(super) fn of(resolver: TokioResolver) -> Self {
        Dns(Some(resolver))
    }

    fn resolver(&self) -> Result<TokioResolver, String> {
        if let Some(resolver) = &self.0 {
            return Ok(resolver.clone());
        }
        let built = TokioResolver::builder_tokio().and_then(ResolverBuilder::build);
        built.map_err(|error| format!("this machine's name servers: {error}"))
    }
}

/// The records of one name.
pub(super) struct Records {
    name: String,
    kind: RecordKind,
    port: u16,
    refresh_interval: Duration,
    dns: Dns,
}

impl Records {
    pub(super) fn new(name: &str, settings: &DnsDiscovery, dns: Dns) -> Self {
        let DnsDiscovery { r#type: kind, port, refresh_interval, .. } = *settings;
        Records { name: name.to_owned(), kind, port, refresh_interval, dns }
    }

    pub(super) fn refresh_interval(&self) -> Duration {
        self.refresh_interval
    }

    /// A group for each record. A name that is not there has none; where nobody knows, that is an error.
    pub(super) async fn look(&self) -> Result<Vec<Group>, String> {
        let kind = match self.kind {
            RecordKind::Service => RecordType::SRV,
            RecordKind::Address4 => RecordType::A,
            RecordKind::Address6 => RecordType::AAAA,
            RecordKind::Mail => RecordType::MX,
        };
        let told = |error: &dyn std::fmt::Display| format!("{kind} records of {:?}: {error}", self.name);
        let resolver = self.dns.resolver()?;
        let looked = tokio::time::timeout(LIST_TIMEOUT, resolver.lookup(self.name.as_str(), kind)).await;
        let lookup = match looked.map_err(|_| told(&"no answer in time"))? {
            Ok(lookup) => lookup,
            Err(error) if error.is_no_records_found() => return Ok(Vec::new()),
            Err(error) => return Err(told(&error)),
        };
        let records = lookup.answers().iter().take(MAX_RECORDS);
        Ok(records.filter_map(|record| self.group(&record.data)).collect())
    }

    fn group(&self, record: &RData) -> Option<Group> {
        let without_dot = |name: &Name| name.to_string().trim_end_matches('.').to_owned();
        let (host, port, extra) = match record {
            RData::SRV(srv) => {
                let extra = [
                    ("__meta_dns_srv_record_target", srv.target.to_string()),
                    ("__meta_dns_srv_record_port", srv.port.to_string()),
                ];
                (without_dot(&srv.target), srv.port, extra.to_vec())
            }
            RData::MX(mx) => {
                let extra = [("__meta_dns_mx_record_target", mx.exchange.to_string())];
                (without_dot(&mx.exchange), self.port, extra.to_vec())
            }
            RData::A(address) => (address.to_string(), self.port, Vec::new()),
            RData::AAAA(address) => (format!("[{address}]"), self.port, Vec::new()),
            // A name's other name, on the way to its addresses.
            _ => return None,
        };
        let mut labels: BTreeMap<String, String> =
            extra.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        labels.insert("__meta_dns_name".to_owned(), self.name.clone());
        Some(Group { targets: vec![format!("{host}:{port}")], labels })
    }
}
