//! What does a section say about HTTP? Who asks, by which certificates, over which proxy: the keys that a job and each of its
//! lists of targets have in common, by Prometheus's names.

use serde::de::{DeserializeSeed, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(in super::super) struct Secret(pub(in super::super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// How a server is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct HttpSettings {
    pub(in super::super) basic_auth: Option<BasicAuth>,
    pub(in super::super) authorization: Option<Authorization>,
    pub(in super::super) oauth2: Option<OAuth2>,
    pub(in super::super) tls: TlsSettings,
    pub(in super::super) proxy_url: Option<Secret>,
    /// Hosts that are asked without the proxy, with commas between them.
    pub(in super::super) no_proxy: String,
    pub(in super::super) proxy_from_environment: bool,
    /// Headers for the proxy, of requests for a tunnel.
    pub(in super::super) proxy_connect_header: BTreeMap<String, Vec<Secret>>,
    pub(in super::super) follow_redirects: bool,
    pub(in super::super) enable_http2: bool,
    pub(in super::super) headers: BTreeMap<String, HeaderValues>,
    bearer_token: Option<Secret>,
    bearer_token_file: Option<PathBuf>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            basic_auth: None,
            authorization: None,
            oauth2: None,
            tls: TlsSettings::default(),
            proxy_url: None,
            no_proxy: String::new(),
            proxy_from_environment: false,
            proxy_connect_header: BTreeMap::new(),
            follow_redirects: true,
            enable_http2: true,
            headers: BTreeMap::new(),
            bearer_token: None,
            bearer_token_file: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in super::super) struct BasicAuth {
    pub(in super::super) username: String,
    pub(in super::super) username_file: Option<PathBuf>,
    pub(in super::super) password: Option<Secret>,
    pub(in super::super) password_file: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in super::super) struct Authorization {
    pub(in super::super) r#type: String,
    pub(in super::super) credentials: Option<Secret>,
    pub(in super::super) credentials_file: Option<PathBuf>,
}

impl Default for Authorization {
    fn default() -> Self {
        Authorization { r#type: "Bearer".to_owned(), credentials: None, credentials_file: None }
    }
}

/// A token for what the client is, from a server of tokens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct OAuth2 {
    pub(in super::super) client_id: String,
    #[serde(default)]
    pub(in super::super) client_secret: Option<Secret>,
    #[serde(default)]
    pub(in super::super) client_secret_file: Option<PathBuf>,
    pub(in super::super) token_url: String,
    #[serde(default)]
    pub(in super::super) scopes: Vec<String>,
    #[serde(default)]
    pub(in super::super) endpoint_params: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in super::super) struct TlsSettings {
    pub(in super::super) ca: Option<String>,
    pub(in super::super) ca_file: Option<PathBuf>,
    pub(in super::super) cert: Option<String>,
    pub(in super::super) cert_file: Option<PathBuf>,
    pub(in super::super) key: Option<Secret>,
    pub(in super::super) key_file: Option<PathBuf>,
    pub(in super::super) server_name: String,
    pub(in super::super) insecure_skip_verify: bool,
    pub(in super::super) min_version: Option<TlsVersion>,
    pub(in super::super) max_version: Option<TlsVersion>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(in super::super) enum TlsVersion {
    #[serde(rename = "TLS10")]
    Tls10,
    #[serde(rename = "TLS11")]
    Tls11,
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

/// The values of one header.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in super::super) struct HeaderValues {
    pub(in super::super) values: Vec<String>,
    pub(in super::super) secrets: Vec<Secret>,
    pub(in super::super) files: Vec<PathBuf>,
}

/// Headers that the client sets itself, or that must not be chosen.
const RESERVED_HEADERS: [&str; 15] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "www-authenticate",
    "x-prometheus-scrape-timeout-seconds",
];

impl HttpSettings {
    /// Reads the value of one of the keys; `false` where the key is another's.
    fn take<'de, M: MapAccess<'de>>(&mut self, key: &str, map: &mut M) -> Result<bool, M::Error> {
        match key {
            "basic_auth" => self.basic_auth = map.next_value()?,
            "authorization" => self.authorization = map.next_value()?,
            "oauth2" => self.oauth2 = map.next_value()?,
            "bearer_token" => self.bearer_token = map.next_value()?,
            "bearer_token_file" => self.bearer_token_file = map.next_value()?,
            "tls_config" => self.tls = map.next_value()?,
            "proxy_url" => self.proxy_url = map.next_value()?,
            "no_proxy" => self.no_proxy = map.next_value()?,
            "proxy_from_environment" => self.proxy_from_environment = map.next_value()?,
            "proxy_connect_header" => self.proxy_connect_header = map.next_value()?,
            "follow_redirects" => self.follow_redirects = map.next_value()?,
            "enable_http2" => self.enable_http2 = map.next_value()?,
            "http_headers" => self.headers = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether it can be so; paths are those from the folder of the file.
    pub(super) fn complete(&mut self, folder: &Path) -> Result<(), String> {
        let bearer = (self.bearer_token.take(), self.bearer_token_file.take());
        if bearer.0.is_some() || bearer.1.is_some() {
            if self.authorization.is_some() {
                return Err("bearer_token and authorization are both there".to_owned());
            }
            let (credentials, credentials_file) = bearer;
            self.authorization = Some(Authorization { credentials, credentials_file, ..Authorization::default() });
        }
        let ways = [self.basic_auth.is_some(), self.authorization.is_some(), self.oauth2.is_some()];
        if ways.into_iter().filter(|is_there| *is_there).count() > 1 {
            return Err("of basic_auth, authorization and oauth2 one is allowed".to_owned());
        }
        if let Some(auth) = &mut self.basic_auth {
            one_of("username", !auth.username.is_empty(), &mut auth.username_file, folder)?;
            one_of("password", auth.password.is_some(), &mut auth.password_file, folder)?;
        }
        if let Some(auth) = &mut self.authorization {
            one_of("credentials", auth.credentials.is_some(), &mut auth.credentials_file, folder)?;
            if auth.r#type.trim().eq_ignore_ascii_case("basic") {
                return Err("authorization of type Basic is basic_auth".to_owned());
            }
        }
        if let Some(auth) = &mut self.oauth2 {
            one_of("client_secret", auth.client_secret.is_some(), &mut auth.client_secret_file, folder)?;
            check_url("token_url", &auth.token_url)?;
        }
        self.check_proxy()?;
        for (name, values) in &mut self.headers {
            let is_reserved = RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str());
            if is_reserved || http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(format!("http_headers: {name:?} cannot be set"));
            }
            values.files.iter_mut().for_each(|path| *path = folder.join(&*path));
        }
        self.tls.complete(folder)
    }

    fn check_proxy(&self) -> Result<(), String> {
        if let Some(Secret(url)) = &self.proxy_url {
            reqwest::Proxy::all(url).map_err(|error| format!("proxy_url: {error}"))?;
        }
        if self.proxy_from_environment && (self.proxy_url.is_some() || !self.no_proxy.is_empty()) {
            return Err("proxy_from_environment stands without proxy_url and no_proxy".to_owned());
        }
        if self.proxy_url.is_none() && !self.no_proxy.is_empty() {
            return Err("no_proxy needs a proxy_url".to_owned());
        }
        if !self.proxy_connect_header.is_empty() && self.proxy_url.is_none() && !self.proxy_from_environment {
            return Err("proxy_connect_header needs proxy_url or proxy_from_environment".to_owned());
        }
        self.connect_headers().map(drop)
    }

    /// The headers for a proxy, of requests for a tunnel.
    pub(in super::super) fn connect_headers(&self) -> Result<http::HeaderMap, String> {
        let mut headers = http::HeaderMap::new();
        for (name, values) in &self.proxy_connect_header {
            let wrong = || format!("proxy_connect_header: {name:?} cannot be set");
            let key = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            for Secret(text) in values {
                let mut value = http::HeaderValue::from_str(text).map_err(|_| wrong())?;
                value.set_sensitive(true);
                headers.append(&key, value);
            }
        }
        Ok(headers)
    }
}

impl TlsSettings {
    fn complete(&mut self, folder: &Path) -> Result<(), String> {
        one_of("ca", self.ca.is_some(), &mut self.ca_file, folder)?;
        one_of("cert", self.cert.is_some(), &mut self.cert_file, folder)?;
        one_of("key", self.key.is_some(), &mut self.key_file, folder)?;
        let has_cert = self.cert.is_some() || self.cert_file.is_some();
        if has_cert != (self.key.is_some() || self.key_file.is_some()) {
            return Err("tls_config: a certificate and its key come together".to_owned());
        }
        let (least, most) = (self.min_version, self.max_version);
        if most.is_some_and(|most| most < TlsVersion::Tls12 || least.is_some_and(|least| least > most)) {
            return Err("tls_config: max_version is below TLS12 or below min_version".to_owned());
        }
        Ok(())
    }
}

/// Of a value and a file that has it, at most one is there.
fn one_of(name: &str, has_value: bool, file: &mut Option<PathBuf>, folder: &Path) -> Result<(), String> {
    if has_value && file.is_some() {
        return Err(format!("{name} and {name}_file are both there"));
    }
    if let Some(path) = file {
        *path = folder.join(&*path);
    }
    Ok(())
}

pub(super) fn check_url(key: &str, text: &str) -> Result<(), String> {
    match reqwest::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
        Ok(_) => Err(format!("{key} {text:?} is neither http nor https")),
        Err(error) => Err(format!("{key} {text:?} is no URL: {error}")),
    }
}

