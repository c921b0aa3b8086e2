//! What else is known about who sent a series? Labels of info metrics, `target_info` above all, by `job` and `instance`.

use crate::promql::ast::{Call, Expr};
use crate::promql::eval::{Answer, Evaluator, SAME_LABELS, Span};
use crate::promql::fault::{Fault, Result};
use crate::promql::regex::Matcher;
use crate::promql::source::Reading;
use crate::series::{Grid, Labels, NAME, Needs, Row, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use storage::metric::Relation;

const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// An info series: for each step the time of its sample, and the sample itself is of no interest.
struct Info {
    labels: Labels,
    key: (String, Labels),
    times: Vec<Option<i64>>,
}

pub(super) fn info(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    let Some(base) = call.args.first() else { return Fault::evaluation("an argument was expected") };
    let (at, offset) = reference(base);
    let rows = evaluator.rows(base, grid)?;
    let matchers: &[Matcher] = match call.args.get(1) {
        Some(Expr::Vector(selector)) => &selector.matchers,
        _ => &[],
    };
    let (names, wanted): (Vec<Matcher>, Vec<Matcher>) =
        matchers.iter().cloned().partition(|matcher| matcher.label == NAME);
    let names = name_matchers(names)?;
    let is_info = |row: &Row| names.iter().all(|matcher| matcher.accepts(row.labels.name()));
    let infos = info_series(evaluator, &rows, is_info, (&names, &wanted), grid, ((at, offset), call.span))?;
    let mut results: Vec<Row> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for row in rows {
        if is_info(&row) {
            add(&mut results, &mut places, row.labels.clone(), row)?;
            continue;
        }
        let mut by_labels: BTreeMap<Labels, Row> = BTreeMap::new();
        for step in 0..grid.count {
            let Some(Some(value)) = row.cells.get(step) else { continue };
            evaluator.source.check()?;
            let Some(labels) = enriched(&row.labels, &infos, step, &wanted)? else { continue };
            if !by_labels.contains_key(&labels) {
                for (name, value) in labels.iter().filter(|(name, _)| row.labels.get(name).is_empty()) {
                    evaluator.count_label(name, value.len())?;
                }
                evaluator.count(grid.count)?;
            }
            let result = by_labels
                .entry(labels.clone())
                .or_insert_with(|| Row { drop_name: row.drop_name, ..Row::empty(labels, grid.count) });
            if let Some(cell) = result.cells.get_mut(step) {
                *cell = Some(value.clone());
            }
        }
        for (labels, result) in by_labels {
            add(&mut results, &mut places, labels, result)?;
        }
    }
    check_conflicts(&infos, grid)?;
    Ok(Answer::Instant(results))
}

fn add(results: &mut Vec<Row>, places: &mut HashMap<Labels, usize>, labels: Labels, row: Row) -> Result<()> {
    let next = results.len();
    let place = *places.entry(labels).or_insert(next);
    if place == next {
        results.push(row);
        return Ok(());
    }
    let Some(own) = results.get_mut(place) else { return Ok(()) };
    for (cell, other) in own.cells.iter_mut().zip(row.cells) {
        if cell.is_some() && other.is_some() {
            return Fault::evaluation(SAME_LABELS);
        }
        if other.is_some() {
            *cell = other;
        }
    }
    Ok(())
}

/// The moment that the first selector of an expression looks at: its `@`, and its offset.
fn reference(expr: &Expr) -> (Option<i64>, i64) {
    fn walk(expr: &Expr) -> Option<(Option<i64>, i64)> {
        match expr {
            Expr::Vector(selector) => Some((selector.shift.time(), selector.shift.offset_ms())),
            Expr::Range(range) => Some((range.selector.shift.time(), range.selector.shift.offset_ms())),
            Expr::Subquery(subquery) => {
                let (at, offset) = walk(&subquery.expr)?;
                match at {
                    Some(_) => Some((at, offset)),
                    None => Some((subquery.shift.time(), offset.saturating_add(subquery.shift.offset_ms()))),
                }
            }
            other => other.children().into_iter().find_map(walk),
        }
    }
    walk(expr).unwrap_or_default()
}

fn matcher(label: &str, relation: Relation, value: &str) -> Result<Matcher> {
    Matcher::new(label, relation, value).or_else(Fault::evaluation)
}

/// Which metrics are asked: `target_info` if nothing is said, all `…_info` if only some are excluded.
fn name_matchers(names: Vec<Matcher>) -> Result<Vec<Matcher>> {
    if names.iter().any(Matcher::is_positive) {
        return Ok(names);
    }
    if names.is_empty() {
        return Ok(vec![matcher(NAME, Relation::Equal, "target_info")?]);
    }
    let all = matcher(NAME, Relation::Matches, ".+_info")?;
    Ok([all].into_iter().chain(names).collect())
}

fn key(labels: &Labels) -> Labels {
    labels.only(&IDENTIFYING.map(str::to_owned))
}

fn info_series(
    evaluator: &mut Evaluator<'_>,
    rows: &[Row],
    is_info: impl Fn(&Row) -> bool,
    (names, wanted): (&[Matcher], &[Matcher]),
    grid: Grid,
    ((at, offset), place): ((Option<i64>, i64), crate::promql::ast::Span),
) -> Result<Vec<Info>> {
    let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for row in rows.iter().filter(|row| !is_info(row)) {
        for label in IDENTIFYING {
            let value = row.labels.get(label);
            if !value.is_empty() {
                values.entry(label).or_default().insert(escaped(value));
            }
        }
    }
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let mut matchers: Vec<Matcher> = names.iter().chain(wanted).cloned().collect();
    for (label, values) in values {
        let values: Vec<String> = values.into_iter().collect();
        matchers.push(matcher(label, Relation::Matches, &values.join("|"))?);
    }
    let lookback = evaluator.settings.lookback;
    let moment = |time: i64| at.unwrap_or(time).saturating_sub(offset);
    let span = Span { after: moment(grid.start).saturating_sub(lookback), until: moment(grid.end()) };
    let ends = (moment(grid.start), moment(grid.end()));
    let reading = Reading::new(ends, grid.step, 0, Needs::Ends);
    let mut infos = Vec::new();
    evaluator.select(&matchers, span, (reading, place), |evaluator, series| {
        let lookback = lookback.saturating_add(reading.slack(&series.thinning));
        let samples = series.points.into_samples();
        let mut times = Vec::with_capacity(grid.count);
        for time in grid.times() {
            let sample = crate::promql::eval::present(&samples, moment(time), lookback);
            if sample.is_some_and(|sample| matches!(sample.value, Value::Histogram(_))) {
                let labels = &series.labels;
                return Fault::evaluation(format!("this should be an info metric, with float samples: {labels}"));
            }
            times.push(sample.map(|sample| sample.time));
        }
        let key = (series.labels.name().to_owned(), key(&series.labels));
        evaluator.source.charge(times.len().saturating_mul(size_of::<Option<i64>>()))?;
        evaluator.count_series(&series.labels, 0)?;
        infos.push(Info { labels: series.labels, key, times });
        Ok(())
    })?;
    Ok(infos)
}

/// A text as a pattern that matches it alone.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

/// Of info series of one name and key that which has the newest sample.
fn newest<'i>(infos: &'i [Info], labels: &Labels, step: usize) -> BTreeMap<&'i str, &'i Info> {
    let own = key(labels);
    let mut found: BTreeMap<&str, (&Info, i64)> = BTreeMap::new();
    for info in infos.iter().filter(|info| info.key.1 == own) {
        let Some(time) = info.times.get(step).copied().flatten() else { continue };
        let best = found.entry(&info.key.0).or_insert((info, time));
        if best.1 < time {
            *best = (info, time);
        }
    }
    found.into_iter().map(|(name, (info, _))| (name, info)).collect()
}

