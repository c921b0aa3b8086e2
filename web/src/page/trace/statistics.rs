//! Where did the time go? The trace's spans grouped by service, operation or any attribute, sorted by any column.

use super::view::View;
use crate::component::app::{App, Entry};
use crate::component::text;
use crate::state::trace::statistics::{self, By, Group, Key};
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

/// What the table tells.
pub(super) struct Table {
    /// The groups in their order; a thousand of them.
    pub(super) groups: Vec<Group>,
    /// How many there are.
    pub(super) count: usize,
    /// Names of the services by index.
    pub(super) services: Vec<String>,
    /// The sum of all self times.
    pub(super) sum: i64,
    /// What spans can be grouped by.
    pub(super) keys: Vec<String>,
}

/// Where that comes from.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub(super) app: App,
    /// Makes it.
    pub(super) table: Callback<(), Table>,
    /// Shows a row in the timeline.
    pub(super) open: Callback<usize>,
}

/// Which column the URL sorts by, whether the least stands first, and what it groups by.
#[derive(Clone, Copy)]
pub(super) struct Choice {
    column: Memo<(usize, bool)>,
    /// As the URL has it.
    pub(super) group: Memo<String>,
}

impl Choice {
    pub(super) fn new(app: App) -> Choice {
        let param =
            move |key: &'static str| Memo::new(move |_| app.params.with(|p| p.get(key).unwrap_or_default().to_owned()));
        let by = param("by");
        // A minus before the column's name turns the order around.
        let column = Memo::new(move |_| {
            let by = by.get();
            let name = by.strip_prefix('-').unwrap_or(&by);
            let column = COLUMNS.iter().position(|(key, _, _)| *key == name);
            (column.unwrap_or(USUAL), name.len() < by.len())
        });
        Choice { column, group: param("group") }
    }

    /// What is sorted by, as the URL names it, and whether the least stands first.
    pub(super) fn order(self) -> (&'static str, bool) {
        let (column, turned) = self.column.get();
        (COLUMNS.get(column).map_or("self", |(key, _, _)| *key), turned)
    }
}

/// The tab of a trace that is here whole.
pub(super) fn tab(view: View) -> AnyView {
    let choice = Choice::new(view.app);
    let made = move |()| {
        let (column, turned) = choice.column.get();
        let by = COLUMNS.get(column).map_or(By::SelfTime, |(_, _, by)| *by);
        let Some(trace) = view.trace() else { return Table::nothing() };
        let mut groups = statistics::groups(&trace, &Key::parse(&choice.group.get()), by);
        if turned {
            groups.reverse();
        }
        Table {
            count: groups.len(),
            groups,
            services: trace.services.iter().map(|service| service.name.clone()).collect(),
            sum: trace.rows.iter().map(|row| row.self_time).sum(),
            keys: statistics::keys(&trace),
        }
    };
    let open = Callback::new(move |row| view.open(row));
    table(Source { app: view.app, table: Callback::new(made), open }, choice)
}

impl Table {
    fn nothing() -> Table {
        Table { groups: Vec::new(), count: 0, services: Vec::new(), sum: 0, keys: Vec::new() }
    }
}

/// The table.
pub(super) fn table(source: Source, choice: Choice) -> AnyView {
    let (app, chosen) = (source.app, choice.column);
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
    let titles = move || match Key::parse(&choice.group.get()) {
        Key::Both => vec!["Service".to_owned(), "Operation".to_owned()],
        Key::Service => vec!["Service".to_owned()],
        Key::Operation => vec!["Operation".to_owned()],
        Key::Kind => vec!["Kind".to_owned()],
        Key::Status => vec!["Status".to_owned()],
        Key::Attribute(key) => vec![key],
    };
    let titles =
        move || titles().into_iter().map(|words| view! { <th scope="col" class="left">{words}</th> }).collect_view();
    let shown = move || {
        let Table { groups, count, services, sum, keys } = source.table.run(());
        let cut = if count > GROUPS { format!(", the first {GROUPS} shown") } else { String::new() };
        let words = format!("{}{cut}", format::counted(count as u64, "group"));
        let rows = groups.iter().take(GROUPS).map(|one| row(source.open, &services, one, sum)).collect_view();
        view! {
            <div class="statistics-tools">{group_by(source.app, keys, choice.group)}<span class="quiet small num">{words}</span></div>
            <table class="data" data-testid="statistics">
                <thead><tr>
                    {titles}
                    {COLUMNS.into_iter().enumerate().map(head).collect_view()}
                    <th scope="col" class="left">"Share of self time"</th>
                </tr></thead>
                <tbody>{rows}</tbody>
            </table>
        }
    };
    view! { <div class="scroll">{shown}</div> }.into_any()
}

/// What to group by: the usual ones, and every attribute that a span, a resource or a scope of the trace has.
fn group_by(app: App, keys: Vec<String>, group: Memo<String>) -> AnyView {
    let option = move |(value, words): (String, String)| {
        let here = value.clone();
        view! { <option value=value selected=move || group.with(|g| *g == here)>{words}</option> }
    };
    let usual = KEYS.iter().map(|(key, words)| option(((*key).to_owned(), (*words).to_owned()))).collect_view();
    let attributes = keys.into_iter().map(|key| option((Key::of_attribute(&key), key))).collect_view();
    view! {
        <label class="inline-field"><span class="field-label">"Group by"</span>
            <select class="button" data-testid="group-by" on:change=move |event| app.set(Entry::Replace, "group", Some(&event_target_value(&event)))>
                {usual}<optgroup label="Attribute">{attributes}</optgroup>
            </select>
        </label>
    }
    .into_any()
}

fn row(go: Callback<usize>, services: &[String], group: &Group, sum: i64) -> AnyView {
    let share = if sum > 0 { group.self_time as f64 / sum as f64 } else { 0.0 };
    let service = group.service.and_then(|service| services.get(service).cloned());
    let colour = service.as_deref().map_or_else(|| "var(--accent)".to_owned(), hue::css);
    let (first, link) = (group.first, group.first);
    let open = move |event: leptos::ev::MouseEvent| {
        event.stop_propagation();
        go.run(link);
    };
    let failed = group.errors > 0;
    let words = match (&group.name, &service) {
        (Some(name), _) => format::cut(name, text::LINE).0.to_owned(),
        (None, Some(service)) => service.clone(),
        (None, None) => "without it".to_owned(),
    };
    let name = view! { <button class="link plain" class:quiet={group.name.is_none() && service.is_none()} title="Go to the first of them" on:click=open>{words}</button> };
    let dot = service.as_ref().filter(|_| group.name.is_none()).map(|name| text::service_dot(name, String::new()));
    let first_cell =
        service.filter(|_| group.name.is_some()).map(|name| view! { <td>{text::service_name(&name)}</td> });
    view! {
        <tr class="clickable" data-testid="group-row" on:click=move |_| go.run(first)>
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
