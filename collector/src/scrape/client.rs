//! Who asks a server? A client with credentials, certificates and headers.
//!
//! K1  Secrets and certificates in files are read anew for each request, so that they can be changed while Spanlight runs.
//! K2  No more than [`MAX_LOOKUPS`] names are looked up at a time: a name server that hangs holds that many threads, not all.
//! K3  Credentials go to the server of the settings only: a redirect stays with its host, and never leaves TLS.

use super::config::{Authorization, BasicAuth, HttpSettings, OAuth2, Secret};
use super::fetch::{self, told};
use super::tls::{self, Pem};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, NoProxy, Proxy, RequestBuilder};
use serde::Deserialize;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

const MAX_LOOKUPS: usize = 32;
/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;
/// Bytes of a file with a secret or with certificates, and of a token's answer.
const MAX_SECRET_BYTES: usize = 1 << 20;
/// A token is asked for anew so long before its end.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);
/// What a token lasts that does not say so.
const TOKEN_LIFE: Duration = Duration::from_secs(300);

/// The right to look up names.
#[derive(Debug, Clone)]
pub(super) struct Lookups(Arc<Semaphore>);

impl Default for Lookups {
    fn default() -> Self {
        Lookups(Arc::new(Semaphore::new(MAX_LOOKUPS)))
    }
}

impl reqwest::dns::Resolve for Lookups {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let lookups = Arc::clone(&self.0);
        Box::pin(async move {
            let permit = lookups.acquire_owned().await?;
            let looked = tokio::task::spawn_blocking(move || {
                // Given back when the lookup ends, not when somebody has stopped waiting for it.
                let _permit = permit;
                (name.as_str(), 0).to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>)
            });
            let addresses: reqwest::dns::Addrs = Box::new(looked.await??.into_iter());
            Ok(addresses)
        })
    }
}

/// A client of servers that are asked in one way.
#[derive(Debug)]
pub(super) struct Client {
    settings: HttpSettings,
    lookups: Lookups,
    built: Mutex<Built>,
    token: Mutex<Option<Token>>,
}

#[derive(Debug, Clone)]
struct Built {
    pem: Pem,
    client: reqwest::Client,
}

#[derive(Debug, Clone)]
struct Token {
    text: String,
    until: Instant,
}

impl Client {
    pub(super) fn new(settings: &HttpSettings, lookups: &Lookups) -> Result<Self, String> {
        let pem = pem(settings)?;
        let client = build(settings, &pem, lookups)?;
        Ok(Client {
            settings: settings.clone(),
            lookups: lookups.clone(),
            built: Mutex::new(Built { pem, client }),
            token: Mutex::default(),
        })
    }

