//! What are the parts of an expression?
//!
//! A1  Every part knows where it stands in the text.
//! A2  Parentheses are parts of their own, so that printing (`print`) needs no knowledge of precedence.
//! A3  Operands that are joined from the left stand beside each other, in a `Chain`: a long one makes no deep tree.

use super::regex::Matcher;
use crate::series::NAME;

/// Where something stands in the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Span { start, end }
    }

    /// From the start of this one to the end of another.
    pub(crate) fn to(self, end: Span) -> Self {
        Span { start: self.start, end: end.end }
    }

    /// Line and column, both from 1.
    pub(crate) fn place_in(self, text: &str) -> String {
        if self.start > text.len() {
            return "invalid position".to_owned();
        }
        let before = text.as_bytes().get(..self.start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        format!("{line}:{column}")
    }
}

/// What kind of value an expression has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar,
    Text,
    Instant,
    Range,
}

impl Kind {
    /// As the documentation of Prometheus calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Scalar => "scalar",
            Kind::Text => "string",
            Kind::Instant => "instant vector",
            Kind::Range => "range vector",
        }
    }

    /// As answers of the HTTP API call it.
    pub(crate) fn result_type(self) -> &'static str {
        match self {
            Kind::Scalar => "scalar",
            Kind::Text => "string",
            Kind::Instant => "vector",
            Kind::Range => "matrix",
        }
    }
}

/// An expression.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    Number(Number),
    Text(Text),
    Vector(Box<VectorSelector>),
    Range(Box<RangeSelector>),
    Subquery(Box<Subquery>),
    Call(Box<Call>),
    Aggregate(Box<Aggregate>),
    Chain(Box<Chain>),
    Unary(Box<Unary>),
    Paren(Box<Paren>),
    /// Has the same value at every step; made by `prepare` only.
    Invariant(Box<Expr>),
}

/// A number, perhaps written as a duration in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number {
    pub(crate) value: f64,
    pub(crate) is_duration: bool,
    pub(crate) span: Span,
}

/// A text between quotes; its bytes need not be UTF-8.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) bytes: Vec<u8>,
    pub(crate) span: Span,
}

/// What is computed for a duration; in seconds.
#[derive(Debug, Clone)]
pub(crate) enum Length {
    Number(Number),
    Step(Span),
    Range(Span),
    Min(Box<(Length, Length)>, Span),
    Max(Box<(Length, Length)>, Span),
    Negative(Box<Length>, Span),
    Paren(Box<Length>, Span),
    Binary(Arithmetic, Box<(Length, Length)>),
}

impl Length {
    pub(crate) fn span(&self) -> Span {
        match self {
            Length::Number(number) => number.span,
            Length::Binary(_, sides) => sides.0.span().to(sides.1.span()),
            Length::Step(span)
            | Length::Range(span)
            | Length::Min(_, span)
            | Length::Max(_, span)
            | Length::Negative(_, span)
            | Length::Paren(_, span) => *span,
        }
    }
}

/// A duration: known (milliseconds), or still to be computed.
#[derive(Debug, Clone)]
pub(crate) enum Lasting {
    Known(i64),
    Computed(Length),
}

impl Lasting {
    /// Milliseconds, once they are known.
    pub(crate) fn milliseconds(&self) -> i64 {
        match self {
            Lasting::Known(milliseconds) => *milliseconds,
            Lasting::Computed(_) => 0,
        }
    }
}

/// `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    Time(i64),
    Start,
    End,
}

/// `offset` and `@`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shift {
    pub(crate) offset: Option<Lasting>,
    pub(crate) at: Option<At>,
}

impl Shift {
    /// Milliseconds, once they are known.
    pub(crate) fn offset_ms(&self) -> i64 {
        self.offset.as_ref().map_or(0, Lasting::milliseconds)
    }

    /// The moment of `@`, once it is known.
    pub(crate) fn time(&self) -> Option<i64> {
        match self.at {
            Some(At::Time(time)) => Some(time),
            _ => None,
        }
    }
}

/// How samples beyond a range's ends count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extension {
    Anchored,
    Smoothed,
}

impl Extension {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Extension::Anchored => "anchored",
            Extension::Smoothed => "smoothed",
        }
    }
}

/// `name{label="value"} @ 10 offset 5m`.
#[derive(Debug, Clone)]
pub(crate) struct VectorSelector {
    /// The name before the braces.
    pub(crate) name: String,
    /// All conditions, that on the name before the braces last.
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) shift: Shift,
    pub(crate) extension: Option<Extension>,
    /// Whether of histograms only count and sum are of interest; found out by `prepare`.
    pub(crate) skips_buckets: bool,
    pub(crate) span: Span,
}

impl VectorSelector {
    /// The conditions that stand between braces.
    pub(crate) fn within_braces(&self) -> &[Matcher] {
        let outside = usize::from(!self.name.is_empty());
        self.matchers.get(..self.matchers.len().saturating_sub(outside)).unwrap_or_default()
    }

