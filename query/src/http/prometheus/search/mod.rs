//! Which names and values are like a text? Prometheus's `/search/…`: lines of JSON, batches of results and a last one that says
//! whether there are more.
//!
//! - An error comes before the first line, never amid them: results are found before they are written. At most [`MOST`] are told, and held.
//!
//! - `best`: which of all texts are told.
//! - `score`: how well a text fits.

mod best;
mod score;

use super::ask::Asked;
use super::refusal::Refusal;
use super::reply::{admit, incomplete};
use super::write;
use crate::exec::Control;
use crate::prometheus::{Catalogue, MetricFacts};
use crate::series::number::json as number;
use crate::series::{NAME, quoted};
use best::{Best, Fitting, Order};
use score::{Algorithm, Wanted};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The type of an answer.
pub(super) const MEDIA: &str = "application/x-ndjson; charset=utf-8";

/// Results that are told where no limit is given, and in one line.
const USUAL: usize = 100;

/// As many as Prometheus tells unless it is set otherwise.
const MOST: usize = 10_000;

/// Terms of one search.
const MOST_TERMS: usize = 32;

/// For how long before now is looked where no start is given.
const RANGE: i64 = 3_600_000;

/// What is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Realm {
    MetricNames,
    LabelNames,
    LabelValues,
}

impl Realm {
    fn path(self) -> &'static str {
        match self {
            Realm::MetricNames => "metric_names",
            Realm::LabelNames => "label_names",
            Realm::LabelValues => "label_values",
        }
    }
}

/// What is asked for.
#[derive(Debug)]
struct Search {
    wanted: Wanted,
    order: Order,
    tells_score: bool,
    limit: usize,
    batch: usize,
}

type Result<T> = std::result::Result<T, Refusal>;

/// `invalid NAME "TEXT": WHY`, as Prometheus says it.
fn invalid(name: &str, text: &str, why: &str) -> Refusal {
    Refusal::bad_data(format!("invalid {name} {}: {why}", quoted(text.as_bytes())))
}

fn flag(asked: &Asked, name: &str, usual: bool) -> Result<bool> {
    match asked.text(name) {
        None => Ok(usual),
        Some(text) => asked.flag(name).map_err(|_| invalid(name, text, "must be boolean")),
    }
}

fn count(asked: &Asked, name: &str) -> Result<usize> {
    let Some(text) = asked.text(name) else { return Ok(USUAL) };
    let count = text.parse::<usize>().ok().filter(|count| *count > 0);
    count.ok_or_else(|| invalid(name, text, "must be a positive integer"))
}

fn order(asked: &Asked, realm: Realm, has_terms: bool) -> Result<Order> {
    let (by, direction) = (asked.text("sort_by"), asked.text("sort_dir"));
    match (by, direction) {
        (None, Some(_)) => return Err(Refusal::bad_data("sort_dir is only valid when sort_by is set")),
        (Some("score"), Some(_)) => return Err(Refusal::bad_data("sort_dir is not supported for sort_by=score")),
        (_, Some(text)) if text != "asc" && text != "dsc" => {
            return Err(invalid("sort_dir", text, "must be \"asc\" or \"dsc\""));
        }
        _ => {}
    }
    match by {
        Some("score") if !has_terms => Err(Refusal::bad_data("sort_by=score requires search[] to be set")),
        Some("score") => Ok(Order::Score),
        None | Some("alpha") if direction == Some("dsc") => Ok(Order::Descending),
        None | Some("alpha") => Ok(Order::Ascending),
        Some(text) => {
            let name = format!("sort_by {} for {}", quoted(text.as_bytes()), realm.path());
            Err(Refusal::bad_data(format!("invalid {name}: must be \"alpha\" or \"score\"")))
        }
    }
}

