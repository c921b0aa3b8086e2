//! How are lines over time drawn? By uPlot, with this interface's axes, colours and words.
//!
//! PL1  A plot is taken down with its view: no observer, closure or canvas is left.
//! PL2  A hole joins, a gap parts: uPlot reads `undefined` as the first and `null` as the second.
//! PL3  The step under the pointer is the same here and wherever else the signal of it is set, as by a heat map over the same time.

use super::app::App;
use super::plotter::{self, Script};
use super::{canvas, message};
use crate::client::fetch::Failure;
use crate::component::effect::effect;
use crate::state::metric::grid::{Cell, Grid};
use crate::state::{calendar, scale};
use js_sys::{Array, Function, Object, Reflect};
use leptos::html;
use leptos::prelude::*;
use leptos::web_sys;
use std::rc::Rc;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};

/// Pixels left of the plotting area: the same for every chart, so that time lines up.
pub(crate) const LEFT: f64 = 72.0;
/// Pixels right of it.
pub(crate) const RIGHT: f64 = 12.0;
/// Pixels between the pointer and a value that is marked, at most.
const NEAR: f64 = 20.0;
/// Labels on the axis of time, about: the same for every chart.
pub(crate) const TICKS: usize = 8;

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// What it is called.
    pub(crate) label: String,
    /// CSS variable of its colour.
    pub(crate) colour: String,
    /// Whether it is whole (0), dashed or dotted.
    pub(crate) stroke: u32,
    /// Whether the area below is tinted.
    pub(crate) filled: bool,
    /// Its steps.
    pub(crate) cells: Vec<Cell>,
}

/// Lines over one time axis.
#[derive(Clone)]
pub(crate) struct Plot {
    /// The time axis.
    pub(crate) grid: Grid,
    /// The lines.
    pub(crate) lines: Vec<Line>,
    /// How a value is written.
    pub(crate) format: Rc<dyn Fn(f64) -> String>,
    /// Height in pixels.
    pub(crate) height: f64,
    /// Whether the axis of values begins at zero.
    pub(crate) from_zero: bool,
    /// Whether ticks are round in powers of two, for bytes.
    pub(crate) binary: bool,
    /// Where the last step ends, if each value holds for its whole step: then lines are stairs.
    pub(crate) stairs: Option<i64>,
}

/// What the space between each line and the next is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    Plain,
    /// As between quantiles.
    Tinted,
}

#[derive(Default)]
struct Kept {
    plot: Option<JsValue>,
    closures: Vec<JsValue>,
    held: Vec<Box<dyn std::any::Any>>,
}

impl Kept {
    fn clear(&mut self) {
        if let Some(plot) = self.plot.take() {
            call(&plot, "destroy", &Array::new());
        }
        self.closures.clear();
        self.held.clear();
    }

    /// Keeps a closure alive as long as the plot.
    fn hold<T: ?Sized + wasm_bindgen::closure::WasmClosure + 'static>(&mut self, closure: Closure<T>) -> JsValue {
        let function = closure.as_ref().clone();
        self.held.push(Box::new(closure));
        function
    }
}

/// Draws what `plot` says, now and whenever it changes. `cursor` is the step under the pointer: told where it is here, followed where it is elsewhere.
pub(crate) fn plot(
    label: impl Into<String>,
    cursor: RwSignal<Option<usize>>,
    plot: impl Fn() -> Option<Plot> + 'static,
) -> AnyView {
    followed(label.into(), cursor, Box::new(plot), Between::Plain)
}

/// The same with the space between the lines tinted.
pub(crate) fn banded(
    label: impl Into<String>,
    cursor: RwSignal<Option<usize>>,
    plot: impl Fn() -> Option<Plot> + 'static,
) -> AnyView {
    followed(label.into(), cursor, Box::new(plot), Between::Tinted)
}

