//! Which tree is a text?

use super::Fault;
use super::function::is_function;
use super::lexer::{Item, Kind, Token, items};
use super::tree::{At, Command, Node, Operand, Pipe, What};
use std::collections::BTreeMap;

/// How deep blocks and parentheses may lie in each other.
const MOST_DEPTH: usize = 64;

/// What Prometheus sets before the text of an annotation.
pub(super) const PRESET: [&str; 4] = ["$labels", "$externalLabels", "$externalURL", "$value"];

type Named = BTreeMap<String, Vec<Node>>;

pub(super) fn parse(text: &str) -> Result<(Vec<Node>, Named), Fault> {
    let variables = std::iter::once("$").chain(PRESET).map(str::to_owned).collect();
    let items = items(text)?.into_iter();
    let mut parser = Parser { text, items, variables, depth: 0, loops: 0, named: Named::new(), calls: Vec::new() };
    let (root, ending) = parser.list()?;
    match ending {
        Ending::All => {}
        Ending::End(at) => return parser.fault(at, "unexpected {{end}}"),
        Ending::Else(at, _) => return parser.fault(at, "unexpected {{else}}"),
    }
    if let Some((name, at)) = parser.calls.iter().find(|(name, _)| !parser.named.contains_key(name)) {
        return parser.fault(*at, format!("template {name:?} not defined"));
    }
    Ok((root, parser.named))
}

/// What a list of nodes ended with.
enum Ending {
    All,
    End(At),
    /// With what stands behind `else`.
    Else(At, Vec<Token>),
}

struct Parser<'t> {
    text: &'t str,
    items: std::vec::IntoIter<Item>,
    variables: Vec<String>,
    depth: usize,
    /// `range`s around what is read.
    loops: usize,
    named: Named,
    /// Names that `template` asks for.
    calls: Vec<(String, At)>,
}

/// The tokens of one action.
struct Tokens {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    /// Where the action begins, for what is missing in it.
    start: At,
}

impl Tokens {
    fn new(tokens: Vec<Token>, start: At) -> Self {
        Tokens { tokens: tokens.into_iter().peekable(), start }
    }

    fn peek(&mut self) -> Option<&Kind> {
        self.tokens.peek().map(|token| &token.kind)
    }

    fn place(&mut self) -> At {
        self.tokens.peek().map_or(self.start, |token| token.at)
    }
}

