//! Which pages are there, and how does the interface start?
//!
//! The metrics page lives at `/metric`: `/metrics` is where the server tells Prometheus of itself. A service is named by
//! a parameter, since the server takes a path whose last part has a dot for a file.

mod explore;
mod logs;
mod map;
mod metrics;
mod overview;
mod service;
mod status;
mod trace;
mod welcome;

use crate::component::app::App;
use crate::component::{frame, message};
use leptos::prelude::*;
use leptos::web_sys;

/// Draws the interface; called once.
pub fn start() {
    std::panic::set_hook(Box::new(|info| stopped(&info.to_string())));
    if let Some(boot) = by_id("boot") {
        boot.remove();
    }
    leptos::mount::mount_to_body(shell);
}

fn by_id(id: &str) -> Option<web_sys::Element> {
    web_sys::window()?.document()?.get_element_by_id(id)
}

/// A defect of the interface is said, not hidden behind a page that no longer answers.
fn stopped(reason: &str) {
    web_sys::console::error_1(&reason.into());
    let Some(document) = web_sys::window().and_then(|window| window.document()) else { return };
    let (Some(body), Ok(element)) = (document.body(), document.create_element("div")) else { return };
    element.set_class_name("stopped");
    element
        .set_text_content(Some("This page has stopped because of a defect. Reload it; the console has the details."));
    body.append_child(&element).ok();
}

/// What the path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Overview,
    Service,
    Explore,
    Trace,
    Logs,
    Metrics,
    Map,
    Status,
    Unknown,
}

impl Route {
    fn of(path: &str) -> Route {
        match path.trim_end_matches('/') {
            "" => Route::Overview,
            "/service" => Route::Service,
            "/explore" => Route::Explore,
            "/logs" => Route::Logs,
            "/metric" => Route::Metrics,
            "/map" => Route::Map,
            "/status" => Route::Status,
            path if path.starts_with("/trace/") => Route::Trace,
            _ => Route::Unknown,
        }
    }

    fn page(self) -> AnyView {
        match self {
            Route::Overview => overview::page().into_any(),
            Route::Service => service::page().into_any(),
            Route::Explore => explore::page().into_any(),
            Route::Trace => trace::page().into_any(),
            Route::Logs => logs::page().into_any(),
            Route::Metrics => metrics::page().into_any(),
            Route::Map => map::page().into_any(),
            Route::Status => status::page().into_any(),
            Route::Unknown => not_found().into_any(),
        }
    }
}

fn shell() -> impl IntoView {
    let app = App::provide();
    let route = Memo::new(move |_| app.path.with(|path| Route::of(path)));
    view! {
        {frame::top_bar()}
        <main id="main">{move || { let route = route.get(); untrack(|| route.page()) }}</main>
        {frame::overlays()}
    }
}

fn not_found() -> impl IntoView {
    let app = App::get();
    let home = view! { <a class="button" href=move || app.href("/", &[])>"Go to the overview"</a> }.into_any();
    view! { <div class="page">{message::empty("No such page", "The address may be mistyped, or from another version.", home)}</div> }
}

/// The title of the tab.
fn title(text: &str) {
    if let Some(document) = web_sys::window().and_then(|window| window.document()) {
        document.set_title(&format!("{text} · Spanlight"));
    }
}