fn wanted(asked: &Asked) -> Result<Wanted> {
    let terms = asked.pairs.iter().filter(|(name, _)| name == "search[]").map(|(_, term)| term);
    let given = terms.clone().count();
    if given > MOST_TERMS {
        let what = format!("too many search[] terms: got {given}, maximum is {MOST_TERMS}");
        return Err(Refusal::bad_data(what));
    }
    let threshold = match asked.text("fuzz_threshold") {
        None => 0,
        Some(text) => {
            let number = text.parse::<u8>().ok().filter(|number| *number <= 100);
            number.ok_or_else(|| invalid("fuzz_threshold", text, "must be 0-100"))?
        }
    };
    let algorithm = match asked.text("fuzz_alg") {
        None | Some("subsequence") => Algorithm::Subsequence,
        Some("jarowinkler") => Algorithm::JaroWinkler,
        Some(text) => {
            let what = format!("unsupported fuzz_alg {}", quoted(text.as_bytes()));
            return Err(Refusal::bad_data(format!("{what}: must be one of [subsequence jarowinkler]")));
        }
    };
    let ignores_case = !flag(asked, "case_sensitive", true)?;
    let terms = terms.filter(|term| !term.is_empty());
    let terms = terms.map(|term| if ignores_case { term.to_lowercase() } else { term.clone() }).collect();
    Ok(Wanted { terms, algorithm, threshold: f64::from(threshold) / 100.0, ignores_case })
}

impl Search {
    fn of(asked: &Asked, realm: Realm) -> Result<Self> {
        let has_terms = asked.pairs.iter().any(|(name, _)| name == "search[]");
        let limit = count(asked, "limit")?;
        if limit > MOST {
            return Err(Refusal::bad_data(format!("limit {limit} exceeds the maximum ({MOST})")));
        }
        Ok(Search {
            wanted: wanted(asked)?,
            tells_score: flag(asked, "include_score", false)?,
            order: order(asked, realm, has_terms)?,
            limit,
            batch: count(asked, "batch_size")?,
        })
    }
}

/// The answer's lines.
pub(super) fn answer(realm: Realm, asked: &Asked, control: &Control) -> Result<String> {
    let search = Search::of(asked, realm)?;
    let (start, end) = asked.range_after(asked.now.saturating_sub(RANGE), asked.now)?;
    let selectors = asked.selectors()?;
    let label = match realm {
        Realm::LabelValues => {
            asked.text("label").ok_or_else(|| Refusal::bad_data("missing required parameter \"label\""))?
        }
        Realm::MetricNames | Realm::LabelNames => NAME,
    };
    let tells_facts = realm == Realm::MetricNames && flag(asked, "include_metadata", false)?;
    let catalogue = Catalogue::new(control, start, end);
    // One more than are told says that there are more.
    let mut best = Best::new(control, &search.wanted, search.order, search.limit.saturating_add(1))?;
    let mut each = |text: &str| best.look_at(text);
    match realm {
        Realm::LabelNames => catalogue.each_label(&selectors, &mut each)?,
        Realm::MetricNames | Realm::LabelValues => {
            let fits = |text: &str| search.wanted.score(text).is_some();
            catalogue.each_value(label, &selectors, &fits, &mut each)?;
        }
    }
    let found = best.finish();
    let facts = if tells_facts && !found.is_empty() { catalogue.metadata()? } else { BTreeMap::new() };
    let key = if realm == Realm::LabelValues { "value" } else { "name" };
    let has_more = found.len() > search.limit;
    let told: Vec<_> = found.iter().take(search.limit).collect();
    let mut out = String::new();
    // The first line is there even where it is empty, so that warnings are told.
    let batches = told.chunks(search.batch).chain(told.is_empty().then_some(told.as_slice()));
    for batch in batches {
        let is_first = out.is_empty();
        out.push_str("{\"results\":");
        let write = |out: &mut String, fitting: &&Fitting| {
            let (text, score) = (&fitting.text, search.tells_score.then_some(fitting.score));
            result(out, (key, text, score), facts.get(text).and_then(BTreeSet::first));
        };
        write::admitted(&mut out, batch, &mut |bytes| admit(control, bytes), write)?;
        if let Some(warning) = incomplete(control).filter(|_| is_first) {
            out.push_str(&format!(",\"warnings\":{}", json!([warning])));
        }
        out.push_str("}\n");
    }
    out.push_str(&format!("{{\"status\":\"success\",\"has_more\":{has_more}}}\n"));
    Ok(out)
}

fn result(out: &mut String, (key, text, score): (&str, &str, Option<f64>), facts: Option<&MetricFacts>) {
    out.push_str(&format!("{{\"{key}\":"));
    write::text(out, text);
    if let Some(score) = score {
        out.push_str(&format!(",\"score\":{}", number(score)));
    }
    let facts = facts.map(|facts| [("type", facts.r#type), ("help", &facts.help), ("unit", &facts.unit)]);
    for (key, text) in facts.into_iter().flatten().filter(|(_, text)| !text.is_empty()) {
        out.push_str(&format!(",\"{key}\":"));
        write::text(out, text);
    }
    out.push('}');
}
