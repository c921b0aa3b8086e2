//! Where did the time go? The trace's spans by service and operation.

use super::view::View;
use crate::component::app::Entry;
use crate::component::text;
use crate::state::format;
use crate::state::trace::statistics::{self, By, Group};
use crate::state::trace::tree::Trace;
use leptos::prelude::*;

const COLUMNS: [(&str, &str, By); 5] = [
    ("count", "Spans", By::Count),
    ("errors", "Errors", By::Errors),
    ("total", "Total", By::Total),
    ("self", "Self time", By::SelfTime),
    ("longest", "Longest", By::Longest),
];

/// The tab.
pub(super) fn tab(view: View) -> AnyView {
    let app = view.app;
    let chosen = Memo::new(move |_| {
        let by = app.params.with(|p| p.get("by").map(str::to_owned));
        by.and_then(|by| COLUMNS.iter().position(|(key, _, _)| *key == by)).unwrap_or(3)
    });
    let head = move |(index, (key, words, _)): (usize, (&'static str, &'static str, By))| {
        let here = move || chosen.get() == index;
        view! {
            <th scope="col" aria-sort=move || if here() { "descending" } else { "none" }>
                <button class="sort" class:current=here on:click=move |_| app.set(Entry::Replace, "by", Some(key))>{words}</button>
            </th>
        }
    };
    let rows = move || {
        let trace = view.trace()?;
        let by = COLUMNS.get(chosen.get()).map_or(By::SelfTime, |(_, _, by)| *by);
        let sum: i64 = trace.rows.iter().map(|row| row.self_time).sum();
        let groups = statistics::groups(&trace, by);
        Some(groups.into_iter().take(1_000).map(|group| row(view, &trace, group, sum)).collect_view())
    };
    view! {
        <div class="scroll">
            <table class="data" data-testid="statistics">
                <thead><tr>
                    <th scope="col" class="left">"Service"</th><th scope="col" class="left">"Operation"</th>
                    {COLUMNS.into_iter().enumerate().map(head).collect_view()}
                    <th scope="col" class="left">"Share of self time"</th>
                </tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(view: View, trace: &Trace, group: Group, sum: i64) -> AnyView {
    let share = if sum > 0 { group.self_time as f64 / sum as f64 } else { 0.0 };
    let name = trace.services[group.service].name.clone();
    let first = group.first;
    let open = move |_| {
        view.app.change(Entry::Push, |params| params.set("tab", None));
        view.select(Some(first));
    };
    view! {
        <tr class="clickable" on:click=open title="Go to the first of them">
            <td>{text::service_name(&name)}</td>
            <td class="name">{group.name}</td>
            <td class="num">{format::count(group.count as u64)}</td>
            <td class="num" class:bad={group.errors > 0}>{if group.errors > 0 { group.errors.to_string() } else { "–".into() }}</td>
            <td class="num">{format::duration(group.total)}</td>
            <td class="num">{format::duration(group.self_time)}</td>
            <td class="num">{format::duration(group.longest)}</td>
            <td><span class="bar-cell"><span class="bar-track"><i class="bar" style=format!("width:{:.1}%;--svc:{}", share * 100.0, crate::state::hue::css(&name))></i></span><span class="num">{format::percent(share)}</span></span></td>
        </tr>
    }
    .into_any()
}
