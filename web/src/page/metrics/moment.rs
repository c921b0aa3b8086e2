//! How did one moment differ from another? Two distributions over each other, and their quantiles side by side.
//!
//! Both moments are in the URL (`at`, `against`); without the second, the rest of the range is compared with.

use crate::component::app::{App, Entry};
use crate::component::canvas::{self, Align, Pen};
use crate::component::chart::{self, Table};
use crate::component::plot::{LEFT, RIGHT};
use crate::state::metric::heat::Heat;
use crate::state::metric::moment::{self, QUANTILES, Side};
use crate::state::{calendar, format};
use leptos::prelude::*;
use std::sync::Arc;

/// The moments that are compared: columns of the heat map.
#[derive(Clone, Copy)]
pub(super) struct Moments {
    /// The chosen one.
    pub(super) at: Memo<Option<usize>>,
    /// The one that it is compared with.
    pub(super) against: Memo<Option<usize>>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    At,
    Against,
}

impl Which {
    fn parameter(self) -> &'static str {
        match self {
            Which::At => "at",
            Which::Against => "against",
        }
    }
}

/// Reads them from the URL.
pub(super) fn moments(heat: &Arc<Heat>) -> Moments {
    let app = App::get();
    let read = |which: Which| {
        let heat = heat.clone();
        Memo::new(move |_| {
            let text = app.params.with(|p| p.get(which.parameter()).map(str::to_owned))?;
            moment::column(&heat, calendar::parse(&text, 0)?)
        })
    };
    Moments { at: read(Which::At), against: read(Which::Against) }
}

/// Chooses a column.
pub(super) fn choose(app: App, heat: &Heat, which: Which, column: Option<usize>) {
    let text = column.map(|column| calendar::rfc3339(heat.grid.time(column)));
    app.change(Entry::Push, |params| {
        params.set(which.parameter(), text.as_deref());
        if which == Which::At && text.is_none() {
            params.set(Which::Against.parameter(), None);
        }
    });
}

/// The comparison; before a moment is chosen, a way to choose one without a pointer.
pub(super) fn comparison(heat: Arc<Heat>, unit: String, moments: Moments) -> AnyView {
    let app = App::get();
    let shown = move || match moments.at.get() {
        Some(at) => compared(heat.clone(), unit.clone(), at, moments.against.get()),
        None => {
            let heat = heat.clone();
            let newest = moment::next(&heat, heat.grid.count, false);
            view! {
                <p class="quiet small"><button class="link" data-testid="compare" disabled=newest.is_none()
                    on:click=move |_| choose(app, &heat, Which::At, newest)>"Compare the newest moment with the rest of the range"</button></p>
            }
            .into_any()
        }
    };
    view! { {shown} }.into_any()
}

fn compared(heat: Arc<Heat>, unit: String, at: usize, against: Option<usize>) -> AnyView {
    let app = App::get();
    let one = Arc::new(Side::of(&heat, std::iter::once(at)));
    let other = Arc::new(match against {
        Some(against) => Side::of(&heat, std::iter::once(against)),
        None => Side::of(&heat, (0..heat.grid.count).filter(|column| *column != at)),
    });
    let time = |column: usize| calendar::short_date_time(heat.grid.time(column), app.offset());
    let names = (time(at), against.map_or_else(|| "the rest of the range".to_owned(), time));
    let (of_draw, of_table, unit_of_draw) =
        ((heat.clone(), one.clone(), other.clone()), (heat.clone(), one.clone(), other.clone()), unit.clone());
    let (canvas, _) = canvas::drawing(format!("Distribution at {} beside {}", names.0, names.1), move |pen| {
        draw(pen, &of_draw.0, &of_draw.1, &of_draw.2, &unit_of_draw);
    });
    let steps = |which: Which, from: usize| {
        let step = |later: bool, mark: &'static str, words: &'static str| {
            let heat = heat.clone();
            let next = moment::next(&heat, from, later);
            view! { <button class="button icon" title=words aria-label=words disabled=next.is_none() on:click=move |_| choose(app, &heat, which, next)>{mark}</button> }
        };
        view! { {step(false, "‹", "Earlier")}{step(true, "›", "Later")} }
    };
    let clear_heat = heat.clone();
    let against_heat = heat.clone();
    let other_steps = against.map(|against| {
        view! {
            {steps(Which::Against, against)}
            <button class="button" on:click=move |_| choose(app, &against_heat, Which::Against, None)>"Compare with the rest"</button>
        }
    });
    let head = view! {
        <div class="moment-head">
            <span class="moment-side"><i class="stroke" style="--svc:var(--accent)"></i><strong>{names.0.clone()}</strong>{steps(Which::At, at)}</span>
            <span class="moment-side"><i class="stroke" style="--svc:var(--warn-mark)"></i><span>{names.1.clone()}</span>{other_steps}</span>
            <span class="grow"></span>
            <button class="button" on:click=move |_| choose(app, &clear_heat, Which::At, None)>"Close"</button>
        </div>
    };
    let body =
        view! { {head}<div class="moment" data-testid="moment">{canvas}</div>{quantiles(&one, &other, &unit, &names)} };
    let aside = "share of the measurements · shift and click in the heat map chooses what to compare with";
    let table = move || {
        let (heat, one, other) = (&of_table.0, &of_table.1, &of_table.2);
        let share = |side: &Side, row: usize| {
            side.shares.get(row).map_or_else(|| "–".to_owned(), |share| format::percent(*share))
        };
        let row = |row: usize| {
            let edge = |row: usize| heat.edges.get(row).map_or_else(String::new, |edge| format::measured(*edge, &unit));
            vec![edge(row), edge(row + 1), share(one, row), share(other, row)]
        };
        let heads = ["From".to_owned(), "To".to_owned(), names.0.clone(), names.1.clone()].to_vec();
        Table { heads, rows: (0..heat.edges.len().saturating_sub(1)).map(row).collect() }
    };
    chart::framed("Distribution", aside, body.into_any(), table)
}

