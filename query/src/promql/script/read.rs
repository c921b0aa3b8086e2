//! What does a script want?

use super::series::{Points, labels, series};
use crate::promql::duration;
use crate::promql::parser::{number, unquoted};
use crate::series::Labels;
use regex_automata::nfa::thompson::pikevm::PikeVM;

/// A command with its line.
#[derive(Debug)]
pub(super) enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) step: i64,
    pub(super) with_custom_buckets: bool,
    pub(super) series: Vec<Loaded>,
}

#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) labels: Labels,
    pub(super) points: Points,
    /// Start times, as distances from the samples' times.
    pub(super) starts: Vec<Option<i64>>,
}

/// What a text must be.
#[derive(Debug)]
pub(super) enum Wanted {
    Any,
    Text(String),
    Pattern(Box<PikeVM>),
}

impl Wanted {
    pub(super) fn accepts(&self, text: &str) -> bool {
        match self {
            Wanted::Any => true,
            Wanted::Text(wanted) => wanted == text,
            Wanted::Pattern(pattern) => pattern.is_match(&mut pattern.create_cache(), text),
        }
    }
}

#[derive(Debug)]
pub(super) struct Eval {
    pub(super) line: usize,
    pub(super) expression: String,
    pub(super) start: i64,
    pub(super) end: i64,
    /// 0 for one moment.
    pub(super) step: i64,
    pub(super) fails: Option<Wanted>,
    pub(super) warnings: Vec<Wanted>,
    pub(super) infos: Vec<Wanted>,
    pub(super) no_warnings: bool,
    pub(super) no_infos: bool,
    pub(super) ordered: bool,
    pub(super) text: Option<Vec<u8>>,
    /// Start and step of an expected range vector.
    pub(super) range: Option<(i64, i64)>,
    pub(super) scalar: Option<f64>,
    pub(super) series: Vec<(Labels, Points)>,
}

/// All commands; those that cannot be read with their line and what is wrong.
pub(super) fn commands(script: &str) -> Vec<Result<Command, (usize, String)>> {
    let lines: Vec<&str> = script.lines().map(str::trim).collect();
    let lines: Vec<&str> = lines.into_iter().map(|line| if line.starts_with('#') { "" } else { line }).collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let first = at;
        at += 1;
        if line.is_empty() {
            continue;
        }
        let from = at;
        while line.starts_with("eval") || line.starts_with("load") {
            if lines.get(at).is_none_or(|line| line.is_empty()) {
                break;
            }
            at += 1;
        }
        let body = lines.get(from..at).unwrap_or_default();
        let command = if *line == "clear" {
            Ok(Command::Clear)
        } else if line.starts_with("load") {
            load(line, body).map(Command::Load)
        } else {
            eval(line, body, first + 1).map(|eval| Command::Eval(Box::new(eval)))
        };
        commands.push(command.map_err(|message| (first + 1, message)));
    }
    commands
}

fn load(line: &str, body: &[&str]) -> Result<Load, String> {
    let (command, step) = line.split_once(char::is_whitespace).ok_or("no step")?;
    let mut load = Load {
        step: duration::parse(step.trim())?,
        with_custom_buckets: command == "load_with_nhcb",
        series: Vec::new(),
    };
    let mut starts = Vec::new();
    for line in body {
        let head = line.split_whitespace().next().unwrap_or_default();
        if head.ends_with("@st") {
            let (_, rest) = labels(line)?;
            starts = start_times(rest.strip_prefix("@st").ok_or("no start times")?)?;
            continue;
        }
        let (labels, points) = series(line)?;
        load.series.push(Loaded { labels, points, starts: std::mem::take(&mut starts) });
    }
    Ok(load)
}

