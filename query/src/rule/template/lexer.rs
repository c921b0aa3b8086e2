//! Where does an action begin and end, and of which tokens is it?

use super::Fault;
use super::tree::At;

/// A token of an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Word(String),
    /// `.name`
    Field(String),
    /// `$name`, with its sign.
    Variable(String),
    Dot,
    Number(String),
    Text(String),
    /// A letter between single quotes, as its number.
    Letter(i64),
    Pipe,
    LeftParen,
    RightParen,
    Comma,
    Assign,
    Declare,
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: At,
    /// Whether a space stands before it.
    pub(super) is_apart: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Item {
    Text(String),
    Action { tokens: Vec<Token>, at: At },
}

/// Cuts a text into what stands there and what is done.
pub(super) fn items(text: &str) -> Result<Vec<Item>, Fault> {
    let mut lexer = Lexer { text, at: 0 };
    let mut items = Vec::new();
    let mut trims = false;
    loop {
        let rest = lexer.rest();
        let Some(open) = rest.find("{{") else {
            push_text(&mut items, if trims { rest.trim_start() } else { rest });
            return Ok(items);
        };
        let before = rest.get(..open).unwrap_or_default();
        let before = if trims { before.trim_start() } else { before };
        let start = lexer.at + open;
        lexer.at = start + 2;
        let is_trimmed = lexer.rest().strip_prefix('-').is_some_and(|rest| rest.starts_with(char::is_whitespace));
        if is_trimmed {
            lexer.at += 1;
        }
        push_text(&mut items, if is_trimmed { before.trim_end() } else { before });
        let from = lexer.rest().trim_start();
        if from.starts_with("/*") {
            lexer.at = lexer.text.len() - from.len();
            trims = lexer.comment(start)?;
            continue;
        }
        let (tokens, closing_trims) = lexer.action(start)?;
        trims = closing_trims;
        items.push(Item::Action { tokens, at: start });
    }
}