    /// A request that says who asks.
    pub(super) async fn request(&self, method: Method, url: &str) -> Result<RequestBuilder, String> {
        let client = self.client().await?;
        let mut headers = self.headers().await?;
        if let Some(authorization) = self.authorization(&client).await? {
            let mut value =
                HeaderValue::from_str(&authorization).map_err(|_| "the credentials are no header".to_owned())?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(client.request(method, url).headers(headers))
    }

    /// User and password, where that is how it says who asks.
    pub(super) async fn user(&self) -> Result<Option<(String, String)>, String> {
        match &self.settings.basic_auth {
            None => Ok(None),
            Some(auth) => user(auth).await.map(Some),
        }
    }

    /// A request without credentials, for servers that take them otherwise.
    pub(super) async fn bare(&self, method: Method, url: &str) -> Result<RequestBuilder, String> {
        Ok(self.client().await?.request(method, url).headers(self.headers().await?))
    }

    /// The client, built anew where certificates have changed (K1).
    async fn client(&self) -> Result<reqwest::Client, String> {
        let built = self.built.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let tls = &self.settings.tls;
        if tls.ca_file.is_none() && tls.cert_file.is_none() && tls.key_file.is_none() {
            return Ok(built.client);
        }
        let (settings, lookups) = (self.settings.clone(), self.lookups.clone());
        let anew = tokio::task::spawn_blocking(move || {
            let pem = pem(&settings)?;
            if pem == built.pem {
                return Ok(built);
            }
            let client = build(&settings, &pem, &lookups)?;
            Ok::<_, String>(Built { pem, client })
        });
        let anew = anew.await.map_err(|error| error.to_string())??;
        let client = anew.client.clone();
        *self.built.lock().unwrap_or_else(PoisonError::into_inner) = anew;
        Ok(client)
    }

    async fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, values) in &self.settings.headers {
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|error| format!("header {name:?}: {error}"))?;
            let mut texts = values.values.clone();
            texts.extend(values.secrets.iter().map(|Secret(text)| text.clone()));
            for path in &values.files {
                texts.push(secret(path).await?);
            }
            for text in texts {
                let value = HeaderValue::from_str(&text).map_err(|_| format!("header {name:?}: the value is none"))?;
                headers.append(&key, value);
            }
        }
        Ok(headers)
    }

    async fn authorization(&self, client: &reqwest::Client) -> Result<Option<String>, String> {
        use base64::Engine as _;
        if let Some(auth) = &self.settings.basic_auth {
            let (name, password) = user(auth).await?;
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
            return Ok(Some(format!("Basic {pair}")));
        }
        if let Some(Authorization { r#type, credentials, credentials_file }) = &self.settings.authorization {
            let credentials = either(credentials.as_ref(), credentials_file.as_ref()).await?;
            return Ok(Some(format!("{} {credentials}", r#type.trim())));
        }
        if let Some(auth) = &self.settings.oauth2 {
            return Ok(Some(format!("Bearer {}", self.token(auth, client).await?)));
        }
        Ok(None)
    }

    /// The token that lasts, or a new one.
    async fn token(&self, auth: &OAuth2, client: &reqwest::Client) -> Result<String, String> {
        let held = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = held.filter(|token| token.until > Instant::now()) {
            return Ok(token.text);
        }
        let secret = either(auth.client_secret.as_ref(), auth.client_secret_file.as_ref()).await?;
        let mut form: Vec<(&str, &str)> = vec![("grant_type", "client_credentials")];
        let scopes = auth.scopes.join(" ");
        if !scopes.is_empty() {
            form.push(("scope", &scopes));
        }
        form.extend(auth.endpoint_params.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let request = client.post(&auth.token_url).basic_auth(&auth.client_id, Some(secret)).form(&form);
        let answer = fetch::whole(request, MAX_SECRET_BYTES, &mut |_| Ok(())).await;
        let answer = answer.map_err(|error| format!("no token from {}: {error}", auth.token_url))?;
        let told: TokenAnswer = serde_json::from_slice(&answer.body)
            .map_err(|error| format!("no token from {}: {error}", auth.token_url))?;
        let life = told.expires_in.map_or(TOKEN_LIFE, Duration::from_secs);
        let until = Instant::now() + life.saturating_sub(TOKEN_MARGIN).min(Duration::from_secs(86_400));
        let text = told.access_token;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(Token { text: text.clone(), until });
        Ok(text)
    }
}

/// What a server of tokens answers.
#[derive(Debug, Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<u64>,
}

async fn user(auth: &BasicAuth) -> Result<(String, String), String> {
    let name = match &auth.username_file {
        Some(path) => secret(path).await?,
        None => auth.username.clone(),
    };
    Ok((name, either(auth.password.as_ref(), auth.password_file.as_ref()).await?))
}

/// A secret that stands in the settings, or in a file; empty where it is neither here nor there.
async fn either(text: Option<&Secret>, file: Option<&PathBuf>) -> Result<String, String> {
    match (text, file) {
        (Some(Secret(text)), _) => Ok(text.clone()),
        (None, Some(path)) => secret(path).await,
        (None, None) => Ok(String::new()),
    }
}

/// What a file holds, without the blanks around it.
async fn secret(path: &Path) -> Result<String, String> {
    let own = path.to_owned();
    let read = tokio::task::spawn_blocking(move || super::read_file(&own, MAX_SECRET_BYTES));
    let bytes =
        read.await.map_err(|error| error.to_string())?.map_err(|error| format!("{}: {error}", path.display()))?;
    String::from_utf8(bytes).map(|text| text.trim().to_owned()).map_err(|_| format!("{}: not UTF-8", path.display()))
}

/// The certificates and the key of the settings.
fn pem(settings: &HttpSettings) -> Result<Pem, String> {
    let tls = &settings.tls;
    let of = |text: Option<&String>, file: Option<&PathBuf>| match (text, file) {
        (Some(text), _) => Ok(Some(text.clone().into_bytes())),
        (None, Some(path)) => super::read_file(path, MAX_SECRET_BYTES)
            .map(Some)
            .map_err(|error| format!("tls_config: {}: {error}", path.display())),
        (None, None) => Ok(None),
    };
    Ok(Pem {
        ca: of(tls.ca.as_ref(), tls.ca_file.as_ref())?,
        cert: of(tls.cert.as_ref(), tls.cert_file.as_ref())?,
        key: of(tls.key.as_ref().map(|Secret(text)| text), tls.key_file.as_ref())?,
    })
}

fn build(settings: &HttpSettings, pem: &Pem, lookups: &Lookups) -> Result<reqwest::Client, String> {
    use reqwest::redirect::Policy;
    let policy = if settings.follow_redirects { Policy::custom(same_host) } else { Policy::none() };
    let mut builder = reqwest::Client::builder()
        .use_preconfigured_tls(tls::config(&settings.tls, pem, settings.enable_http2)?)
        .dns_resolver(Arc::new(lookups.clone()))
        .redirect(policy)
        .user_agent(concat!("spanlight/", env!("CARGO_PKG_VERSION")))
        .pool_idle_timeout(Duration::from_secs(300));
    if !settings.enable_http2 {
        builder = builder.http1_only();
    }
    if !settings.proxy_from_environment {
        builder = builder.no_proxy();
    }
    for proxy in proxies(settings)? {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| told(&error))
}

/// The proxies of the settings. Those of the environment are found without this, unless there are headers for them.
fn proxies(settings: &HttpSettings) -> Result<Vec<Proxy>, String> {
    let headers = settings.connect_headers()?;
    let (urls, hosts) = match &settings.proxy_url {
        Some(Secret(url)) => ([Some(url.clone()), Some(url.clone())], NoProxy::from_string(&settings.no_proxy)),
        None if headers.is_empty() => return Ok(Vec::new()),
        None => (of_environment(|name| std::env::var(name).ok()), NoProxy::from_env()),
    };
    let told = |error: reqwest::Error| format!("the proxy's URL: {error}");
    let [plain, tunnelled] = urls;
    let plain = plain.map(|url| Proxy::http(url).map_err(told)).transpose()?;
    // A proxy of plain requests sends headers on to the target, so it gets none of these.
    let tunnelled =
        tunnelled.map(|url| Ok::<_, String>(Proxy::https(url).map_err(told)?.headers(headers))).transpose()?;
    Ok([plain, tunnelled].into_iter().flatten().map(|proxy| proxy.no_proxy(hosts.clone())).collect())
}

/// The proxies of plain requests and of those over TLS that the environment's variables name.
fn of_environment(variable: impl Fn(&str) -> Option<String>) -> [Option<String>; 2] {
    [["HTTP_PROXY", "http_proxy"], ["HTTPS_PROXY", "https_proxy"]].map(|names| {
        let all = names.into_iter().chain(["ALL_PROXY", "all_proxy"]);
        let url = all.filter_map(&variable).find(|url| !url.is_empty())?;
        Some(if url.contains("://") { url } else { format!("http://{url}") })
    })
}

/// Follows a redirect to the same host only: a target must not choose what else is asked from here. From plain HTTP to TLS on their
/// usual ports is the same host; back is not.
fn same_host(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let next = attempt.url();
    let stays = attempt.previous().last().is_some_and(|last| {
        let ports = (last.port_or_known_default(), next.port_or_known_default());
        let is_upgrade = last.scheme() == "http" && next.scheme() == "https";
        let same_place = ports.0 == ports.1 || (is_upgrade && ports == (Some(80), Some(443)));
        last.host_str() == next.host_str() && same_place && (last.scheme() == next.scheme() || is_upgrade)
    });
    if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("there are too many redirects")
    } else if stays {
        attempt.follow()
    } else {
        attempt.error("it redirects to another host, or away from TLS")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::dns::Resolve as _;
    use std::str::FromStr as _;

    #[test]
    fn the_environment_names_a_proxy_for_each_scheme_or_for_both() {
        for (variables, expected) in [
            (&[][..], [None, None]),
            (&[("http_proxy", "p:1"), ("HTTPS_PROXY", "https://q:2")], [Some("http://p:1"), Some("https://q:2")]),
            (&[("HTTP_PROXY", ""), ("all_proxy", "http://r")], [Some("http://r"), Some("http://r")]),
            (&[("HTTPS_PROXY", "http://upper"), ("https_proxy", "http://lower")], [None, Some("http://upper")]),
        ] {
            let variable =
                |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, url)| (*url).to_owned());
            assert_eq!(of_environment(variable).each_ref().map(Option::as_deref), expected);
        }
    }

    #[tokio::test]
    async fn k2_a_name_server_that_hangs_holds_some_threads_and_no_more() {
        let lookups = Lookups::default();
        let look = || lookups.resolve(reqwest::dns::Name::from_str("localhost").unwrap());
        assert!(look().await.unwrap().count() > 0);
        // As if so many lookups did not end.
        let all = u32::try_from(MAX_LOOKUPS).unwrap();
        let hanging = Arc::clone(&lookups.0).acquire_many_owned(all).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(50), look()).await.is_err(), "it waits without a thread");
        drop(hanging);
        assert!(look().await.unwrap().count() > 0);
    }
}
