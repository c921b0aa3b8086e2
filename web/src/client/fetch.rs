//! How is one request sent, and what does its failure say?
//!
//! N1  Every failure has a class, a sentence and the path that was asked: nothing is swallowed.

use crate::state::{format, object};
use leptos::web_sys::{self, AbortSignal, HtmlAnchorElement, RequestInit, Response, Url};
use query_api::error::{Class, ErrorBody};
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// Bytes of a refusal in plain words that are shown.
const WORDS: usize = 400;

/// Why a request gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Whose fault, in a word or two.
    pub(crate) class: &'static str,
    /// What happened.
    pub(crate) message: String,
    /// The parameter or field that the message speaks of.
    pub(crate) place: Option<String>,
    /// HTTP status; 0 when none came.
    pub(crate) status: u16,
    /// What was asked.
    pub(crate) path: String,
}

impl Failure {
    fn new(class: &'static str, message: String, status: u16, path: &str) -> Failure {
        Failure { class, message, place: None, status, path: path.to_owned() }
    }

    /// A page's code did not come.
    pub(crate) fn not_loaded() -> Failure {
        let message = "the code of this page did not come: the network is down, or the server was upgraded since this \
            tab was opened. If it does not come at the next try, reload the tab";
        Failure::new("not loaded", message.into(), 0, "")
    }

    /// A person stopped it.
    pub(super) fn cancelled() -> Failure {
        Failure::new("cancelled", "you stopped this query".into(), 0, "")
    }

    /// Whether a person stopped it.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.class == "cancelled"
    }

    /// Whether what was asked for does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == 404
    }
}

/// Asks with GET; the answer's text. An aborted request is `None`.
pub(crate) async fn get(path: &str, tenant: &str, abort: Option<&AbortSignal>) -> Option<Result<String, Failure>> {
    send("GET", path, tenant, abort).await
}

/// Sends without a body; the answer's text.
pub(crate) async fn call(method: &str, path: &str, tenant: &str) -> Result<String, Failure> {
    let body = send(method, path, tenant, None).await;
    body.unwrap_or_else(|| Err(Failure::new("aborted", "the request was aborted".into(), 0, path)))
}

/// Reads the JSON of an answer to `path`.
pub(crate) fn read<T: DeserializeOwned>(body: &str, path: &str) -> Result<T, Failure> {
    object::read(body).map_err(|error| unreadable(&error, path))
}

fn unreadable(error: &serde_json::Error, path: &str) -> Failure {
    Failure::new("unreadable", format!("the answer cannot be read: {error}"), 200, path)
}

async fn send(method: &str, path: &str, tenant: &str, abort: Option<&AbortSignal>) -> Option<Result<String, Failure>> {
    match exchange(method, path, tenant, abort).await {
        Ok((status, body)) if (200..300).contains(&status) => Some(Ok(body)),
        Ok((status, body)) => Some(Err(refusal(status, &body, path))),
        Err(_) if abort.is_some_and(AbortSignal::aborted) => None,
        Err(_) => {
            let message = "the server does not answer: it may be stopped, or the network is down".into();
            Some(Err(Failure::new("unreachable", message, 0, path)))
        }
    }
}

async fn exchange(
    method: &str,
    path: &str,
    tenant: &str,
    abort: Option<&AbortSignal>,
) -> Result<(u16, String), JsValue> {
    let response = respond(method, path, tenant, abort).await?;
    let text = JsFuture::from(response.text()?).await?;
    Ok((response.status(), text.as_string().unwrap_or_default()))
}

/// Asks for bytes, which the browser keeps as a file: a link could not say whose they are.
pub(crate) async fn keep(path: &str, tenant: &str, name: &str) -> Result<(), Failure> {
    let failed = || Failure::new("unreachable", "the download did not come to its end".into(), 0, path);
    let response = respond("GET", path, tenant, None).await.map_err(|_| failed())?;
    if !response.ok() {
        let text = JsFuture::from(response.text().map_err(|_| failed())?).await.map_err(|_| failed())?;
        return Err(refusal(response.status(), &text.as_string().unwrap_or_default(), path));
    }
    let save = async {
        let blob = JsFuture::from(response.blob()?).await?;
        let url = Url::create_object_url_with_blob(blob.unchecked_ref())?;
        let document = web_sys::window().and_then(|window| window.document()).ok_or(JsValue::NULL)?;
        let link: HtmlAnchorElement = document.create_element("a")?.unchecked_into();
        link.set_href(&url);
        link.set_download(name);
        link.click();
        Url::revoke_object_url(&url)
    };
    save.await.map_err(|_: JsValue| failed())
}

async fn respond(method: &str, path: &str, tenant: &str, abort: Option<&AbortSignal>) -> Result<Response, JsValue> {
    let init = RequestInit::new();
    init.set_method(method);
    init.set_signal(abort);
    let headers = web_sys::Headers::new()?;
    headers.set("Accept", "application/json")?;
    headers.set("X-Scope-OrgID", tenant)?;
    init.set_headers(&headers);
    let window = web_sys::window().ok_or(JsValue::NULL)?;
    JsFuture::from(window.fetch_with_str_and_init(path, &init)).await?.dyn_into()
}

/// What Prometheus's API says of a failure.
#[derive(serde::Deserialize)]
struct PrometheusRefusal {
    error: String,
    #[serde(rename = "errorType")]
    error_type: String,
}

fn refusal(status: u16, body: &str, path: &str) -> Failure {
    match object::read::<ErrorBody>(body) {
        Ok(ErrorBody { error }) => {
            let class = match error.class {
                Class::Caller => "bad request",
                Class::NotFound => "not found",
                Class::Limit => "limit reached",
                Class::Unavailable => "unavailable",
                Class::Corrupt => "stored data damaged",
                Class::Bug => "defect",
            };
            Failure { place: error.r#where, ..Failure::new(class, error.message, status, path) }
        }
        Err(_) => {
            if let Ok(refused) = object::read::<PrometheusRefusal>(body) {
                let class = if refused.error_type == "bad_data" { "bad request" } else { "refused" };
                return Failure::new(class, refused.error, status, path);
            }
            let class = if status == 404 { "not found" } else { "refused" };
            // What speaks Tempo's language refuses in plain words.
            if (400..500).contains(&status) && !body.is_empty() && !body.starts_with('<') {
                return Failure::new(class, format::cut(body, WORDS).0.to_owned(), status, path);
            }
            Failure::new(class, format!("the server answered {status}"), status, path)
        }
    }
}
