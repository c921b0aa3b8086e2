//! What is a template once it was read?

/// Offset into the text.
pub(super) type At = usize;

/// A part of a template.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    Print(Pipe),
    If { condition: Pipe, then: Vec<Node>, otherwise: Vec<Node> },
    With { value: Pipe, then: Vec<Node>, otherwise: Vec<Node> },
    Range { over: Pipe, body: Vec<Node>, otherwise: Vec<Node> },
    Template { name: String, data: Option<Pipe>, at: At },
    Break,
    Continue,
}

/// `$a := b | c`.
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    pub(super) variables: Vec<String>,
    /// Whether the variables are there already.
    pub(super) is_assignment: bool,
    pub(super) commands: Vec<Command>,
}

/// Something and its arguments.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) head: Operand,
    pub(super) arguments: Vec<Operand>,
}

/// One thing, and what is asked of it.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub(super) at: At,
    pub(super) what: What,
    /// `.a.b` behind it.
    pub(super) fields: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Variable(String),
    Function(String),
    Pipe(Box<Pipe>),
}