fn followed(
    label: String,
    cursor: RwSignal<Option<usize>>,
    plot: Box<dyn Fn() -> Option<Plot>>,
    between: Between,
) -> AnyView {
    let app = App::get();
    let node: NodeRef<html::Div> = NodeRef::new();
    let kept: StoredValue<Kept, LocalStorage> = StoredValue::new_local(Kept::default());
    let height = RwSignal::new(160.0);
    let script = RwSignal::new(Script::Coming);
    plotter::ask(script);
    effect(move || {
        app.colours.track();
        app.utc.track();
        let is_here = script.get() == Script::Here;
        let (Some(plot), Some(element), true) = (plot(), node.get(), is_here) else { return };
        height.set(plot.height);
        kept.update_value(|kept| {
            kept.clear();
            kept.plot = build(app, (&plot, between), &element, cursor, kept);
        });
    });
    effect(move || {
        let step = cursor.get();
        kept.try_with_value(|kept| kept.plot.iter().for_each(|plot| point_at(plot, step)));
    });
    canvas::on_resize(node, move |width, _| {
        kept.try_with_value(|kept| {
            if let Some(plot) = &kept.plot {
                let size = object(&[("width", width.into()), ("height", height.get_untracked().into())]);
                call(plot, "setSize", &Array::of1(&size));
            }
        });
    });
    on_cleanup(move || {
        kept.try_update_value(Kept::clear);
    });
    let missing = move || {
        (script.get() == Script::Missing).then(|| message::failed(&Failure::not_loaded(), move || plotter::ask(script)))
    };
    view! { {missing}<div class="plot" node_ref=node role="img" aria-label=label style=move || format!("height:{}px", height.get())></div> }
        .into_any()
}

fn build(
    app: App,
    (plot, between): (&Plot, Between),
    element: &web_sys::HtmlElement,
    cursor: RwSignal<Option<usize>>,
    kept: &mut Kept,
) -> Option<JsValue> {
    let window = web_sys::window()?;
    let constructor = plotter::constructor()?;
    let style = window.get_computed_style(element).ok()??;
    let colour = |variable: &str| style.get_property_value(variable).unwrap_or_default().trim().to_owned();
    let series = Array::of1(&Object::new());
    let seconds = |nanos: i64| JsValue::from(nanos as f64 / 1e9);
    let edge = |index: usize| plot.grid.start.saturating_add(plot.grid.step.saturating_mul(index as i64));
    let xs: Array = match plot.stairs {
        None => (0..plot.grid.count).map(|i| seconds(plot.grid.time(i))).collect(),
        Some(end) => (0..plot.grid.count).map(edge).chain([end]).map(seconds).collect(),
    };
    let paths = plot.stairs.map_or(JsValue::UNDEFINED, |_| {
        let aligned = Array::of1(&object(&[("align", 1.into())]));
        call(&get(&constructor, "paths"), "stepped", &aligned)
    });
    let data = Array::of1(&xs);
    for line in &plot.lines {
        let stroke = colour(&line.colour);
        let fill: JsValue = if line.filled { format!("{stroke}22").into() } else { JsValue::UNDEFINED };
        let points = object(&[("show", lonely(&line.cells).into()), ("size", 4.into())]);
        series.push(&object(&[
            ("label", line.label.as_str().into()),
            ("stroke", stroke.into()),
            ("fill", fill),
            ("width", 1.5.into()),
            ("points", points),
            ("dash", dash(line.stroke)),
            ("paths", paths.clone()),
        ]));
        // The last stair has two ends.
        let cells: Array =
            line.cells.iter().chain(line.cells.last().filter(|_| plot.stairs.is_some())).map(value).collect();
        data.push(&cells);
    }
    let family = style.get_property_value("font-family").unwrap_or_default();
    let axes = axes(app, plot, &colour, &family, kept);
    let from_zero = plot.from_zero;
    let bounds = Closure::<dyn Fn(JsValue, JsValue, JsValue) -> Array>::new(move |_, low: JsValue, high: JsValue| {
        bounds(low.as_f64(), high.as_f64(), from_zero)
    });
    let x_range = Array::of2(&seconds(plot.grid.start), &seconds(plot.stairs.unwrap_or(edge(plot.grid.count))));
    let scales = object(&[
        ("x", object(&[("time", true.into()), ("range", x_range.into())])),
        ("y", object(&[("range", kept.hold(bounds))])),
    ]);
    let padding = Array::of4(&8.into(), &RIGHT.into(), &0.into(), &0.into());
    let options = object(&[
        ("width", element.get_bounding_client_rect().width().max(50.0).into()),
        ("height", plot.height.into()),
        ("padding", padding.into()),
        ("legend", object(&[("show", false.into())])),
        ("cursor", pointer()),
        ("series", series.into()),
        ("axes", axes.into()),
        ("scales", scales),
        ("hooks", hooks(app, cursor, kept)),
        ("bands", bands(plot, between, &colour)),
    ]);
    element.replace_children_with_node_0();
    Reflect::construct(&constructor, &Array::of3(&options, &data, element)).ok()
}

