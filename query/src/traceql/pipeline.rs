//! Which spansets does a pipeline make of a trace?
//!
//! P1  A pipeline begins with one spanset: the spans of the trace that start in the range. Trees, roots and durations are
//!     those of the whole trace.
//! P2  A stage takes each spanset by itself; one without spans is none.
//! P3  Spans of a spanset stand in the order of the trace, each once. What groups or filters numbers tells its values.
//! P4  A filter over scalars of pipelines answers the spans that those pipelines give.
//!
//! Not here: which traces are looked at (`search`), series (`metric`).

use super::ast::{
    Aggregate, Arithmetic, Compare, Mode, Name, Pipeline, Scalar, ScalarFilter, SpansetOp, Spansets, Stage, Static,
};
use super::expression::Expression;
use super::structure::{Numbered, related};
use super::trace::Tree;
use super::value::{Value, calculate, compares};
use crate::error::Result;
use crate::exec::Control;
use std::collections::BTreeMap;
use storage::scan::TimeRange;

/// So many spans are looked at before it is asked again whether the query may go on.
const PIECE: usize = 8 * 1024;

/// A trace, and what says whether the query may go on.
type Of<'a> = (&'a Control, &'a Tree<'a>);

/// A pipeline, ready to be asked trace after trace.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Spansets(Set),
    Scalar {
        left: Number,
        op: Compare,
        right: Number,
    },
    By {
        label: String,
        expression: Expression,
    },
    Coalesce,
    /// Tells something in the answer, and filters nothing.
    Select,
}

#[derive(Debug, Clone)]
pub(super) enum Set {
    /// Without an expression every span.
    Filter(Option<Expression>),
    Pipeline(Plan),
    Binary {
        op: SpansetOp,
        left: Box<Set>,
        right: Box<Set>,
    },
}

#[derive(Debug, Clone)]
pub(super) enum Number {
    Static(Static),
    Aggregate { label: String, op: Aggregate, expression: Option<Expression> },
    Binary { op: Arithmetic, left: Box<Number>, right: Box<Number> },
    Piped { label: String, plan: Plan, number: Box<Number> },
}

/// Spans that belong together, and what is told of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Spanset {
    /// Places in the trace, ascending.
    pub(super) spans: Vec<usize>,
    /// Values by label, in the order of the stages.
    pub(super) told: Vec<(String, Value<'static>)>,
}

impl Plan {
    /// Makes a checked pipeline ready.
    pub(super) fn new(pipeline: &Pipeline) -> Result<Self, String> {
        let steps = pipeline.0.iter().map(|stage| {
            Ok(match stage {
                Stage::Spansets(spansets) => Step::Spansets(Set::new(spansets)?),
                Stage::Scalar(ScalarFilter { left, op, right }) => {
                    Step::Scalar { left: Number::new(left)?, op: *op, right: Number::new(right)? }
                }
                Stage::By(field) => Step::By { label: format!("by({field})"), expression: Expression::new(field)? },
                Stage::Coalesce => Step::Coalesce,
                Stage::Select(_) => Step::Select,
            })
        });
        Ok(Plan { steps: steps.collect::<Result<_, String>>()? })
    }

    /// The spansets of a trace.
    pub(super) fn run(&self, control: &Control, tree: &Tree<'_>, range: TimeRange) -> Result<Vec<Spanset>> {
        let in_range = |place: &usize| tree.spot(*place).is_some_and(|spot| range.contains(spot.spans.start(spot.row)));
        let spans: Vec<usize> = (0..tree.len()).filter(in_range).collect();
        self.over((control, tree), vec![Spanset { spans, told: Vec::new() }])
    }

