//! Which expression does a text say?
//!
//! R1  Operators bind as in Prometheus; what stands behind a selector (`[5m]`, `offset`, `@`, `anchored`) binds strongest.
//! R2  Nothing is nested deeper than [`MOST_DEPTH`], so that walking an expression is safe. A chain of operators is one level, however
//!     long it is: only [`MOST_BYTES`] ends it.
//!
//! - `literal`: numbers and texts.
//! - `length`: durations that are computed.
//! - `modifier`: ranges, `offset`, `@`, `anchored`, `smoothed`.
//! - `selector`: names and labels.
//! - `call`: functions, aggregations, and how two sides match.
//!
//! Not here: types (`check`).

mod call;
mod length;
mod literal;
mod modifier;
mod selector;
#[cfg(test)]
mod tests;

pub(crate) use literal::number;
#[cfg(test)]
pub(crate) use literal::unquoted;

use super::ast::{Arithmetic, Chain, Expr, Link, Number, Operator, Paren, Span, Text, Unary, VectorSelector};
use super::check;
use super::fault::{Fault, Result};
use super::lexer::{self, Lexeme, Token};

/// How deep an expression goes at most.
pub(crate) const MOST_DEPTH: usize = 150;

/// How long a text is at most.
pub(crate) const MOST_BYTES: usize = 256 * 1024;

/// An expression whose types fit.
pub(crate) fn parse(text: &str) -> Result<Expr> {
    let mut parser = Parser::new(text)?;
    if parser.peek().token == Token::End {
        return Fault::parse(Span::default(), "no expression found in input");
    }
    let (mut expr, _) = parser.expression(0)?;
    if parser.peek().token != Token::End {
        return parser.unexpected("", "");
    }
    check::check(&mut expr)?;
    Ok(expr)
}

/// A selector, as `match[]` takes it.
pub(crate) fn parse_selector(text: &str) -> Result<VectorSelector> {
    let mut parser = Parser::new(text)?;
    let selector = parser.selector()?;
    if parser.peek().token != Token::End {
        return parser.unexpected("", "");
    }
    Ok(selector)
}

