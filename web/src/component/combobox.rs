//! How is one of many known words typed? A field that offers what fits; anything else may be typed as well.

use crate::component::effect::effect;
use crate::state::lower::lower;
use leptos::prelude::*;
use leptos::web_sys::KeyboardEvent;

/// Offers shown at once.
const OFFERS: usize = 50;

/// What a field needs.
pub(crate) struct Field {
    /// Name of the field, shown before it.
    pub(crate) label: &'static str,
    /// Shown while it is empty.
    pub(crate) hint: &'static str,
    /// Width in characters.
    pub(crate) width: u32,
    /// What it holds.
    pub(crate) value: Signal<String>,
    /// What is offered.
    pub(crate) offers: Signal<Vec<String>>,
    /// Told when a person has chosen.
    pub(crate) chosen: Callback<String>,
    /// Name for tests.
    pub(crate) testid: &'static str,
}

/// The field.
pub(crate) fn combobox(field: Field) -> AnyView {
    let Field { label, hint, width, value, offers, chosen, testid } = field;
    let typed = RwSignal::new(value.get_untracked());
    let open = RwSignal::new(false);
    let at = RwSignal::new(None::<usize>);
    effect(move || typed.set(value.get()));
    let fitting = Memo::new(move |_| {
        let wanted = lower(&typed.get());
        let all = wanted.is_empty() || typed.get() == value.get();
        let mut fits: Vec<String> = offers.get().into_iter().filter(|o| all || lower(o).contains(&wanted)).collect();
        fits.truncate(OFFERS);
        fits
    });
    let choose = move |text: String| {
        typed.set(text.clone());
        open.set(false);
        at.set(None);
        if text != value.get_untracked() {
            chosen.run(text);
        }
    };
    let key = move |event: KeyboardEvent| {
        let count = fitting.with_untracked(Vec::len);
        match event.key().as_str() {
            "ArrowDown" if count > 0 => {
                open.set(true);
                at.update(|at| *at = Some(at.map_or(0, |i| (i + 1) % count)));
            }
            "ArrowUp" if count > 0 => at.update(|at| *at = Some(at.map_or(count - 1, |i| (i + count - 1) % count))),
            "Enter" => {
                let offer = at.get_untracked().and_then(|i| fitting.with_untracked(|f| f.get(i).cloned()));
                choose(offer.unwrap_or_else(|| typed.get_untracked()));
            }
            "Escape" if open.get_untracked() => {
                open.set(false);
                typed.set(value.get_untracked());
            }
            _ => return,
        }
        event.prevent_default();
    };
    let offer = move |(index, text): (usize, String)| {
        let shown = text.clone();
        view! {
            <li role="option" title=text.clone() class:at=move || at.get() == Some(index) aria-selected=move || (at.get() == Some(index)).to_string()
                on:mousedown=move |event| { event.prevent_default(); choose(text.clone()); }><span class="cutoff">{shown}</span></li>
        }
    };
    view! {
        <label class="field combobox">
            <span class="field-label">{label}</span>
            <input type="text" placeholder=hint style=format!("width:{width}ch") prop:value=typed data-testid=testid
                role="combobox" aria-expanded=move || open.get().to_string() aria-autocomplete="list"
                autocomplete="off" spellcheck="false"
                on:input=move |event| { typed.set(event_target_value(&event)); open.set(true); at.set(None); }
                on:focus=move |_| open.set(true)
                on:blur=move |_| { open.set(false); choose(typed.get_untracked()); }
                on:keydown=key />
            <Show when=move || open.get() && !fitting.with(Vec::is_empty)>
                <ul class="offers" role="listbox" aria-label=label>
                    {move || fitting.get().into_iter().enumerate().map(offer).collect_view()}
                </ul>
            </Show>
        </label>
    }
    .into_any()
}
