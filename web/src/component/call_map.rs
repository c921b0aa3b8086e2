//! How is a map of calls drawn? Boxes for who calls and is called, arrows between them, as wide as there are calls.
//!
//! CM1  A map that is wider than its room is first shown as small as its names can be read, or whole if that is larger; it can be pulled,
//!      and is never shown larger than it was laid out. Who is chosen stands in the middle.
//! CM2  Of a map of many, names that hold what is sought are marked, and the first of them is brought into view.
//!
//! Not here: where each stands (`state::map`), what a click on one does, what is written in it.

use super::canvas;
use crate::component::effect::effect;
use crate::state::map::{Around, Kind, Map, Node, ROOM, Scale, breakable, is_narrow};
use crate::state::{format, hue, lower};
use leptos::html;
use leptos::prelude::*;
use leptos::web_sys;
use query_api::service::GraphEdge;
use wasm_bindgen::JsCast;

/// Pixels of the room's width that its borders take.
const BORDERS: f64 = 2.0;
/// Pixels of the window's width that stand beside a map.
const BESIDE: f64 = 65.0;
/// From so many boxes on names are sought.
const MANY: usize = 9;

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

/// What the window has for a map.
pub(crate) fn room() -> f64 {
    let width = web_sys::window().and_then(|window| window.inner_width().ok()?.as_f64());
    width.map_or(ROOM, |width| (width - BESIDE).max(ROOM))
}

/// A map on the screen.
#[derive(Clone, Copy)]
struct Seen {
    room: NodeRef<html::Div>,
    scale: RwSignal<Scale>,
    sought: RwSignal<String>,
    /// Names, in small letters, as boxes are.
    names: StoredValue<Vec<String>>,
    boxes: StoredValue<Vec<NodeRef<html::Button>>>,
}

impl Seen {
    /// Whether a box is sought.
    fn finds(self, at: usize) -> bool {
        let sought = self.sought.with(|sought| lower::lower(sought));
        let has = |names: &Vec<String>| names.get(at).is_some_and(|name| name.contains(&sought));
        !sought.is_empty() && self.names.with_value(has)
    }

    /// Brings a box into the middle of the room.
    fn bring(self, at: usize) {
        let node = self.boxes.with_value(|boxes| boxes.get(at).copied());
        if let Some(element) = node.and_then(|node| node.get_untracked()) {
            let options = web_sys::ScrollIntoViewOptions::new();
            options.set_inline(web_sys::ScrollLogicalPosition::Center);
            options.set_block(web_sys::ScrollLogicalPosition::Nearest);
            element.scroll_into_view_with_scroll_into_view_options(&options);
        }
    }
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
    let (room, scale) = (NodeRef::<html::Div>::new(), RwSignal::new(Scale::new(map.width)));
    let boxes: Vec<NodeRef<html::Button>> = map.nodes.iter().map(|_| NodeRef::new()).collect();
    let names = map.nodes.iter().map(|node| lower::lower(&node.name)).collect();
    let sought = RwSignal::new(String::new());
    let (names, stored) = (StoredValue::new(names), StoredValue::new(boxes.clone()));
    let seen = Seen { room, scale, sought, names, boxes: stored };
    let nodes = map.nodes.iter().zip(boxes).enumerate();
    let nodes = nodes.map(|(at, (node, place))| boxed((at, node, place), map.size, seen, &drawn)).collect_view();
    let (width, height) = (map.width as u32, map.height as u32);
    let view_box = format!("0 0 {width} {height}");
    let chosen = map.nodes.iter().position(|node| node.name == drawn.chosen);
    let centred = StoredValue::new(false);
    canvas::on_resize(room, move |width, _| {
        scale.try_update(|scale| scale.within(width - BORDERS));
        if let Some(at) = chosen.filter(|_| centred.try_get_value() == Some(false)) {
            centred.set_value(true);
            seen.bring(at);
        }
    });
    let size = move || format!("width:{width}px;height:{height}px;zoom:{:.4}", scale.with(Scale::factor));
    let wheel = move |event: web_sys::WheelEvent| {
        if event.ctrl_key() && scale.with_untracked(Scale::is_scaled) {
            event.prevent_default();
            scale.update(|scale| scale.zoom((-event.delta_y() / 400.0).exp()));
        }
    };
    let (narrow, arrows) = (is_narrow(map.size), arrows.collect_view());
    let (grab, pull, release) = pulled(seen);
    view! {
        {tools(seen, map, drawn.choose)}
        <div class="map-room" node_ref=room tabindex="0" role="group" aria-label="Map of calls; the table below has the same"
            on:wheel=wheel on:pointerdown=grab on:pointermove=pull on:pointerup=release on:pointercancel=release>
            <div class="map" class:narrow=narrow style=size data-testid="map">
                <svg viewBox=view_box aria-hidden="true">{arrows}</svg>
                {nodes}
            </div>
        </div>
    }
    .into_any()
}

