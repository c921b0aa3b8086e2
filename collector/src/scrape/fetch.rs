//! How is one text fetched? Within a time and a size, and from the host that was asked (S3).

use super::config::Job;
use crate::decode::text::TextFormat;
use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use std::io::Read as _;
use std::time::Duration;

const ACCEPTED: &str = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";
/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Bytes,
    content_type: String,
}

impl Answer {
    /// The format that the answer says it has.
    pub(super) fn format(&self) -> Result<TextFormat, String> {
        let essence = self.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/openmetrics-text" => Ok(TextFormat::OpenMetrics),
            "text/plain" | "" => Ok(TextFormat::Prometheus),
            _ => Err(format!("Content-Type {:?} is no text of metrics", self.content_type)),
        }
    }
}

/// A client of one job.
#[derive(Debug)]
pub(super) struct Fetcher {
    client: reqwest::Client,
    authorization: Option<HeaderValue>,
}

impl Fetcher {
    pub(super) fn new(job: &Job) -> Result<Self, String> {
        let policy = if job.follow_redirects { Policy::custom(same_host) } else { Policy::none() };
        let client = reqwest::Client::builder()
            .redirect(policy)
            .no_proxy()
            .user_agent(concat!("spanlight/", env!("CARGO_PKG_VERSION")))
            .pool_idle_timeout(Duration::from_secs(300))
            .build()
            .map_err(|error| error.to_string())?;
        let text = match (&job.basic_auth, &job.authorization) {
            (Some(auth), _) => {
                use base64::Engine as _;
                let pair = format!("{}:{}", auth.username, auth.password);
                Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
            }
            (None, Some(auth)) => Some(format!("{} {}", auth.r#type, auth.credentials)),
            (None, None) => None,
        };
        let authorization = text.map(|text| {
            let mut value = HeaderValue::from_str(&text).map_err(|_| "the credentials are no header".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        });
        Ok(Fetcher { client, authorization: authorization.transpose()? })
    }

    /// A text of metrics.
    pub(super) async fn metrics(&self, url: &str, timeout: Duration, limit: usize) -> Result<Answer, String> {
        self.get(url, ACCEPTED, timeout, limit).await
    }

    /// What is at a URL, of at most so many bytes, also once it is unpacked.
    pub(super) async fn get(
        &self,
        url: &str,
        accept: &'static str,
        timeout: Duration,
        limit: usize,
    ) -> Result<Answer, String> {
        let got = tokio::time::timeout(timeout, self.whole(url, accept, timeout, limit)).await;
        got.unwrap_or_else(|_| Err(format!("it took longer than {} s", timeout.as_secs_f64())))
    }

    async fn whole(&self, url: &str, accept: &'static str, timeout: Duration, limit: usize) -> Result<Answer, String> {
        let mut request = self.client.get(url).header(ACCEPT, accept).header(ACCEPT_ENCODING, "gzip");
        request = request.header(TIMEOUT_HEADER, timeout.as_secs_f64().to_string());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let mut response = request.send().await.map_err(|error| told(&error))?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(format!("the answer is {}", response.status()));
        }
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (content_type, encoding) = (text(CONTENT_TYPE).to_owned(), text(CONTENT_ENCODING).to_ascii_lowercase());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| told(&error))? {
            if body.len() + chunk.len() > limit {
                return Err(too_large(limit));
            }
            body.extend_from_slice(&chunk);
        }
        let body = match encoding.as_str() {
            "" | "identity" => body.freeze(),
            "gzip" => unpack(&body, limit)?,
            other => return Err(format!("Content-Encoding {other:?} was not asked for")),
        };
        Ok(Answer { body, content_type })
    }
}

fn too_large(limit: usize) -> String {
    format!("the answer is longer than {limit} bytes")
}

fn unpack(packed: &[u8], limit: usize) -> Result<Bytes, String> {
    let mut out = Vec::new();
    let more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    #[expect(clippy::disallowed_methods, reason = "the reader ends one byte behind the limit")]
    let read = flate2::bufread::MultiGzDecoder::new(packed).take(more).read_to_end(&mut out);
    read.map_err(|error| format!("the answer is not valid gzip: {error}"))?;
    if out.len() > limit { Err(too_large(limit)) } else { Ok(out.into()) }
}

/// Follows a redirect to the same host only: a target must not choose what else is asked from here.
fn same_host(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let first = attempt.previous().first().map(|url| (url.host_str().map(str::to_owned), url.port_or_known_default()));
    let next = (attempt.url().host_str().map(str::to_owned), attempt.url().port_or_known_default());
    if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("there are too many redirects")
    } else if first == Some(next) {
        attempt.follow()
    } else {
        attempt.error("it redirects to another host")
    }
}

/// An error with its causes.
fn told(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
