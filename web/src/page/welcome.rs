//! What is there to do while nothing has arrived? Send some: the exact lines, a demo, and a word when it works.

use crate::client::fetch::{self, Failure};
use crate::client::load::Load;
use crate::component::app::App;
use crate::component::{message, text};
use crate::state::format;
use leptos::prelude::*;
use query_api::status::{DemoStatus, StatusResponse};
use std::time::Duration;

/// How often is looked whether the first data has come.
const LOOK: Duration = Duration::from_millis(1_500);

/// Asks for the status again and again while the page is quiet, and refreshes all while something is stored that it does
/// not show.
pub(super) fn watch(app: App, status: Load<StatusResponse>, quiet: Memo<bool>) {
    let stored =
        move || status.data.with_untracked(|s| s.as_ref().is_some_and(|s| s.signals.iter().any(|one| one.rows > 0)));
    let handle = set_interval_with_handle(
        move || {
            if quiet.try_get_untracked() == Some(true) {
                status.retry();
                if stored() {
                    app.refresh();
                }
            }
        },
        LOOK,
    );
    on_cleanup(move || {
        if let Ok(handle) = handle {
            handle.clear();
        }
    });
}

/// Languages, and what is run there.
const LANGUAGES: [(&str, &str); 6] = [
    ("Any", ""),
    (
        "Python",
        "pip install opentelemetry-distro opentelemetry-exporter-otlp\nopentelemetry-bootstrap -a install\nopentelemetry-instrument python app.py",
    ),
    (
        "Node.js",
        "npm install @opentelemetry/api @opentelemetry/auto-instrumentations-node\nnode --require @opentelemetry/auto-instrumentations-node/register app.js",
    ),
    ("Java", "java -javaagent:opentelemetry-javaagent.jar -jar app.jar"),
    ("Go", "go get go.opentelemetry.io/contrib/exporters/autoexport\ngo run ."),
    (
        "Rust",
        "cargo add opentelemetry opentelemetry_sdk\ncargo add opentelemetry-otlp --features grpc-tonic\ncargo run",
    ),
];

fn lines(status: &StatusResponse, grpc: bool, language: usize) -> String {
    let (endpoint, protocol) =
        if grpc { (&status.otlp_grpc_endpoint, "grpc") } else { (&status.otlp_http_endpoint, "http/protobuf") };
    let mut lines = format!(
        "export OTEL_SERVICE_NAME=my-service\nexport OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}\nexport OTEL_EXPORTER_OTLP_PROTOCOL={protocol}"
    );
    let (_, run) = LANGUAGES.get(language).copied().unwrap_or_default();
    if !run.is_empty() {
        lines.push_str("\n\n");
        lines.push_str(run);
    }
    lines
}

/// The page that is shown until the first data has come.
pub(super) fn welcome(status: Load<StatusResponse>) -> AnyView {
    let app = App::get();
    let grpc = RwSignal::new(true);
    let language = RwSignal::new(0usize);
    let shown =
        move || status.data.with(|s| s.as_ref().map_or_else(String::new, |s| lines(s, grpc.get(), language.get())));
    let tab = move |(index, (name, _)): (usize, (&'static str, &'static str))| {
        let here = move || language.get() == index;
        view! { <button role="tab" class:current=here aria-selected=move || here().to_string() on:click=move |_| language.set(index)>{name}</button> }
    };
    view! {
        <div class="welcome" data-testid="welcome">
            <h1>"No telemetry has arrived yet"</h1>
            <p class="quiet">"Point any OpenTelemetry SDK or collector here. This page turns into the overview by itself."</p>
            <section class="card">
                <div class="card-head">
                    <div class="tabs" role="tablist" aria-label="Language">{LANGUAGES.into_iter().enumerate().map(tab).collect_view()}</div>
                    <div class="segments" role="group" aria-label="Protocol">
                        <button class:current=move || grpc.get() on:click=move |_| grpc.set(true)>"gRPC"</button>
                        <button class:current=move || !grpc.get() on:click=move |_| grpc.set(false)>"HTTP"</button>
                    </div>
                </div>
                <div class="code">
                    <pre data-testid="env-lines">{shown}</pre>
                    {text::copy_button("Copy these lines", shown)}
                </div>
                {move || (app.tenant.get() != "default").then(|| view! {
                    <p class="quiet small">{format!("For this tenant add: export OTEL_EXPORTER_OTLP_HEADERS=X-Scope-OrgID={}", app.tenant.get())}</p>
                })}
            </section>
            {demo(status)}
            <p class="listening" role="status">{move || listening(status, app)}</p>
        </div>
    }
    .into_any()
}

fn listening(status: Load<StatusResponse>, app: App) -> AnyView {
    let last = status.data.with(|s| s.as_ref().and_then(|s| s.last_received.clone()));
    match last {
        Some(last) => {
            let ago = format::ago(crate::component::app::present().saturating_sub(last.time_unix_nano));
            let words = format!("First {} received {ago} from {}", last.signal, last.service);
            view! { <span class="pulse on"></span>{words} }.into_any()
        }
        None => {
            let failed = status.failure.with(Option::is_some);
            let words = if failed {
                "The server does not answer; trying again…".to_owned()
            } else {
                format!("Listening for tenant “{}”…", app.tenant.get())
            };
            view! { <span class="pulse"></span>{words} }.into_any()
        }
    }
}

fn demo(status: Load<StatusResponse>) -> AnyView {
    let tenant = App::get().tenant;
    let failure = RwSignal::new(None::<Failure>);
    let asked = RwSignal::new(false);
    let start = move || {
        asked.set(true);
        leptos::task::spawn_local(async move {
            let path = "/api/v1/demo";
            let answer = fetch::call("POST", path, &tenant.get_untracked()).await;
            let answer = answer.and_then(|body| fetch::read::<DemoStatus>(&body, path));
            asked.try_set(false);
            failure.try_set(answer.err());
            status.retry();
        });
    };
    let running = move || status.data.with(|s| s.as_ref().is_some_and(|s| s.demo.running));
    let available = move || status.data.with(|s| s.as_ref().is_some_and(|s| s.demo.available));
    let label = move || {
        if running() {
            "Demo data is on its way…"
        } else if asked.get() {
            "Starting…"
        } else {
            "Start demo data"
        }
    };
    view! {
        <Show when=move || available() || running()>
            <section class="card row">
                <div>
                    <strong>"Or look around first"</strong>
                    <p class="quiet">"A shop of ten services sends spans, logs and metrics from inside this server, until you stop it."</p>
                </div>
                <button class="button primary" data-testid="start-demo" disabled=move || running() || asked.get() on:click=move |_| start()>{label}</button>
            </section>
        </Show>
        {move || failure.get().map(|f| message::failed(&f, start))}
    }
    .into_any()
}
