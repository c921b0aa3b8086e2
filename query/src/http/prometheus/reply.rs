//! What is answered?

use super::Call;
use super::ask::Asked;
use super::refusal::Refusal;
use super::rules;
use super::targets;
use super::tree::tree;
use super::write;
use crate::exec::Control;
use crate::http::state::QueryState;
use crate::prometheus::{Catalogue, Store};
use crate::promql::{self, Answer, Expr, Fault, Frame, Level, Matcher, Outcome};
use crate::series::NAME;
use crate::series::number::json as number;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use storage::model::TenantId;

/// The version of Prometheus whose API this is. Readers choose by it what they ask.
const LIKE_PROMETHEUS: &str = "3.14.0";

/// What is said where not all of an answer is told.
const TRUNCATED: &str = "results truncated due to limit";

/// For how long before now `/status/tsdb` counts series.
const STATUS_RANGE: i64 = 2 * 3_600_000;

/// How an answer begins.
const SUCCESS: &str = "{\"status\":\"success\",\"data\":";

type Result<T, E = Refusal> = std::result::Result<T, E>;

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Refusal::of_expression(fault, "query", "")
    }
}

/// The whole answer around its data.
fn success(data: &str, warnings: &[String], infos: &[String]) -> String {
    finished([SUCCESS, data].concat(), warnings, infos)
}

/// The same, begun with [`SUCCESS`] and the data.
fn finished(mut out: String, warnings: &[String], infos: &[String]) -> String {
    for (name, texts) in [("warnings", warnings), ("infos", infos)] {
        if !texts.is_empty() {
            out.push_str(&format!(",\"{name}\":"));
            write::list(&mut out, texts, |out, text| write::text(out, text));
        }
    }
    out.push('}');
    out
}

/// Answers for which nothing stored is needed.
pub(super) fn known(call: Call, asked: &Asked, state: &QueryState, tenant: &TenantId) -> Result<Option<String>> {
    let parsed = || {
        let text = asked.query();
        promql::parse(text).map_err(|fault| Refusal::of_expression(fault, "query", text))
    };
    let data = match call {
        Call::FormatQuery => json!(promql::pretty(&parsed()?)),
        Call::ParseQuery => return Ok(Some(success(&tree(&parsed()?), &[], &[]))),
        Call::BuildInfo => json!({
            "version": LIKE_PROMETHEUS,
            "revision": format!("spanlight-{}", state.host().version),
            "branch": "",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
        }),
        Call::RuntimeInfo => runtime(asked, state, &targets::loading(state, tenant)),
        Call::Config => targets::config(state, tenant),
        Call::Flags => targets::flags(state.executor().config()),
        Call::WalReplay => json!({ "min": 0, "max": 0, "current": 0 }),
        Call::Rules => return Ok(Some(success(&rules::rules(asked, state.rules(), tenant)?, &[], &[]))),
        Call::Alerts => return Ok(Some(success(&rules::alerts(state.rules(), tenant)?, &[], &[]))),
        Call::Targets => targets::targets(asked, state, tenant),
        Call::TargetsMetadata => targets::metadata(asked, state, tenant)?,
        Call::ScrapePools => targets::pools(state, tenant),
        Call::Notifications => json!([]),
        Call::Alertmanagers => json!({ "activeAlertmanagers": [], "droppedAlertmanagers": [] }),
        _ => return Ok(None),
    };
    Ok(Some(success(&data.to_string(), &[], &[])))
}

fn runtime(asked: &Asked, state: &QueryState, loading: &targets::Loading) -> serde_json::Value {
    let uptime = i64::try_from(state.uptime_seconds()).unwrap_or_default().saturating_mul(1000);
    let moment = |milliseconds: i64| {
        jiff::Timestamp::from_millisecond(milliseconds).map(|moment| moment.to_string()).unwrap_or_default()
    };
    let started = moment(asked.now.saturating_sub(uptime));
    json!({
        "startTime": started,
        "CWD": "",
        "hostname": "",
        "serverTime": moment(asked.now),
        "reloadConfigSuccess": loading.is_success,
        "lastConfigTime": loading.time.map_or(started, moment),
        "corruptionCount": 0,
        "goroutineCount": 0,
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": "",
    })
}

