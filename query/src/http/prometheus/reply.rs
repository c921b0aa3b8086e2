//! What is answered?

use super::Call;
use super::ask::Asked;
use super::own;
use super::refusal::Refusal;
use super::rules;
use super::search;
use super::targets;
use super::tree::tree;
use super::tsdb;
use super::write;
use crate::exec::Control;
use crate::http::state::QueryState;
use crate::prometheus::{Catalogue, Store};
use crate::promql::{self, Answer, Expr, Fault, Frame, Level, Matcher, Outcome, Tally};
use crate::series::number::json as number;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;
use storage::model::{Signal, TenantId};

/// The version of Prometheus whose API this is. Readers choose by it what they ask.
const LIKE_PROMETHEUS: &str = "3.14.0";

/// What is said where not all of an answer is told.
const TRUNCATED: &str = "results truncated due to limit";

/// Of what Prometheus has to be told to switch on, what is always on here.
const FEATURES: [&str; 7] = [
    "exemplar-storage",
    "native-histograms",
    "promql-delayed-name-removal",
    "promql-duration-expr",
    "promql-experimental-functions",
    "promql-extended-range-selectors",
    "search-api",
];

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
        Call::ScrapePool => targets::pool(asked, state, tenant)?,
        Call::RelabelSteps => targets::relabel_steps(asked, state, tenant)?,
        Call::SelfMetrics => {
            let mut text = String::new();
            state.render_metrics(&mut text);
            own::metrics(asked, &text)?
        }
        Call::Notifications => json!([]),
        Call::Features => json!(FEATURES),
        Call::Admin => {
            let instead = "rows are deleted by POST /api/v1/deletions of Spanlight's own API";
            return Err(Refusal::unavailable(format!("admin APIs disabled; {instead}")));
        }
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
            let names = catalogue(asked, control)?.labels(&asked.selectors()?, one_more(asked)?)?;
            listed(asked, control, names.iter(), |out, name| write::text(out, name))
        }
        Call::LabelValues => {
            let values = catalogue(asked, control)?.values(&asked.label()?, &asked.selectors()?, one_more(asked)?)?;
            listed(asked, control, values.iter(), |out, value| write::text(out, value))
        }
        Call::Series => {
            let selectors = asked.selectors()?;
            if selectors.is_empty() {
                return Err(Refusal::bad_data("no match[] parameter provided"));
            }
            let found = catalogue(asked, control)?.series(&selectors, one_more(asked)?)?;
            listed(asked, control, found.iter(), write::labels)
        }
        Call::Metadata => metadata(asked, control),
        Call::Search(realm) => search::answer(realm, asked, control),
        Call::Blocks => Ok(success(&blocks(control).to_string(), &[], &[])),
        Call::Tsdb => Ok(success(&tsdb::status(asked, control)?.to_string(), &[], &[])),
        _ => Err(Refusal::internal()),
    }
}

fn catalogue<'c>(asked: &Asked, control: &'c Control) -> Result<Catalogue<'c>> {
    let (start, end) = asked.range()?;
    Ok(Catalogue::new(control, start, end))
}

/// How many are looked for: one more than are told says that there are more.
fn one_more(asked: &Asked) -> Result<usize> {
    Ok(asked.limit("limit")?.unwrap_or(usize::MAX).saturating_add(1))
}

fn listed<T>(
    asked: &Asked,
    control: &Control,
    items: impl ExactSizeIterator<Item = T>,
    write: impl FnMut(&mut String, T),
) -> Result<String> {
    let limit = asked.limit("limit")?.unwrap_or(usize::MAX);
    let mut warnings = Vec::new();
    if items.len() > limit {
        warnings.push(TRUNCATED.to_owned());
    }
    warnings.extend(incomplete(control));
    let mut out = SUCCESS.to_owned();
    write::admitted(&mut out, items.take(limit), &mut |bytes| admit(control, bytes), write)?;
    Ok(finished(out, &warnings, &[]))
}

/// Whether an answer may be so many bytes longer.
pub(super) fn admit(control: &Control, bytes: usize) -> Result<()> {
    control.check()?;
    Ok(control.charge(bytes)?)
}

fn evaluated(asked: &Asked, control: &Control, frame: Frame) -> Result<String> {
    let (text, started) = (asked.query(), Instant::now());
    let (settings, limit) = (asked.settings()?, asked.limit("limit")?.unwrap_or(usize::MAX));
    let Outcome { answer, notes, samples, tally } = promql::evaluate(&Store::new(control), settings, text, frame);
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
    write::answer(&mut out, &answer, (frame.grid(), frame.step != 0), |bytes| admit(control, bytes))?;
    if let Some(tally) = tally {
        let seconds = started.elapsed().as_secs_f64();
        let stats = statistics(asked, frame, (&tally, samples), seconds);
        control.charge(stats.len())?;
        out.push_str(&format!(",\"stats\":{stats}"));
    }
    out.push('}');
    Ok(finished(out, &warnings, &notes.texts(Level::Info, text)))
}

/// What `stats` asks for: `all` for what each step looked at, too. No more samples were held at once than were read and computed in all.
fn statistics(asked: &Asked, frame: Frame, (tally, samples): (&Tally, usize), seconds: f64) -> String {
    let timings = ["evalTotalTime", "innerEvalTime", "execTotalTime"].map(|name| (name, seconds));
    let others = ["resultSortTime", "queryPreparationTime", "execQueueTime"].map(|name| (name, 0.0));
    let timings: BTreeMap<&str, f64> = timings.into_iter().chain(others).collect();
    let mut out = format!("{{\"timings\":{},\"samples\":{{", json!(timings));
    out.push_str(&format!("\"totalQueryableSamples\":{},\"peakSamples\":{samples}", tally.total()));
    if asked.text("stats") == Some("all") {
        out.push_str(",\"totalQueryableSamplesPerStep\":");
        write::list(&mut out, frame.grid().times().zip(&tally.by_step), |out, (time, samples)| {
            out.push('[');
            write::moment(out, time);
            out.push_str(&format!(",{samples}]"));
        });
    }
    out.push_str(&format!(",\"samplesRead\":{}}}}}", tally.read));
    out
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
pub(super) fn incomplete(control: &Control) -> Option<String> {
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
    let mut out = SUCCESS.to_owned();
    write::admitted(&mut out, &found, &mut |bytes| admit(control, bytes), |out, (series, exemplars)| {
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
    })?;
    Ok(finished(out, &[], &[]))
}

/// The blocks of metrics, in milliseconds. None is made of others by Prometheus's levels.
fn blocks(control: &Control) -> serde_json::Value {
    let blocks = control.blocks(Signal::Metrics).into_iter().map(|block| {
        json!({
            "ulid": block.id.to_string(),
            "minTime": block.min_time.div_euclid(1_000_000),
            "maxTime": block.max_time.div_euclid(1_000_000),
            "stats": { "numSamples": block.rows },
            "compaction": { "level": 1, "sources": [block.id.to_string()] },
            "version": 1,
        })
    });
    json!({ "blocks": blocks.collect::<Vec<_>>() })
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
