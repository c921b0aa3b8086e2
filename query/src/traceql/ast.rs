//! What does a query consist of?
//!
//! `Display` prints the canonical text (`print`): reading it again gives the same tree.
//!
//! Not here: what is allowed beyond grammar (`check`), what it means (`eval`, `pipeline`, `metric`).

mod print;

/// A whole query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    pub(crate) root: Root,
    /// `with(name=value, …)`.
    pub(crate) hints: Vec<(String, Static)>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Root {
    /// Traces.
    Spans(Pipeline),
    /// Series.
    Metrics(Metrics),
}

/// Stages, each of which takes the spansets of a trace and gives others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pipeline(pub(crate) Vec<Stage>);

/// One stage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stage {
    Spansets(Spansets),
    Scalar(ScalarFilter),
    By(Field),
    Coalesce,
    Select(Vec<Name>),
}

/// What spansets are made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Spansets {
    /// `{ … }`; without an expression every span.
    Filter(Option<Field>),
    Pipeline(Pipeline),
    Binary {
        op: SpansetOp,
        left: Box<Spansets>,
        right: Box<Spansets>,
    },
}

/// How two spansets become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpansetOp {
    And,
    Or,
    /// By the place of their spans in the tree.
    Structural {
        relation: Relation,
        mode: Mode,
    },
}

/// Where the right span stands, seen from the left one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    /// `>`
    Child,
    /// `<`
    Parent,
    /// `>>`
    Descendant,
    /// `<<`
    Ancestor,
    /// `~`
    Sibling,
}

/// Which spans a structural operator answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Those of the right side that stand so.
    Right,
    /// `!`: those of the right side that do not.
    Negated,
    /// `&`: those of both sides that have a partner.
    Union,
}

/// `scalar compare scalar`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScalarFilter {
    pub(crate) left: Scalar,
    pub(crate) op: Compare,
    pub(crate) right: Scalar,
}

/// A number that a spanset has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    /// A number or a duration.
    Number(Static),
    Aggregate {
        op: Aggregate,
        field: Option<Field>,
        at: At,
    },
    Binary {
        op: Arithmetic,
        left: Box<Scalar>,
        right: Box<Scalar>,
    },
    /// `({ … } | count())`: of the spans that the pipeline gives.
    Piped {
        pipeline: Pipeline,
        scalar: Box<Scalar>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Count,
    Min,
    Max,
    Sum,
    Avg,
}

/// An expression over one span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Field {
    Static(Static, At),
    Name(Name),
    Unary {
        op: Unary,
        inner: Box<Field>,
        at: At,
    },
    Arithmetic {
        op: Arithmetic,
        left: Box<Field>,
        right: Box<Field>,
        at: At,
    },
    Compare {
        op: Compare,
        left: Box<Field>,
        right: Box<Field>,
        at: At,
    },
    /// Two or more parts.
    Logic {
        op: Logic,
        parts: Vec<Field>,
    },
}

/// What a span is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Name {
    /// Whether the span's parent is asked.
    pub(crate) parent: bool,
    pub(crate) what: What,
    pub(crate) at: At,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum What {
    Attribute(Scope, String),
    Intrinsic(Intrinsic),
}

/// Whose attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// The first of span, resource, event, link, instrumentation that has it.
    Any,
    Span,
    Resource,
    Event,
    Link,
    Instrumentation,
}

/// What every span has, or may have, without being an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Intrinsic {
    Duration,
    Name,
    Status,
    StatusMessage,
    Kind,
    RootName,
    RootServiceName,
    TraceDuration,
    NestedSetLeft,
    NestedSetRight,
    NestedSetParent,
    /// Whether the parent is there.
    Parent,
    TraceId,
    SpanId,
    ParentId,
    ChildCount,
    EventName,
    EventTimeSinceStart,
    LinkTraceId,
    LinkSpanId,
    InstrumentationName,
    InstrumentationVersion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unary {
    Not,
    Negate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logic {
    And,
    Or,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
    MatchesNot,
}

/// A value as it stands in a query, or as a span has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Static {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Nanoseconds.
    Duration(i64),
    /// OTLP's number.
    Status(i32),
    /// OTLP's number.
    Kind(i32),
}

/// A query of series.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Metrics {
    Number(f64),
    Spans { pipeline: Pipeline, function: Function, at: At },
    Binary { op: Arithmetic, left: Box<Metrics>, right: Box<Metrics>, at: At },
    Then { inner: Box<Metrics>, second: Second, at: At },
}

/// What spans become series by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Function {
    Over { measure: Measure, by: Vec<Name> },
    Compare(Comparison),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Measure {
    Rate,
    Count,
    Min(Name),
    Max(Name),
    Avg(Name),
    Sum(Name),
    Histogram(Name),
    Quantile(Name, Vec<f64>),
}