/// The tinted space between lines; uPlot counts the axis of time as series 0.
fn bands(plot: &Plot, between: Between, colour: &dyn Fn(&str) -> String) -> JsValue {
    let pairs = plot.lines.iter().enumerate().skip(1).filter(|_| between == Between::Tinted);
    let band = |(index, line): (usize, &Line)| {
        let pair = Array::of2(&((index + 1) as f64).into(), &(index as f64).into());
        object(&[("series", pair.into()), ("fill", format!("{}22", colour(&line.colour)).into())])
    };
    pairs.map(band).collect::<Array>().into()
}

/// Pixels drawn and left out, by `Line::stroke`.
fn dash(stroke: u32) -> JsValue {
    match stroke {
        0 => JsValue::UNDEFINED,
        1 => Array::of2(&7.into(), &4.into()).into(),
        _ => Array::of2(&2.into(), &3.into()).into(),
    }
}

/// Whether some value has no neighbour to be joined with: then points are shown.
fn lonely(cells: &[Cell]) -> bool {
    cells.iter().filter(|cell| matches!(cell, Cell::Value(_))).count() < 3
}

fn value(cell: &Cell) -> JsValue {
    match cell {
        Cell::Value(value) => (*value).into(),
        Cell::Hole => JsValue::UNDEFINED,
        Cell::Gap => JsValue::NULL,
    }
}

fn bounds(low: Option<f64>, high: Option<f64>, from_zero: bool) -> Array {
    let (low, high) = (low.unwrap_or(0.0), high.unwrap_or(1.0));
    let low = if from_zero { low.min(0.0) } else { low };
    let room = (high - low) * 0.08;
    let (low, high) = if room > 0.0 {
        (if from_zero && low == 0.0 { 0.0 } else { low - room }, high + room)
    } else {
        (if from_zero { 0.0 } else { low - low.abs() * 0.1 }, high + if high == 0.0 { 1.0 } else { high.abs() * 0.1 })
    };
    Array::of2(&low.into(), &high.into())
}

fn axes(app: App, plot: &Plot, colour: &dyn Fn(&str) -> String, family: &str, kept: &mut Kept) -> Array {
    let offset = app.offset();
    let splits = Closure::<dyn Fn(JsValue, JsValue, f64, f64) -> Array>::new(move |_, _, low: f64, high: f64| {
        let (_, ticks) = scale::time_ticks((low * 1e9) as i64, (high * 1e9) as i64, TICKS, offset);
        // A label at the very edge would be cut.
        let last = high - (high - low) * 0.02;
        ticks
            .into_iter()
            .filter(|tick| *tick as f64 / 1e9 <= last)
            .map(|tick| JsValue::from(tick as f64 / 1e9))
            .collect()
    });
    let times = Closure::<dyn Fn(JsValue, Array) -> Array>::new(move |_, ticks: Array| {
        let ticks: Vec<i64> = ticks.iter().filter_map(|t| t.as_f64()).map(|t| (t * 1e9).round() as i64).collect();
        let step = ticks.windows(2).map(|w| w[1] - w[0]).min().unwrap_or(1_000_000_000);
        ticks.into_iter().map(|t| JsValue::from(calendar::tick_label(t, step, offset))).collect()
    });
    let format = plot.format.clone();
    let values = Closure::<dyn Fn(JsValue, Array) -> Array>::new(move |_, ticks: Array| {
        ticks.iter().map(|t| JsValue::from(t.as_f64().map_or_else(String::new, |t| format(t)))).collect()
    });
    let font = format!("11px {family}");
    let line = || object(&[("stroke", colour("--line-soft").into()), ("width", 1.into())]);
    let none = || object(&[("show", false.into())]);
    let common = |extra: &[(&str, JsValue)]| {
        let axis = object(&[
            ("stroke", colour("--quiet").into()),
            ("font", font.as_str().into()),
            ("grid", line()),
            ("ticks", none()),
        ]);
        for (key, value) in extra.iter().filter(|(_, value)| !value.is_undefined()) {
            Reflect::set(&axis, &(*key).into(), value).ok();
        }
        axis
    };
    let steps: JsValue = if plot.binary {
        (0..60).map(|power| JsValue::from(2f64.powi(power))).collect::<Array>().into()
    } else {
        JsValue::UNDEFINED
    };
    Array::of2(
        &common(&[("splits", kept.hold(splits)), ("values", kept.hold(times)), ("size", 28.into()), ("gap", 6.into())]),
        &common(&[
            ("values", kept.hold(values)),
            ("size", LEFT.into()),
            ("gap", 8.into()),
            ("space", 32.into()),
            ("incrs", steps),
        ]),
    )
}

