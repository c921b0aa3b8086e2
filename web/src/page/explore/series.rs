//! What does a query of TraceQL that asks for series show? Its answer as lines, in the place of strips and list.
//!
//! What draws them comes with the code of the metrics pages when it is needed: few look at series here.

use crate::client::fetch::Failure;
use crate::client::load::{Load, Old, load};
use crate::component::app::App;
use crate::component::message;
use crate::state::filter::TraceFilter;
use crate::state::metric::answer;
use crate::state::tempo::{self, Ranged, Series};
use crate::state::time::Range;
use leptos::prelude::*;

/// Spans told of each series, which can be opened; of them as many are drawn as can be told apart.
const EXEMPLARS: u32 = 20;

/// Draws series of a unit, over a range.
type Draw = fn(&[Series], String, Range) -> AnyView;

mod code {
    use super::Draw;
    use leptos::wasm_split::{SplitLoaderError, wasm_split};

    #[wasm_split(metrics, wasm_split_path = ::leptos::wasm_split, fallible)]
    pub(super) fn lines_of_spans() -> Result<Draw, SplitLoaderError> {
        Ok(crate::page::metrics::lines::of_spans)
    }
}

/// Asks for the series of the query, if it asks for series.
pub(super) fn ask(filter: Memo<TraceFilter>, is_series: Memo<bool>) -> Load<Ranged> {
    let app = App::get();
    load(Old::Keep, move || {
        let range = app.span().filter(|_| is_series.get())?;
        let step = i64::try_from(answer::step_seconds(range)).ok()?.saturating_mul(1_000_000_000);
        Some(filter.with(|filter| tempo::range_request_with_exemplars(&filter.query, range, step, EXEMPLARS)))
    })
}

/// Whether the query itself is wrong, which is said below it: Tempo's own paths say so without a place.
pub(super) fn is_of_query(failure: &Failure) -> bool {
    failure.place.as_deref() == Some("q") || (failure.status == 400 && failure.path.starts_with("/tempo/"))
}

/// The lines, with a table of them behind the chart's `⋯`.
pub(super) fn drawing(found: Load<Ranged>, asked: Memo<String>) -> AnyView {
    let app = App::get();
    let failed = move || {
        let failure = found.failure.get().filter(|failure| !is_of_query(failure))?;
        Some(message::failed(&failure, move || found.retry()))
    };
    let here = RwSignal::new(None::<Option<Draw>>);
    let fetch = move || {
        leptos::task::spawn_local(async move {
            here.try_set(Some(code::lines_of_spans().await.ok()));
        });
    };
    fetch();
    let body = move || {
        let draw = match here.get() {
            Some(Some(draw)) => draw,
            Some(None) => return message::failed(&Failure::not_loaded(), fetch),
            None => return message::skeleton(8),
        };
        let Some(answer) = found.data.get() else {
            let wrong = found.failure.with(Option::is_some);
            return if wrong { ().into_any() } else { message::skeleton(8) };
        };
        let Some(range) = untrack(|| app.span()) else { return ().into_any() };
        if answer.series.is_empty() {
            let widen = view! { <button class="button" on:click=move |_| app.look_at("now-24h", "now")>"Look at the last 24 hours"</button> };
            let why = "The query is right, but no span that it selects was sent then.";
            return message::empty("No series in this range", why, widen.into_any());
        }
        let partial = Some(answer.message.clone()).filter(|said| !said.is_empty()).map(message::partial);
        let lines = draw(&answer.series, untrack(|| asked.with(|query| tempo::unit(query))), range);
        view! { {partial}{lines} }.into_any()
    };
    view! {
        {failed}{message::of_before(found, asked)}
        <div class="answer" data-testid="series" class:stale=move || found.is_old()>{body}</div>
    }
    .into_any()
}