/// The labels of a series with those of its info series; `None` where it lacks a label that was asked for.
fn enriched(labels: &Labels, infos: &[Info], step: usize, wanted: &[Matcher]) -> Result<Option<Labels>> {
    let found = newest(infos, labels, step);
    if found.is_empty() {
        let may_lack = wanted.iter().all(|matcher| matcher.accepts(""));
        return Ok(may_lack.then(|| labels.clone()));
    }
    let mut added: Vec<(String, String)> = Vec::new();
    for info in found.values() {
        for (name, value) in info.labels.iter().filter(|(name, _)| *name != NAME) {
            let is_wanted = wanted.is_empty() || wanted.iter().any(|matcher| matcher.label == name);
            if !is_wanted {
                continue;
            }
            match added.iter().find(|(other, _)| other == name) {
                Some((_, other)) if other != value => return Fault::evaluation(format!("conflicting label: {name}")),
                Some(_) => {}
                None if labels.get(name).is_empty() => added.push((name.to_owned(), value.to_owned())),
                None => {}
            }
        }
    }
    Ok(Some(labels.with_all(&added)))
}

/// Two info series that cannot be told apart, as new as each other, contradict each other.
fn check_conflicts(infos: &[Info], grid: Grid) -> Result<()> {
    for step in 0..grid.count {
        let mut newest: HashMap<&(String, Labels), (i64, &Info)> = HashMap::new();
        for info in infos {
            let Some(time) = info.times.get(step).copied().flatten() else { continue };
            match newest.get(&info.key) {
                Some((other, _)) if *other > time => {}
                Some((other, existing)) if *other == time => {
                    let (existing, new) = (&existing.labels, &info.labels);
                    return Fault::evaluation(format!(
                        "found duplicate series for info metric: existing {existing} @ {time}, new {new} @ {time}"
                    ));
                }
                _ => drop(newest.insert(&info.key, (time, info))),
            }
        }
    }
    Ok(())
}
