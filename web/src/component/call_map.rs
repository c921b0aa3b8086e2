//! How is a map of calls drawn? Boxes for who calls and is called, arrows between them, as wide as there are calls.
//!
//! CM1  A map that is wider than its room is first shown whole. It is never shown larger than it was laid out.
//!
//! Not here: where each stands (`state::map`), what a click on one does, what is written in it.

use super::canvas;
use crate::state::map::{Around, Kind, Map, NODE, Node, Scale};
use crate::state::{format, hue};
use leptos::html;
use leptos::prelude::*;
use leptos::web_sys;
use query_api::service::GraphEdge;

/// Pixels of the room's width that its borders take.
const BORDERS: f64 = 2.0;

/// What is drawn beside the map itself.
pub(crate) struct Drawn<'a> {
    /// What is not near is faint.
    pub(crate) near: &'a Around,
    /// Name of the box that is chosen; empty where none is.
    pub(crate) chosen: &'a str,
    /// What is written below a name, and whether it is bad.
    pub(crate) words: &'a dyn Fn(&Node) -> (String, bool),
    /// Whether calls are drawn as failing.
    pub(crate) failing: &'a dyn Fn(&GraphEdge) -> bool,
    /// Told the name of a box that is clicked; nothing when it was chosen.
    pub(crate) choose: Callback<Option<String>>,
}

/// The share that failed, behind other words; nothing where none did.
pub(crate) fn failed(node: &Node) -> String {
    if node.failed == 0 {
        return String::new();
    }
    format!(" · {} failed", format::percent(node.failed as f64 / node.calls.max(1) as f64))
}

/// The map.
pub(crate) fn drawn(map: &Map, edges: &[GraphEdge], drawn: Drawn<'_>) -> AnyView {
    let most = edges.iter().map(|edge| edge.call_count).max().unwrap_or(1).max(1) as f64;
    let arrows = map.arrows.iter().filter_map(|arrow| {
        let edge = edges.get(arrow.edge)?;
        let width = 1 + (5.0 * (edge.call_count as f64 / most).sqrt()) as u32;
        let (far, failing) = (!drawn.near.has_call(arrow), (drawn.failing)(edge));
        Some(
            view! { <path d=arrow.path.clone() stroke-width=width class="call" class:failing=failing class:far=far /> },
        )
    });
    let nodes = map.nodes.iter().enumerate().map(|(at, node)| boxed(node, drawn.near.has(at), &drawn));
    let (width, height) = (map.width as u32, map.height as u32);
    let view_box = format!("0 0 {width} {height}");
    let (room, scale) = (NodeRef::<html::Div>::new(), RwSignal::new(Scale::new(map.width)));
    canvas::on_resize(room, move |width, _| {
        scale.try_update(|scale| scale.within(width - BORDERS));
    });
    let size = move || format!("width:{width}px;height:{height}px;zoom:{:.4}", scale.with(Scale::factor));
    let wheel = move |event: web_sys::WheelEvent| {
        if event.ctrl_key() && scale.with_untracked(Scale::is_scaled) {
            event.prevent_default();
            scale.update(|scale| scale.zoom((-event.delta_y() / 400.0).exp()));
        }
    };
    view! {
        {tools(scale)}
        <div class="map-room" node_ref=room tabindex="0" role="group" aria-label="Map of calls; the table below has the same" on:wheel=wheel>
            <div class="map" style=size data-testid="map">
                <svg viewBox=view_box aria-hidden="true">{arrows.collect_view()}</svg>
                {nodes.collect_view()}
            </div>
        </div>
    }
    .into_any()
}

/// Zooms a map that does not fit into its room as it was laid out.
fn tools(scale: RwSignal<Scale>) -> AnyView {
    let is_scaled = Memo::new(move |_| scale.with(Scale::is_scaled));
    let percent = move || format::percent(scale.with(Scale::factor));
    let zoom = move |by: f64| scale.update(|scale| scale.zoom(by));
    let shown = move || {
        is_scaled.get().then(|| {
            view! {
                <div class="map-tools">
                    <span class="quiet small num">{percent}</span>
                    <button class="button icon" title="Zoom out (ctrl and wheel)" aria-label="Zoom out" on:click=move |_| zoom(1.0 / 1.5)>"−"</button>
                    <button class="button icon" title="Zoom in (ctrl and wheel)" aria-label="Zoom in" data-testid="map-larger" on:click=move |_| zoom(1.5)>"+"</button>
                    <button class="button" data-testid="map-fit" on:click=move |_| scale.update(Scale::fit)>"Show all"</button>
                </div>
            }
        })
    };
    view! { {shown} }.into_any()
}

fn boxed(node: &Node, near: bool, drawn: &Drawn<'_>) -> AnyView {
    let name = node.name.clone();
    let (chosen, choose) = (node.name == drawn.chosen, drawn.choose);
    let told = (!chosen).then(|| name.clone());
    let (glyph, what) = match node.kind {
        Kind::Service => ("", "service"),
        Kind::Database => ("⛁", "database"),
        Kind::Queue => ("≡", "queue"),
        Kind::Peer => ("○", "sends no spans"),
    };
    let (words, bad) = (drawn.words)(node);
    let [x, y, width, height] = [node.x, node.y, NODE.0, NODE.1].map(|length| length as u32);
    let place = format!("left:{x}px;top:{y}px;width:{width}px;height:{height}px;--svc:{}", hue::css(&node.name));
    view! {
        <button class="map-node" class:far=!near class:chosen=chosen class:other={node.kind != Kind::Service} style=place
            title=format!("{} ({what})", node.name) aria-pressed=chosen.to_string() data-testid="map-node" data-service=name
            on:click=move |_| choose.run(told.clone())>
            <span class="map-name">{(!glyph.is_empty()).then(|| view! { <i aria-hidden="true">{glyph}</i> })}<span class="cutoff">{node.name.clone()}</span></span>
            <span class="quiet small cutoff" class:bad=bad>{words}</span>
        </button>
    }
    .into_any()
}
