//! How is a list of any length scrolled? Only the rows that are seen are in the document.
//!
//! VL1  Rows outside the viewport, and a few to spare, are not in the DOM.

use super::canvas;
use crate::component::effect::effect;
use crate::state::rows::Heights;
use leptos::html;
use leptos::prelude::*;

/// Rows drawn beyond each edge.
const SPARE: usize = 8;

/// What a list needs.
pub(crate) struct List<F> {
    /// How many rows there are.
    pub(crate) count: Signal<usize>,
    /// How high they are.
    pub(crate) heights: RwSignal<Heights>,
    /// Changes when rows mean something else than before.
    pub(crate) generation: Signal<u64>,
    /// A row to bring into view.
    pub(crate) reveal: Signal<Option<usize>>,
    /// Role of the list: `list`, `tree` or `rowgroup`.
    pub(crate) role: &'static str,
    /// Name of the list for those who do not see it.
    pub(crate) label: &'static str,
    /// Draws a row.
    pub(crate) row: F,
    /// Draws what stands below the last row.
    pub(crate) foot: AnyView,
}

/// The list, and the element that scrolls.
pub(crate) fn virtual_list<F>(list: List<F>) -> (AnyView, NodeRef<html::Div>)
where
    F: Fn(usize) -> AnyView + Clone + Send + 'static,
{
    virtual_list_seen(list, None)
}

/// The same, which tells the first row that is drawn and the one after the last.
pub(crate) fn virtual_list_seen<F>(
    list: List<F>,
    seen: Option<RwSignal<(usize, usize)>>,
) -> (AnyView, NodeRef<html::Div>)
where
    F: Fn(usize) -> AnyView + Clone + Send + 'static,
{
    let List { count, heights, generation, reveal, role, label, row, foot } = list;
    let node: NodeRef<html::Div> = NodeRef::new();
    let view_port = RwSignal::new((0.0, 800.0));
    let measure = move || {
        if let Some(element) = node.try_get_untracked().flatten() {
            view_port.try_set((f64::from(element.scroll_top()), f64::from(element.client_height())));
        }
    };
    canvas::on_resize(node, move |_, _| measure());
    let visible = Memo::new(move |_| {
        let (top, height) = view_port.get();
        heights.with(|heights| heights.visible(count.get(), top, height, SPARE))
    });
    if let Some(seen) = seen {
        effect(move || {
            let drawn = visible.get();
            seen.set((drawn.start, drawn.end));
        });
    }
    effect(move || {
        let (Some(index), Some(element)) = (reveal.get(), node.get()) else { return };
        let (top, height) = (f64::from(element.scroll_top()), f64::from(element.client_height()));
        if let Some(top) = heights.with_untracked(|heights| heights.reveal(index, top, height)) {
            element.set_scroll_top(top as i32);
            measure();
        }
    });
    let total = move || format!("height:{}px", heights.with(|heights| heights.offset(count.get())));
    let shift = move || format!("transform:translateY({}px)", heights.with(|h| h.offset(visible.get().start)));
    let items = move || {
        let generation = generation.get();
        visible.get().map(|index| (generation, index)).collect::<Vec<_>>()
    };
    // What stands below the rows is a row of its own to those who hear them; what only scrolls is reached with tab.
    let last = match role {
        "rowgroup" => ("row", "cell"),
        "list" => ("listitem", "presentation"),
        _ => ("presentation", "presentation"),
    };
    let tabindex = if role == "list" { "0" } else { "-1" };
    let view = view! {
        <div class="virtual" node_ref=node on:scroll=move |_| measure() role=role aria-label=label tabindex=tabindex>
            <div class="virtual-all" role="presentation" style=total>
                <div class="virtual-window" role="presentation" style=shift>
                    <For each=items key=|item| *item children=move |(_, index)| row(index) />
                </div>
            </div>
            <div role=last.0><div role=last.1>{foot}</div></div>
        </div>
    };
    (view.into_any(), node)
}
