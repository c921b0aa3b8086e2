//! How is a query typed? A field of any number of lines, coloured by its words, that offers what fits and shows what is wrong.
//!
//! ED1  The text is the field's own: what colours it lies beneath and takes no part, so that selecting, undoing, reading aloud and
//!      typing by any method work as in every field.
//! ED2  Enter runs; with shift it begins a line; where an offer is chosen, it takes that. Control or command and Enter always run.
//! ED3  What is offered is asked for once for each place in the query, not for each letter.
//!
//! Not here: which words a query has, what fits and where it is wrong (`state::query`).

use crate::client::fetch::{self, Failure};
use crate::client::load::{Load, Old, load_with};
use crate::component::effect::effect;
use crate::component::text;
use crate::state::query::complete::{self, Offer, Want, What};
use crate::state::query::fault::{self, Fault};
use crate::state::query::token::{self, Kind, Language};
use leptos::html;
use leptos::prelude::*;
use leptos::web_sys::{self, HtmlElement, HtmlTextAreaElement, KeyboardEvent};
use serde::Deserialize;
use wasm_bindgen::JsCast;

/// What an editor needs.
pub(crate) struct Editor {
    /// What is typed, for those who do not see it.
    pub(crate) label: &'static str,
    /// Shown while it is empty.
    pub(crate) hint: &'static str,
    /// The language.
    pub(crate) language: Language,
    /// The query that runs.
    pub(crate) value: Signal<String>,
    /// What the server said against that.
    pub(crate) fault: Signal<Option<Fault>>,
    /// The path that tells what fits, by the want and the query before it.
    pub(crate) ask: fn(&What, &str) -> Option<String>,
    /// Told when a person runs it.
    pub(crate) run: Callback<String>,
    /// Name for tests.
    pub(crate) testid: &'static str,
}

/// What all parts of an editor share.
#[derive(Clone, Copy)]
struct Shared {
    language: Language,
    text: RwSignal<String>,
    want: RwSignal<Option<Want>>,
    offers: Memo<Vec<Offer>>,
    at: RwSignal<Option<usize>>,
    field: NodeRef<html::Textarea>,
    testid: &'static str,
}

/// The editor.
pub(crate) fn editor(editor: Editor) -> AnyView {
    let Editor { label, hint, language, value, fault, ask, run, testid } = editor;
    let text = RwSignal::new(value.get_untracked());
    let want = RwSignal::new(None::<Want>);
    let told = told(want, text, ask);
    let offers = Memo::new(move |_| {
        want.with(|want| {
            let Some(want) = want.as_ref().filter(|want| want.what != What::Nothing) else { return Vec::new() };
            told.data.with(|told| complete::offers(language, want, told.as_ref().map_or(&[], |told| told.as_slice())))
        })
    });
    let shared = Shared { language, text, want, offers, at: RwSignal::new(None), field: NodeRef::new(), testid };
    effect(move || text.set(value.get()));
    let send = move || {
        want.set(None);
        run.run(text.get_untracked());
    };
    let id = format!("{testid}-offers");
    let (controls, list_id) = (id.clone(), id.clone());
    // What is wrong belongs to the text that ran, not to what is typed now.
    let wrong = Memo::new(move |_| fault.get().filter(|_| value.with(|ran| text.with(|text| ran == text))));
    let active = move || shared.at.get().map(|at| format!("{id}-{at}"));
    let is_open = Memo::new(move |_| !offers.with(Vec::is_empty));
    view! {
        <div class="editor" class:bad=move || wrong.with(Option::is_some)>
            <div class="editor-line">
            <div class="editor-text">
                <pre class="editor-colours" aria-hidden="true">{move || coloured(shared, wrong)}</pre>
                <textarea node_ref=shared.field rows="1" data-query data-testid=testid aria-label=label placeholder=hint prop:value=text
                    role="combobox" aria-autocomplete="list" aria-controls=controls
                    aria-expanded=move || is_open.get().to_string() aria-activedescendant=active
                    aria-invalid=move || wrong.with(Option::is_some).to_string() autocomplete="off" autocapitalize="off" spellcheck="false"
                    on:input=move |event| { text.set(event_target_value(&event)); look(shared); }
                    on:click=move |_| if want.with_untracked(Option::is_some) { look(shared) }
                    on:blur=move |_| want.set(None)
                    on:keydown=move |event| pressed(shared, &event, send)></textarea>
                {move || is_open.get().then(|| listed(shared, list_id.clone()))}
            </div>
            <button class="button" on:click=move |_| send() data-testid=format!("{testid}-run")>"Run "<kbd>"⏎"</kbd></button>
            </div>
            {move || wrong.get().map(|fault| said(&fault, testid))}
        </div>
    }
    .into_any()
}

