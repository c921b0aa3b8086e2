//! Which formats is a target asked for, and which one did it answer in? As Prometheus 3 negotiates.

use super::config::{Job, Protocol};
use crate::decode::exposition::Found;
use crate::decode::families::{self, Forms};
use crate::decode::text::{self, TextFormat};

/// The format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text(TextFormat),
    Protobuf(Forms),
}

impl Protocol {
    /// Without how names are escaped.
    fn media_type(self) -> &'static str {
        match self {
            Protocol::Protobuf => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Protocol::OpenMetrics0 => "application/openmetrics-text;version=0.0.1",
            Protocol::OpenMetrics1 => "application/openmetrics-text;version=1.0.0",
            Protocol::Text0 => "text/plain;version=0.0.4",
            Protocol::Text1 => "text/plain;version=1.0.0",
        }
    }
}

/// The header `Accept` of a job's scrapes: its protocols in their order, then anything.
pub(super) fn accepted(job: &Job) -> String {
    // Prometheus counts down from one more than there are protocols.
    let mut weight = 6;
    let mut all: Vec<String> = Vec::new();
    for protocol in &job.scrape_protocols {
        // Only these two know of escaping.
        let escaping = match protocol {
            Protocol::OpenMetrics1 | Protocol::Text1 => {
                format!(";escaping={}", job.metric_name_escaping_scheme.unwrap_or_default().name())
            }
            _ => String::new(),
        };
        all.push(format!("{}{escaping};q=0.{weight}", protocol.media_type()));
        weight -= 1;
    }
    all.push(format!("*/*;q=0.{weight}"));
    all.join(",")
}

impl Format {
    fn of(protocol: Protocol, job: &Job) -> Self {
        match protocol {
            Protocol::OpenMetrics0 | Protocol::OpenMetrics1 => Format::Text(TextFormat::OpenMetrics),
            Protocol::Text0 | Protocol::Text1 => Format::Text(TextFormat::Prometheus),
            Protocol::Protobuf => Format::Protobuf(forms(job)),
        }
    }

    /// The format that a Content-Type tells, or that the job falls back to where it tells none that is known.
    pub(super) fn told(content_type: &str, job: &Job) -> Result<Self, String> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let protocol = match essence.as_str() {
            "application/openmetrics-text" => Some(Protocol::OpenMetrics1),
            "application/vnd.google.protobuf" => Some(Protocol::Protobuf),
            "text/plain" => Some(Protocol::Text0),
            _ => job.fallback_scrape_protocol,
        };
        let protocol = protocol.ok_or_else(|| {
            let found = if essence.is_empty() {
                "there is no Content-Type".to_owned()
            } else {
                format!("Content-Type {content_type:?} is none of metrics")
            };
            format!("{found}, and the job has no fallback_scrape_protocol")
        })?;
        Ok(Format::of(protocol, job))
    }

    /// Memory that a body takes on its way, at most.
    pub(super) fn weight(self, body: &[u8]) -> usize {
        match self {
            Format::Text(_) => text::weight(body),
            Format::Protobuf(_) => families::weight(body),
        }
    }

    /// Calls back for each sample of a body.
    pub(super) fn parse(self, body: &[u8], found: impl FnMut(Found<'_, '_>)) -> Result<(), String> {
        match self {
            Format::Text(format) => text::parse(format, body, found).map_err(|error| error.to_string()),
            Format::Protobuf(forms) => families::parse(body, forms, found),
        }
    }
}

fn forms(job: &Job) -> Forms {
    let (native, classic) = (job.scrape_native_histograms, job.always_scrape_classic_histograms);
    match (native.unwrap_or_default(), classic.unwrap_or_default()) {
        (false, _) => Forms::Classic,
        (true, false) => Forms::Native,
        (true, true) => Forms::Both,
    }
}