    fn over(&self, of: Of<'_>, mut sets: Vec<Spanset>) -> Result<Vec<Spanset>> {
        for step in &self.steps {
            sets.retain(|set| !set.spans.is_empty());
            if sets.is_empty() {
                break;
            }
            sets = match step {
                Step::Spansets(set) => sets.into_iter().map(|input| set.of(of, input)).collect::<Result<_>>()?,
                Step::Scalar { left, op, right } => {
                    let filtered = |input| scalar_filter(of, input, left, *op, right).transpose();
                    sets.into_iter().filter_map(filtered).collect::<Result<_>>()?
                }
                Step::By { label, expression } => {
                    let mut all = Vec::new();
                    for input in &sets {
                        all.extend(groups(of, input, label, expression)?);
                    }
                    all
                }
                Step::Coalesce => vec![Spanset { spans: united(sets), told: Vec::new() }],
                Step::Select => sets,
            };
        }
        sets.retain(|set| !set.spans.is_empty());
        Ok(sets)
    }

    /// Gives each filter's expression to `each`, those of scalars too.
    pub(super) fn expressions<'p>(&'p self, each: &mut impl FnMut(&'p Expression)) {
        for step in &self.steps {
            match step {
                Step::Spansets(set) => set.expressions(each),
                Step::Scalar { left, right, .. } => {
                    left.expressions(each);
                    right.expressions(each);
                }
                Step::By { expression, .. } => each(expression),
                Step::Coalesce | Step::Select => {}
            }
        }
    }
}

impl Set {
    fn new(spansets: &Spansets) -> Result<Self, String> {
        Ok(match spansets {
            Spansets::Filter(field) => Set::Filter(field.as_ref().map(Expression::new).transpose()?),
            Spansets::Pipeline(pipeline) => Set::Pipeline(Plan::new(pipeline)?),
            Spansets::Binary { op, left, right } => match (op, Set::new(left)?, Set::new(right)?) {
                // The spans of either filter are those of the filter that asks for either.
                (SpansetOp::Or, Set::Filter(left), Set::Filter(right)) => Set::Filter(either(left, right)),
                (op, left, right) => Set::Binary { op: *op, left: Box::new(left), right: Box::new(right) },
            },
        })
    }

    fn of(&self, of: Of<'_>, input: Spanset) -> Result<Spanset> {
        let spans = self.spans(of, &input.spans)?;
        Ok(Spanset { spans, told: input.told })
    }

    /// Which of some spans are in the set.
    fn spans(&self, of: Of<'_>, input: &[usize]) -> Result<Vec<usize>> {
        let (control, tree) = of;
        control.check()?;
        Ok(match self {
            Set::Filter(None) => input.to_vec(),
            Set::Filter(Some(expression)) => {
                let holds = |place: &usize| tree.spot(*place).is_some_and(|spot| expression.holds(spot));
                let mut held = Vec::new();
                for piece in input.chunks(PIECE) {
                    control.check()?;
                    held.extend(piece.iter().copied().filter(holds));
                }
                held
            }
            Set::Pipeline(plan) => united(plan.over(of, vec![Spanset { spans: input.to_vec(), told: Vec::new() }])?),
            Set::Binary { op, left, right } => {
                let right_spans = right.spans(of, input)?;
                let mode = match op {
                    SpansetOp::Structural { mode, .. } => Some(*mode),
                    SpansetOp::And | SpansetOp::Or => None,
                };
                if right_spans.is_empty() && *op != SpansetOp::Or {
                    return Ok(Vec::new());
                }
                let left_spans = left.spans(of, input)?;
                if left_spans.is_empty() && *op != SpansetOp::Or && mode != Some(Mode::Negated) {
                    return Ok(Vec::new());
                }
                let SpansetOp::Structural { relation, mode } = op else {
                    return Ok(merged(left_spans, right_spans));
                };
                let numbered = |spans: Vec<usize>| -> Vec<Numbered> {
                    spans.into_iter().filter_map(|place| Some((place, tree.nested(place)?))).collect()
                };
                related(*relation, *mode, &numbered(left_spans), &numbered(right_spans))
            }
        })
    }

