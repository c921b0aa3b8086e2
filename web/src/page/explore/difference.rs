//! What is different in the box? Attributes ranked by how much they set its spans apart; a click on a value filters by it.

use crate::client::load::{Load, Old, load_with};
use crate::component::app::{App, Entry};
use crate::component::{keys, message, text};
use crate::state::difference::{self, Difference, Differences, Section, Share};
use crate::state::filter::TraceFilter;
use crate::state::{calendar, format};
use leptos::prelude::*;

/// Attributes shown before a person asks for the rest.
const SHOWN: usize = 9;

/// The box that the URL names.
fn chosen(app: App) -> Option<Section> {
    app.params.with(|params| Section::parse(params.get("box")?))
}

/// Has Escape close the panel.
pub(super) fn close_with_escape() {
    let app = App::get();
    keys::on_key(move |_, key| {
        let closes = key == "Escape" && untrack(|| chosen(app)).is_some();
        if closes {
            app.set(Entry::Push, "box", None);
        }
        closes
    });
}

/// Asks how the spans in the box differ from the other ones of `spans`.
pub(super) fn ask(spans: Memo<Option<String>>) -> Load<Differences> {
    let app = App::get();
    let chosen = Memo::new(move |_| chosen(app));
    let path = move || Some(chosen.get()?.request(&spans.get()?, app.span()?));
    load_with(Old::Keep, path, |body, path| {
        crate::client::fetch::read(body, path).map(|answer| Differences::new(&answer))
    })
}

/// The panel; nothing while no box is chosen.
pub(super) fn panel(found: Load<Differences>) -> AnyView {
    let app = App::get();
    let chosen = Memo::new(move |_| chosen(app));
    let all = RwSignal::new(false);
    let shown = move || {
        let section = chosen.get()?;
        let close = move |_| app.set(Entry::Push, "box", None);
        let narrow = move |_| narrow(app, section);
        let words = move || {
            let (inside, outside) = found.data.with(|data| data.as_ref().map(|data| (data.inside, data.outside)))?;
            Some(format!(
                "{} in the box, {} others in the range",
                format::counted(inside, "span"),
                format::count(outside)
            ))
        };
        let list = message::loaded(found, 4, move |differences| list(app, &differences, all));
        Some(view! {
            <section class="differences block" data-testid="differences" aria-label="What is different in the box">
                <header>
                    <h2>"What is different in the box"</h2>
                    <p class="quiet grow num">{told(app, section)}<span>{words}</span></p>
                    <button class="button" data-testid="narrow" title="Search only for spans in the box" on:click=narrow>"Narrow to the box"</button>
                    <button class="button icon" aria-label="Close" title="Close" on:click=close>"×"</button>
                </header>
                {list}
            </section>
        })
    };
    view! { {shown} }.into_any()
}

fn told(app: App, section: Section) -> String {
    let time = |time: i64| calendar::clock(time, app.offset());
    format!(
        "{} to {}, {} to {} · ",
        time(section.times.start),
        time(section.times.end),
        format::duration(section.low),
        format::duration(section.high)
    )
}

/// Makes the box the range and the bounds of the search.
fn narrow(app: App, section: Section) {
    app.now.set(crate::component::app::present());
    app.change(Entry::Push, |params| {
        params.set("box", None);
        params.set("from", Some(&calendar::rfc3339(section.times.start)));
        params.set("to", Some(&calendar::rfc3339(section.times.end)));
        let mut filter = TraceFilter::read(params);
        section.bound(&mut filter);
        filter.write(params);
    });
}

fn list(app: App, differences: &Differences, all: RwSignal<bool>) -> AnyView {
    if differences.inside == 0 {
        return message::empty("No spans in the box", "Drag it over a part that is coloured.", ().into_any());
    }
    if differences.list.is_empty() {
        let why = "No attribute has a value that is more frequent in the box than beside it.";
        return message::empty("Nothing sets these spans apart", why, ().into_any());
    }
    let list = differences.list.clone();
    let more = list.len().saturating_sub(SHOWN);
    let cards = move || {
        let shown = if all.get() { list.len() } else { SHOWN };
        list.iter().take(shown).map(|one| card(app, one)).collect_view()
    };
    let rest = (more > 0).then(|| {
        let words = move || if all.get() { "Show fewer".to_owned() } else { format!("Show {more} more") };
        view! { <button class="button" on:click=move |_| all.update(|all| *all = !*all)>{words}</button> }
    });
    let uncounted = (!differences.uncounted.is_empty())
        .then(|| view! { <p class="quiet small long">{format!("Of too many values to be compared: {}", differences.uncounted.join(", "))}</p> });
    view! {
        <div class="legend small"><span class="legend-item"><i class="swatch inside"></i>"in the box"</span><span class="legend-item"><i class="swatch"></i>"the others"</span></div>
        <div class="difference-cards">{cards}</div>
        {rest}{uncounted}
    }
    .into_any()
}

fn card(app: App, one: &Difference) -> AnyView {
    let key = one.key.clone();
    let alike = (!one.alike.is_empty()).then(|| {
        let names = one.alike.join(", ");
        view! { <span class="quiet small" title=names>{format!("and {} alike", one.alike.len())}</span> }
    });
    let rows = one.shares.iter().map(|share| row(app, &key, share)).collect_view();
    let more = (one.more > 0)
        .then(|| view! { <p class="quiet small">{format!("{} further values", format::count(one.more as u64))}</p> });
    view! {
        <article class="difference" data-testid="difference" data-key=key.clone()>
            <h3><span class="mono" title=key.clone()>{key.clone()}</span>{alike}</h3>
            {rows}{more}
        </article>
    }
    .into_any()
}

fn row(app: App, key: &str, share: &Share) -> AnyView {
    let bar = |share: f64| format!("width:{:.1}%", share.clamp(0.0, 1.0) * 100.0);
    let words =
        format!("{} in the box, {} of the others", format::percent(share.inside), format::percent(share.outside));
    let (name, value, written) = (key.to_owned(), share.value.clone(), share.written);
    let choose = move |_| {
        app.change(Entry::Push, |params| {
            let mut filter = TraceFilter::read(params);
            difference::narrow(&mut filter, &name, &value, written);
            filter.write(params);
        });
    };
    let shown = format::cut(&share.value, text::LINE).0.to_owned();
    let title = format!("Search for {key} = {shown}");
    view! {
        <button class="difference-row" title=title on:click=choose data-testid="difference-value">
            <span class="cutoff">{if shown.is_empty() { "(empty)".to_owned() } else { shown }}</span>
            <span class="pair" role="img" aria-label=words><i class="inside" style=bar(share.inside)></i><i style=bar(share.outside)></i></span>
            <span class="num">{format::percent(share.inside)}</span><span class="num quiet">{format::percent(share.outside)}</span>
        </button>
    }
    .into_any()
}
