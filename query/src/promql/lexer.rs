//! Which words has a text? Words that mean something only in some places are told apart by the parser.
//!
//! L1  A token's span is where it stands in the text; all spans are at the limits of characters.
//!
//! Not here: what a number is worth, what an escape in a text means (`parser::literal`).

use super::ast::{Arithmetic, Operator, Span};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    End,
    Comma,
    Colon,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    /// `=`
    Assign,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
    At,
    Op(Operator),
    Number,
    Duration,
    Text,
    /// A word, keywords among them.
    Word,
    /// A word with a colon in it.
    MetricName,
}

/// A token and its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    pub(crate) span: Span,
}

/// What cannot be a token.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) span: Span,
    pub(crate) message: String,
}

/// All tokens, [`Token::End`] last.
pub(crate) fn tokens(text: &str) -> Result<Vec<Lexeme>, Unreadable> {
    let mut lexer = Lexer { text, at: 0, in_braces: false, in_brackets: false };
    let mut found = Vec::new();
    loop {
        lexer.skip_blanks();
        let start = lexer.at;
        let token = lexer.next().map_err(|message| Unreadable { span: Span::new(start, text.len()), message })?;
        found.push(Lexeme { token, span: Span::new(start, lexer.at) });
        if token == Token::End {
            return Ok(found);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    in_braces: bool,
    in_brackets: bool,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take_if(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|letter| !wanted(letter)).unwrap_or(rest.len());
    }

    /// Blanks and comments.
    fn skip_blanks(&mut self) {
        loop {
            self.take_while(|letter| matches!(letter, ' ' | '\t' | '\n' | '\r'));
            if self.peek() != Some('#') {
                return;
            }
            self.take_while(|letter| letter != '\n' && letter != '\r');
        }
    }

    fn next(&mut self) -> Result<Token, String> {
        let Some(letter) = self.peek() else { return self.end() };
        if let Some(token) = self.bracket(letter)? {
            return Ok(token);
        }
        match letter {
            '"' | '\'' | '`' => self.quoted(letter),
            '0'..='9' => self.number(),
            '.' if self.rest().chars().nth(1).is_some_and(|digit| digit.is_ascii_digit()) => self.number(),
            ':' if self.in_brackets => {
                self.at += 1;
                Ok(Token::Colon)
            }
            'a'..='z' | 'A'..='Z' | '_' => Ok(self.word()),
            ':' if !self.in_braces => Ok(self.word()),
            _ => self.operator(letter),
        }
    }

    fn end(&self) -> Result<Token, String> {
        if self.in_braces {
            Err("unexpected end of input inside braces".to_owned())
        } else if self.in_brackets {
            Err("unclosed left bracket".to_owned())
        } else {
            Ok(Token::End)
        }
    }

    fn bracket(&mut self, letter: char) -> Result<Option<Token>, String> {
        let token = match letter {
            '(' => Token::LeftParen,
            ')' => Token::RightParen,
            ',' => Token::Comma,
            '{' if self.in_braces => return Err("unexpected left brace '{'".to_owned()),
            '[' if self.in_brackets => return Err("unexpected left bracket '['".to_owned()),
            '{' => Token::LeftBrace,
            '}' if self.in_braces => Token::RightBrace,
            '[' => Token::LeftBracket,
            ']' if !self.in_brackets => return Err("unexpected right bracket ']'".to_owned()),
            ']' => Token::RightBracket,
            _ => return Ok(None),
        };
        self.at += 1;
        match token {
            Token::LeftBrace => self.in_braces = true,
            Token::RightBrace => self.in_braces = false,
            Token::LeftBracket => self.in_brackets = true,
            Token::RightBracket => self.in_brackets = false,
            _ => {}
        }
        Ok(Some(token))
    }

    fn operator(&mut self, letter: char) -> Result<Token, String> {
        self.at += letter.len_utf8();
        let arithmetic = |op| Ok(Token::Op(Operator::Arithmetic(op)));
        match letter {
            '=' if self.in_braces && self.take_if('~') => Ok(Token::Matches),
            '=' if self.peek() == Some('~') => Err("unexpected character after '=': '~'".to_owned()),
            '=' if !self.in_braces && self.take_if('=') => Ok(Token::Op(Operator::Equal)),
            '=' => Ok(Token::Assign),
            '!' if self.take_if('=') => Ok(Token::Op(Operator::NotEqual)),
            '!' if self.in_braces && self.take_if('~') => Ok(Token::MatchesNot),
            '!' => Err(format!("unexpected character after '!': {}", shown(self.peek()))),
            _ if self.in_braces => Err(format!("unexpected character inside braces: {}", shown(Some(letter)))),
            '<' if self.take_if('=') => Ok(Token::Op(Operator::LessEqual)),
            '<' if self.take_if('/') => Ok(Token::Op(Operator::TrimUpper)),
            '<' => Ok(Token::Op(Operator::Less)),
            '>' if self.take_if('=') => Ok(Token::Op(Operator::GreaterEqual)),
            '>' if self.take_if('/') => Ok(Token::Op(Operator::TrimLower)),
            '>' => Ok(Token::Op(Operator::Greater)),
            '@' => Ok(Token::At),
            '+' => arithmetic(Arithmetic::Add),
            '-' => arithmetic(Arithmetic::Sub),
            '*' => arithmetic(Arithmetic::Mul),
            '/' => arithmetic(Arithmetic::Div),
            '%' => arithmetic(Arithmetic::Mod),
            '^' => arithmetic(Arithmetic::Pow),
            _ => Err(format!("unexpected character: {}", shown(Some(letter)))),
        }
    }

    fn word(&mut self) -> Token {
        let (start, in_braces) = (self.at, self.in_braces);
        self.take_while(|letter| letter.is_ascii_alphanumeric() || letter == '_' || (letter == ':' && !in_braces));
        let word = self.text.get(start..self.at).unwrap_or_default();
        if !in_braces && (word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("nan")) {
            Token::Number
        } else if word.contains(':') {
            Token::MetricName
        } else {
            Token::Word
        }
    }

    /// Escapes are skipped, not read.
    fn quoted(&mut self, quote: char) -> Result<Token, String> {
        self.at += 1;
        let mut letters = self.rest().char_indices();
        while let Some((place, letter)) = letters.next() {
            match letter {
                '\n' if quote != '`' => break,
                '\\' if quote != '`' => drop(letters.next()),
                letter if letter == quote => {
                    self.at += place + 1;
                    return Ok(Token::Text);
                }
                _ => {}
            }
        }
        Err(if quote == '`' { "unterminated raw string" } else { "unterminated quoted string" }.to_owned())
    }

    /// `1`, `0x1f`, `1_000.5e-3`, `Inf`, or a duration as `1h30m`.
    fn number(&mut self) -> Result<Token, String> {
        let start = self.at;
        let rest = self.rest();
        let is_hex = rest.len() > 2 && (rest.starts_with("0x") || rest.starts_with("0X"));
        let mut previous = '\0';
        let mut length = 0;
        for letter in rest.chars() {
            let signs_exponent = matches!(letter, '+' | '-') && matches!(previous, 'e' | 'E') && !is_hex;
            if !letter.is_ascii_alphanumeric() && !matches!(letter, '.' | '_') && !signs_exponent {
                break;
            }
            length += 1;
            previous = letter;
        }
        self.at += length;
        let word = self.text.get(start..self.at).unwrap_or_default();
        if super::parser::number(word).is_some() {
            return Ok(Token::Number);
        }
        let is_duration = word.ends_with(|letter: char| "smhdwy".contains(letter))
            && word.chars().all(|letter| letter.is_ascii_digit() || "smhdwy".contains(letter));
        if is_duration {
            return Ok(Token::Duration);
        }
        Err(format!("bad number or duration syntax: {}", crate::series::quoted(word.as_bytes())))
    }
}

fn shown(letter: Option<char>) -> String {
    letter.map_or_else(|| "end of input".to_owned(), |letter| format!("'{letter}'"))
}
