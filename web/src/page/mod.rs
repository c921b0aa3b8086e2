//! Which pages are there, and how does the interface start?
//!
//! The metrics page lives at `/metric`: `/metrics` is where the server tells Prometheus of itself. A service is named by
//! a parameter, since the server takes a path whose last part has a dot for a file.

mod cardinality;
mod explore;
mod logs;
mod map;
mod metrics;
mod overview;
mod service;
mod status;
mod trace;
mod welcome;

use crate::client::fetch::Failure;
use crate::component::app::App;
use crate::component::{frame, message, text};
use leptos::prelude::*;
use leptos::wasm_split::SplitLoaderError;
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
    Cardinality,
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
            "/cardinality" => Route::Cardinality,
            "/map" => Route::Map,
            "/status" => Route::Status,
            path if path.starts_with("/trace/") => Route::Trace,
            _ => Route::Unknown,
        }
    }
}

/// Draws a page.
type Page = fn() -> AnyView;

/// The pages' code, which is loaded when a page is first opened: each function that is marked ends up, with all that only
/// its part needs, in a file of its own (`cargo xtask web`), and what several parts need in files that are loaded with any of
/// them. `style/boot.js` knows the parts by the path, to ask for them early.
mod code {
    use super::Page;
    use leptos::wasm_split::{SplitLoaderError, wasm_split};

    macro_rules! pages {
        ($part:ident: $($name:ident),*) => {$(
            #[wasm_split($part, wasm_split_path = ::leptos::wasm_split, fallible)]
            pub(super) fn $name() -> Result<Page, SplitLoaderError> {
                Ok(super::$name::page)
            }
        )*};
    }

    pages!(services: overview, service, map, status);
    pages!(explore: explore);
    pages!(trace: trace);
    pages!(logs: logs);
    pages!(metrics: metrics, cardinality);
}

impl Route {
    /// Whether what it shows is of a range of time.
    fn is_ranged(self) -> bool {
        !matches!(self, Route::Trace | Route::Status | Route::Unknown)
    }

    /// Loads the page's code, if it is not there yet.
    async fn load(self) -> Result<Page, SplitLoaderError> {
        match self {
            Route::Overview => code::overview().await,
            Route::Service => code::service().await,
            Route::Explore => code::explore().await,
            Route::Trace => code::trace().await,
            Route::Logs => code::logs().await,
            Route::Metrics => code::metrics().await,
            Route::Cardinality => code::cardinality().await,
            Route::Map => code::map().await,
            Route::Status => code::status().await,
            Route::Unknown => Ok(not_found),
        }
    }
}

/// Which pages' code is here, and which could not be loaded.
#[derive(Clone, Copy)]
struct Pages {
    here: RwSignal<Vec<(Route, Option<Page>)>>,
}

impl Pages {
    /// The page, or what stands in its place until its code has come.
    fn show(self, route: Route) -> AnyView {
        match self.here.with(|here| here.iter().find(|(of, _)| *of == route).map(|(_, page)| *page)) {
            Some(Some(page)) => untrack(page),
            Some(None) => {
                let failed = message::failed(&Failure::not_loaded(), move || self.fetch(route));
                view! { <div class="page">{failed}</div> }.into_any()
            }
            None => {
                self.fetch(route);
                view! { <div class="page">{message::skeleton(3)}</div> }.into_any()
            }
        }
    }

    fn fetch(self, route: Route) {
        leptos::task::spawn_local(async move {
            let page = route.load().await.ok();
            self.here.update(|here| {
                here.retain(|(of, _)| *of != route);
                here.push((route, page));
            });
        });
    }
}

fn shell() -> impl IntoView {
    let app = App::provide();
    text::title_what_is_cut();
    let route = Memo::new(move |_| app.path.with(|path| Route::of(path)));
    let pages = Pages { here: RwSignal::new(Vec::new()) };
    // Without a range nothing can be asked for, which would look as if it were on its way for ever.
    let bad_range = Memo::new(move |_| app.range.get().err().filter(|_| route.get().is_ranged()));
    let shown =
        move || bad_range.get().map_or_else(|| pages.show(route.get()), |reason| message::bad_range(app, reason));
    view! {
        {frame::top_bar()}
        <main id="main">{shown}</main>
        {frame::overlays()}
    }
}

fn not_found() -> AnyView {
    let app = App::get();
    let home = view! { <a class="button" href=move || app.href("/", &[])>"Go to the overview"</a> }.into_any();
    view! { <div class="page">{message::empty("No such page", "The address may be mistyped, or from another version.", home)}</div> }.into_any()
}

/// The title of the tab.
fn title(text: &str) {
    if let Some(document) = web_sys::window().and_then(|window| window.document()) {
        document.set_title(&format!("{text} · Spanlight"));
    }
}