fn pointer() -> JsValue {
    let drag = object(&[("x", true.into()), ("y", false.into()), ("setScale", false.into())]);
    let sync = object(&[("key", "time".into())]);
    let points = object(&[("size", 6.into())]);
    // Where nothing is near, nothing is marked.
    let hover = object(&[("prox", NEAR.into())]);
    object(&[("drag", drag), ("sync", sync), ("points", points), ("hover", hover), ("y", false.into())])
}

fn hooks(app: App, cursor: RwSignal<Option<usize>>, kept: &mut Kept) -> JsValue {
    let moved = Closure::<dyn Fn(JsValue)>::new(move |plot: JsValue| {
        let step = pointed_at(&plot);
        if cursor.try_get_untracked().is_some_and(|known| known != step) {
            cursor.set(step);
        }
    });
    let selected = Closure::<dyn Fn(JsValue)>::new(move |plot: JsValue| {
        let select = get(&plot, "select");
        let (Some(left), Some(width)) = (get(&select, "left").as_f64(), get(&select, "width").as_f64()) else { return };
        let at = |pixel: f64| call(&plot, "posToVal", &Array::of2(&pixel.into(), &"x".into())).as_f64();
        if let (Some(start), Some(end), true) = (at(left), at(left + width), width >= 4.0) {
            app.zoom_to((start * 1e9) as i64, (end * 1e9) as i64);
        }
    });
    object(&[
        ("setCursor", Array::of1(&kept.hold(moved)).into()),
        ("setSelect", Array::of1(&kept.hold(selected)).into()),
    ])
}

/// The step under a plot's crosshair.
fn pointed_at(plot: &JsValue) -> Option<usize> {
    get(&get(plot, "cursor"), "idx").as_f64().map(|index| index as usize)
}

/// Shows a plot's crosshair at a step, or none (PL3).
fn point_at(plot: &JsValue, step: Option<usize>) {
    if pointed_at(plot) == step {
        return;
    }
    let time = step.map(|step| get(&get(&get(plot, "data"), "0"), &step.to_string()));
    let left = time.and_then(|time| call(plot, "valToPos", &Array::of2(&time, &"x".into())).as_f64());
    // uPlot's own place for a pointer that is elsewhere.
    let place = object(&[("left", left.unwrap_or(-10.0).into()), ("top", if left.is_some() { 0 } else { -10 }.into())]);
    call(plot, "setCursor", &Array::of2(&place, &false.into()));
}

fn object(entries: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (key, value) in entries {
        Reflect::set(&object, &(*key).into(), value).ok();
    }
    object.into()
}

fn get(object: &JsValue, key: &str) -> JsValue {
    Reflect::get(object, &key.into()).unwrap_or(JsValue::UNDEFINED)
}

fn call(object: &JsValue, method: &str, arguments: &Array) -> JsValue {
    let function = get(object, method).dyn_into::<Function>();
    function.ok().and_then(|function| function.apply(object, arguments).ok()).unwrap_or(JsValue::UNDEFINED)
}
