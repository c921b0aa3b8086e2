//! What surrounds a chart? Its title, what it shows now, and the same as a table behind `⋯`.
//!
//! CH1  Which charts are shown as tables is in the URL, by their titles.

use super::app::{App, Entry};
use leptos::prelude::*;

/// Rows shown of a chart's table.
const LONGEST: usize = 500;

/// A chart's data as text: headings, and rows of as many cells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    /// Headings.
    pub(crate) heads: Vec<String>,
    /// Rows.
    pub(crate) rows: Vec<Vec<String>>,
}

/// A chart in its frame; `table` is asked only when a person wants to see it.
pub(crate) fn framed(
    title: impl Into<String>,
    aside: impl IntoView + 'static,
    chart: AnyView,
    table: impl Fn() -> Table + Send + 'static,
) -> AnyView {
    let app = App::get();
    let title = title.into();
    let of_open = title.clone();
    let open = Memo::new(move |_| app.params.with(|params| params.all("table").contains(&of_open)));
    let named = title.clone();
    let toggle = move |_| {
        app.change(Entry::Replace, |params| {
            let mut open = params.all("table");
            match open.iter().position(|other| *other == named) {
                Some(at) => drop(open.remove(at)),
                None => open.push(named.clone()),
            }
            params.set_all("table", &open);
        });
    };
    let shown = move || open.get().then(|| data(&table()));
    view! {
        <figure class="chart" data-testid="chart">
            <figcaption>
                <span class="chart-title">{title}</span>
                <span class="chart-aside quiet">{aside}</span>
                <button class="button icon" title="Data of this chart as a table" aria-label="Data as a table"
                    aria-expanded=move || open.get().to_string() on:click=toggle data-testid="as-table">"⋯"</button>
            </figcaption>
            {chart}
            {shown}
        </figure>
    }
    .into_any()
}

fn data(table: &Table) -> AnyView {
    let more = table.rows.len().saturating_sub(LONGEST);
    let heads =
        table.heads.iter().map(|head| view! { <th scope="col" title=head.clone()>{head.clone()}</th> }).collect_view();
    let cells = |row: &Vec<String>| row.iter().map(|cell| view! { <td class="num">{cell.clone()}</td> }).collect_view();
    let rows = table.rows.iter().take(LONGEST).map(|row| view! { <tr>{cells(row)}</tr> }).collect_view();
    view! {
        <div class="chart-table" tabindex="0">
            <table class="data"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>
            {(more > 0).then(|| view! { <p class="quiet small">{format!("{more} more rows are not shown")}</p> })}
        </div>
    }
    .into_any()
}
