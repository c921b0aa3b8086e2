//! What comes of two sides and an operator?
//!
//! Series match whose labels are the same but for those that are ignored, or in those that are named. On one side there may
//! be only one for each group of labels; which, `group_left` and `group_right` say.

use super::element::{Element, elements, scalars};
use super::set::Union;
use super::{Answer, Evaluator, SAME_LABELS};
use crate::promql::ast::{Cardinality, Chain, Link, Matching, Operator, Span};
use crate::promql::fault::{Fault, Result};
use crate::promql::note::Note;
use crate::series::{Grid, Labels, NAME, Row, Value};
use std::collections::HashMap;

impl Evaluator<'_> {
    /// A link after the other, so that a long chain needs no more of the stack than a short one.
    pub(super) fn chain(&mut self, chain: &Chain, grid: Grid) -> Result<Answer> {
        let mut left = self.eval(&chain.first, grid)?;
        let mut links = chain.links.iter().peekable();
        while let Some(link) = links.next() {
            if link.op == Operator::Or {
                let mut union = self.union(link, left, grid)?;
                while let Some(next) = links.next_if(|next| union.goes_on_with(next)) {
                    let rows = self.rows(&next.right, grid)?;
                    self.count(rows.len().saturating_mul(grid.count))?;
                    union.add(rows)?;
                }
                left = Answer::Instant(union.into_rows());
                continue;
            }
            let span = chain.first.span().to(link.right.span());
            let right = self.eval(&link.right, grid)?;
            left = self.joined(Sides { link, span, grid }, left, right)?;
        }
        Ok(left)
    }

    /// What the first `or` of some makes.
    fn union<'l>(&mut self, link: &'l Link, left: Answer, grid: Grid) -> Result<Union<'l>> {
        let (left, right) = (vector(left)?, self.rows(&link.right, grid)?);
        self.count(left.len().max(right.len()).saturating_mul(grid.count))?;
        let mut union = Union::new(&link.matching);
        union.add_all(left)?;
        union.add(right)?;
        Ok(union)
    }

    fn joined(&mut self, sides: Sides<'_>, left: Answer, right: Answer) -> Result<Answer> {
        let op = sides.link.op;
        match (left, right) {
            (Answer::Scalar(left), Answer::Scalar(right)) => {
                let values = left.into_iter().zip(right).map(|(left, right)| scalars(op, left, right));
                Ok(Answer::Scalar(values.collect()))
            }
            (left, Answer::Scalar(numbers)) => {
                Ok(Answer::Instant(self.with_number(sides, vector(left)?, &numbers, false)))
            }
            (Answer::Scalar(numbers), right) => {
                Ok(Answer::Instant(self.with_number(sides, vector(right)?, &numbers, true)))
            }
            (left, right) => {
                let (left, right) = (vector(left)?, vector(right)?);
                self.count(left.len().max(right.len()).saturating_mul(sides.grid.count))?;
                if op.is_set() {
                    return Ok(Answer::Instant(super::set::filtered_by(sides.link, left, &right)));
                }
                let rows = Join::new(sides, &left, &right).run(self)?;
                Ok(Answer::Instant(rows))
            }
        }
    }

    /// `number_first` says on which side the number stands.
    fn with_number(&mut self, sides: Sides<'_>, rows: Vec<Row>, numbers: &[f64], number_first: bool) -> Vec<Row> {
        let Sides { link, span, .. } = sides;
        let op = link.op;
        let drops = op.changes_quantity() || link.returns_bool;
        let mut note: Vec<Option<Note>> = vec![None; numbers.len()];
        let computed = rows.into_iter().filter_map(|row| {
            let row = Row { drop_name: row.drop_name || drops, ..row };
            row.mapped(|step, value| {
                let number = Value::Float(numbers.get(step).copied().unwrap_or(f64::NAN));
                let (left, right) = if number_first { (&number, &value) } else { (&value, &number) };
                let (result, keeps) = match elements(op, left, right, span) {
                    Element::Nothing(why) => {
                        *note.get_mut(step)? = Some(why);
                        return None;
                    }
                    Element::Value { value, keeps, .. } => (value, keeps),
                };
                if link.returns_bool {
                    return Some(Value::Float(f64::from(u8::from(keeps))));
                }
                // Of a comparison the vector's value stays, whatever its side.
                let result = if op.is_comparison() && number_first { value } else { result };
                keeps.then_some(result)
            })
        });
        let computed = computed.collect();
        note.into_iter().flatten().for_each(|note| self.note(note));
        computed
    }
}

/// One side of a pair: the place of its series, where it has one, and its value.
type Cell<'v> = (Option<usize>, &'v Value);

/// An operator, where it and its sides stand, and the steps.
#[derive(Debug, Clone, Copy)]
struct Sides<'l> {
    link: &'l Link,
    span: Span,
    grid: Grid,
}

