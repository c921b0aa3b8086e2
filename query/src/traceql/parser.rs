//! Which tree does a text stand for?
//!
//! Precedence, weakest first: `|`; `&&` and `||` alike; comparisons and structural operators; `+ -`; `!`; `* / %`; `^`.
//! All but `^` are read from the left.
//!
//! G1  Any text is read or refused with a place; depth and length are limited, so that nothing that walks a tree overflows.
//! G2  Printing a tree and reading it again gives the same tree.
//!
//! Not here: expressions over spans (`field`), functions (`function`), types (`check`).

mod field;
mod function;
#[cfg(test)]
mod tests;

use super::ast::{
    Arithmetic, At, Compare, Metrics, Mode, Name, Pipeline, Query, Relation, Root, Scalar, ScalarFilter, Second,
    SpansetOp, Spansets, Stage, Static,
};
use super::lexer::{Placed, Token, tokens};
use super::problem::Problem;

/// Longest text that is read: far more than a person or a dashboard writes.
const MOST_BYTES: usize = 256 * 1024;
/// Deepest tree: every level costs some stack wherever trees are walked.
const MOST_DEPTH: usize = 128;

type Result<T> = std::result::Result<T, Problem>;

/// Reads a query.
pub(crate) fn parse(text: &str) -> Result<Query> {
    if text.len() > MOST_BYTES {
        return Err(Problem::at(text, 0, format!("the query is longer than {MOST_BYTES} bytes")));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, place: 0, nesting: 0 };
    let part = parser.chain()?;
    let root = parser.root(part)?;
    let hints = if parser.take_word("with") { parser.hints()? } else { Vec::new() };
    match parser.peek() {
        Token::End => Ok(Query { root, hints }),
        Token::Sign("+" | "-" | "*" | "/") if matches!(root, Root::Metrics(_)) => {
            Err(parser.unexpected("arithmetic between series that stand in parentheses: `({ } | rate()) + 5`"))
        }
        _ => Err(parser.unexpected("`|`, an operator, `with(…)` or the end")),
    }
}

/// Reads an attribute or an intrinsic that stands alone.
pub(crate) fn parse_name(text: &str) -> Result<Name> {
    let mut parser = Parser { text, tokens: tokens(text)?, place: 0, nesting: 0 };
    let name = parser.name()?;
    match parser.peek() {
        Token::End => Ok(name),
        _ => Err(parser.unexpected("the end")),
    }
}

/// What a part of a query turned out to be.
#[derive(Debug)]
enum Node {
    Spansets(Spansets),
    /// Not in parentheses, of several stages or of one that is no spanset.
    Pipeline(Pipeline),
    /// Numbers only.
    Constant(Scalar),
    Scalar(Scalar),
    Filter(ScalarFilter),
    Metrics(Metrics),
}

impl Node {
    fn describe(&self) -> &'static str {
        match self {
            Node::Spansets(_) => "a spanset",
            Node::Pipeline(_) => "a pipeline without parentheses",
            Node::Constant(_) => "a number",
            Node::Scalar(_) => "an aggregate",
            Node::Filter(_) => "a comparison",
            Node::Metrics(_) => "series",
        }
    }
}

/// A node, where it begins, and how deep it is.
#[derive(Debug)]
struct Part {
    node: Node,
    at: usize,
    depth: usize,
}