    fn expressions<'p>(&'p self, each: &mut impl FnMut(&'p Expression)) {
        match self {
            Set::Filter(expression) => expression.iter().for_each(each),
            Set::Pipeline(plan) => plan.expressions(each),
            Set::Binary { left, right, .. } => {
                left.expressions(each);
                right.expressions(each);
            }
        }
    }
}

fn either(left: Option<Expression>, right: Option<Expression>) -> Option<Expression> {
    let parts = |side| match side {
        Expression::Or(parts) => parts,
        other => vec![other],
    };
    let (mut left, right) = (parts(left?), parts(right?));
    left.extend(right);
    Some(Expression::Or(left))
}

fn merged(mut left: Vec<usize>, right: Vec<usize>) -> Vec<usize> {
    left.extend(right);
    left.sort_unstable();
    left.dedup();
    left
}

fn united(sets: Vec<Spanset>) -> Vec<usize> {
    sets.into_iter().fold(Vec::new(), |all, set| merged(all, set.spans))
}

/// A spanset per value; one of the spans without value too.
fn groups((control, tree): Of<'_>, input: &Spanset, label: &str, expression: &Expression) -> Result<Vec<Spanset>> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut groups: Vec<Spanset> = Vec::new();
    for (done, &place) in input.spans.iter().enumerate() {
        if done % PIECE == 0 {
            control.check()?;
        }
        let value = tree.spot(place).map_or(Value::Nil, |spot| expression.value(spot).into_owned());
        let at = *places.entry(format!("{value:?}")).or_insert(groups.len());
        if at == groups.len() {
            let mut told = input.told.clone();
            told.push((label.to_owned(), value));
            groups.push(Spanset { spans: Vec::new(), told });
        }
        if let Some(group) = groups.get_mut(at) {
            group.spans.push(place);
        }
    }
    Ok(groups)
}

fn scalar_filter(of: Of<'_>, input: Spanset, left: &Number, op: Compare, right: &Number) -> Result<Option<Spanset>> {
    let mut told = Vec::new();
    let mut piped: Option<Vec<usize>> = None;
    let mut note = |label: &str, value: &Value<'static>| told.push((label.to_owned(), value.clone()));
    let first = left.value(of, &input.spans, &mut note, &mut piped)?;
    let second = right.value(of, &input.spans, &mut note, &mut piped)?;
    if !compares(op, &first, &second) {
        return Ok(None);
    }
    let mut output = Spanset { spans: piped.unwrap_or(input.spans), told: input.told };
    for (label, value) in told {
        match output.told.iter_mut().find(|(known, _)| *known == label) {
            Some((_, known)) => *known = value,
            None => output.told.push((label, value)),
        }
    }
    Ok(Some(output))
}

impl Number {
    fn new(scalar: &Scalar) -> Result<Self, String> {
        Ok(match scalar {
            Scalar::Number(value) => Number::Static(value.clone()),
            Scalar::Aggregate { op, field, .. } => Number::Aggregate {
                label: scalar.to_string(),
                op: *op,
                expression: field.as_ref().map(Expression::new).transpose()?,
            },
            Scalar::Binary { op, left, right } => {
                Number::Binary { op: *op, left: Box::new(Number::new(left)?), right: Box::new(Number::new(right)?) }
            }
            Scalar::Piped { pipeline, scalar: inner } => Number::Piped {
                label: scalar.to_string(),
                plan: Plan::new(pipeline)?,
                number: Box::new(Number::new(inner)?),
            },
        })
    }