fn vector(answer: Answer) -> Result<Vec<Row>> {
    match answer {
        Answer::Instant(rows) => Ok(rows),
        _ => Fault::evaluation("an instant vector was expected"),
    }
}

/// Numbers for groups of series that match.
pub(super) struct Groups<'m> {
    matching: &'m Matching,
    dropped: Vec<String>,
    numbers: HashMap<Labels, usize>,
}

impl<'m> Groups<'m> {
    pub(super) fn new(matching: &'m Matching) -> Self {
        let dropped = matching.labels.iter().cloned().chain([NAME.to_owned()]).collect();
        Groups { matching, dropped, numbers: HashMap::new() }
    }

    /// The labels by which a series matches.
    fn key(&self, labels: &Labels) -> Labels {
        if self.matching.on { labels.only(&self.matching.labels) } else { labels.without(&self.dropped) }
    }

    pub(super) fn of(&mut self, rows: &[Row]) -> Vec<usize> {
        let keys = rows.iter().map(|row| {
            let key = self.key(&row.labels);
            let next = self.numbers.len();
            *self.numbers.entry(key).or_insert(next)
        });
        keys.collect()
    }

    pub(super) fn count(&self) -> usize {
        self.numbers.len()
    }
}

/// One side of a join.
struct Side<'r> {
    rows: &'r [Row],
    groups: Vec<usize>,
}

impl Side<'_> {
    /// Rows with a value at a step: their places, groups and values.
    fn at(&self, step: usize) -> impl Iterator<Item = (usize, usize, &Value)> {
        let rows = self.rows.iter().zip(&self.groups).enumerate();
        rows.filter_map(move |(place, (row, group))| Some((place, *group, row.cells.get(step)?.as_ref()?)))
    }
}

/// Two vectors that are joined. The many are on the left if `one` is not.
struct Join<'r> {
    link: &'r Link,
    span: Span,
    groups: Groups<'r>,
    many: Side<'r>,
    one: Side<'r>,
    /// What stands for a series that the many or the one side does not have.
    fill_many: Option<f64>,
    fill_one: Option<f64>,
    count: usize,
    results: Vec<Row>,
    places: HashMap<Labels, usize>,
    pairs: HashMap<(Option<usize>, Option<usize>), usize>,
    /// For each result the last step and group that made it.
    made: Vec<Option<(usize, usize)>>,
}

impl<'r> Join<'r> {
    fn new(Sides { link, span, grid }: Sides<'r>, left: &'r [Row], right: &'r [Row]) -> Self {
        let matching = &link.matching;
        let mut groups = Groups::new(matching);
        let left = Side { rows: left, groups: groups.of(left) };
        let right = Side { rows: right, groups: groups.of(right) };
        let swaps = matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if swaps { (right, left) } else { (left, right) };
        // As in Prometheus, the sides of `fill` are those of the operator only where nothing is swapped.
        Join {
            link,
            span,
            groups,
            many,
            one,
            fill_many: matching.fill_left,
            fill_one: matching.fill_right,
            count: grid.count,
            results: Vec::new(),
            places: HashMap::new(),
            pairs: HashMap::new(),
            made: Vec::new(),
        }
    }

    fn run(mut self, evaluator: &mut Evaluator<'_>) -> Result<Vec<Row>> {
        let groups = self.groups.count();
        for step in 0..self.count {
            evaluator.source.check()?;
            let ones: Vec<(usize, usize, Value)> =
                self.one.at(step).map(|(a, b, value)| (a, b, value.clone())).collect();
            let many: Vec<(usize, usize, Value)> =
                self.many.at(step).map(|(a, b, value)| (a, b, value.clone())).collect();
            let fills = self.fill_many.is_some() || self.fill_one.is_some();
            if (many.is_empty() && ones.is_empty()) || ((many.is_empty() || ones.is_empty()) && !fills) {
                continue;
            }
            let mut by_group: Vec<Option<usize>> = vec![None; groups];
            for (nth, (place, group, _)) in ones.iter().enumerate() {
                let Some(slot) = by_group.get_mut(*group) else { continue };
                if let Some(other) = slot.and_then(|other| ones.get(other)) {
                    return self.duplicate(other.0, *place);
                }
                *slot = Some(nth);
            }
            let mut note = None;
            let mut matched = vec![false; groups];
            for (place, group, value) in &many {
                let partner = by_group.get(*group).copied().flatten().and_then(|nth| ones.get(nth));
                let (other, right) = match (partner, self.fill_one) {
                    (Some((other, _, right)), _) => (Some(*other), right.clone()),
                    (None, Some(fill)) => (None, Value::Float(fill)),
                    (None, None) => continue,
                };
                let sides = ((Some(*place), value), (other, &right));
                let was_made = self.pair(evaluator, (step, *group), sides, &mut note)?;
                let Some(matched) = matched.get_mut(*group).filter(|_| was_made) else { continue };
                if *matched && self.link.matching.cardinality == Cardinality::OneToOne {
                    return Fault::evaluation(
                        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                    );
                }
                *matched = true;
            }
            if let Some(fill) = self.fill_many {
                for (place, group, value) in &ones {
                    if matched.get(*group) != Some(&true) {
                        let sides = ((None, &Value::Float(fill)), (Some(*place), value));
                        self.pair(evaluator, (step, *group), sides, &mut note)?;
                    }
                }
            }
            if let Some(note) = note {
                evaluator.note(note);
            }
        }
        Ok(self.results.into_iter().filter(Row::has_value).collect())
    }