/// An operator between nodes.
#[derive(Debug, Clone, Copy)]
enum Infix {
    Spansets(SpansetOp),
    /// Of spansets it is structural, of numbers a comparison.
    Either(Relation, Compare),
    /// `!~`, of spansets.
    Compare(Compare),
    Arithmetic(Arithmetic),
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Placed>,
    place: usize,
    nesting: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.place).map_or(&Token::End, |placed| &placed.token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.place).map_or(self.text.len(), |placed| placed.at)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.place += 1;
        token
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(other) if *other == sign);
        self.place += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(other) if other == word);
        self.place += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<()> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn problem(&self, at: usize, message: impl Into<String>) -> Problem {
        Problem::at(self.text, at, message)
    }

    fn unexpected(&self, expected: &str) -> Problem {
        let found = match self.peek() {
            Token::End => "the end".to_owned(),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::Word(word) => format!("`{word}`"),
            Token::Scoped(scope, word) => format!("`{scope}:{word}`"),
            Token::Attribute(_) => "an attribute".to_owned(),
            Token::Text(_) => "a text".to_owned(),
            Token::Int(_) | Token::Float(_) => "a number".to_owned(),
            Token::Duration(_) => "a duration".to_owned(),
        };
        self.problem(self.at(), format!("expected {expected}, found {found}"))
    }

    /// How high a tree is on top of one of such a height.
    fn deeper(&self, at: usize, depth: usize) -> Result<usize> {
        if depth >= MOST_DEPTH {
            let message = format!(
                "more than {MOST_DEPTH} levels: each operator of a chain that is read from the left is one, each stage behind a `|`, \
                 and each pair of parentheses; of one `&&` or `||` after another there may be as many as the text holds"
            );
            return Err(self.problem(at, message));
        }
        Ok(depth + 1)
    }

    /// Runs `inner` one level of parentheses deeper.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.nesting >= MOST_DEPTH {
            return Err(self.problem(self.at(), format!("nested deeper than {MOST_DEPTH}")));
        }
        self.nesting += 1;
        let result = inner(self);
        self.nesting -= 1;
        result
    }

    /// What a whole query may be.
    fn root(&self, part: Part) -> Result<Root> {
        let at = part.at;
        match part.node {
            Node::Spansets(_) | Node::Pipeline(_) | Node::Filter(_) => Ok(Root::Spans(self.pipeline(part)?)),
            Node::Metrics(Metrics::Number(_)) | Node::Constant(_) => {
                Err(self.problem(at, "a number alone asks for nothing; expected spansets such as `{ status = error }`"))
            }
            Node::Metrics(metrics) => Ok(Root::Metrics(metrics)),
            Node::Scalar(_) => Err(self.problem(at, "an aggregate is compared with something: `| count() > 2`")),
        }
    }

    /// `expression | stage | …`.
    fn chain(&mut self) -> Result<Part> {
        let mut part = self.binary(0)?;
        loop {
            if self.take("|") {
                part = self.stage(part)?;
            } else if let (Node::Metrics(_), Some((Infix::Compare(_) | Infix::Either(..), _))) =
                (&part.node, self.infix())
            {
                part = self.infix_with(part, 3)?;
            } else {
                return Ok(part);
            }
        }
    }

    /// The stages before a `|`.
    fn pipeline(&self, part: Part) -> Result<Pipeline> {
        match part.node {
            Node::Pipeline(pipeline) => Ok(pipeline),
            Node::Spansets(spansets) => Ok(Pipeline(vec![Stage::Spansets(spansets)])),
            Node::Filter(filter) => Ok(Pipeline(vec![Stage::Scalar(filter)])),
            other => Err(self.problem(part.at, format!("expected spansets before `|`, found {}", other.describe()))),
        }
    }

    /// One stage behind a `|`.
    fn stage(&mut self, before: Part) -> Result<Part> {
        let at = self.at();
        let (start, depth) = (before.at, before.depth);
        if let Token::Word(word) = self.peek().clone() {
            if matches!(word.as_str(), "topk" | "bottomk") {
                return self.rank(before, &word);
            }
            if let Some(function) = self.function(&word)? {
                let pipeline = self.pipeline(before)?;
                let node = Node::Metrics(Metrics::Spans { pipeline, function, at: At(at) });
                return Ok(Part { node, at: start, depth });
            }
        }
        let Pipeline(mut stages) = self.pipeline(before)?;
        if self.take_word("coalesce") {
            self.expect("(")?;
            self.expect(")")?;
            stages.push(Stage::Coalesce);
            return Ok(Part { node: Node::Pipeline(Pipeline(stages)), at: start, depth });
        }
        let stage = self.binary(0)?;
        let depth = depth.max(stage.depth);
        let node = match stage.node {
            Node::Scalar(scalar) => {
                Node::Scalar(Scalar::Piped { pipeline: Pipeline(stages), scalar: Box::new(scalar) })
            }
            _ => {
                let Pipeline(more) = self.pipeline(stage)?;
                stages.extend(more);
                Node::Pipeline(Pipeline(stages))
            }
        };
        Ok(Part { node, at: start, depth: self.deeper(at, depth)? })
    }

    fn rank(&mut self, before: Part, word: &str) -> Result<Part> {
        let at = self.at();
        self.place += 1;
        self.expect("(")?;
        let count = match self.next() {
            Token::Int(count) => count,
            _ => {
                self.place -= 1;
                return Err(self.unexpected("how many series are kept, a positive number"));
            }
        };
        self.expect(")")?;
        let Node::Metrics(inner) = before.node else {
            return Err(self.problem(at, format!("`{word}` stands behind series: `{{ }} | rate() | {word}(5)`")));
        };
        let second = if word == "topk" { Second::Top(count) } else { Second::Bottom(count) };
        let depth = self.deeper(at, before.depth)?;
        Ok(Part {
            node: Node::Metrics(Metrics::Then { inner: Box::new(inner), second, at: At(at) }),
            at: before.at,
            depth,
        })
    }

    /// Operands joined by operators that bind at least so strongly.
    fn binary(&mut self, strength: u8) -> Result<Part> {
        let mut left = self.primary()?;
        while let Some((infix, binding)) = self.infix() {
            if binding < strength {
                break;
            }
            left = match infix {
                Infix::Spansets(op @ (SpansetOp::And | SpansetOp::Or)) if matches!(left.node, Node::Spansets(_)) => {
                    self.alike(op, left, binding)?
                }
                _ => self.infix_with(left, binding)?,
            };
        }
        Ok(left)
    }

    /// Spansets that one and the same `&&` or `||` joins, however many: either means the same wherever parentheses stand, so that they
    /// stand where the tree is lowest (G1).
    fn alike(&mut self, op: SpansetOp, first: Part, binding: u8) -> Result<Part> {
        let mut parts = vec![first];
        while let Some((Infix::Spansets(next), _)) = self.infix()
            && next == op
        {
            let at = self.at();
            self.place += 1;
            let right = self.nested(|parser| parser.binary(binding + 1))?;
            match (right, parts.pop()) {
                // Refuses it.
                (right, Some(left)) if !matches!(right.node, Node::Spansets(_)) => {
                    return self.combine(Infix::Spansets(op), at, left, right);
                }
                (right, left) => parts.extend(left.into_iter().chain([right])),
            }
        }
        while parts.len() > 1 {
            let mut pairs = Vec::with_capacity(parts.len().div_ceil(2));
            let mut rest = parts.into_iter();
            while let Some(left) = rest.next() {
                pairs.push(match rest.next() {
                    Some(right) => self.combine(Infix::Spansets(op), left.at, left, right)?,
                    None => left,
                });
            }
            parts = pairs;
        }
        parts.pop().ok_or_else(|| self.unexpected("a spanset"))
    }

    /// The operator that comes next, and its right side.
    fn infix_with(&mut self, left: Part, binding: u8) -> Result<Part> {
        let at = self.at();
        let Some((infix, _)) = self.infix() else { return Ok(left) };
        self.place += 1;
        let right_first = matches!(infix, Infix::Arithmetic(Arithmetic::Power));
        let right = self.nested(|parser| parser.binary(if right_first { binding } else { binding + 1 }))?;
        self.combine(infix, at, left, right)
    }

    fn infix(&self) -> Option<(Infix, u8)> {
        let Token::Sign(sign) = self.peek() else { return None };
        let structural = |relation, mode| Infix::Spansets(SpansetOp::Structural { relation, mode });
        Some(match *sign {
            "&&" => (Infix::Spansets(SpansetOp::And), 1),
            "||" => (Infix::Spansets(SpansetOp::Or), 1),
            ">" => (Infix::Either(Relation::Child, Compare::Greater), 2),
            "<" => (Infix::Either(Relation::Parent, Compare::Less), 2),
            ">>" => (structural(Relation::Descendant, Mode::Right), 2),
            "<<" => (structural(Relation::Ancestor, Mode::Right), 2),
            "~" => (structural(Relation::Sibling, Mode::Right), 2),
            "!>" => (structural(Relation::Child, Mode::Negated), 2),
            "!<" => (structural(Relation::Parent, Mode::Negated), 2),
            "!>>" => (structural(Relation::Descendant, Mode::Negated), 2),
            "!<<" => (structural(Relation::Ancestor, Mode::Negated), 2),
            "!~" => (structural(Relation::Sibling, Mode::Negated), 2),
            "&>" => (structural(Relation::Child, Mode::Union), 2),
            "&<" => (structural(Relation::Parent, Mode::Union), 2),
            "&>>" => (structural(Relation::Descendant, Mode::Union), 2),
            "&<<" => (structural(Relation::Ancestor, Mode::Union), 2),
            "&~" => (structural(Relation::Sibling, Mode::Union), 2),
            "=" => (Infix::Compare(Compare::Equal), 2),
            "!=" => (Infix::Compare(Compare::NotEqual), 2),
            "<=" => (Infix::Compare(Compare::LessOrEqual), 2),
            ">=" => (Infix::Compare(Compare::GreaterOrEqual), 2),
            "+" => (Infix::Arithmetic(Arithmetic::Add), 3),
            "-" => (Infix::Arithmetic(Arithmetic::Subtract), 3),
            "*" => (Infix::Arithmetic(Arithmetic::Multiply), 5),
            "/" => (Infix::Arithmetic(Arithmetic::Divide), 5),
            "%" => (Infix::Arithmetic(Arithmetic::Modulo), 5),
            "^" => (Infix::Arithmetic(Arithmetic::Power), 6),
            _ => return None,
        })
    }

    fn combine(&mut self, infix: Infix, at: usize, left: Part, right: Part) -> Result<Part> {
        let (start, depth) = (left.at, self.deeper(at, left.depth.max(right.depth))?);
        let sides = (left.node, right.node);
        let node = match (infix, sides) {
            (Infix::Spansets(op), (Node::Spansets(left), Node::Spansets(right))) => joined(op, left, right),
            (Infix::Either(relation, _), (Node::Spansets(left), Node::Spansets(right))) => {
                joined(SpansetOp::Structural { relation, mode: Mode::Right }, left, right)
            }
            (Infix::Either(_, op) | Infix::Compare(op), (Node::Metrics(inner), Node::Constant(value))) => {
                let second = Second::Filter(op, self.bound(right.at, &value)?);
                Node::Metrics(Metrics::Then { inner: Box::new(inner), second, at: At(at) })
            }
            (Infix::Either(_, op) | Infix::Compare(op), sides) => match scalars(sides) {
                Ok((left, right)) => Node::Filter(ScalarFilter { left, op, right }),
                Err(sides) => return Err(self.mismatch(at, infix, &sides)),
            },
            (Infix::Arithmetic(op), (Node::Constant(left), Node::Constant(right))) => {
                Node::Constant(Scalar::Binary { op, left: Box::new(left), right: Box::new(right) })
            }
            (Infix::Arithmetic(op), sides @ (Node::Metrics(_), _) | sides @ (_, Node::Metrics(_))) => {
                self.metrics(op, at, sides, [start, right.at])?
            }
            (Infix::Arithmetic(op), sides) => match scalars(sides) {
                Ok((left, right)) => Node::Scalar(Scalar::Binary { op, left: Box::new(left), right: Box::new(right) }),
                Err(sides) => return Err(self.mismatch(at, infix, &sides)),
            },
            (infix, sides) => return Err(self.mismatch(at, infix, &sides)),
        };
        Ok(Part { node, at: start, depth })
    }

    fn mismatch(&self, at: usize, infix: Infix, (left, right): &(Node, Node)) -> Problem {
        let between = match infix {
            Infix::Spansets(_) => "spansets, such as `{ .a } && { .b }`",
            Infix::Either(..) => "two spansets, or an aggregate and a number",
            Infix::Compare(_) => "an aggregate and a number, such as `count() >= 2`",
            Infix::Arithmetic(_) => "numbers, aggregates, or series in parentheses",
        };
        let (left, right) = (left.describe(), right.describe());
        self.problem(at, format!("this operator stands between {between}; here it is {left} and {right}"))
    }

    /// Arithmetic of series.
    fn metrics(&self, op: Arithmetic, at: usize, sides: (Node, Node), places: [usize; 2]) -> Result<Node> {
        if matches!(op, Arithmetic::Modulo | Arithmetic::Power) {
            return Err(self.problem(at, "series are added, subtracted, multiplied and divided only"));
        }
        let side = |node: Node, place: usize| match node {
            Node::Metrics(metrics) => Ok(metrics),
            Node::Constant(value) => self.folded(place, &value).map(Metrics::Number),
            other => Err(self.problem(place, format!("expected series or a number, found {}", other.describe()))),
        };
        let (left, right) = (side(sides.0, places[0])?, side(sides.1, places[1])?);
        Ok(Node::Metrics(Metrics::Binary { op, left: Box::new(left), right: Box::new(right), at: At(at) }))
    }

    /// What series are compared with.
    fn bound(&self, at: usize, value: &Scalar) -> Result<Static> {
        match value {
            Scalar::Number(number @ Static::Duration(_)) => Ok(number.clone()),
            _ => self.folded(at, value).map(Static::Float),
        }
    }

    /// The number that an expression of numbers is.
    fn folded(&self, at: usize, value: &Scalar) -> Result<f64> {
        let number = match value {
            Scalar::Number(Static::Int(number)) => *number as f64,
            Scalar::Number(Static::Float(number)) => *number,
            Scalar::Binary { op, left, right } => {
                let (left, right) = (self.folded(at, left)?, self.folded(at, right)?);
                match op {
                    Arithmetic::Add => left + right,
                    Arithmetic::Subtract => left - right,
                    Arithmetic::Multiply => left * right,
                    Arithmetic::Divide => left / right,
                    Arithmetic::Modulo => left % right,
                    Arithmetic::Power => left.powf(right),
                }
            }
            _ => return Err(self.problem(at, "series are not calculated with durations; write seconds as a number")),
        };
        if number.is_finite() { Ok(number) } else { Err(self.problem(at, "this is no finite number")) }
    }
}