/// An expression and how deep it goes.
type Deep = (Expr, usize);

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Lexeme>,
    at: usize,
    depth: usize,
    /// Where the last bracket, brace, parenthesis, number or duration ended.
    last_closing: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self> {
        if text.len() > MOST_BYTES {
            return Fault::parse(Span::default(), format!("the expression is longer than {MOST_BYTES} bytes"));
        }
        let tokens = lexer::tokens(text).map_err(|error| Fault::Parse { span: error.span, message: error.message })?;
        Ok(Parser { text, tokens, at: 0, depth: 0, last_closing: 0 })
    }

    fn peek(&self) -> Lexeme {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Lexeme {
        let end = Lexeme { token: Token::End, span: Span::new(self.text.len(), self.text.len()) };
        self.tokens.get(self.at + ahead).copied().unwrap_or(end)
    }

    fn take(&mut self) -> Lexeme {
        let lexeme = self.peek();
        self.at += 1;
        if matches!(
            lexeme.token,
            Token::RightBrace | Token::RightParen | Token::RightBracket | Token::Duration | Token::Number
        ) {
            self.last_closing = lexeme.span.end;
        }
        lexeme
    }

    fn take_if(&mut self, token: Token) -> Option<Lexeme> {
        (self.peek().token == token).then(|| self.take())
    }

    fn expect(&mut self, token: Token, context: &str, expected: &str) -> Result<Lexeme> {
        match self.take_if(token) {
            Some(lexeme) => Ok(lexeme),
            None => self.unexpected(context, expected),
        }
    }

    fn text_of(&self, lexeme: Lexeme) -> &'a str {
        self.text.get(lexeme.span.start..lexeme.span.end).unwrap_or_default()
    }

    /// The word that comes next, in small letters.
    fn word(&self) -> Option<String> {
        let lexeme = self.peek();
        (lexeme.token == Token::Word).then(|| self.text_of(lexeme).to_ascii_lowercase())
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found = self.word().is_some_and(|word| word == wanted);
        if found {
            self.take();
        }
        found
    }

    fn unexpected<T>(&self, context: &str, expected: &str) -> Result<T> {
        let lexeme = self.peek();
        let text = crate::series::quoted(self.text_of(lexeme).as_bytes());
        let what = match lexeme.token {
            Token::End => "end of input".to_owned(),
            Token::Word if is_keyword(&self.text_of(lexeme).to_ascii_lowercase()) => {
                format!("<{}>", self.text_of(lexeme).to_ascii_lowercase())
            }
            Token::Word => format!("identifier {text}"),
            Token::MetricName => format!("metric identifier {text}"),
            Token::Number => format!("number {text}"),
            Token::Duration => format!("duration {text}"),
            Token::Text => format!("string {}", self.text_of(lexeme)),
            Token::Op(_) => format!("<op:{}>", self.text_of(lexeme)),
            _ => text,
        };
        let context = if context.is_empty() { String::new() } else { format!(" in {context}") };
        let expected = if expected.is_empty() { String::new() } else { format!(", expected {expected}") };
        Fault::parse(lexeme.span, format!("unexpected {what}{context}{expected}"))
    }

    /// Goes one level down (R2).
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return self.too_deep();
        }
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn too_deep<T>(&self) -> Result<T> {
        Fault::parse(self.peek().span, format!("the expression is nested more than {MOST_DEPTH} deep"))
    }

    /// An expression whose operators bind at least this strongly.
    fn expression(&mut self, strength: u8) -> Result<Deep> {
        self.deeper(|parser| {
            let (first, mut depth) = parser.operand()?;
            let mut links = Vec::new();
            while let Some(op) = parser.operator() {
                if op.strength() < strength.max(1) {
                    break;
                }
                let op_span = parser.take().span;
                let (returns_bool, matching) = parser.matching()?;
                // Powers bind to the right.
                let is_power = op == Operator::Arithmetic(Arithmetic::Pow);
                let (right, right_depth) = parser.expression(op.strength() + u8::from(!is_power))?;
                depth = depth.max(right_depth);
                if depth >= MOST_DEPTH {
                    return parser.too_deep();
                }
                links.push(Link { op, right, matching, returns_bool, op_span });
            }
            if links.is_empty() {
                return Ok((first, depth));
            }
            Ok((Expr::Chain(Box::new(Chain { first, links })), depth + 1))
        })
    }

    fn operator(&self) -> Option<Operator> {
        match self.peek().token {
            Token::Op(op) => Some(op),
            Token::Word => match self.word()?.as_str() {
                "and" => Some(Operator::And),
                "or" => Some(Operator::Or),
                "unless" => Some(Operator::Unless),
                "atan2" => Some(Operator::Atan2),
                _ => None,
            },
            _ => None,
        }
    }

    fn sign(&self) -> Option<bool> {
        match self.peek().token {
            Token::Op(Operator::Arithmetic(Arithmetic::Sub)) => Some(true),
            Token::Op(Operator::Arithmetic(Arithmetic::Add)) => Some(false),
            _ => None,
        }
    }

    fn operand(&mut self) -> Result<Deep> {
        let Some(is_negative) = self.sign() else {
            let (primary, depth) = self.primary()?;
            return Ok((self.modified(primary)?, depth));
        };
        let start = self.take().span.start;
        let (expr, depth) = self.expression(Arithmetic::Mul.strength() + 1)?;
        if let Expr::Number(number) = expr {
            let value = if is_negative { -number.value } else { number.value };
            let span = Span::new(start, number.span.end);
            return Ok((Expr::Number(Number { value, span, ..number }), depth));
        }
        if depth >= MOST_DEPTH {
            return self.too_deep();
        }
        Ok((Expr::Unary(Box::new(Unary { is_negative, expr, start })), depth + 1))
    }

    fn primary(&mut self) -> Result<Deep> {
        let lexeme = self.peek();
        match lexeme.token {
            Token::Number | Token::Duration => Ok((Expr::Number(self.number()?), 1)),
            Token::Text => {
                self.take();
                let bytes = self.unquote(lexeme)?;
                Ok((Expr::Text(Text { bytes, span: lexeme.span }), 1))
            }
            Token::LeftParen => {
                self.take();
                let (expr, depth) = self.expression(0)?;
                let end = self.expect(Token::RightParen, "", "")?;
                let span = lexeme.span.to(end.span);
                Ok((Expr::Paren(Box::new(Paren { expr, span })), depth + 1))
            }
            Token::LeftBrace | Token::MetricName => Ok((Expr::Vector(Box::new(self.selector()?)), 1)),
            Token::Word => self.word_operand(),
            _ => self.unexpected("", ""),
        }
    }
}

/// Words that are no functions even where a parenthesis follows.
fn is_reserved(word: &str) -> bool {
    const RESERVED: [&str; 17] = [
        "and",
        "or",
        "unless",
        "atan2",
        "offset",
        "smoothed",
        "anchored",
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "fill",
        "fill_left",
        "fill_right",
        "bool",
    ];
    RESERVED.contains(&word)
}

/// Words that are not read as names where something else could stand.
fn is_keyword(word: &str) -> bool {
    const OTHERS: [&str; 7] = ["start", "end", "step", "range", "max_of", "min_of", "inf"];
    is_reserved(word) || OTHERS.contains(&word) || super::ast::Aggregator::ALL.iter().any(|op| op.name() == word)
}