    /// Whether the name is asked for twice.
    pub(crate) fn second_name(&self) -> Option<&Matcher> {
        let named = !self.name.is_empty();
        self.within_braces().iter().find(|matcher| named && matcher.label == NAME)
    }
}

/// `selector[5m]`; shift and extension are the selector's.
#[derive(Debug, Clone)]
pub(crate) struct RangeSelector {
    pub(crate) selector: VectorSelector,
    pub(crate) range: Lasting,
    pub(crate) end: usize,
}

/// `expression[1h:5m]`.
#[derive(Debug, Clone)]
pub(crate) struct Subquery {
    pub(crate) expr: Expr,
    pub(crate) range: Lasting,
    pub(crate) step: Option<Lasting>,
    pub(crate) shift: Shift,
    pub(crate) end: usize,
}

/// `function(arguments)`.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) function: &'static super::function::Function,
    pub(crate) args: Vec<Expr>,
    pub(crate) span: Span,
}

/// What is computed of the members of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregator {
    Avg,
    Bottomk,
    Count,
    CountValues,
    Group,
    Limitk,
    LimitRatio,
    Max,
    Min,
    Quantile,
    Stddev,
    Stdvar,
    Sum,
    Topk,
}

impl Aggregator {
    pub(crate) const ALL: [Aggregator; 14] = [
        Aggregator::Avg,
        Aggregator::Bottomk,
        Aggregator::Count,
        Aggregator::CountValues,
        Aggregator::Group,
        Aggregator::Limitk,
        Aggregator::LimitRatio,
        Aggregator::Max,
        Aggregator::Min,
        Aggregator::Quantile,
        Aggregator::Stddev,
        Aggregator::Stdvar,
        Aggregator::Sum,
        Aggregator::Topk,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Aggregator::Avg => "avg",
            Aggregator::Bottomk => "bottomk",
            Aggregator::Count => "count",
            Aggregator::CountValues => "count_values",
            Aggregator::Group => "group",
            Aggregator::Limitk => "limitk",
            Aggregator::LimitRatio => "limit_ratio",
            Aggregator::Max => "max",
            Aggregator::Min => "min",
            Aggregator::Quantile => "quantile",
            Aggregator::Stddev => "stddev",
            Aggregator::Stdvar => "stdvar",
            Aggregator::Sum => "sum",
            Aggregator::Topk => "topk",
        }
    }

    /// The kind of its parameter.
    pub(crate) fn parameter(self) -> Option<Kind> {
        match self {
            Aggregator::Topk
            | Aggregator::Bottomk
            | Aggregator::Quantile
            | Aggregator::Limitk
            | Aggregator::LimitRatio => Some(Kind::Scalar),
            Aggregator::CountValues => Some(Kind::Text),
            _ => None,
        }
    }
}

/// `sum by (label) (expression)`.
#[derive(Debug, Clone)]
pub(crate) struct Aggregate {
    pub(crate) op: Aggregator,
    pub(crate) expr: Expr,
    pub(crate) param: Option<Expr>,
    pub(crate) grouping: Vec<String>,
    pub(crate) without: bool,
    pub(crate) span: Span,
}

/// Operators of numbers that durations have too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
}

/// Operators between two expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Arithmetic(Arithmetic),
    Atan2,
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    /// `</`: what is below.
    TrimUpper,
    /// `>/`: what is above.
    TrimLower,
    And,
    Or,
    Unless,
}

impl Operator {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Operator::Arithmetic(op) => op.text(),
            Operator::Atan2 => "atan2",
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
            Operator::Greater => ">",
            Operator::Less => "<",
            Operator::GreaterEqual => ">=",
            Operator::LessEqual => "<=",
            Operator::TrimUpper => "</",
            Operator::TrimLower => ">/",
            Operator::And => "and",
            Operator::Or => "or",
            Operator::Unless => "unless",
        }
    }

    /// How strongly it binds.
    pub(crate) fn strength(self) -> u8 {
        match self {
            Operator::Or => 1,
            Operator::And | Operator::Unless => 2,
            Operator::Arithmetic(op) => op.strength(),
            Operator::Atan2 => Arithmetic::Mul.strength(),
            _ => 3,
        }
    }

    pub(crate) fn is_set(self) -> bool {
        matches!(self, Operator::And | Operator::Or | Operator::Unless)
    }

    pub(crate) fn is_comparison(self) -> bool {
        matches!(
            self,
            Operator::Equal
                | Operator::NotEqual
                | Operator::Greater
                | Operator::Less
                | Operator::GreaterEqual
                | Operator::LessEqual
        )
    }

    /// Whether the result is another quantity than the operands.
    pub(crate) fn changes_quantity(self) -> bool {
        matches!(self, Operator::Arithmetic(_) | Operator::Atan2)
    }
}

