//! How is one place of both trees shown? A line that says where it is and how much longer it took, opened for what differs.

use super::Here;
use crate::client::paged::Paged;
use crate::component::app::Entry;
use crate::component::effect::effect;
use crate::component::virtual_list::{List, virtual_list};
use crate::component::{canvas, message, text};
use crate::state::rows::Heights;
use crate::state::trace::indent;
use crate::state::trace::tree::kind_word;
use crate::state::{attribute, format, hue};
use leptos::html;
use leptos::prelude::*;
use query_api::compare::{AttributeDifference, CompareNode, CompareResponse, ComparedSpan};
use std::collections::HashSet;

/// Height of a closed row.
const ROW: f64 = 26.0;
/// Attributes of one span that are told.
const ATTRIBUTES: usize = 100;

/// Where a node is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Here,
    There,
    Changed,
    Same,
}

impl Where {
    fn of(node: &CompareNode) -> Where {
        match (&node.base, &node.other) {
            (None, _) => Where::Here,
            (_, None) => Where::There,
            (Some(base), Some(other)) if base.status != other.status || !node.attributes.is_empty() => Where::Changed,
            _ => Where::Same,
        }
    }

    /// Its mark, class, and words.
    fn told(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Where::Here => ("+", "only-here", "only in this trace"),
            Where::There => ("−", "only-there", "only in the other trace"),
            Where::Changed => ("~", "changed", "changed"),
            Where::Same => ("", "same", "in both"),
        }
    }
}

/// A change in words, and the class of its colour; what is less than a hundredth is none.
pub(super) fn change(base: i64, other: i64) -> (String, &'static str) {
    let by = other.saturating_sub(base);
    if by.abs() <= base.max(other) / 100 {
        return ("±0".to_owned(), "quiet");
    }
    let (sign, class) = if by > 0 { ("+", "slower") } else { ("−", "faster") };
    (format!("{sign}{}", format::duration(by.abs())), class)
}

#[derive(Clone, Copy)]
struct Nodes {
    view: Here,
    found: Paged<CompareResponse>,
    heights: RwSignal<Heights>,
    open: RwSignal<HashSet<usize>>,
    longest: Memo<i64>,
}

/// The nodes.
pub(super) fn list(view: Here, found: Paged<CompareResponse>) -> AnyView {
    let heights = RwSignal::new(Heights::new(ROW));
    let open = RwSignal::new(HashSet::new());
    effect(move || {
        found.generation.track();
        heights.update(Heights::close_all);
        open.set(HashSet::new());
    });
    let longest = Memo::new(move |_| {
        let both = found
            .first
            .data
            .with(|data| data.as_ref().map(|data| data.base.duration_nano.max(data.other.duration_nano)));
        both.unwrap_or(0).max(1)
    });
    let nodes = Nodes { view, found, heights, open, longest };
    let foot = view! {
        <div class="list-foot">
            {move || found.failure.get().map(|failure| message::failed(&failure, move || found.more()))}
            <Show when=move || found.cursor.with(Option::is_some)>
                <button class="button" data-testid="load-more" disabled=move || found.growing.busy.get() on:click=move |_| found.more()>"Load more"</button>
            </Show>
        </div>
    };
    let (list, _) = virtual_list(List {
        count: Signal::derive(move || found.rows.with(|rows| rows.len())),
        heights,
        generation: found.generation.into(),
        reveal: Signal::derive(|| None),
        role: "list",
        label: "Both traces as one tree",
        row: move |index| nodes.row(index),
        foot: foot.into_any(),
    });
    view! {
        <div class="compare-row heads" aria-hidden="true"><span>"Service and operation"</span><span class="num">"There"</span><span class="num">"Here"</span><span class="num">"Change"</span><span></span></div>
        {list}
    }
    .into_any()
}

impl Nodes {
    fn row(self, index: usize) -> AnyView {
        let Some(node) = self.found.rows.with_untracked(|rows| rows.get(index).cloned()) else { return ().into_any() };
        let (mark, class, words) = Where::of(&node).told();
        let depth = node.depth as usize;
        let pixels = indent::indent(depth);
        let took = |span: &Option<ComparedSpan>| {
            span.as_ref().map_or_else(|| "–".to_owned(), |span| format::duration(span.duration_nano))
        };
        let (changed, change_class) = match (&node.base, &node.other) {
            (Some(base), Some(other)) => change(base.duration_nano, other.duration_nano),
            _ => (words.to_owned(), "quiet small"),
        };
        let error = node.other.as_ref().or(node.base.as_ref()).is_some_and(|span| span.status == 2);
        let is_open = Memo::new(move |_| self.open.with(|open| open.contains(&index)));
        let toggle = move |_| {
            let opened = self.open.try_update(|open| open.insert(index) || !open.remove(&index)).unwrap_or(false);
            if !opened {
                self.heights.update(|heights| heights.open(index, 0.0));
            }
        };
        let bar = self.bar(&node);
        let differing = (!node.attributes.is_empty())
            .then(|| view! { <span class="badge num" title="Attributes that differ">{node.attributes.len()}</span> });
        let deep = indent::told(depth).map(|depth| view! { <span class="badge num" title="Depth">{depth}</span> });
        let (service, name) = (node.service.clone(), format::cut(&node.name, text::LINE).0.to_owned());
        let colour = format!("--svc:{}", hue::css(&service));
        view! {
            <div class=format!("compare-item {class}") role="listitem" style=colour>
                <div class="compare-row" data-testid="compare-row" data-where=class on:click=toggle>
                    <span class="span-name"><span class="guides" style=format!("width:{pixels}px")></span><i class="where" title=words>{mark}</i>{deep}<i class="edge"></i>
                        {error.then(|| view! { <span class="error-mark" title="Status is error">"■"</span> })}
                        <button class="link plain" aria-expanded=move || is_open.get().to_string()><span class="span-service">{service}</span><span class="span-op">{name}</span></button>{differing}
                    </span>
                    <span class="num">{took(&node.base)}</span><span class="num">{took(&node.other)}</span>
                    <span class=format!("num {change_class}")>{changed}</span>{bar}
                </div>
                {move || is_open.get().then(|| self.details(index, &node))}
            </div>
        }
        .into_any()
    }