impl Parser<'_> {
    fn fault<T>(&self, at: At, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::new(self.text, at, message))
    }

    fn deeper<T>(&mut self, at: At, parse: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= MOST_DEPTH {
            return self.fault(at, format!("nested deeper than {MOST_DEPTH}"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn list(&mut self) -> Result<(Vec<Node>, Ending), Fault> {
        let mut nodes = Vec::new();
        while let Some(item) = self.items.next() {
            let (tokens, at) = match item {
                Item::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Item::Action { tokens, at } => (tokens, at),
            };
            let keyword = match tokens.first().map(|token| &token.kind) {
                Some(Kind::Word(word)) => word.clone(),
                _ => String::new(),
            };
            let rest = |tokens: Vec<Token>| Tokens::new(tokens.into_iter().skip(1).collect(), at);
            match keyword.as_str() {
                "end" => {
                    self.nothing(&mut rest(tokens), "end")?;
                    return Ok((nodes, Ending::End(at)));
                }
                "else" => return Ok((nodes, Ending::Else(at, tokens.into_iter().skip(1).collect()))),
                "if" | "with" | "range" => {
                    let node = self.deeper(at, |parser| parser.block(&keyword, rest(tokens), at))?;
                    nodes.push(node);
                }
                "define" => self.deeper(at, |parser| parser.define(rest(tokens), at))?,
                "block" => {
                    let node = self.deeper(at, |parser| parser.named_block(rest(tokens), at))?;
                    nodes.push(node);
                }
                "template" => nodes.push(self.template(rest(tokens), at)?),
                "break" | "continue" => {
                    self.nothing(&mut rest(tokens), &keyword)?;
                    if self.loops == 0 {
                        return self.fault(at, format!("{{{{{keyword}}}}} outside {{{{range}}}}"));
                    }
                    nodes.push(if keyword == "break" { Node::Break } else { Node::Continue });
                }
                _ => nodes.push(Node::Print(self.whole_pipe(Tokens::new(tokens, at))?)),
            }
        }
        Ok((nodes, Ending::All))
    }

    fn nothing(&self, tokens: &mut Tokens, after: &str) -> Result<(), Fault> {
        match tokens.tokens.peek() {
            None => Ok(()),
            Some(token) => self.fault(token.at, format!("unexpected text in {after}")),
        }
    }

    /// `if`, `with` and `range`, to their end.
    fn block(&mut self, keyword: &str, tokens: Tokens, at: At) -> Result<Node, Fault> {
        let known = self.variables.len();
        let pipe = self.whole_pipe(tokens)?;
        if keyword == "range" {
            self.loops += 1;
        } else if pipe.variables.len() > 1 {
            return self.fault(at, format!("too many declarations in {keyword}"));
        }
        let (then, ending) = self.list()?;
        if keyword == "range" {
            self.loops -= 1;
        }
        let otherwise = self.otherwise(keyword, ending, at)?;
        self.variables.truncate(known);
        Ok(match keyword {
            "if" => Node::If { condition: pipe, then, otherwise },
            "with" => Node::With { value: pipe, then, otherwise },
            _ => Node::Range { over: pipe, body: then, otherwise },
        })
    }

    fn otherwise(&mut self, keyword: &str, ending: Ending, at: At) -> Result<Vec<Node>, Fault> {
        let (else_at, tokens) = match ending {
            Ending::All => return self.fault(at, format!("{{{{{keyword}}}}} has no {{{{end}}}}")),
            Ending::End(_) => return Ok(Vec::new()),
            Ending::Else(at, tokens) => (at, tokens),
        };
        let next = match tokens.first().map(|token| &token.kind) {
            None => None,
            Some(Kind::Word(word)) if word == keyword && keyword != "range" => Some(keyword),
            Some(_) => return self.fault(else_at, "unexpected text in else"),
        };
        if let Some(next) = next {
            // `{{else if}}` ends with the same `{{end}}`.
            let rest = Tokens::new(tokens.into_iter().skip(1).collect(), else_at);
            return Ok(vec![self.deeper(else_at, |parser| parser.block(next, rest, at))?]);
        }
        match self.list()? {
            (nodes, Ending::End(_)) => Ok(nodes),
            (_, Ending::All) => self.fault(at, format!("{{{{{keyword}}}}} has no {{{{end}}}}")),
            (_, Ending::Else(at, _)) => self.fault(at, "unexpected {{else}}"),
        }
    }

    fn name(&self, tokens: &mut Tokens, what: &str) -> Result<String, Fault> {
        let place = tokens.place();
        match tokens.tokens.next().map(|token| token.kind) {
            Some(Kind::Text(name)) => Ok(name),
            _ => self.fault(place, format!("{what} needs a quoted name")),
        }
    }

    /// A template of its own; it sees no variables but `$`.
    fn define(&mut self, mut tokens: Tokens, at: At) -> Result<(), Fault> {
        if self.depth > 1 {
            return self.fault(at, "unexpected {{define}}");
        }
        let name = self.name(&mut tokens, "define")?;
        self.nothing(&mut tokens, "define")?;
        let nodes = self.apart(at, "define")?;
        self.named.insert(name, nodes);
        Ok(())
    }

    fn named_block(&mut self, mut tokens: Tokens, at: At) -> Result<Node, Fault> {
        let name = self.name(&mut tokens, "block")?;
        let data = Some(self.whole_pipe(tokens)?);
        let nodes = self.apart(at, "block")?;
        self.named.insert(name.clone(), nodes);
        Ok(Node::Template { name, data, at })
    }

    fn apart(&mut self, at: At, what: &str) -> Result<Vec<Node>, Fault> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let listed = self.list();
        (self.variables, self.loops) = (variables, loops);
        match listed? {
            (nodes, Ending::End(_)) => Ok(nodes),
            _ => self.fault(at, format!("{{{{{what}}}}} has no {{{{end}}}}")),
        }
    }

    fn template(&mut self, mut tokens: Tokens, at: At) -> Result<Node, Fault> {
        let name = self.name(&mut tokens, "template")?;
        self.calls.push((name.clone(), at));
        let data = if tokens.peek().is_none() { None } else { Some(self.whole_pipe(tokens)?) };
        Ok(Node::Template { name, data, at })
    }

    fn whole_pipe(&mut self, mut tokens: Tokens) -> Result<Pipe, Fault> {
        let pipe = self.pipe(&mut tokens)?;
        match tokens.tokens.peek() {
            None => Ok(pipe),
            Some(token) => self.fault(token.at, "unexpected token behind a pipeline"),
        }
    }

    fn pipe(&mut self, tokens: &mut Tokens) -> Result<Pipe, Fault> {
        let (variables, is_assignment) = self.declaration(tokens)?;
        let mut commands = vec![self.command(tokens)?];
        while tokens.peek() == Some(&Kind::Pipe) {
            tokens.tokens.next();
            let command = self.command(tokens)?;
            if command.arguments.is_empty() && is_constant(&command.head) {
                return self.fault(command.head.at, "a constant cannot stand behind |");
            }
            commands.push(command);
        }
        if !is_assignment {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipe { variables, is_assignment, commands })
    }

    /// `$a :=`, `$a, $b :=` or `$a =`.
    fn declaration(&mut self, tokens: &mut Tokens) -> Result<(Vec<String>, bool), Fault> {
        let mut ahead = tokens.tokens.clone();
        let mut variables = Vec::new();
        loop {
            match ahead.next().map(|token| token.kind) {
                Some(Kind::Variable(name)) => variables.push(name),
                _ => return Ok((Vec::new(), false)),
            }
            let next = ahead.next();
            match next.as_ref().map(|token| &token.kind) {
                Some(Kind::Comma) if variables.len() == 1 => {}
                Some(Kind::Declare | Kind::Assign) => {
                    let is_assignment = next.is_some_and(|token| token.kind == Kind::Assign);
                    let at = tokens.place();
                    tokens.tokens = ahead;
                    let unknown = variables.iter().find(|name| is_assignment && !self.variables.contains(name));
                    return match unknown {
                        Some(name) => self.fault(at, format!("undefined variable {name:?}")),
                        None => Ok((variables, is_assignment)),
                    };
                }
                _ => return Ok((Vec::new(), false)),
            }
        }
    }

    fn command(&mut self, tokens: &mut Tokens) -> Result<Command, Fault> {
        let head = self.operand(tokens)?;
        let mut arguments = Vec::new();
        while !matches!(tokens.peek(), None | Some(Kind::Pipe | Kind::RightParen)) {
            arguments.push(self.operand(tokens)?);
        }
        Ok(Command { head, arguments })
    }

    fn operand(&mut self, tokens: &mut Tokens) -> Result<Operand, Fault> {
        let place = tokens.place();
        let Some(token) = tokens.tokens.next() else { return self.fault(place, "missing value") };
        let mut fields = Vec::new();
        let what = match token.kind {
            Kind::Dot => What::Dot,
            Kind::Field(name) => {
                fields.push(name);
                What::Dot
            }
            Kind::Text(text) => What::Text(text),
            Kind::Letter(code) => What::Int(code),
            Kind::Number(text) => match number(&text) {
                Some(number) => number,
                None => return self.fault(token.at, format!("bad number syntax: {text:?}")),
            },
            Kind::Variable(name) if self.variables.contains(&name) => What::Variable(name),
            Kind::Variable(name) => return self.fault(token.at, format!("undefined variable {name:?}")),
            Kind::Word(word) => match word.as_str() {
                "true" => What::Bool(true),
                "false" => What::Bool(false),
                "nil" => What::Nil,
                _ if is_function(&word) => What::Function(word),
                _ => return self.fault(token.at, format!("function {word:?} not defined")),
            },
            Kind::LeftParen => {
                let pipe = self.deeper(token.at, |parser| parser.pipe(tokens))?;
                match tokens.tokens.next().map(|token| token.kind) {
                    Some(Kind::RightParen) => What::Pipe(Box::new(pipe)),
                    _ => return self.fault(token.at, "unclosed left paren"),
                }
            }
            kind => return self.fault(token.at, format!("unexpected {}", sign(&kind))),
        };
        while let Some(Token { kind: Kind::Field(name), is_apart: false, .. }) = tokens.tokens.peek() {
            fields.push(name.clone());
            tokens.tokens.next();
        }
        Ok(Operand { at: token.at, what, fields })
    }
}

fn sign(kind: &Kind) -> &'static str {
    match kind {
        Kind::Pipe => "\"|\"",
        Kind::RightParen => "\")\"",
        Kind::Comma => "\",\"",
        Kind::Assign => "\"=\"",
        Kind::Declare => "\":=\"",
        _ => "token",
    }
}

fn is_constant(operand: &Operand) -> bool {
    matches!(operand.what, What::Nil | What::Bool(_) | What::Int(_) | What::Float(_) | What::Text(_))
        || matches!(operand.what, What::Dot if operand.fields.is_empty())
}

/// A number as Go writes it.
fn number(text: &str) -> Option<What> {
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let radix = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)];
    if let Some((rest, radix)) = radix.iter().find_map(|(mark, radix)| Some((digits.strip_prefix(mark)?, *radix))) {
        return i64::from_str_radix(rest, radix).ok().map(|value| What::Int(sign * value));
    }
    if !digits.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.') {
        return None;
    }
    if digits.chars().all(|letter| letter.is_ascii_digit()) {
        return plain.parse().ok().map(What::Int);
    }
    plain.parse().ok().map(What::Float)
}
