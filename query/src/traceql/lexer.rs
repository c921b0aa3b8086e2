//! Which words is a query made of?
//!
//! L1  Any text becomes tokens or a `Problem`; nothing panics, and no token begins inside a character.
//! L2  An attribute (`.a`, `span."x y".z`) and a scoped intrinsic (`span:id`) are one token each: what ends a name depends on
//!     how it began. An unquoted name ends at white space or one of `{}()=~!<>&|^,`.
//!
//! Not here: which words mean what (`parser`).

use super::ast::Scope;
use super::problem::Problem;

const SECOND: i128 = 1_000_000_000;

/// A word of the language.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// An operator or a bracket.
    Sign(&'static str),
    Int(i64),
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    Text(String),
    /// A keyword or a function's name.
    Word(String),
    /// `scope:word`.
    Scoped(String, String),
    Attribute(AttributeToken),
    End,
}

/// `[parent.][scope].name`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AttributeToken {
    pub(super) parent: bool,
    pub(super) scope: Scope,
    pub(super) name: String,
    /// Whether no part of the name stood in quotes.
    pub(super) plain: bool,
}

/// A token and the byte where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) at: usize,
}

/// Longest first, so that the first that fits is the one that is meant.
const SIGNS: [&str; 34] = [
    "!>>", "!<<", "&>>", "&<<", "&&", "||", ">>", "<<", "=~", "!~", "!=", "!>", "!<", "<=", ">=", "&>", "&<", "&~",
    "{", "}", "(", ")", ",", "|", "=", "<", ">", "!", "~", "+", "-", "*", "/", "%",
];

