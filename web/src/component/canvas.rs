//! How is something drawn that would be too many elements? On a canvas, sharp on every screen, in the theme's colours.
//!
//! CV1  A drawing is drawn again when its size, its data or the theme changes.

use super::app::App;
use crate::component::effect::effect;
use crate::state::hue;
use leptos::html;
use leptos::prelude::*;
use leptos::web_sys::{self, CanvasRenderingContext2d, CssStyleDeclaration, HtmlCanvasElement};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;

/// What draws: a context in CSS pixels, and the theme.
pub(crate) struct Pen {
    context: CanvasRenderingContext2d,
    style: CssStyleDeclaration,
    font: String,
    /// Width in CSS pixels.
    pub(crate) width: f64,
    /// Height in CSS pixels.
    pub(crate) height: f64,
}

/// Where a text stands on its point.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Align {
    /// Begins there.
    Left,
    /// Is centred there.
    Middle,
    /// Ends there.
    Right,
}

impl Pen {
    /// A pen for a canvas of so many CSS pixels; clears it.
    fn new(canvas: &HtmlCanvasElement, width: f64, height: f64) -> Option<Pen> {
        let window = web_sys::window()?;
        let ratio = window.device_pixel_ratio();
        canvas.set_width((width * ratio).round() as u32);
        canvas.set_height((height * ratio).round() as u32);
        let context: CanvasRenderingContext2d = canvas.get_context("2d").ok()??.dyn_into().ok()?;
        context.set_transform(ratio, 0.0, 0.0, ratio, 0.0, 0.0).ok()?;
        let style = window.get_computed_style(canvas).ok()??;
        let family = style.get_property_value("font-family").unwrap_or_default();
        Some(Pen { context, style, font: format!("11px {family}"), width, height })
    }

    /// The theme's value of a CSS variable.
    pub(crate) fn colour(&self, variable: &str) -> String {
        self.style.get_property_value(variable).unwrap_or_default().trim().to_owned()
    }

    /// Fills with a colour from here on.
    pub(crate) fn fill(&self, colour: &str) {
        self.context.set_fill_style_str(colour);
    }

    /// How opaque everything is from here on.
    pub(crate) fn opacity(&self, alpha: f64) {
        self.context.set_global_alpha(alpha);
    }

    /// A filled rectangle.
    pub(crate) fn rect(&self, x: f64, y: f64, width: f64, height: f64) {
        self.context.fill_rect(x, y, width, height);
    }

    /// A filled circle.
    pub(crate) fn circle(&self, x: f64, y: f64, radius: f64) {
        self.context.begin_path();
        if self.context.arc(x, y, radius, 0.0, std::f64::consts::TAU).is_ok() {
            self.context.fill();
        }
    }

    /// A filled square on its corner.
    pub(crate) fn diamond(&self, x: f64, y: f64, radius: f64) {
        self.context.begin_path();
        self.context.move_to(x, y - radius);
        self.context.line_to(x + radius, y);
        self.context.line_to(x, y + radius);
        self.context.line_to(x - radius, y);
        self.context.fill();
    }

    /// The outline of a rectangle.
    pub(crate) fn frame(&self, colour: &str, x: f64, y: f64, width: f64, height: f64) {
        self.outline(colour, 1.0, (x, y, width, height));
    }

    /// The same with a line of some width, which is inside.
    pub(crate) fn outline(&self, colour: &str, line: f64, (x, y, width, height): (f64, f64, f64, f64)) {
        self.context.set_stroke_style_str(colour);
        self.context.set_line_width(line);
        self.context.stroke_rect(x + line / 2.0, y + line / 2.0, (width - line).max(0.0), (height - line).max(0.0));
    }

    /// The theme's colours of services, in their order.
    pub(crate) fn services<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<String> {
        let hues: Vec<String> = (0..hue::HUES).map(|hue| self.colour(&format!("--svc-{hue}"))).collect();
        names.map(|name| hues.get(hue::of(name) as usize).cloned().unwrap_or_default()).collect()
    }

    /// A ring.
    pub(crate) fn ring(&self, colour: &str, x: f64, y: f64, radius: f64) {
        self.context.set_stroke_style_str(colour);
        self.context.set_line_width(2.0);
        self.context.begin_path();
        if self.context.arc(x, y, radius, 0.0, std::f64::consts::TAU).is_ok() {
            self.context.stroke();
        }
    }

    /// A text in the small size, its middle at `y`.
    pub(crate) fn text(&self, text: &str, x: f64, y: f64, align: Align) {
        self.context.set_font(&self.font);
        self.context.set_text_baseline("middle");
        self.context.set_text_align(match align {
            Align::Left => "left",
            Align::Middle => "center",
            Align::Right => "right",
        });
        self.context.fill_text(text, x, y).ok();
    }
}

/// A canvas that fills its parent, and what is drawn on it. `label` says to those who do not see it what it shows.
pub(crate) fn drawing(label: impl Into<String>, draw: impl Fn(&Pen) + 'static) -> (AnyView, NodeRef<html::Canvas>) {
    let app = App::get();
    let node: NodeRef<html::Canvas> = NodeRef::new();
    let size = RwSignal::new((0.0, 0.0));
    let label = label.into();
    on_resize(node, move |width, height| {
        size.try_set((width, height));
    });
    effect(move || {
        let (width, height) = size.get();
        app.colours.track();
        let Some(canvas) = node.get() else { return };
        if width <= 0.0 || height <= 0.0 {
            return;
        }
        if let Some(pen) = Pen::new(&canvas, width, height) {
            draw(&pen);
        }
    });
    (view! { <canvas class="drawing" node_ref=node role="img" aria-label=label></canvas> }.into_any(), node)
}

/// Tells an element's size, now and whenever it changes.
pub(crate) fn on_resize<E>(node: NodeRef<E>, tell: impl Fn(f64, f64) + 'static)
where
    E: html::ElementType,
    E::Output: JsCast + Clone + 'static,
{
    type Kept = (web_sys::ResizeObserver, Closure<dyn FnMut()>);
    let kept: StoredValue<Option<Kept>, LocalStorage> = StoredValue::new_local(None);
    let tell = std::rc::Rc::new(tell);
    effect(move || {
        let Some(element) = node.get() else { return };
        let Ok(element) = element.dyn_into::<web_sys::Element>() else { return };
        let tell = tell.clone();
        let watched = element.clone();
        let closure = Closure::<dyn FnMut()>::new(move || {
            let area = watched.get_bounding_client_rect();
            tell(area.width(), area.height());
        });
        if let Ok(observer) = web_sys::ResizeObserver::new(closure.as_ref().unchecked_ref()) {
            observer.observe(&element);
            kept.set_value(Some((observer, closure)));
        }
    });
    on_cleanup(move || {
        kept.try_update_value(|kept| {
            if let Some((observer, _)) = kept.take() {
                observer.disconnect();
            }
        });
    });
}

/// Where an event is inside an element, in CSS pixels.
pub(crate) fn place(event: &web_sys::MouseEvent, element: &web_sys::Element) -> (f64, f64) {
    let area = element.get_bounding_client_rect();
    (f64::from(event.client_x()) - area.left(), f64::from(event.client_y()) - area.top())
}
