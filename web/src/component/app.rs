//! What do all pages share? The URL's parameters, the range of time, the tenant, theme and zone.
//!
//! P1  What changes what is shown is in the URL; only taste (theme, zone) is kept by the browser.
//! P2  `now` moves when a page is opened, a range is chosen or a refresh is due, not in between: one view, one now.

pub(crate) use super::location::Entry;
use super::location::Location;
use crate::component::effect::effect;
use crate::state::address::Params;
use crate::state::time::{self, Range};
use leptos::prelude::*;
use leptos::web_sys;

/// What floats above the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlay {
    /// The palette.
    Palette,
    /// The sheet of keys.
    Sheet,
    /// The time picker.
    Range,
}

/// Light, dark, or what the system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    /// As the system says.
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// The word that the document and the browser's storage hold.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Theme::System => "system",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }
}

/// What all pages share.
#[derive(Clone, Copy)]
pub(crate) struct App {
    /// Path of the URL.
    pub(crate) path: Memo<String>,
    /// Parameters of the URL.
    pub(crate) params: Memo<Params>,
    /// The present, in nanoseconds.
    pub(crate) now: RwSignal<i64>,
    /// Counts refreshes.
    pub(crate) tick: RwSignal<u32>,
    /// The tenant that is asked for.
    pub(crate) tenant: Memo<String>,
    /// Start of the range, as typed.
    pub(crate) from: Memo<String>,
    /// End of the range, as typed.
    pub(crate) to: Memo<String>,
    /// The range, or why there is none.
    pub(crate) range: Memo<Result<Range, String>>,
    /// Whether times are shown in UTC.
    pub(crate) utc: RwSignal<bool>,
    /// The theme that was chosen.
    pub(crate) theme: RwSignal<Theme>,
    /// Counts changes of colour: what is drawn on canvas follows it.
    pub(crate) colours: RwSignal<u32>,
    /// What floats above the page.
    pub(crate) overlay: RwSignal<Option<Overlay>>,
    location: Location,
}

/// The present, in nanoseconds since 1970 UTC.
pub(crate) fn present() -> i64 {
    (js_sys::Date::now() * 1e6) as i64
}

/// Minutes east of UTC of the browser's zone, now.
pub(crate) fn local_offset() -> i32 {
    -(js_sys::Date::new_0().get_timezone_offset() as i32)
}

impl App {
    /// Sets up what is shared; once.
    pub(crate) fn provide() -> App {
        let location = Location::follow();
        // The path first: who follows it hears of a change before those who follow the parameters.
        let (path, query) = (location.path(), location.query());
        let params = Memo::new(move |_| Params::parse(&query.get()));
        let now = RwSignal::new(present());
        let utc = RwSignal::new(stored("zone").as_deref() == Some("utc"));
        let value = move |key: &'static str, default: &'static str| {
            Memo::new(move |_| params.with(|p| p.get(key).unwrap_or(default).to_owned()))
        };
        let (from, to) = (value("from", time::DEFAULT_FROM), value("to", time::DEFAULT_TO));
        let offset = move || if utc.get() { 0 } else { local_offset() };
        let range = Memo::new(move |_| Range::parse(&from.get(), &to.get(), now.get(), offset()));
        let theme = match stored("theme").as_deref() {
            Some("light") => Theme::Light,
            Some("dark") => Theme::Dark,
            _ => Theme::System,
        };
        let app = App {
            path,
            params,
            now,
            tick: RwSignal::new(0),
            tenant: value("tenant", "default"),
            from,
            to,
            range,
            utc,
            theme: RwSignal::new(theme),
            colours: RwSignal::new(0),
            overlay: RwSignal::new(None),
            location,
        };
        provide_context(app);
        let mut before = None;
        effect(move || {
            let path = app.path.get();
            if before.replace(path.clone()).is_some_and(|before| before != path) {
                app.now.set(present());
                app.overlay.set(None);
            }
        });
        app
    }

    /// What is shared.
    pub(crate) fn get() -> App {
        expect_context::<App>()
    }

    /// Minutes east of UTC of the zone that times are shown in.
    pub(crate) fn offset(&self) -> i32 {
        if self.utc.get() { 0 } else { local_offset() }
    }

    /// The range, when there is one.
    pub(crate) fn span(&self) -> Option<Range> {
        self.range.get().ok()
    }

    /// Looks again: the present moves, and everything shown is asked for anew.
    pub(crate) fn refresh(&self) {
        self.now.set(present());
        self.tick.update(|tick| *tick += 1);
    }

    /// A link to another page, with the range and tenant of this one.
    pub(crate) fn href(&self, path: &str, extra: &[(&str, &str)]) -> String {
        let mut params = self.params.with(Params::carried);
        for (key, value) in extra {
            params.push(key, value);
        }
        params.behind(path)
    }

    /// Goes to a path of this site.
    pub(crate) fn go(&self, href: &str) {
        self.location.go(href, Entry::Push);
    }

    /// Changes parameters of this page's URL.
    pub(crate) fn change(&self, entry: Entry, change: impl FnOnce(&mut Params)) {
        let mut params = self.params.get_untracked();
        let before = params.clone();
        change(&mut params);
        if params == before {
            return;
        }
        let href = params.behind(&self.path.get_untracked());
        self.location.go(&href, entry);
    }

    /// Changes one parameter.
    pub(crate) fn set(&self, entry: Entry, key: &str, value: Option<&str>) {
        self.change(entry, |params| params.set(key, value));
    }

    /// Shows another range.
    pub(crate) fn look_at(&self, from: &str, to: &str) {
        self.now.set(present());
        self.change(Entry::Push, |params| {
            params.set("from", Some(from).filter(|f| *f != time::DEFAULT_FROM || to != time::DEFAULT_TO));
            params.set("to", Some(to).filter(|t| *t != time::DEFAULT_TO));
        });
    }

    /// Shows an absolute range.
    pub(crate) fn zoom_to(&self, start: i64, end: i64) {
        let (start, end) = (start.min(end), start.max(end).max(start.min(end) + 1_000_000));
        let text = crate::state::calendar::rfc3339;
        self.look_at(&text(start / 1_000_000 * 1_000_000), &text((end + 999_999) / 1_000_000 * 1_000_000));
    }
}

/// What the browser keeps under a name.
pub(crate) fn stored(key: &str) -> Option<String> {
    storage()?.get_item(&format!("spanlight.{key}")).ok()?
}

/// Has the browser keep something; a browser that keeps nothing is no error.
pub(crate) fn store(key: &str, value: &str) {
    if let Some(storage) = storage() {
        storage.set_item(&format!("spanlight.{key}"), value).ok();
    }
}

fn storage() -> Option<web_sys::Storage> {
    web_sys::window()?.local_storage().ok()?
}