/// The tokens of a text, the last of which is `End`.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, Problem> {
    let mut lexer = Lexer { text, at: 0 };
    let mut list = Vec::new();
    loop {
        lexer.skip_blank()?;
        let at = lexer.at;
        let token = lexer.next_token()?;
        let done = token == Token::End;
        list.push(Placed { token, at });
        if done {
            return Ok(list);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn problem(&self, at: usize, message: impl Into<String>) -> Problem {
        Problem::at(self.text, at, message)
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take_if(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        self.at += if found { prefix.len() } else { 0 };
        found
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|next| !accept(next)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    /// White space and comments.
    fn skip_blank(&mut self) -> Result<(), Problem> {
        loop {
            self.take_while(char::is_whitespace);
            let at = self.at;
            if self.take_if("//") {
                self.take_while(|next| next != '\n');
            } else if self.take_if("/*") {
                let length = self.rest().find("*/").ok_or_else(|| self.problem(at, "this comment does not end"))?;
                self.at += length + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn next_token(&mut self) -> Result<Token, Problem> {
        let at = self.at;
        let Some(first) = self.peek() else { return Ok(Token::End) };
        let second = self.rest().chars().nth(1);
        match first {
            '"' => self.quoted().map(Token::Text),
            '`' => self.raw().map(Token::Text),
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|next| next.is_ascii_digit()) => self.number(),
            '.' => {
                self.take();
                self.attribute(false, Scope::Any)
            }
            '^' => {
                self.take();
                Ok(Token::Sign("^"))
            }
            _ if first.is_ascii_alphabetic() || first == '_' => self.word(),
            _ => match SIGNS.iter().find(|sign| self.rest().starts_with(**sign)) {
                Some(sign) => {
                    self.at += sign.len();
                    Ok(Token::Sign(sign))
                }
                None => Err(self.problem(at, format!("unexpected character `{}`", first.escape_debug()))),
            },
        }
    }

    fn word(&mut self) -> Result<Token, Problem> {
        let at = self.at;
        let word = self.take_while(|next| next.is_ascii_alphanumeric() || next == '_');
        if self.peek() == Some(':') && matches!(word, "trace" | "span" | "event" | "link" | "instrumentation") {
            self.take();
            let inner = self.take_while(|next| next.is_ascii_alphanumeric() || next == '_');
            return Ok(Token::Scoped(word.to_owned(), inner.to_owned()));
        }
        if self.peek() == Some('.') {
            if word == "parent" {
                self.take();
                let scoped = ["span", "resource", "event", "link", "instrumentation"].into_iter();
                let scope = scoped.filter(|name| self.take_if(&format!("{name}."))).find_map(scope_of);
                return self.attribute(true, scope.unwrap_or(Scope::Any));
            }
            return match scope_of(word) {
                Some(scope) => {
                    self.take();
                    self.attribute(false, scope)
                }
                None => Err(self.problem(
                    at,
                    format!(
                        "`{word}` is no scope; there are `span`, `resource`, `event`, `link`, `instrumentation`, `parent`"
                    ),
                )),
            };
        }
        Ok(Token::Word(word.to_owned()))
    }

    fn attribute(&mut self, parent: bool, scope: Scope) -> Result<Token, Problem> {
        let at = self.at;
        let mut name = String::new();
        let mut plain = true;
        loop {
            match self.peek() {
                Some('"') => {
                    plain = false;
                    name.push_str(&self.quoted_name()?);
                }
                Some(next) if !next.is_whitespace() && !"{}()=~!<>&|^,".contains(next) => {
                    self.take();
                    name.push(next);
                }
                _ => break,
            }
        }
        if name.is_empty() {
            return Err(self.problem(at, "expected an attribute's name, such as `.http.method` or `span.\"a b\"`"));
        }
        Ok(Token::Attribute(AttributeToken { parent, scope, name, plain }))
    }

    /// A part of a name in quotes: `\"` and `\\` stand for what follows, everything else for itself.
    fn quoted_name(&mut self) -> Result<String, Problem> {
        let at = self.at;
        self.take();
        let mut name = String::new();
        loop {
            match self.take() {
                None => return Err(self.problem(at, "this quoted name does not end")),
                Some('"') => return Ok(name),
                Some('\\') => match self.take() {
                    Some(next @ ('"' | '\\')) => name.push(next),
                    _ => return Err(self.problem(at, "in a quoted name a backslash stands before `\"` or `\\` only")),
                },
                Some(next) => name.push(next),
            }
        }
    }

    fn raw(&mut self) -> Result<String, Problem> {
        let at = self.at;
        self.take();
        let text = self.take_while(|next| next != '`');
        match self.take() {
            Some(_) => Ok(text.replace('\r', "")),
            None => Err(self.problem(at, "this text does not end")),
        }
    }

    /// A text as Go writes them.
    fn quoted(&mut self) -> Result<String, Problem> {
        let at = self.at;
        self.take();
        let mut bytes = Vec::new();
        loop {
            let here = self.at;
            match self.take() {
                None | Some('\n') => return Err(self.problem(at, "this text does not end on its line")),
                Some('"') => break,
                Some('\\') => self.escape(here, &mut bytes)?,
                Some(next) => bytes.extend(next.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        String::from_utf8(bytes).map_err(|_| self.problem(at, "the escapes of this text do not make UTF-8"))
    }

    fn escape(&mut self, at: usize, out: &mut Vec<u8>) -> Result<(), Problem> {
        let simple = |byte: u8| Some(vec![byte]);
        let bytes = match self.take() {
            Some('a') => simple(7),
            Some('b') => simple(8),
            Some('f') => simple(12),
            Some('n') => simple(b'\n'),
            Some('r') => simple(b'\r'),
            Some('t') => simple(b'\t'),
            Some('v') => simple(11),
            Some('\\') => simple(b'\\'),
            Some('"') => simple(b'"'),
            Some('x') => self.digits(2, 16).and_then(|code| u8::try_from(code).ok()).map(|byte| vec![byte]),
            Some('u') => self.digits(4, 16).and_then(utf8),
            Some('U') => self.digits(8, 16).and_then(utf8),
            Some('0'..='7') => {
                self.at -= 1;
                self.digits(3, 8).and_then(|code| u8::try_from(code).ok()).map(|byte| vec![byte])
            }
            _ => None,
        };
        match bytes {
            Some(bytes) => {
                out.extend(bytes);
                Ok(())
            }
            None => Err(self.problem(at, "no such escape; a backslash is written `\\\\`")),
        }
    }

    fn digits(&mut self, count: usize, radix: u32) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            value = value.checked_mul(radix)?.checked_add(self.take()?.to_digit(radix)?)?;
        }
        Some(value)
    }

    /// An integer, a double, or a duration of one or more numbers with units.
    fn number(&mut self) -> Result<Token, Problem> {
        let at = self.at;
        let mut nanos: i128 = 0;
        let mut is_duration = false;
        loop {
            let start = self.at;
            let whole = self.take_while(|next| next.is_ascii_digit());
            let has_point = self.rest().starts_with('.') && {
                self.take();
                true
            };
            let fraction = if has_point { self.take_while(|next| next.is_ascii_digit()) } else { "" };
            let before_unit = self.at;
            let unit = self.take_while(|next| next.is_alphabetic() || next == 'µ');
            if unit.is_empty() || (!is_duration && matches!(unit, "e" | "E")) {
                if is_duration {
                    return Err(self.problem(start, "a duration's number has a unit: ns, us, ms, s, m, h, d, w or y"));
                }
                self.at = before_unit;
                return self.plain_number(at, has_point);
            }
            let scale = unit_nanos(unit).ok_or_else(|| {
                self.problem(before_unit, format!("`{unit}` is no unit; there are ns, us, ms, s, m, h, d, w, y"))
            })?;
            is_duration = true;
            let too_long = || Problem::at(self.text, at, "this duration is longer than 292 years");
            nanos =
                parts_nanos(whole, fraction, scale).and_then(|part| nanos.checked_add(part)).ok_or_else(too_long)?;
            if !self.peek().is_some_and(|next| next.is_ascii_digit()) {
                return i64::try_from(nanos).map(Token::Duration).map_err(|_| too_long());
            }
        }
    }

    fn plain_number(&mut self, at: usize, has_point: bool) -> Result<Token, Problem> {
        let mut is_float = has_point;
        if matches!(self.peek(), Some('e' | 'E')) {
            is_float = true;
            self.take();
            if matches!(self.peek(), Some('+' | '-')) {
                self.take();
            }
            if self.take_while(|next| next.is_ascii_digit()).is_empty() {
                return Err(self.problem(at, "this number's exponent has no digits"));
            }
        }
        let text = self.text.get(at..self.at).unwrap_or_default();
        if is_float {
            let value: f64 = text.parse().map_err(|_| self.problem(at, "this is no number"))?;
            return if value.is_finite() {
                Ok(Token::Float(value))
            } else {
                Err(self.problem(at, "this number is too large"))
            };
        }
        text.parse().map(Token::Int).map_err(|_| self.problem(at, "this integer does not fit into 64 bits"))
    }
}

fn utf8(code: u32) -> Option<Vec<u8>> {
    char::from_u32(code).map(|letter| letter.to_string().into_bytes())
}

fn scope_of(word: &str) -> Option<Scope> {
    Some(match word {
        "span" => Scope::Span,
        "resource" => Scope::Resource,
        "event" => Scope::Event,
        "link" => Scope::Link,
        "instrumentation" => Scope::Instrumentation,
        _ => return None,
    })
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3_600 * SECOND,
        "d" => 86_400 * SECOND,
        "w" => 7 * 86_400 * SECOND,
        "y" => 365 * 86_400 * SECOND,
        _ => return None,
    })
}

/// So many digits behind the point tell nanoseconds of a year exactly; further ones change nothing.
const FRACTION_DIGITS: usize = 18;

/// What is below a nanosecond is cut off, as Go does.
fn parts_nanos(whole: &str, fraction: &str, scale: i128) -> Option<i128> {
    let number = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
    let digits = fraction.get(..FRACTION_DIGITS).unwrap_or(fraction);
    let one = 10i128.checked_pow(u32::try_from(digits.len()).ok()?)?;
    number(whole)?.checked_mul(scale)?.checked_add(number(digits)?.checked_mul(scale)? / one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lex(text: &str) -> Vec<Token> {
        tokens(text).unwrap().into_iter().map(|placed| placed.token).collect()
    }

    fn attribute(parent: bool, scope: Scope, name: &str, plain: bool) -> Token {
        Token::Attribute(AttributeToken { parent, scope, name: name.into(), plain })
    }

    #[test]
    fn an_attributes_name_ends_where_an_operator_begins() {
        let cases = [
            (".a-b/c=1", attribute(false, Scope::Any, "a-b/c", true)),
            ("span.http.method)", attribute(false, Scope::Span, "http.method", true)),
            ("resource.\"a b\".c", attribute(false, Scope::Resource, "a b.c", false)),
            ("parent.span.a", attribute(true, Scope::Span, "a", true)),
            ("parent.a", attribute(true, Scope::Any, "a", true)),
            (".\"a\\\"b\\\\\"", attribute(false, Scope::Any, "a\"b\\", false)),
        ];
        for (text, expected) in cases {
            assert_eq!(lex(text)[0], expected, "{text}");
        }
    }

    #[test]
    fn numbers_keep_their_types() {
        let hour = 3_600_000_000_000;
        assert_eq!(
            lex("1 1.5 1e3 .5 1h30m 1.5h 2w"),
            [
                Token::Int(1),
                Token::Float(1.5),
                Token::Float(1000.0),
                Token::Float(0.5),
                Token::Duration(hour + hour / 2),
                Token::Duration(hour + hour / 2),
                Token::Duration(14 * 24 * hour),
                Token::End
            ]
        );
        assert_eq!(
            lex("1.5ns 0.9ns 0.5us 1.0000000001h .0000000001h 0.00000000000000000001y 1.s"),
            [
                Token::Duration(1),
                Token::Duration(0),
                Token::Duration(500),
                Token::Duration(hour + 360),
                Token::Duration(360),
                Token::Duration(0),
                Token::Duration(1_000_000_000),
                Token::End
            ]
        );
        for bad in ["1x", "99999999999999999999", "300y", "1h3", "1e", "1e999"] {
            assert!(tokens(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn texts_are_unquoted_as_go_does() {
        assert_eq!(
            lex(r#""a\n\"\x41\u00e9\101" `a\n` // c"#),
            [Token::Text("a\n\"AéA".into()), Token::Text("a\\n".into()), Token::End]
        );
        for bad in ["\"a", "\"a\nb\"", "\"\\q\"", "\"\\xff\"", "`a", "/* a", "§"] {
            assert!(tokens(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn l1_any_text_is_read_without_panic(text in "\\PC{0,60}", signs in "[-{}().\"`\\\\a1=~!<>&|^,:é]{0,40}") {
            for text in [text, signs] {
                let ended = tokens(&text).map(|list| list.last().map(|placed| placed.token.clone()));
                prop_assert!(ended.is_err() || ended == Ok(Some(Token::End)));
            }
        }
    }
}