/// Quantiles of both, and how they differ.
fn quantiles(one: &Side, other: &Side, unit: &str, names: &(String, String)) -> AnyView {
    let row = |(share, name): &(f64, &'static str)| {
        let (a, b) = (one.quantile(*share), other.quantile(*share));
        let told = |value: Option<f64>| {
            value.map_or_else(|| "–".to_owned(), |value| format!("≈ {}", format::measured(value, unit)))
        };
        let change = a.zip(b).filter(|(_, b)| *b > 0.0).map_or_else(String::new, |(a, b)| {
            let (sign, share) = if a >= b { ("×", a / b) } else { ("÷", b / a) };
            let share = format::significant(share);
            if share == "1.00" { "same".to_owned() } else { format!("{sign} {share}") }
        });
        view! { <tr><th scope="row">{*name}</th><td class="num">{told(a)}</td><td class="num">{told(b)}</td><td class="num quiet">{change}</td></tr> }
    };
    let heads = (names.0.clone(), names.1.clone());
    view! {
        <table class="data moment-quantiles" data-testid="moment-quantiles">
            <thead><tr><th></th><th scope="col" class="num">{heads.0}</th><th scope="col" class="num">{heads.1}</th><th scope="col" class="num">"Change"</th></tr></thead>
            <tbody>{QUANTILES.iter().map(row).collect_view()}</tbody>
        </table>
    }
    .into_any()
}

const TOP: f64 = 8.0;
const BOTTOM: f64 = 22.0;

fn draw(pen: &Pen, heat: &Heat, one: &Side, other: &Side, unit: &str) {
    let rows = heat.edges.len().saturating_sub(1);
    if rows == 0 {
        return;
    }
    let (width, height) = (pen.width - LEFT - RIGHT, pen.height - TOP - BOTTOM);
    let most = one.shares.iter().chain(&other.shares).copied().fold(0.0, f64::max).max(1e-9);
    let slot = width / rows as f64;
    let quiet = pen.colour("--quiet");
    pen.fill(&pen.colour("--line-soft"));
    for part in [0.0, 0.5, 1.0] {
        pen.rect(LEFT, (TOP + height * (1.0 - part)).round(), width, 1.0);
    }
    let bar = |side: &Side, colour: &str, shift: f64| {
        pen.fill(&pen.colour(colour));
        for (row, share) in side.shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let tall = (share / most * height).max(1.0);
            let x = LEFT + row as f64 * slot + shift * slot;
            pen.rect(x.round(), TOP + height - tall, (slot * 0.4).max(1.0), tall);
        }
    };
    bar(one, "--accent", 0.08);
    bar(other, "--warn-mark", 0.52);
    pen.fill(&quiet);
    for part in [0.0, 0.5, 1.0] {
        pen.text(&format::percent(most * part), LEFT - 8.0, TOP + height * (1.0 - part), Align::Right);
    }
    let every = (72.0 / slot).ceil().max(1.0) as usize;
    for (row, edge) in heat.edges.iter().enumerate().step_by(every) {
        let x = LEFT + row as f64 * slot;
        if x < pen.width - 24.0 {
            pen.text(&format::tick(*edge, unit), x, pen.height - BOTTOM / 2.0, Align::Middle);
        }
    }
}