fn start_times(text: &str) -> Result<Vec<Option<i64>>, String> {
    let mut starts = Vec::new();
    for item in text.split_whitespace() {
        let (body, times) = match item.split_once('x') {
            Some((body, times)) => (body, Some(times.parse::<usize>().map_err(|error| error.to_string())?)),
            None => (item, None),
        };
        if body == "_" {
            starts.extend(vec![None; times.unwrap_or(1)]);
            continue;
        }
        let step = body.char_indices().skip(1).find(|(_, letter)| matches!(letter, '+' | '-'));
        let (first, step) = body.split_at(step.map_or(body.len(), |(place, _)| place));
        let (mut value, step) = (distance(first)?, if step.is_empty() { 0 } else { distance(step)? });
        for _ in 0..=times.unwrap_or(0) {
            starts.push(Some(value));
            value += step;
        }
    }
    Ok(starts)
}

fn distance(text: &str) -> Result<i64, String> {
    match text.split_at_checked(1) {
        Some(("-", size)) => Ok(-duration::parse(size)?),
        Some(("+", size)) => duration::parse(size),
        _ => duration::parse(text),
    }
}

fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

fn eval(line: &str, body: &[&str], number: usize) -> Result<Eval, String> {
    let (command, rest) = word(line);
    let (kind, rest) = word(rest);
    let expect = |rest, wanted: &str| match word(rest) {
        (found, rest) if found == wanted => Ok(rest),
        (found, _) => Err(format!("expected {wanted}, found {found}")),
    };
    let (start, end, step, expression) = if kind == "instant" {
        let (at, expression) = word(expect(rest, "at")?);
        let at = duration::parse(at)?;
        (at, at, 0, expression)
    } else {
        let (from, rest) = word(expect(rest, "from")?);
        let (to, rest) = word(expect(rest, "to")?);
        let (step, expression) = word(expect(rest, "step")?);
        (duration::parse(from)?, duration::parse(to)?, duration::parse(step)?, expression)
    };
    let mut eval = Eval {
        line: number,
        expression: expression.trim().to_owned(),
        start,
        end,
        step,
        fails: (command == "eval_fail").then_some(Wanted::Any),
        warnings: if command == "eval_warn" { vec![Wanted::Any] } else { Vec::new() },
        infos: if command == "eval_info" { vec![Wanted::Any] } else { Vec::new() },
        no_warnings: false,
        no_infos: false,
        ordered: command == "eval_ordered",
        text: None,
        range: None,
        scalar: None,
        series: Vec::new(),
    };
    for line in body {
        expectation(&mut eval, line)?;
    }
    Ok(eval)
}

fn expectation(eval: &mut Eval, line: &str) -> Result<(), String> {
    if let Some(range) = line.strip_prefix("expect range vector") {
        let words: Vec<&str> = range.split_whitespace().collect();
        let ["from", from, "to", _, "step", step] = words.as_slice() else { return Err("no range".to_owned()) };
        eval.range = Some((duration::parse(from)?, duration::parse(step)?));
        return Ok(());
    }
    if let Some(text) = line.strip_prefix("expect string ") {
        eval.text = Some(unquoted(text)?);
        return Ok(());
    }
    if let Some(expected) = line.strip_prefix("expect ") {
        let (kind, rest) = word(expected);
        let rest = rest.trim_start();
        let wanted = if let Some(text) = rest.strip_prefix("msg:") {
            Wanted::Text(text.trim().to_owned())
        } else if let Some(pattern) = rest.strip_prefix("regex:") {
            Wanted::Pattern(Box::new(PikeVM::new(pattern.trim()).map_err(|error| error.to_string())?))
        } else {
            Wanted::Any
        };
        match kind {
            "fail" => eval.fails = Some(wanted),
            "warn" => eval.warnings.push(wanted),
            "info" => eval.infos.push(wanted),
            "no_warn" => eval.no_warnings = true,
            "no_info" => eval.no_infos = true,
            "ordered" => eval.ordered = true,
            other => return Err(format!("unknown expectation {other}")),
        }
        return Ok(());
    }
    let sign = if line.starts_with('-') { -1.0 } else { 1.0 };
    if let Some(value) = number(line.trim_start_matches(['+', '-'])) {
        eval.scalar = Some(sign * value);
        return Ok(());
    }
    eval.series.push(series(line)?);
    Ok(())
}