/// What pulls a map that does not fit, by what is between its boxes.
fn pulled(
    seen: Seen,
) -> (
    impl Fn(web_sys::PointerEvent) + Copy + 'static,
    impl Fn(web_sys::PointerEvent) + Copy + 'static,
    impl Fn(web_sys::PointerEvent) + Copy + 'static,
) {
    let (room, held) = (seen.room, StoredValue::new(None::<(i32, i32)>));
    let grab = move |event: web_sys::PointerEvent| {
        let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let on_box = target.is_some_and(|target| target.closest("button").ok().flatten().is_some());
        if let Some(room) = room.get_untracked().filter(|_| event.button() == 0 && !on_box) {
            room.set_pointer_capture(event.pointer_id()).ok();
            held.set_value(Some((event.client_x(), room.scroll_left())));
        }
    };
    let pull = move |event: web_sys::PointerEvent| {
        if let (Some((from, left)), Some(room)) = (held.get_value(), room.get_untracked()) {
            room.set_scroll_left(left - (event.client_x() - from));
        }
    };
    (grab, pull, move |_| held.set_value(None))
}

/// Seeks a name on a map of many, and zooms one that does not fit into its room as it was laid out.
fn tools(seen: Seen, map: &Map, choose: Callback<Option<String>>) -> AnyView {
    let scale = seen.scale;
    let is_scaled = Memo::new(move |_| scale.with(Scale::is_scaled));
    let percent = move || format::percent(scale.with(Scale::factor));
    let zoom = move |by: f64| scale.update(|scale| scale.zoom(by));
    let shown = move || {
        is_scaled.get().then(|| {
            view! {
                <span class="quiet small num">{percent}</span>
                <button class="button icon" title="Zoom out (ctrl and wheel)" aria-label="Zoom out" on:click=move |_| zoom(1.0 / 1.5)>"−"</button>
                <button class="button icon" title="Zoom in (ctrl and wheel)" aria-label="Zoom in" data-testid="map-larger" on:click=move |_| zoom(1.5)>"+"</button>
                <button class="button" data-testid="map-fit" on:click=move |_| scale.update(Scale::fit)>"Whole map"</button>
            }
        })
    };
    let seek = (map.nodes.len() >= MANY).then(|| seek(seen, map, choose));
    view! { <div class="map-tools">{seek}<span class="grow"></span>{shown}</div> }.into_any()
}

fn seek(seen: Seen, map: &Map, choose: Callback<Option<String>>) -> AnyView {
    let count = map.nodes.len();
    let names: StoredValue<Vec<String>> = StoredValue::new(map.nodes.iter().map(|node| node.name.clone()).collect());
    let (sought, first) = (seen.sought, move || (0..count).find(|at| seen.finds(*at)));
    effect(move || {
        if let Some(at) = first() {
            seen.bring(at);
        }
    });
    let keys = move |event: web_sys::KeyboardEvent| match event.key().as_str() {
        "Enter" => {
            if let Some(at) = first() {
                choose.run(names.with_value(|names| names.get(at).cloned()));
            }
        }
        "Escape" => sought.set(String::new()),
        _ => {}
    };
    let words = move || {
        let found = (0..count).filter(|at| seen.finds(*at)).count();
        if sought.with(String::is_empty) { String::new() } else { format!("{found} of {count}") }
    };
    view! {
        <input class="search" type="search" data-query spellcheck="false" placeholder="Find a name" aria-label="Find a name on the map" data-testid="map-find"
            prop:value=move || sought.get() on:input=move |event| sought.set(event_target_value(&event))
            on:keydown=keys />
        <span class="quiet small num" aria-live="polite" data-testid="map-found">{words}</span>
    }
    .into_any()
}

fn boxed(
    (at, node, place): (usize, &Node, NodeRef<html::Button>),
    size: (f64, f64),
    seen: Seen,
    drawn: &Drawn<'_>,
) -> AnyView {
    let near = drawn.near.has(at);
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
    let title = format!("{} ({what}) · {words}", node.name);
    // Where a box is narrow there is room for the last of them, which is the worst; the title has all.
    let words = if is_narrow(size) { words.rsplit(" · ").next().unwrap_or_default().to_owned() } else { words };
    let [x, y, width, height] = [node.x, node.y, size.0, size.1].map(|length| length as u32);
    let style = format!("left:{x}px;top:{y}px;width:{width}px;height:{height}px;--svc:{}", hue::css(&node.name));
    view! {
        <button class="map-node" class:far=!near class:chosen=chosen class:other={node.kind != Kind::Service} class:found=move || seen.finds(at) style=style node_ref=place
            title=title aria-pressed=chosen.to_string() data-testid="map-node" data-service=name
            on:click=move |_| choose.run(told.clone())>
            <span class="map-name">{(!glyph.is_empty()).then(|| view! { <i aria-hidden="true">{glyph}</i> })}<span class="cutoff whole">{breakable(&node.name)}</span></span>
            <span class="quiet small cutoff" class:bad=bad>{words}</span>
        </button>
    }
    .into_any()
}