    /// Longer to the right, shorter to the left, as shares of the longer trace.
    fn bar(self, node: &CompareNode) -> AnyView {
        let Some((base, other)) = node.base.as_ref().zip(node.other.as_ref()) else {
            return view! { <span class="change-bar"></span> }.into_any();
        };
        let by = other.duration_nano.saturating_sub(base.duration_nano);
        let style = move || {
            let width = (by.abs() as f64 / self.longest.get() as f64).min(1.0) * 50.0;
            if by > 0 { format!("left:50%;width:{width:.2}%") } else { format!("right:50%;width:{width:.2}%") }
        };
        let class = if by > 0 { "slower" } else { "faster" };
        view! { <span class="change-bar"><i class=class style=style></i></span> }.into_any()
    }

    fn details(self, index: usize, node: &CompareNode) -> AnyView {
        let place: NodeRef<html::Div> = NodeRef::new();
        canvas::on_resize(place, move |_, height| {
            self.heights.try_update(|heights| heights.open(index, height));
        });
        let side = |name: &'static str, span: &Option<ComparedSpan>, link: Option<AnyView>| {
            let words = span.as_ref().map_or_else(
                || "it is not there".to_owned(),
                |span| {
                    let status = ["unset", "ok", "error"].get(span.status as usize).copied().unwrap_or("unset");
                    let message = if span.status_message.is_empty() {
                        String::new()
                    } else {
                        format!(": {}", format::cut(&span.status_message, text::LINE).0)
                    };
                    let (whole, own, start) = (span.duration_nano, span.self_nano, span.start_nano);
                    let [whole, own, start] = [whole, own, start].map(format::duration);
                    format!("{whole}, self {own}, at {start}, status {status}{message}")
                },
            );
            view! { <dt>{name}</dt><dd>{words}" "{link}</dd> }
        };
        let here = node.other.as_ref().map(|span| {
            let id = span.span_id.clone();
            let app = self.view.app;
            let go = move |_| {
                app.change(Entry::Push, |params| {
                    params.set("tab", None);
                    params.set("span", Some(&id));
                });
            };
            view! { <button class="link" data-testid="compare-span" on:click=go>"show it"</button> }.into_any()
        });
        let there = node.base.as_ref().zip(self.found.first.data.get_untracked()).map(|(span, data)| {
            let href = self.view.app.href(&format!("/trace/{}", data.base.trace_id), &[("span", &span.span_id)]);
            view! { <a href=href>"show it"</a> }.into_any()
        });
        view! {
            <div class="compare-details" node_ref=place data-testid="compare-details">
                <dl class="facts-list num"><dt>"Kind"</dt><dd>{kind_word(node.kind)}</dd>{side("There", &node.base, there)}{side("Here", &node.other, here)}</dl>
                {attributes(&node.attributes)}
            </div>
        }
        .into_any()
    }
}

fn attributes(list: &[AttributeDifference]) -> AnyView {
    if list.is_empty() {
        return ().into_any();
    }
    let more = list.len().saturating_sub(ATTRIBUTES);
    let value = |value: &Option<query_api::otlp::AnyValue>| match value {
        Some(value) => text::long_text(attribute::text(value)),
        None => view! { <span class="quiet">"–"</span> }.into_any(),
    };
    let row = |one: &AttributeDifference| view! { <tr><th scope="row">{one.key.clone()}</th><td class="value">{value(&one.base)}</td><td class="value">{value(&one.other)}</td></tr> };
    view! {
        <div class="attributes"><table>
            <thead><tr><th scope="col">"Attribute"</th><th scope="col">"There"</th><th scope="col">"Here"</th></tr></thead>
            <tbody>{list.iter().take(ATTRIBUTES).map(row).collect_view()}</tbody>
        </table></div>
        {(more > 0).then(|| view! { <p class="quiet small">{format!("{more} more differ")}</p> })}
    }
    .into_any()
}
