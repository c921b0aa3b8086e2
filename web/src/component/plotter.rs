//! Where does uPlot come from? Its script is asked for by the first plot that is shown, since most pages have none.
//!
//! PT1  There is one script, however many plots ask; one that did not come is asked for again.
//!
//! Not here: what is drawn with it (`plot`), that `style/boot.js` has it come along with pages that always draw.

use js_sys::{Function, Reflect};
use leptos::prelude::*;
use leptos::web_sys::{self, Element};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};

const SOURCE: &str = "/vendor/uplot/uPlot.iife.min.js";
/// Id of the script's element.
const ID: &str = "plotter";

/// What became of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    /// It is on its way.
    Coming,
    /// It has run.
    Here,
    /// It did not come.
    Missing,
}

/// uPlot's constructor, once the script is here.
pub(super) fn constructor() -> Option<Function> {
    Reflect::get(&web_sys::window()?.into(), &"uPlot".into()).ok()?.dyn_into().ok()
}

/// Asks for the script, unless it is here or on its way.
pub(super) fn ask(script: RwSignal<Script>) {
    if constructor().is_some() {
        script.set(Script::Here);
        return;
    }
    let Some(element) = element() else { return };
    script.set(Script::Coming);
    let gone = element.clone();
    hear(&element, "load", move || {
        script.try_set(Script::Here);
    });
    hear(&element, "error", move || {
        gone.remove();
        script.try_set(Script::Missing);
    });
}

fn hear(element: &Element, event: &str, told: impl FnOnce() + 'static) {
    let told: JsValue = Closure::once_into_js(told);
    element.add_event_listener_with_callback(event, told.unchecked_ref()).ok();
}

/// The script's element, which begins to load when it is put into the page.
fn element() -> Option<Element> {
    let document = web_sys::window()?.document()?;
    if let Some(known) = document.get_element_by_id(ID) {
        return Some(known);
    }
    let element = document.create_element("script").ok()?;
    element.set_id(ID);
    element.set_attribute("src", SOURCE).ok()?;
    document.body()?.append_child(&element).ok()?;
    Some(element)
}