/// A section's own keys, and those about HTTP that stand among them.
#[derive(Debug, Clone)]
pub(in super::super) struct WithHttp<T> {
    own: T,
    pub(in super::super) http: HttpSettings,
}

impl<T> Deref for WithHttp<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.own
    }
}

impl<T> DerefMut for WithHttp<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.own
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for WithHttp<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Section<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Section<T> {
            type Value = WithHttp<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a section with keys")
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<WithHttp<T>, M::Error> {
                let mut http = HttpSettings::default();
                let own = T::deserialize(MapAccessDeserializer::new(Rest { map, http: &mut http }))?;
                Ok(WithHttp { own, http })
            }
        }
        deserializer.deserialize_map(Section(PhantomData))
    }
}

/// A map without the keys about HTTP, which are read as they come by. Nothing is kept for later, so that errors know their place.
struct Rest<'h, M> {
    map: M,
    http: &'h mut HttpSettings,
}

impl<'de, M: MapAccess<'de>> MapAccess<'de> for Rest<'_, M> {
    type Error = M::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, M::Error> {
        while let Some(key) = self.map.next_key::<String>()? {
            if !self.http.take(&key, &mut self.map)? {
                return seed.deserialize(serde::de::value::StringDeserializer::new(key)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, M::Error> {
        self.map.next_value_seed(seed)
    }
}
