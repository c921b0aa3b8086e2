//! Does a script hold?

use super::door::Door;
use super::memory::Memory;
use super::read::{Command, Eval, Wanted, commands};
use super::reply::{Checked, Reply, compare};
use crate::promql::ast::{At, Expr};
use crate::promql::eval::{Settings, evaluate};
use crate::promql::note::Level;
use crate::promql::parser;
use crate::promql::prepare::{Frame, UNSAFE_AT};

/// How many evaluations held, and what is wrong with the others.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failures: Vec<String>,
}

impl Tally {
    pub(super) fn total(&self) -> usize {
        self.passed + self.failures.len()
    }

    pub(super) fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
    }

    /// Counts an evaluation of a script.
    pub(super) fn count(&mut self, name: &str, eval: &Eval, checked: Checked) {
        match checked {
            Ok(()) => self.passed += 1,
            Err(message) => self.failures.push(format!("{name}:{}: {}: {message}", eval.line, eval.expression)),
        }
    }
}

/// Who evaluates.
pub(super) enum Place<'a> {
    Engine(&'a Memory),
    Server(&'a mut Door),
}

/// What was said.
pub(super) struct Said {
    pub(super) reply: Result<Reply, String>,
    pub(super) warnings: Vec<String>,
    pub(super) infos: Vec<String>,
}

impl Place<'_> {
    fn ask(&mut self, expression: &str, frame: Frame) -> Said {
        match self {
            Place::Engine(memory) => {
                let outcome = evaluate(*memory, Settings::default(), expression, frame);
                let texts = |level| outcome.notes.texts(level, expression);
                let (warnings, infos) = (texts(Level::Warning), texts(Level::Info));
                let reply = outcome.answer.map(Reply::from).map_err(|fault| fault.message(expression));
                Said { reply, warnings, infos }
            }
            Place::Server(door) => door.ask(expression, frame),
        }
    }
}

pub(super) fn run(name: &str, script: &str) -> Tally {
    let mut memory = Memory::default();
    let mut tally = Tally::default();
    for command in commands(script) {
        match command {
            Err((line, message)) => tally.failures.push(format!("{name}:{line}: {message}")),
            Ok(Command::Clear) => memory = Memory::default(),
            Ok(Command::Load(load)) => {
                load.samples().into_iter().for_each(|(labels, sample)| memory.add(&labels, sample));
            }
            Ok(Command::Eval(eval)) => {
                let checked = check(&eval, &mut Place::Engine(&memory));
                tally.count(name, &eval, checked);
            }
        }
    }
    tally
}

pub(super) fn check(eval: &Eval, place: &mut Place<'_>) -> Checked {
    if eval.step != 0 {
        let frame = Frame { start: eval.start, end: eval.end, step: eval.step };
        let Some(reply) = evaluated(eval, place, &eval.expression, frame)? else { return Ok(()) };
        return compare(eval, reply, eval.start, eval.step);
    }
    check_instant(eval, place, &eval.expression, eval.start)?;
    let printed = parser::parse(&eval.expression).map_err(|fault| fault.message(&eval.expression))?.to_string();
    let again = parser::parse(&printed).map_err(|fault| format!("{printed}: {}", fault.message(&printed)))?;
    if again.to_string() != printed {
        return Err(format!("printed as {printed}, then as {again}"));
    }
    for (expression, time) in with_at(&eval.expression, eval.start) {
        check_instant(eval, place, &expression, time).map_err(|error| format!("{expression} at {time}: {error}"))?;
    }
    Ok(())
}

/// `None` where a failure was expected and came.
fn evaluated(eval: &Eval, place: &mut Place<'_>, expression: &str, frame: Frame) -> Result<Option<Reply>, String> {
    let said = place.ask(expression, frame);
    match (&said.reply, &eval.fails) {
        (Err(message), Some(wanted)) if wanted.accepts(message) => Ok(None),
        (Err(message), Some(_)) => Err(format!("failed otherwise: {message}")),
        (Err(message), None) => Err(format!("failed: {message}")),
        (Ok(_), Some(_)) => Err("did not fail".to_owned()),
        (Ok(_), None) => {
            check_notes(&said.warnings, &eval.warnings, eval.no_warnings)?;
            check_notes(&said.infos, &eval.infos, eval.no_infos)?;
            said.reply.map(Some)
        }
    }
}