/// Answers that are computed from what is stored.
pub(super) fn computed(call: Call, asked: &Asked, control: &Control) -> Result<String> {
    match call {
        Call::Query => evaluated(asked, control, asked.moment()?),
        Call::QueryRange => evaluated(asked, control, asked.steps()?),
        Call::QueryExemplars => exemplars(asked, control),
        Call::Labels => {
            let names = catalogue(asked, control)?.labels(&asked.selectors()?)?;
            listed(asked, names.iter(), |out, name| write::text(out, name))
        }
        Call::LabelValues => {
            let values = catalogue(asked, control)?.values(&asked.label()?, &asked.selectors()?)?;
            listed(asked, values.iter(), |out, value| write::text(out, value))
        }
        Call::Series => {
            let selectors = asked.selectors()?;
            if selectors.is_empty() {
                return Err(Refusal::bad_data("no match[] parameter provided"));
            }
            let found = catalogue(asked, control)?.series(&selectors)?;
            listed(asked, found.iter(), write::labels)
        }
        Call::Metadata => metadata(asked, control),
        Call::Tsdb => tsdb(asked, control),
        _ => Err(Refusal::internal()),
    }
}

fn catalogue<'c>(asked: &Asked, control: &'c Control) -> Result<Catalogue<'c>> {
    let (start, end) = asked.range()?;
    Ok(Catalogue::new(control, start, end))
}

fn listed<T>(
    asked: &Asked,
    items: impl ExactSizeIterator<Item = T>,
    write: impl FnMut(&mut String, T),
) -> Result<String> {
    let limit = asked.limit("limit")?.unwrap_or(usize::MAX);
    let warnings: &[String] = if items.len() > limit { &[TRUNCATED.to_owned()] } else { &[] };
    let mut data = String::new();
    write::list(&mut data, items.take(limit), write);
    Ok(success(&data, warnings, &[]))
}

fn evaluated(asked: &Asked, control: &Control, frame: Frame) -> Result<String> {
    let (text, started) = (asked.query(), Instant::now());
    let (settings, limit) = (asked.settings()?, asked.limit("limit")?.unwrap_or(usize::MAX));
    let Outcome { answer, notes, samples } = promql::evaluate(&Store::new(control), settings, text, frame);
    let mut answer = answer.map_err(|fault| match fault {
        Fault::Evaluation(message) if message.starts_with("invalid expression type") => {
            Refusal::parameter("query", message)
        }
        fault => Refusal::of_expression(fault, "query", text),
    })?;
    let mut warnings = notes.texts(Level::Warning, text);
    if truncate(&mut answer, limit) {
        warnings.push(TRUNCATED.to_owned());
    }
    if let Some(missing) = incomplete(control) {
        warnings.push(missing);
    }
    let mut out = [SUCCESS, "{"].concat();
    write::answer(&mut out, &answer, (frame.grid(), frame.step != 0), |bytes| {
        control.check()?;
        control.charge(bytes)
    })?;
    if asked.text("stats").is_some() {
        let seconds = started.elapsed().as_secs_f64();
        let timings = ["evalTotalTime", "innerEvalTime", "execTotalTime"].map(|name| (name, seconds));
        let others = ["resultSortTime", "queryPreparationTime", "execQueueTime"].map(|name| (name, 0.0));
        let timings: BTreeMap<&str, f64> = timings.into_iter().chain(others).collect();
        let samples = json!({ "totalQueryableSamples": samples, "peakSamples": samples });
        out.push_str(&format!(",\"stats\":{}", json!({ "timings": timings, "samples": samples })));
    }
    out.push('}');
    Ok(finished(out, &warnings, &notes.texts(Level::Info, text)))
}

/// Whether something had to be left out.
fn truncate(answer: &mut Answer, limit: usize) -> bool {
    let len = match answer {
        Answer::Instant(rows) => {
            let len = rows.len();
            rows.truncate(limit);
            len
        }
        Answer::Range(series) => {
            let len = series.len();
            series.truncate(limit);
            len
        }
        Answer::Scalar(_) | Answer::Text(_) => 0,
    };
    len > limit
}