impl Arithmetic {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Sub => "-",
            Arithmetic::Mul => "*",
            Arithmetic::Div => "/",
            Arithmetic::Mod => "%",
            Arithmetic::Pow => "^",
        }
    }

    pub(crate) fn strength(self) -> u8 {
        match self {
            Arithmetic::Add | Arithmetic::Sub => 4,
            Arithmetic::Mul | Arithmetic::Div | Arithmetic::Mod => 5,
            Arithmetic::Pow => 6,
        }
    }

    pub(crate) fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Arithmetic::Add => a + b,
            Arithmetic::Sub => a - b,
            Arithmetic::Mul => a * b,
            Arithmetic::Div => a / b,
            Arithmetic::Mod => a % b,
            Arithmetic::Pow => a.powf(b),
        }
    }
}

/// How many series of each side may match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cardinality {
    OneToOne,
    ManyToOne,
    OneToMany,
    ManyToMany,
}

/// `on (a) group_left (b) fill (0)`.
#[derive(Debug, Clone)]
pub(crate) struct Matching {
    pub(crate) cardinality: Cardinality,
    pub(crate) labels: Vec<String>,
    pub(crate) on: bool,
    pub(crate) include: Vec<String>,
    pub(crate) fill_left: Option<f64>,
    pub(crate) fill_right: Option<f64>,
}

/// `a * b + c`: what is joined from the left (A3).
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) first: Expr,
    /// One or more.
    pub(crate) links: Vec<Link>,
}

/// `+ c`: an operator whose left side is all of the chain that stands before it.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) op: Operator,
    pub(crate) right: Expr,
    pub(crate) matching: Matching,
    pub(crate) returns_bool: bool,
    pub(crate) op_span: Span,
}

impl Chain {
    /// All operands, from the left.
    pub(crate) fn operands(&self) -> impl Iterator<Item = &Expr> {
        std::iter::once(&self.first).chain(self.links.iter().map(|link| &link.right))
    }

    /// The same, to be changed.
    pub(crate) fn operands_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        std::iter::once(&mut self.first).chain(self.links.iter_mut().map(|link| &mut link.right))
    }

    fn span(&self) -> Span {
        let last = self.links.last().map_or(&self.first, |link| &link.right);
        self.first.span().to(last.span())
    }
}

/// `-a` or `+a`.
#[derive(Debug, Clone)]
pub(crate) struct Unary {
    pub(crate) is_negative: bool,
    pub(crate) expr: Expr,
    pub(crate) start: usize,
}

/// `(a)`.
#[derive(Debug, Clone)]
pub(crate) struct Paren {
    pub(crate) expr: Expr,
    pub(crate) span: Span,
}

impl Expr {
    pub(crate) fn span(&self) -> Span {
        match self {
            Expr::Number(number) => number.span,
            Expr::Text(text) => text.span,
            Expr::Vector(selector) => selector.span,
            Expr::Range(range) => Span::new(range.selector.span.start, range.end),
            Expr::Subquery(subquery) => Span::new(subquery.expr.span().start, subquery.end),
            Expr::Call(call) => call.span,
            Expr::Aggregate(aggregate) => aggregate.span,
            Expr::Chain(chain) => chain.span(),
            Expr::Unary(unary) => Span::new(unary.start, unary.expr.span().end),
            Expr::Paren(paren) => paren.span,
            Expr::Invariant(expr) => expr.span(),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Expr::Number(_) => Kind::Scalar,
            Expr::Text(_) => Kind::Text,
            Expr::Vector(_) | Expr::Aggregate(_) => Kind::Instant,
            Expr::Range(_) | Expr::Subquery(_) => Kind::Range,
            Expr::Call(call) => call.function.returns,
            Expr::Chain(chain) if chain.operands().all(|operand| operand.kind() == Kind::Scalar) => Kind::Scalar,
            Expr::Chain(_) => Kind::Instant,
            Expr::Unary(unary) => unary.expr.kind(),
            Expr::Paren(paren) => paren.expr.kind(),
            Expr::Invariant(expr) => expr.kind(),
        }
    }

    /// Its parts, in the order in which they stand in the text.
    pub(crate) fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Number(_) | Expr::Text(_) | Expr::Vector(_) | Expr::Range(_) => Vec::new(),
            Expr::Subquery(subquery) => vec![&subquery.expr],
            Expr::Call(call) => call.args.iter().collect(),
            Expr::Aggregate(aggregate) => aggregate.param.iter().chain([&aggregate.expr]).collect(),
            Expr::Chain(chain) => chain.operands().collect(),
            Expr::Unary(unary) => vec![&unary.expr],
            Expr::Paren(paren) => vec![&paren.expr],
            Expr::Invariant(expr) => vec![expr],
        }
    }
}
