//! Where did the time go? The trace's spans grouped by service, operation or any attribute, sorted by any column.

use super::view::View;
use crate::component::app::Entry;
use crate::component::text;
use crate::state::trace::statistics::{self, By, Group, Key};
use crate::state::trace::tree::Trace;
use crate::state::{format, hue};
use leptos::prelude::*;

const COLUMNS: [(&str, &str, By); 6] = [
    ("count", "Spans", By::Count),
    ("errors", "Errors", By::Errors),
    ("total", "Total", By::Total),
    ("average", "Mean", By::Average),
    ("longest", "Longest", By::Longest),
    ("self", "Self time", By::SelfTime),
];
/// What the table is sorted by unless the URL says so.
const USUAL: usize = 5;
/// What can be grouped by beside attributes.
const KEYS: [(&str, &str); 5] = [
    ("", "Service and operation"),
    ("service", "Service"),
    ("operation", "Operation"),
    ("kind", "Kind"),
    ("status", "Status"),
];
/// Groups shown.
const GROUPS: usize = 1_000;

/// The tab.
pub(super) fn tab(view: View) -> AnyView {
    let app = view.app;
    let param =
        move |key: &'static str| Memo::new(move |_| app.params.with(|p| p.get(key).unwrap_or_default().to_owned()));
    let (by, group) = (param("by"), param("group"));
    // A minus before the column's name turns the order around.
    let chosen = Memo::new(move |_| {
        let by = by.get();
        let name = by.strip_prefix('-').unwrap_or(&by);
        let column = COLUMNS.iter().position(|(key, _, _)| *key == name);
        (column.unwrap_or(USUAL), name.len() < by.len())
    });
    let head = move |(index, (key, words, _)): (usize, (&'static str, &'static str, By))| {
        let here = move || chosen.get().0 == index;
        let order = move || match chosen.get() {
            (column, false) if column == index => "descending",
            (column, true) if column == index => "ascending",
            _ => "none",
        };
        let choose = move |_| {
            let turn = if order() == "descending" { format!("-{key}") } else { key.to_owned() };
            app.set(Entry::Replace, "by", Some(&turn));
        };
        view! {
            <th scope="col" aria-sort=order>
                <button class="sort" class:current=here on:click=choose>{words}{move || match order() { "descending" => " ↓", "ascending" => " ↑", _ => "" }}</button>
            </th>
        }
    };
    let key = Memo::new(move |_| Key::parse(&group.get()));
    let found = Memo::new(move |_| {
        let (column, turned) = chosen.get();
        let by = COLUMNS.get(column).map_or(By::SelfTime, |(_, _, by)| *by);
        let mut groups = view.trace().map_or_else(Vec::new, |trace| statistics::groups(&trace, &key.get(), by));
        if turned {
            groups.reverse();
        }
        groups
    });
    let rows = move || {
        let trace = view.trace()?;
        let sum: i64 = trace.rows.iter().map(|row| row.self_time).sum();
        Some(found.with(|groups| groups.iter().take(GROUPS).map(|one| row(view, &trace, one, sum)).collect_view()))
    };
    let titles = move || match key.get() {
        Key::Both => vec!["Service".to_owned(), "Operation".to_owned()],
        Key::Service => vec!["Service".to_owned()],
        Key::Operation => vec!["Operation".to_owned()],
        Key::Kind => vec!["Kind".to_owned()],
        Key::Status => vec!["Status".to_owned()],
        Key::Attribute(key) => vec![key],
    };
    let titles =
        move || titles().into_iter().map(|words| view! { <th scope="col" class="left">{words}</th> }).collect_view();
    let count = move || {
        let count = found.with(Vec::len);
        let cut = if count > GROUPS { format!(", the first {GROUPS} shown") } else { String::new() };
        format!("{}{cut}", format::counted(count as u64, "group"))
    };
    view! {
        <div class="scroll">
            <div class="statistics-tools">{choice(view, group)}<span class="quiet small num">{count}</span></div>
            <table class="data" data-testid="statistics">
                <thead><tr>
                    {titles}
                    {COLUMNS.into_iter().enumerate().map(head).collect_view()}
                    <th scope="col" class="left">"Share of self time"</th>
                </tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// What to group by: the usual ones, and every attribute that a span, a resource or a scope of the trace has.
fn choice(view: View, group: Memo<String>) -> AnyView {
    let option = move |(value, words): (String, String)| {
        let here = value.clone();
        view! { <option value=value selected=move || group.with(|g| *g == here)>{words}</option> }
    };
    let usual = KEYS.iter().map(|(key, words)| option(((*key).to_owned(), (*words).to_owned()))).collect_view();
    let attributes = move || {
        let keys = view.trace().map_or_else(Vec::new, |trace| statistics::keys(&trace));
        keys.into_iter().map(|key| option((Key::of_attribute(&key), key))).collect_view()
    };
    view! {
        <label class="inline-field"><span class="field-label">"Group by"</span>
            <select class="button" data-testid="group-by" on:change=move |event| view.app.set(Entry::Replace, "group", Some(&event_target_value(&event)))>
                {usual}<optgroup label="Attribute">{attributes}</optgroup>
            </select>
        </label>
    }
    .into_any()
}

fn row(view: View, trace: &Trace, group: &Group, sum: i64) -> AnyView {
    let share = if sum > 0 { group.self_time as f64 / sum as f64 } else { 0.0 };
    let service = group.service.map(|service| trace.services[service].name.clone());
    let colour = service.as_deref().map_or_else(|| "var(--accent)".to_owned(), hue::css);
    let (first, link) = (group.first, group.first);
    let open = move |event: leptos::ev::MouseEvent| {
        event.stop_propagation();
        view.open(link);
    };
    let failed = group.errors > 0;
    let words = match (&group.name, &service) {
        (Some(name), _) => format::cut(name, text::LINE).0.to_owned(),
        (None, Some(service)) => service.clone(),
        (None, None) => "without it".to_owned(),
    };
    let name = view! { <button class="link plain" class:quiet={group.name.is_none() && service.is_none()} title="Go to the first of them" on:click=open>{words}</button> };
    let first_cell =
        service.filter(|_| group.name.is_some()).map(|name| view! { <td>{text::service_name(&name)}</td> });
    let dot = group
        .service
        .filter(|_| group.name.is_none())
        .map(|service| text::service_dot(&trace.services[service].name, String::new()));
    view! {
        <tr class="clickable" data-testid="group-row" on:click=move |_| view.open(first)>
            {first_cell}
            <td class="name">{dot}{name}</td>
            <td class="num">{format::count(group.count as u64)}</td>
            <td class="num" class:bad=failed>{if failed { format::count(group.errors as u64) } else { "–".into() }}</td>
            <td class="num">{format::duration(group.total)}</td>
            <td class="num">{format::duration(group.average())}</td>
            <td class="num">{format::duration(group.longest)}</td>
            <td class="num">{format::duration(group.self_time)}</td>
            <td><span class="bar-cell"><span class="bar-track"><i class="bar" style=format!("width:{:.1}%;--svc:{colour}", share * 100.0)></i></span><span class="num">{format::percent(share)}</span></span></td>
        </tr>
    }
    .into_any()
}