fn joined(op: SpansetOp, left: Spansets, right: Spansets) -> Node {
    Node::Spansets(Spansets::Binary { op, left: Box::new(left), right: Box::new(right) })
}

/// Both sides as scalars, one of which is no mere number; else the sides as they were.
fn scalars(sides: (Node, Node)) -> std::result::Result<(Scalar, Scalar), Box<(Node, Node)>> {
    match sides {
        (Node::Scalar(left), Node::Scalar(right) | Node::Constant(right)) => Ok((left, right)),
        (Node::Constant(left), Node::Scalar(right)) => Ok((left, right)),
        sides => Err(Box::new(sides)),
    }
}

impl Parser<'_> {
    /// An operand.
    fn primary(&mut self) -> Result<Part> {
        let at = self.at();
        let whole = |node| Ok(Part { node, at, depth: 1 });
        match self.peek().clone() {
            Token::Sign("{") => {
                let (filter, depth) = self.filter()?;
                Ok(Part { node: Node::Spansets(Spansets::Filter(filter)), at, depth })
            }
            Token::Sign("(") => {
                self.place += 1;
                let inner = self.nested(Parser::chain)?;
                self.expect(")")?;
                self.parenthesised(inner)
            }
            Token::Sign("-") => {
                self.place += 1;
                match self.next() {
                    Token::Int(value) => whole(Node::Constant(Scalar::Number(Static::Int(-value)))),
                    Token::Float(value) => whole(Node::Constant(Scalar::Number(Static::Float(-value)))),
                    Token::Duration(value) => whole(Node::Constant(Scalar::Number(Static::Duration(-value)))),
                    _ => {
                        self.place -= 1;
                        Err(self.unexpected("a number"))
                    }
                }
            }
            Token::Int(value) => self.number(at, Static::Int(value)),
            Token::Float(value) => self.number(at, Static::Float(value)),
            Token::Duration(value) => self.number(at, Static::Duration(value)),
            Token::Word(word) => match word.as_str() {
                "minInt" => self.number(at, Static::Int(i64::MIN)),
                "maxInt" => self.number(at, Static::Int(i64::MAX)),
                "by" | "select" => self.first_stage(&word),
                "count" | "min" | "max" | "avg" | "sum" => self.aggregate(&word),
                _ => Err(self
                    .unexpected("`{`, `(`, a number, or one of `count`, `min`, `max`, `avg`, `sum`, `by`, `select`")),
            },
            _ => Err(self.unexpected("`{`, `(`, a number or a function")),
        }
    }

    fn number(&mut self, at: usize, value: Static) -> Result<Part> {
        self.place += 1;
        Ok(Part { node: Node::Constant(Scalar::Number(value)), at, depth: 1 })
    }

    fn parenthesised(&self, part: Part) -> Result<Part> {
        let (at, depth) = (part.at, part.depth);
        let node = match part.node {
            Node::Pipeline(pipeline) => Node::Spansets(Spansets::Pipeline(pipeline)),
            Node::Filter(filter) => Node::Spansets(Spansets::Pipeline(Pipeline(vec![Stage::Scalar(filter)]))),
            other => other,
        };
        Ok(Part { node, at, depth: self.deeper(at, depth)? })
    }

    fn first_stage(&mut self, word: &str) -> Result<Part> {
        let at = self.at();
        self.place += 1;
        self.expect("(")?;
        let (stage, depth) = if word == "by" {
            let (field, depth) = self.field()?;
            (Stage::By(field), depth)
        } else {
            (Stage::Select(self.names()?), 1)
        };
        self.expect(")")?;
        Ok(Part { node: Node::Pipeline(Pipeline(vec![stage])), at, depth })
    }
}