/// What is wrong, below the query.
fn said(fault: &Fault, testid: &'static str) -> AnyView {
    let place =
        fault.place.map(|(line, column)| view! { <span class="mono num">{format!("{line}:{column}")}</span>" " });
    view! { <p class="editor-fault small" role="alert" data-testid=format!("{testid}-fault")><span class="mark" aria-hidden="true">"■"</span>" "{place}{fault.message.clone()}</p> }
        .into_any()
}

/// Asks the server what fits, once for each place in the query.
fn told(
    want: RwSignal<Option<Want>>,
    text: RwSignal<String>,
    ask: fn(&What, &str) -> Option<String>,
) -> Load<Vec<Offer>> {
    let path = Memo::new(move |_| {
        want.with(|want| {
            let want = want.as_ref()?;
            text.with_untracked(|text| ask(&want.what, text.get(..want.from)?))
        })
    });
    load_with(Old::Forget, move || path.get(), read)
}

/// What tells names and values: Prometheus's lists, Tempo's tags and their values.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    data: Vec<String>,
    #[serde(default)]
    scopes: Vec<Scope>,
    #[serde(default, rename = "tagValues")]
    values: Vec<Value>,
}

#[derive(Deserialize)]
struct Scope {
    name: String,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Value {
    r#type: String,
    value: String,
}

fn read(body: &str, path: &str) -> Result<Vec<Offer>, Failure> {
    let told: Told = fetch::read(body, path)?;
    let what = if path.contains("/label/__name__/") {
        What::Metric
    } else if path.contains("/label/") {
        What::LabelValue(String::new(), String::new())
    } else {
        What::Label(String::new())
    };
    let metrics = told.data.iter().map(|name| complete::of_metric(&what, name));
    let attributes =
        told.scopes.iter().flat_map(|scope| scope.tags.iter().map(|tag| complete::attribute(&scope.name, tag)));
    let values = told.values.iter().map(|value| complete::value(&value.r#type, &value.value));
    Ok(metrics.chain(attributes).chain(values).collect())
}

/// The text in colours, with a mark where an offer would go and a line under what is wrong.
fn coloured(shared: Shared, wrong: Memo<Option<Fault>>) -> AnyView {
    shared.text.with(|text| {
        let bad = wrong.with(|wrong| wrong.as_ref()?.place.map(|place| fault::offset(text, place)));
        let from = shared.want.with(|want| want.as_ref().map(|want| want.from));
        let tokens = token::tokens(shared.language, text);
        let under = bad.and_then(|bad| {
            let at = tokens.iter().position(|token| token.start <= bad && bad < token.end);
            // Nothing is seen under a blank: what comes before it is meant.
            at.map(|at| if tokens[at].kind == Kind::Blank { at.saturating_sub(1) } else { at })
        });
        let mark = |start: usize| (from == Some(start)).then(|| view! { <span data-mark=""></span> });
        let word = |(index, token): (usize, &token::Token)| {
            let class = if under == Some(index) {
                format!("{} q-bad", token.kind.class())
            } else {
                token.kind.class().to_owned()
            };
            view! { {mark(token.start)}<span class=class>{token.text(text).to_owned()}</span> }
        };
        let words = tokens.iter().enumerate().map(word).collect_view();
        let end = (bad.is_some() && under.is_none()).then(|| view! { <span class="q-bad">"\u{a0}"</span> });
        // A last empty line has a height only if something is on it.
        view! { {words}{mark(text.len())}{end}"\u{200b}" }.into_any()
    })
}

/// Looks what is wanted where the caret is.
fn look(shared: Shared) {
    let Some(field) = shared.field.get_untracked() else { return };
    let (start, end) = (field.selection_start().ok().flatten(), field.selection_end().ok().flatten());
    let caret = start.filter(|_| start == end);
    shared.at.set(None);
    shared.want.set(caret.map(|caret| {
        shared
            .text
            .with_untracked(|text| complete::want(shared.language, text, fault::from_utf16(text, caret as usize)))
    }));
}

/// What a key does.
fn pressed(shared: Shared, event: &KeyboardEvent, send: impl Fn()) {
    let count = shared.offers.with_untracked(Vec::len);
    let at = shared.at.get_untracked();
    let held = event.ctrl_key() || event.meta_key();
    match event.key().as_str() {
        // A letter that is still being put together ends with Enter, too.
        _ if event.is_composing() => return,
        "Enter" if held => send(),
        "Enter" if event.shift_key() => return,
        "Enter" => match at {
            Some(at) if count > 0 => take(shared, at),
            _ => send(),
        },
        "Tab" if count > 0 && !event.shift_key() => take(shared, at.unwrap_or(0)),
        "ArrowDown" if count > 0 => shared.at.set(Some(at.map_or(0, |at| (at + 1) % count))),
        "ArrowUp" if count > 0 => shared.at.set(Some(at.map_or(count - 1, |at| (at + count - 1) % count))),
        " " if held => look(shared),
        "Escape" if count > 0 => shared.want.set(None),
        "ArrowLeft" | "ArrowRight" | "Home" | "End" => {
            shared.want.set(None);
            return;
        }
        _ => return,
    }
    event.prevent_default();
    event.stop_propagation();
}

/// Puts an offer in the place of what is typed of it, and looks what comes next.
fn take(shared: Shared, at: usize) {
    let chosen = shared.offers.with_untracked(|offers| offers.get(at).map(|offer| offer.text.clone()));
    let (Some(chosen), Some(want), Some(field)) = (chosen, shared.want.get_untracked(), shared.field.get_untracked())
    else {
        return;
    };
    let range = shared.text.with_untracked(|text| (fault::to_utf16(text, want.from), fault::to_utf16(text, want.to)));
    field.focus().ok();
    field.set_selection_range(range.0, range.1).ok();
    if !typed(&chosen) {
        // A browser without that cannot undo it.
        field.set_range_text(&chosen).ok();
        let end = range.0 + fault::to_utf16(&chosen, chosen.len());
        field.set_selection_range(end, end).ok();
    }
    shared.text.set(field.value());
    look(shared);
}

/// Types a text as a person would: it can be undone.
fn typed(text: &str) -> bool {
    let document = web_sys::window().and_then(|window| window.document());
    let document = document.and_then(|document| document.dyn_into::<web_sys::HtmlDocument>().ok());
    document.is_some_and(|document| {
        document.exec_command_with_show_ui_and_value("insertText", false, text).unwrap_or(false)
    })
}

/// What fits, below the word that it would replace.
fn listed(shared: Shared, id: String) -> AnyView {
    let Shared { offers, at, field, testid, .. } = shared;
    let place = move || {
        offers.track();
        let (left, top) = field.get().and_then(|field| below(&field)).unwrap_or((0, 0));
        format!("left:{left}px;top:{top}px")
    };
    let one = move |(index, offer): (usize, Offer)| {
        let here = move || at.get() == Some(index);
        let node: NodeRef<html::Li> = NodeRef::new();
        effect(move || {
            if let Some(row) = node.get().filter(|_| here()) {
                text::show(&row);
            }
        });
        view! {
            <li node_ref=node role="option" id=format!("{testid}-offers-{index}") class:at=here aria-selected=move || here().to_string() data-testid="offer"
                on:mousedown=move |event| { event.prevent_default(); take(shared, index); }>
                <span class="mono cutoff">{offer.shown}</span><span class="quiet small">{offer.about}</span>
            </li>
        }
    };
    view! {
        <ul class="offers editor-offers" role="listbox" aria-label="What fits" id=id style=place>
            {move || offers.get().into_iter().enumerate().map(one).collect_view()}
        </ul>
    }
    .into_any()
}

/// Where the mark is, one line further down, within the frame of the text.
fn below(field: &HtmlTextAreaElement) -> Option<(i32, i32)> {
    let frame = field.parent_element()?;
    let mark = frame.query_selector("[data-mark]").ok()??.dyn_into::<HtmlElement>().ok()?;
    let widest = (frame.client_width() - 320).max(0);
    Some((mark.offset_left().min(widest), mark.offset_top() + 22))
}
