//! How are attributes read? As a table in the order of their keys, searched, copied, filtered by.

use super::text;
use crate::state::{attribute, difference};
use leptos::prelude::*;
use query_api::otlp::KeyValue;

/// Bytes beyond which a value gets the whole width.
const WIDE: usize = 160;

/// Where a click on "filter" leads, given a parameter of the search.
pub(crate) type Filter = Option<Callback<(&'static str, String), String>>;

/// A group of attributes under a heading; nothing when none fits the search.
pub(crate) fn group(
    heading: &str,
    attributes: &[KeyValue],
    dropped: u32,
    wanted: Signal<String>,
    href: Filter,
) -> AnyView {
    if attributes.is_empty() && dropped == 0 {
        return ().into_any();
    }
    let sorted = attribute::sorted(attributes);
    let count = sorted.len();
    let heading = heading.to_owned();
    let rows = move || {
        let fits: Vec<KeyValue> =
            wanted.with(|w| sorted.iter().filter(|a| attribute::matches(a, w)).cloned().collect());
        fits.into_iter().map(|one| row(one, href)).collect_view()
    };
    let lost = (dropped > 0)
        .then(|| view! { <p class="quiet small">{format!("{dropped} more were dropped by the sender")}</p> });
    view! {
        <section class="attributes">
            <h4>{heading}<span class="quiet count">{count}</span></h4>
            <table><tbody>{rows}</tbody></table>
            {lost}
        </section>
    }
    .into_any()
}

fn row(one: KeyValue, href: Filter) -> AnyView {
    let value = attribute::text(&one.value);
    let kind = attribute::kind(&one.value);
    let filter = href.filter(|_| attribute::can_filter(&one.value) && value.len() <= 512).map(|href| {
        let target = href.run(difference::search(&one));
        view! { <a class="copy" href=target title="Search for traces that have this">"filter"</a> }
    });
    let copied = value.clone();
    let tools = view! { <td class="tools"><span>{filter}{text::copy_button("Copy the value", move || copied.clone())}</span></td> };
    // What is long or has lines of its own, such as a stack trace, gets the whole width below its key.
    if value.len() > WIDE || value.contains('\n') {
        return view! {
            <tr class="wide-key"><th scope="row" colspan="2">{one.key}</th>{tools}</tr>
            <tr><td class=format!("value {kind}") colspan="3">{text::long_text(value)}</td></tr>
        }
        .into_any();
    }
    view! {
        <tr>
            <th scope="row">{one.key}</th>
            <td class=format!("value {kind}")>{text::long_text(value)}</td>
            {tools}
        </tr>
    }
    .into_any()
}