    /// The number of some spans. Each aggregate is told to `note`, the spans of pipelines are added to `piped`.
    fn value(
        &self,
        of: Of<'_>,
        spans: &[usize],
        note: &mut dyn FnMut(&str, &Value<'static>),
        piped: &mut Option<Vec<usize>>,
    ) -> Result<Value<'static>> {
        let (control, tree) = of;
        control.check()?;
        Ok(match self {
            Number::Static(value) => Value::of_static(value).into_owned(),
            Number::Aggregate { label, op, expression } => {
                let value = aggregate(tree, spans, *op, expression.as_ref());
                note(label, &value);
                value
            }
            Number::Binary { op, left, right } => {
                let left = left.value(of, spans, note, piped)?;
                calculate(*op, &left, &right.value(of, spans, note, piped)?)
            }
            Number::Piped { label, plan, number } => {
                let given = united(plan.over(of, vec![Spanset { spans: spans.to_vec(), told: Vec::new() }])?);
                let value = number.value(of, &given, &mut |_, _| (), &mut None)?;
                note(label, &value);
                *piped = Some(merged(piped.take().unwrap_or_default(), given));
                value
            }
        })
    }

    fn expressions<'p>(&'p self, each: &mut impl FnMut(&'p Expression)) {
        match self {
            Number::Static(_) => {}
            Number::Aggregate { expression, .. } => expression.iter().for_each(each),
            Number::Binary { left, right, .. } => {
                left.expressions(each);
                right.expressions(each);
            }
            Number::Piped { plan, number, .. } => {
                plan.expressions(each);
                number.expressions(each);
            }
        }
    }
}

/// Of the spans that have a number; nil where none has.
fn aggregate(tree: &Tree<'_>, spans: &[usize], op: Aggregate, expression: Option<&Expression>) -> Value<'static> {
    let Some(expression) = expression else {
        return Value::Int(i64::try_from(spans.len()).unwrap_or(i64::MAX));
    };
    let numbers = spans.iter().filter_map(|place| tree.spot(*place)).filter_map(|spot| {
        let value = expression.value(spot);
        value.number().is_some().then(|| value.into_owned())
    });
    let mut count = 0i64;
    let combined = numbers.inspect(|_| count += 1).reduce(|all, next| match op {
        Aggregate::Min => {
            if compares(Compare::Less, &next, &all) {
                next
            } else {
                all
            }
        }
        Aggregate::Max => {
            if compares(Compare::Greater, &next, &all) {
                next
            } else {
                all
            }
        }
        Aggregate::Sum | Aggregate::Avg | Aggregate::Count => calculate(Arithmetic::Add, &all, &next),
    });
    match (op, combined) {
        (_, None) => Value::Nil,
        (Aggregate::Avg, Some(sum @ Value::Duration(_))) => calculate(Arithmetic::Divide, &sum, &Value::Int(count)),
        (Aggregate::Avg, Some(sum)) => {
            sum.number().map_or(Value::Nil, |sum| calculate(Arithmetic::Divide, &Value::Float(sum), &Value::Int(count)))
        }
        (_, Some(value)) => value,
    }
}

/// What is told of each span of an answer: what filters ask, and what is selected, each once.
pub(super) fn told_names(pipeline: &Pipeline) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    let mut add = |name: &Name| {
        if !names.contains(name) {
            names.push(name.clone());
        }
    };
    fields_of(pipeline, &mut add);
    names
}

fn fields_of(pipeline: &Pipeline, add: &mut dyn FnMut(&Name)) {
    for stage in &pipeline.0 {
        match stage {
            Stage::Spansets(spansets) => fields_of_set(spansets, add),
            Stage::Select(names) => names.iter().for_each(&mut *add),
            Stage::By(_) | Stage::Scalar(_) | Stage::Coalesce => {}
        }
    }
}

fn fields_of_set(spansets: &Spansets, add: &mut dyn FnMut(&Name)) {
    match spansets {
        Spansets::Filter(None) => {}
        Spansets::Filter(Some(field)) => super::ast::each_name(field, add),
        Spansets::Pipeline(pipeline) => fields_of(pipeline, add),
        Spansets::Binary { left, right, .. } => {
            fields_of_set(left, add);
            fields_of_set(right, add);
        }
    }
}