/// Which spans are held against the others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    /// Without an expression every span.
    pub(crate) selection: Option<Field>,
    /// Values told of each attribute; ten unless given.
    pub(crate) top: Option<i64>,
    /// Unix nanoseconds between which a span may be of the selection.
    pub(crate) range: Option<(i64, i64)>,
}

/// What series become other series by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Second {
    Top(i64),
    Bottom(i64),
    /// With a number or a duration.
    Filter(Compare, Static),
}

/// A byte of the query's text; all are equal, so that trees compare by what they say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct At(pub(crate) usize);

impl PartialEq for At {
    fn eq(&self, _: &At) -> bool {
        true
    }
}

/// The intrinsics by their names, those of a scope with it. Of two names for one thing the first is printed.
pub(super) const INTRINSICS: [(&str, Intrinsic); 28] = [
    ("duration", Intrinsic::Duration),
    ("name", Intrinsic::Name),
    ("status", Intrinsic::Status),
    ("statusMessage", Intrinsic::StatusMessage),
    ("kind", Intrinsic::Kind),
    ("rootName", Intrinsic::RootName),
    ("rootServiceName", Intrinsic::RootServiceName),
    ("traceDuration", Intrinsic::TraceDuration),
    ("nestedSetLeft", Intrinsic::NestedSetLeft),
    ("nestedSetRight", Intrinsic::NestedSetRight),
    ("nestedSetParent", Intrinsic::NestedSetParent),
    ("parent", Intrinsic::Parent),
    ("trace:id", Intrinsic::TraceId),
    ("trace:duration", Intrinsic::TraceDuration),
    ("trace:rootName", Intrinsic::RootName),
    ("trace:rootService", Intrinsic::RootServiceName),
    ("span:id", Intrinsic::SpanId),
    ("span:parentID", Intrinsic::ParentId),
    ("span:childCount", Intrinsic::ChildCount),
    ("span:duration", Intrinsic::Duration),
    ("span:name", Intrinsic::Name),
    ("span:kind", Intrinsic::Kind),
    ("span:status", Intrinsic::Status),
    ("span:statusMessage", Intrinsic::StatusMessage),
    ("event:name", Intrinsic::EventName),
    ("event:timeSinceStart", Intrinsic::EventTimeSinceStart),
    ("link:traceID", Intrinsic::LinkTraceId),
    ("link:spanID", Intrinsic::LinkSpanId),
];

/// The same of instrumentation scopes.
pub(super) const INSTRUMENTATION: [(&str, Intrinsic); 2] = [
    ("instrumentation:name", Intrinsic::InstrumentationName),
    ("instrumentation:version", Intrinsic::InstrumentationVersion),
];

/// The names of OTLP's statuses and kinds, by number.
pub(crate) const STATUSES: [&str; 3] = ["unset", "ok", "error"];
/// Kinds.
pub(crate) const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];

impl Intrinsic {
    /// The intrinsic of a name, which may have a scope.
    pub(crate) fn named(name: &str) -> Option<Intrinsic> {
        let all = INTRINSICS.iter().chain(&INSTRUMENTATION);
        all.into_iter().find(|(known, _)| *known == name).map(|(_, intrinsic)| *intrinsic)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        let all = INTRINSICS.iter().chain(&INSTRUMENTATION);
        all.into_iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

impl Query {
    /// Whether the hint `exemplars` asks for some; other hints ask for less than the whole answer, which is given anyway.
    pub(crate) fn exemplars(&self) -> Option<bool> {
        let hint = self.hints.iter().rev().find(|(name, _)| name == "exemplars");
        hint.map(|(_, value)| *value != Static::Bool(false) && *value != Static::Int(0))
    }

    /// Whether the hint `extrapolate` asks for the spans that there were, where some of them were sampled away.
    pub(super) fn extrapolates(&self) -> bool {
        let hint = self.hints.iter().rev().find(|(name, _)| name == "extrapolate");
        hint.is_some_and(|(_, value)| *value == Static::Bool(true))
    }
}

/// Gives each name in a field to `each`, from left to right.
pub(super) fn each_name(field: &Field, each: &mut dyn FnMut(&Name)) {
    match field {
        Field::Static(..) => {}
        Field::Name(name) => each(name),
        Field::Unary { inner, .. } => each_name(inner, each),
        Field::Arithmetic { left, right, .. } | Field::Compare { left, right, .. } => {
            each_name(left, each);
            each_name(right, each);
        }
        Field::Logic { parts, .. } => parts.iter().for_each(|part| each_name(part, each)),
    }
}