/// Blocks that could not be read may have held samples of the answer.
fn incomplete(control: &Control) -> Option<String> {
    let rows: u64 = control.missing().iter().map(|block| block.rows).sum();
    (rows > 0).then(|| format!("{rows} stored points could not be read; the answer may lack some of them"))
}

/// The conditions of every selector in an expression.
fn selectors(expr: &Expr) -> Vec<Vec<Matcher>> {
    match expr {
        Expr::Vector(selector) => vec![selector.matchers.clone()],
        Expr::Range(range) => vec![range.selector.matchers.clone()],
        other => other.children().into_iter().flat_map(selectors).collect(),
    }
}

fn exemplars(asked: &Asked, control: &Control) -> Result<String> {
    let text = asked.query();
    let expr = promql::parse(text).map_err(|fault| Refusal::of_expression(fault, "query", text))?;
    let found = catalogue(asked, control)?.exemplars(&selectors(&expr))?;
    let mut data = String::new();
    write::list(&mut data, &found, |out, (series, exemplars)| {
        out.push_str("{\"seriesLabels\":");
        write::labels(out, series);
        out.push_str(",\"exemplars\":");
        write::list(out, exemplars, |out, (labels, time, value)| {
            out.push_str("{\"labels\":");
            write::labels(out, labels);
            out.push_str(&format!(",\"value\":\"{}\",\"timestamp\":", number(*value)));
            write::moment(out, *time);
            out.push('}');
        });
        out.push('}');
    });
    Ok(success(&data, &[], &[]))
}

fn metadata(asked: &Asked, control: &Control) -> Result<String> {
    let limit = asked.limit_of_metadata()?;
    let per_metric = asked.limit("limit_per_metric")?.unwrap_or(usize::MAX);
    let wanted = asked.text("metric");
    let metrics = catalogue(asked, control)?.metadata()?;
    let metrics = metrics.into_iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name));
    let data: serde_json::Map<String, serde_json::Value> = metrics
        .take(limit)
        .map(|(name, facts)| {
            let facts = facts.into_iter().take(per_metric);
            let facts = facts.map(|facts| json!({ "type": facts.r#type, "help": facts.help, "unit": facts.unit }));
            (name, facts.collect())
        })
        .collect();
    Ok(success(&serde_json::Value::Object(data).to_string(), &[], &[]))
}

/// What there is most of, among the series of the last hours.
fn tsdb(asked: &Asked, control: &Control) -> Result<String> {
    const MOST: usize = 10_000;
    let limit = asked.limit("limit")?.unwrap_or(10);
    if limit > MOST {
        return Err(Refusal::parameter("limit", format!("limit must be at most {MOST}")));
    }
    let start = asked.now.saturating_sub(STATUS_RANGE);
    let found = Catalogue::new(control, start, asked.now).series(&[])?;
    let mut by_metric: BTreeMap<String, usize> = BTreeMap::new();
    let mut by_pair: BTreeMap<String, usize> = BTreeMap::new();
    let mut by_label: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for labels in &found {
        control.check()?;
        *by_metric.entry(labels.get(NAME).to_owned()).or_default() += 1;
        for (name, value) in labels.iter() {
            *by_pair.entry(format!("{name}={value}")).or_default() += 1;
            by_label.entry(name.to_owned()).or_default().insert(value.to_owned());
        }
    }
    let bytes = |values: &BTreeSet<String>| values.iter().map(String::len).sum::<usize>();
    let data = json!({
        "headStats": {
            "numSeries": found.len(),
            "numLabelPairs": by_pair.len(),
            "chunkCount": 0,
            "minTime": start,
            "maxTime": asked.now,
        },
        "seriesCountByMetricName": largest(by_metric, limit),
        "labelValueCountByLabelName":
            largest(by_label.iter().map(|(name, values)| (name.clone(), values.len())), limit),
        "memoryInBytesByLabelName": largest(by_label.iter().map(|(name, values)| (name.clone(), bytes(values))), limit),
        "seriesCountByLabelValuePair": largest(by_pair, limit),
    });
    Ok(success(&data.to_string(), &[], &[]))
}

fn largest(counts: impl IntoIterator<Item = (String, usize)>, limit: usize) -> serde_json::Value {
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.into_iter().take(limit).map(|(name, value)| json!({ "name": name, "value": value })).collect()
}