    /// Computes one result; false where the two values do not go together.
    fn pair(
        &mut self,
        evaluator: &mut Evaluator<'_>,
        (step, group): (usize, usize),
        (many, one): (Cell<'_>, Cell<'_>),
        note: &mut Option<Note>,
    ) -> Result<bool> {
        let link = self.link;
        let swaps = link.matching.cardinality == Cardinality::OneToMany;
        let (left, right) = if swaps { (one.1, many.1) } else { (many.1, one.1) };
        let (value, keeps) = match elements(link.op, left, right, self.span) {
            Element::Nothing(why) => {
                *note = Some(why);
                return Ok(false);
            }
            Element::Value { value, keeps, note: info } => {
                if info.is_some() {
                    *note = info;
                }
                (value, keeps)
            }
        };
        let place = self.result(evaluator, many.0, one.0)?;
        let made = self.made.get_mut(place);
        let before = made.and_then(|made| made.replace((step, group)));
        if before == Some((step, group)) && link.matching.cardinality != Cardinality::OneToOne {
            return Fault::evaluation("multiple matches for labels: grouping labels must ensure unique matches");
        }
        let value = if link.returns_bool { Value::Float(f64::from(u8::from(keeps))) } else { value };
        if keeps || link.returns_bool {
            let cell = self.results.get_mut(place).and_then(|row| row.cells.get_mut(step));
            if let Some(cell) = cell {
                if cell.is_some() {
                    return Fault::evaluation(SAME_LABELS);
                }
                *cell = Some(value);
            }
        }
        Ok(true)
    }

    /// The row that a pair's results belong to.
    fn result(&mut self, evaluator: &mut Evaluator<'_>, many: Option<usize>, one: Option<usize>) -> Result<usize> {
        if let Some(place) = self.pairs.get(&(many, one)) {
            return Ok(*place);
        }
        let row_of = |side: &Side<'r>, place: Option<usize>| place.and_then(|place| side.rows.get(place));
        let (many_row, one_row) = (row_of(&self.many, many), row_of(&self.one, one));
        let filled = |other: Option<&Row>| other.map(|row| self.groups.key(&row.labels)).unwrap_or_default();
        let many_labels = many_row.map_or_else(|| filled(one_row), |row| row.labels.clone());
        let one_labels = one_row.map_or_else(|| filled(many_row), |row| row.labels.clone());
        for name in &self.link.matching.include {
            evaluator.count_label(name, one_labels.get(name).len())?;
        }
        let labels = self.result_labels(&many_labels, &one_labels);
        let next = self.results.len();
        let place = *self.places.entry(labels.clone()).or_insert(next);
        if place == next {
            let mut row = Row::empty(labels, self.count);
            row.drop_name = self.link.returns_bool;
            self.results.push(row);
            self.made.push(None);
        }
        self.pairs.insert((many, one), place);
        Ok(place)
    }

    fn result_labels(&self, many: &Labels, one: &Labels) -> Labels {
        let matching = &self.link.matching;
        let mut labels = many.clone();
        if self.link.op.changes_quantity() {
            labels = labels.without_metadata();
        }
        if matching.cardinality == Cardinality::OneToOne {
            labels = if matching.on { labels.only(&matching.labels) } else { labels.without(&matching.labels) };
        }
        for name in &matching.include {
            labels = labels.with(name, one.get(name));
        }
        labels
    }

    fn duplicate<T>(&self, first: usize, second: usize) -> Result<T> {
        let text = |place: usize| self.one.rows.get(place).map(|row| row.labels.to_string()).unwrap_or_default();
        let side = if self.link.matching.cardinality == Cardinality::OneToMany { "left" } else { "right" };
        let group = self.one.rows.get(second).map(|row| self.groups.key(&row.labels)).unwrap_or_default();
        let mut both = [text(first), text(second)];
        both.sort();
        let [first, second] = both;
        Fault::evaluation(format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the operation: \
             [{first}, {second}];many-to-many matching not allowed: matching labels must be unique on one side"
        ))
    }
}
