//! Which keys are there? One sheet of them, behind `?`.

use super::app::App;
use crate::component::effect::effect;
use leptos::html;
use leptos::prelude::*;

type Keys = &'static [(&'static str, &'static str)];

const ANYWHERE: Keys = &[
    ("ctrl k", "Go to a page, service or trace"),
    ("/", "Focus the query"),
    ("t", "Choose the range of time"),
    ("r", "Refresh"),
    ("j  k", "Next, previous row"),
    ("o  ⏎", "Open the row"),
    ("esc", "Close"),
    ("?", "This sheet"),
];

const QUERY: Keys = &[
    ("⏎", "Run"),
    ("shift ⏎", "New line"),
    ("ctrl ⏎", "Run, whatever is offered"),
    ("↓  ↑", "Next, previous offer"),
    ("⇥", "Take the offer"),
    ("ctrl space", "Show what fits"),
    ("esc", "Close the offers"),
];

const TRACE: Keys = &[
    ("f  b", "Next, previous span"),
    ("j  k", "Next, previous span"),
    (".  ,", "Next, previous of the same operation"),
    ("⏎", "Details of the span"),
    ("q", "Details on, off"),
    ("s  w", "Scroll down, up"),
    ("a  d", "Pan left, right (shift: far)"),
    ("←  →", "Pan left, right (shift: far)"),
    ("↑  ↓", "Zoom in, out (shift: far)"),
    ("+  -", "Zoom in, out"),
    ("m", "Zoom to the span"),
    ("0", "Show the whole trace"),
    ("[  ]", "Expand all, collapse all"),
    ("o  p", "Expand, collapse one level"),
    ("ctrl b  /", "Find in the trace"),
    ("n  N", "Next, previous match"),
    ("e", "Next span with an error"),
    ("c", "Critical path on, off"),
];

const TREE: Keys = &[
    ("↑  ↓", "Previous, next span"),
    ("→  ←", "Open, close; go in, out"),
    ("home  end", "First, last span"),
    ("space  ⏎", "Details of the span"),
];

fn group(name: &'static str, keys: Keys) -> AnyView {
    let row = |(keys, what): &(&'static str, &'static str)| {
        let caps = keys.split_whitespace().map(|key| view! { <kbd>{key}</kbd> }).collect_view();
        view! { <tr><td class="caps">{caps}</td><td>{*what}</td></tr> }
    };
    view! { <section><h3>{name}</h3><table><tbody>{keys.iter().map(row).collect_view()}</tbody></table></section> }
        .into_any()
}

/// The sheet; shown while the overlay says so.
pub(crate) fn sheet() -> AnyView {
    let app = App::get();
    let close: NodeRef<html::Button> = NodeRef::new();
    effect(move || {
        if let Some(button) = close.get() {
            button.focus().ok();
        }
    });
    view! {
        <div class="scrim dim" on:click=move |_| app.overlay.set(None)></div>
        <div class="sheet" role="dialog" aria-modal="true" aria-label="Keys" data-testid="key-sheet">
            <header><h2>"Keys"</h2><button class="button" node_ref=close on:click=move |_| app.overlay.set(None)>"Close"</button></header>
            <div class="sheet-groups">
                <div>{group("Anywhere", ANYWHERE)}{group("In a query", QUERY)}</div>
                <div>{group("Trace: Jaeger's keys, and Perfetto's where free", TRACE)}{group("Tree of spans, reached with tab", TREE)}</div>
            </div>
        </div>
    }
    .into_any()
}