fn push_text(items: &mut Vec<Item>, text: &str) {
    if !text.is_empty() {
        items.push(Item::Text(text.to_owned()));
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: At,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn fault<T>(&self, at: At, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::new(self.text, at, message))
    }

    /// Takes `}}`, perhaps with a sign to trim what follows; says whether there was that sign.
    fn close(&mut self) -> Option<bool> {
        let rest = self.rest();
        if rest.starts_with("}}") {
            self.at += 2;
            return Some(false);
        }
        let spaces = rest.len() - rest.trim_start().len();
        if spaces > 0 && rest.trim_start().starts_with("-}}") {
            self.at += spaces + 3;
            return Some(true);
        }
        None
    }

    fn comment(&mut self, start: At) -> Result<bool, Fault> {
        let Some(end) = self.rest().find("*/") else { return self.fault(start, "unclosed comment") };
        self.at += end + 2;
        self.close().map_or_else(|| self.fault(start, "comment ends before closing delimiter"), Ok)
    }

    fn action(&mut self, start: At) -> Result<(Vec<Token>, bool), Fault> {
        let mut tokens = Vec::new();
        let mut is_apart = true;
        loop {
            if let Some(trims) = self.close() {
                return Ok((tokens, trims));
            }
            let at = self.at;
            let Some(letter) = self.rest().chars().next() else { return self.fault(start, "unclosed action") };
            if letter.is_whitespace() {
                self.at += letter.len_utf8();
                is_apart = true;
                continue;
            }
            let kind = self.token(letter)?;
            tokens.push(Token { kind, at, is_apart });
            is_apart = false;
        }
    }

    fn token(&mut self, letter: char) -> Result<Kind, Fault> {
        let at = self.at;
        let second = self.rest().chars().nth(1);
        let single = match letter {
            '|' => Some(Kind::Pipe),
            '(' => Some(Kind::LeftParen),
            ')' => Some(Kind::RightParen),
            ',' => Some(Kind::Comma),
            '=' => Some(Kind::Assign),
            _ => None,
        };
        if let Some(kind) = single {
            self.at += 1;
            return Ok(kind);
        }
        match letter {
            ':' if second == Some('=') => {
                self.at += 2;
                Ok(Kind::Declare)
            }
            '"' => self.quoted(),
            '`' => {
                let Some(end) = self.rest().get(1..).and_then(|rest| rest.find('`')) else {
                    return self.fault(at, "unterminated raw quoted string");
                };
                let text = self.rest().get(1..=end).unwrap_or_default().to_owned();
                self.at += end + 2;
                Ok(Kind::Text(text))
            }
            '\'' => self.letter(),
            '.' if !second.is_some_and(|letter| letter.is_ascii_digit()) => {
                self.at += 1;
                let name = self.word();
                Ok(if name.is_empty() { Kind::Dot } else { Kind::Field(name) })
            }
            '$' => {
                self.at += 1;
                Ok(Kind::Variable(format!("${}", self.word())))
            }
            _ if letter.is_ascii_digit() || matches!(letter, '.' | '+' | '-') => self.number(),
            _ if is_word(letter) => Ok(Kind::Word(self.word())),
            _ => self.fault(at, format!("unexpected {letter:?} in an action")),
        }
    }

    fn word(&mut self) -> String {
        let rest = self.rest();
        let word: String = rest.chars().take_while(|letter| is_word(*letter)).collect();
        self.at += word.len();
        word
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        let at = self.at;
        let mut before = ' ';
        let length: usize = self
            .rest()
            .chars()
            .enumerate()
            .take_while(|(place, letter)| {
                let is_sign = matches!(letter, '+' | '-') && (*place == 0 || matches!(before, 'e' | 'E' | 'p' | 'P'));
                before = *letter;
                is_sign || *letter == '.' || is_word(*letter)
            })
            .map(|(_, letter)| letter.len_utf8())
            .sum();
        let text = self.rest().get(..length).unwrap_or_default().to_owned();
        if text.len() == 1 && !text.starts_with(|letter: char| letter.is_ascii_digit()) {
            return self.fault(at, format!("unexpected {text:?} in an action"));
        }
        self.at += length;
        Ok(Kind::Number(text))
    }

    /// A letter between single quotes.
    fn letter(&mut self) -> Result<Kind, Fault> {
        let at = self.at;
        self.at += 1;
        let letter = match self.rest().chars().next() {
            Some('\\') => self.escaped(at, '\'')?,
            Some(letter) if letter != '\'' && letter != '\n' => {
                self.at += letter.len_utf8();
                letter
            }
            _ => return self.fault(at, "malformed character constant"),
        };
        if !self.rest().starts_with('\'') {
            return self.fault(at, "unterminated character constant");
        }
        self.at += 1;
        Ok(Kind::Letter(u32::from(letter).into()))
    }

    fn quoted(&mut self) -> Result<Kind, Fault> {
        let at = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.rest().chars().next() {
                None | Some('\n') => return self.fault(at, "unterminated quoted string"),
                Some('"') => {
                    self.at += 1;
                    return Ok(Kind::Text(text));
                }
                Some('\\') => text.push(self.escaped(at, '"')?),
                Some(letter) => {
                    self.at += letter.len_utf8();
                    text.push(letter);
                }
            }
        }
    }

    /// What a backslash and the letters behind it stand for.
    fn escaped(&mut self, start: At, quote: char) -> Result<char, Fault> {
        let mut letters = self.rest().chars().skip(1);
        let Some(letter) = letters.next() else { return self.fault(start, "unterminated quoted string") };
        let digits = match letter {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        if digits > 0 {
            let code: String = letters.take(digits).collect();
            let letter = u32::from_str_radix(&code, 16).ok().filter(|_| code.len() == digits).and_then(char::from_u32);
            let Some(letter) = letter else { return self.fault(self.at, "malformed escape in a quoted string") };
            self.at += 2 + digits;
            return Ok(letter);
        }
        let meant = match letter {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' => '\\',
            letter if letter == quote => letter,
            _ => return self.fault(self.at, "malformed escape in a quoted string"),
        };
        self.at += 1 + letter.len_utf8();
        Ok(meant)
    }
}

fn is_word(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}
