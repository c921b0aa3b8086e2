//! How is a page driven? Headless Chromium over WebDriver.

use crate::server::{PATIENCE, request};
use base64::Engine as _;
use hyper::body::Bytes;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Keys, as WebDriver writes them.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const DOWN: &str = "\u{e015}";

/// A browser window; closed when dropped.
pub(crate) struct Browser {
    driver: Child,
    address: String,
    session: String,
    _profile: tempfile::TempDir,
}

/// A driver, and the port at which it listens; `None` where it ended before it did.
fn started() -> Option<(Child, u16)> {
    let mut driver = Command::new("chromedriver");
    // A group of its own, so that the browser ends with it.
    let mut driver = driver.arg("--port=0").stdout(Stdio::piped()).process_group(0).spawn().unwrap();
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines
        .filter_map(|line| line.rsplit_once("on port ").map(|(_, port)| port.trim_end_matches('.').to_owned()))
        .find_map(|port| port.parse::<u16>().ok().filter(|port| *port != 0));
    if port.is_none() {
        driver.wait().unwrap();
    }
    Some((driver, port?))
}

impl Browser {
    pub(crate) async fn open(width: u32, height: u32) -> Browser {
        // It ends at once where the port that it was given for one family of addresses is taken in the other.
        let (driver, port) = (0..5).find_map(|_| started()).expect("chromedriver says its port");
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--window-size={width},{height}"),
            &format!("--user-data-dir={}", profile.path().display()),
        ]
        .map(str::to_owned);
        let mut browser =
            Browser { driver, address: format!("127.0.0.1:{port}"), session: String::new(), _profile: profile };
        let options = json!({"args": arguments});
        let capabilities = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let session = browser.call("POST", "/session", &capabilities).await;
        browser.session = format!("/session/{}", session["sessionId"].as_str().expect("a session"));
        browser
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("{}{path}", self.session);
        let body = if method == "POST" { Bytes::from(body.to_string()) } else { Bytes::new() };
        let headers = [("content-type", "application/json")];
        let (status, answer) = request(&self.address, method, &path, &headers, body).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer["value"].clone()
    }

    pub(crate) async fn go(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url })).await;
    }

    pub(crate) async fn url(&self) -> String {
        self.call("GET", "/url", &Value::Null).await.as_str().unwrap().to_owned()
    }

    /// Runs a function body in the page.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// How many elements have the test id.
    pub(crate) async fn count(&self, testid: &str) -> u64 {
        let found = self.run(&format!("return document.querySelectorAll('[data-testid=\"{testid}\"]').length")).await;
        found.as_u64().unwrap()
    }

    /// Waits until a script answers something true, and gives that.
    pub(crate) async fn wait_for(&self, what: &str, script: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.run(script).await;
            if !matches!(answer, Value::Null | Value::Bool(false)) && answer != 0 && answer != "" {
                return answer;
            }
            if Instant::now() > deadline {
                let page = self.run("return document.body.innerText").await;
                panic!("{what}: not within {PATIENCE:?}; the page says {page}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn wait_for_some(&self, testid: &str) {
        let script = format!("return document.querySelectorAll('[data-testid=\"{testid}\"]').length");
        self.wait_for(testid, &script).await;
    }

    pub(crate) async fn click(&self, testid: &str) {
        self.wait_for_some(testid).await;
        self.run(&format!("document.querySelector('[data-testid=\"{testid}\"]').click()")).await;
    }

    /// Presses a key, with nothing in focus that is typed into.
    pub(crate) async fn key(&self, key: &str) {
        self.run(&format!("window.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', cancelable: true }}))"))
            .await;
    }

    /// Presses a key on an element.
    pub(crate) async fn key_on(&self, selector: &str, key: &str) {
        let event = format!("new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true, cancelable: true }})");
        self.run(&format!("document.querySelector('{selector}').dispatchEvent({event})")).await;
    }

    /// Presses the mouse at one place of an element and lets it go at another: shares of the width, pixels from the top.
    pub(crate) async fn press(&self, selector: &str, from: (f64, f64), to: (f64, f64)) {
        let place = |(x, y): (f64, f64)| {
            format!(
                "const area = document.querySelector('{selector}').getBoundingClientRect(); \
                     return [Math.round(area.left + area.width * {x}), Math.round(area.top + {y})]"
            )
        };
        let (from, to) = (self.run(&place(from)).await, self.run(&place(to)).await);
        let step = |place: &Value| json!({"type": "pointerMove", "duration": 0, "x": place[0], "y": place[1]});
        let (down, up) = (json!({"type": "pointerDown", "button": 0}), json!({"type": "pointerUp", "button": 0}));
        let hand = json!({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"},
                          "actions": [step(&from), down, step(&to), up]});
        self.call("POST", "/actions", &json!({"actions": [hand]})).await;
    }

    /// Types into an element as a person would.
    pub(crate) async fn keys(&self, testid: &str, text: &str) {
        let using = json!({"using": "css selector", "value": format!("[data-testid=\"{testid}\"]")});
        let found = self.call("POST", "/element", &using).await;
        let id = found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str).unwrap().to_owned();
        self.call("POST", &format!("/element/{id}/value"), &json!({ "text": text })).await;
    }

    pub(crate) async fn screenshot(&self, name: &str) {
        let Ok(folder) = std::env::var("SPANLIGHT_SCREENSHOTS") else { return };
        let picture = self.call("GET", "/screenshot", &Value::Null).await;
        let picture = base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap()).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
    }

    /// What the page complained of.
    pub(crate) async fn check_no_errors(&self) {
        let complaints = self.run("return (window.__errors || [])").await;
        assert_eq!(complaints, json!([]), "{}", self.url().await);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Already ended where the driver failed.
        rustix::process::kill_process_group(Pid::from_child(&self.driver), Signal::KILL).ok();
        drop(self.driver.wait());
    }
}