fn check_notes(texts: &[String], wanted: &[Wanted], none: bool) -> Checked {
    if none && !texts.is_empty() {
        return Err(format!("unexpected notes: {texts:?}"));
    }
    if let Some(missing) = wanted.iter().find(|wanted| !texts.iter().any(|text| wanted.accepts(text))) {
        return Err(format!("no note as {missing:?}, only {texts:?}"));
    }
    let unwanted = |text: &&String| !wanted.iter().any(|wanted: &Wanted| wanted.accepts(text));
    if let Some(text) = texts.iter().find(unwanted).filter(|_| !wanted.is_empty()) {
        return Err(format!("unexpected note: {text}"));
    }
    Ok(())
}

fn check_instant(eval: &Eval, place: &mut Place<'_>, expression: &str, time: i64) -> Checked {
    let frame = Frame { start: time, end: time, step: 0 };
    let Some(reply) = evaluated(eval, place, expression, frame)? else { return Ok(()) };
    let (start, step) = eval.range.unwrap_or((time, 1));
    compare(eval, reply, start, step)?;
    let is_bound = ["start()", "end()", "range()", "step()"].iter().any(|call| expression.contains(call));
    if eval.range.is_some() || eval.text.is_some() || is_bound {
        return Ok(());
    }
    // The same as the middle of a range.
    let frame = Frame { start: time - 60_000, end: time + 60_000, step: 60_000 };
    let reply = place.ask(expression, frame).reply.map_err(|message| format!("failed as a range: {message}"))?;
    if eval.ordered {
        return Ok(());
    }
    let mut middle = reply.at_step(1);
    if eval.scalar.is_some() && matches!(place, Place::Server(_)) {
        middle = middle.into_scalar();
    }
    compare(eval, middle, time, 1).map_err(|error| format!("as a range: {error}"))
}

/// The expression with `@` on every selector, to be asked at other moments; none if its value changes with the moment.
fn with_at(expression: &str, time: i64) -> Vec<(String, i64)> {
    let Ok(mut expr) = parser::parse(expression) else { return Vec::new() };
    if !pin(&mut expr, time) {
        return Vec::new();
    }
    let printed = expr.to_string();
    let moments = if time == 0 { vec![-1000, 0, 1000] } else { vec![-10 * time, 0, time / 5, time, 10 * time] };
    moments.into_iter().map(|moment| (printed.clone(), moment)).collect()
}

fn pin(expr: &mut Expr, time: i64) -> bool {
    let at = Some(At::Time(time));
    match expr {
        Expr::Number(_) | Expr::Text(_) => true,
        Expr::Vector(selector) => {
            pin_shift(&mut selector.shift.at, at);
            true
        }
        Expr::Range(range) => {
            pin_shift(&mut range.selector.shift.at, at);
            true
        }
        // What is inside is seen from there.
        Expr::Subquery(subquery) => {
            pin_shift(&mut subquery.shift.at, at);
            true
        }
        Expr::Call(call) => {
            let is_safe = !UNSAFE_AT.contains(&call.function.name);
            call.args.iter_mut().map(|arg| pin(arg, time)).fold(is_safe, |all, one| all && one)
        }
        Expr::Aggregate(aggregate) => {
            let param = aggregate.param.as_mut().is_none_or(|param| pin(param, time));
            pin(&mut aggregate.expr, time) && param
        }
        Expr::Chain(chain) => {
            let mut is_safe = true;
            for operand in chain.operands_mut() {
                is_safe &= pin(operand, time);
            }
            is_safe
        }
        Expr::Unary(unary) => pin(&mut unary.expr, time),
        Expr::Paren(paren) => pin(&mut paren.expr, time),
        Expr::Invariant(inner) => pin(inner, time),
    }
}

fn pin_shift(own: &mut Option<At>, at: Option<At>) {
    if !matches!(own, Some(At::Time(_))) {
        *own = at;
    }
}
