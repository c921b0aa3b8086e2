//! What is a number worth, and which bytes does a text between quotes stand for?

use super::Parser;
use crate::promql::ast::{Number, Span};
use crate::promql::duration;
use crate::promql::fault::{Fault, Result};
use crate::promql::lexer::{Lexeme, Token};

/// A number as Go reads it: decimal, hexadecimal, octal with a leading 0, `_` between digits, `Inf` and `NaN`.
pub(crate) fn number(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "+inf" => return Some(f64::INFINITY),
        "-inf" => return Some(f64::NEG_INFINITY),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    let digits = lower.replace('_', "");
    if lower.contains('_') && (lower.contains("__") || lower.ends_with('_') || lower.starts_with('_')) {
        return None;
    }
    if let Some(hex) = digits.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok().map(|value| value as f64);
    }
    let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_whole && digits.len() > 1 && digits.starts_with('0') {
        let octal = i64::from_str_radix(&digits, 8).map(|value| value as f64);
        return octal.ok().or_else(|| digits.parse().ok());
    }
    let starts_well = digits.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.');
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || b".e+-".contains(&byte));
    (starts_well && is_plain && (is_whole || !lower.contains('_'))).then(|| digits.parse().ok())?
}

/// The bytes that a text between quotes stands for, with the escapes of Go; between back quotes there are none.
pub(crate) fn unquoted(text: &str) -> Result<Vec<u8>, String> {
    let mut letters = text.chars();
    let quote = letters.next().ok_or("a text without quotes")?;
    let inside = letters.as_str().strip_suffix(quote).ok_or("a text without its closing quote")?;
    if quote == '`' {
        return Ok(inside.as_bytes().to_vec());
    }
    let mut bytes = Vec::with_capacity(inside.len());
    let mut letters = inside.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = letters.next().ok_or("escape sequence not terminated")?;
        match escape {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' => bytes.push(b'\\'),
            quoted if quoted == quote => bytes.extend_from_slice(quoted.encode_utf8(&mut [0; 4]).as_bytes()),
            '0'..='7' => bytes.push(u8::try_from(digits(escape, &mut letters, 3, 8)?).map_err(|_| INVALID)?),
            'x' => bytes.push(u8::try_from(digits_behind(&mut letters, 2)?).map_err(|_| INVALID)?),
            'u' | 'U' => {
                let code = digits_behind(&mut letters, if escape == 'u' { 4 } else { 8 })?;
                let letter = char::from_u32(code).ok_or("escape sequence is an invalid Unicode code point")?;
                bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => return Err(format!("unknown escape sequence '\\{other}'")),
        }
    }
    Ok(bytes)
}

const INVALID: &str = "escape sequence is out of range";

fn digits_behind(letters: &mut std::str::Chars<'_>, count: usize) -> Result<u32, String> {
    let first = letters.next().ok_or("escape sequence not terminated")?;
    digits(first, letters, count, 16)
}

fn digits(first: char, letters: &mut std::str::Chars<'_>, count: usize, base: u32) -> Result<u32, String> {
    let mut value = 0u32;
    let mut digit = Some(first);
    for place in 0..count {
        let letter = digit.ok_or("escape sequence not terminated")?;
        let worth = letter.to_digit(base).ok_or_else(|| format!("illegal character '{letter}' in escape sequence"))?;
        value = value.checked_mul(base).and_then(|value| value.checked_add(worth)).ok_or(INVALID)?;
        if place + 1 < count {
            digit = letters.next();
        }
    }
    Ok(value)
}

impl Parser<'_> {
    /// A number or a duration.
    pub(super) fn number(&mut self) -> Result<Number> {
        let lexeme = self.take();
        let (text, span) = (self.text_of(lexeme), lexeme.span);
        match lexeme.token {
            Token::Number => match number(text) {
                Some(value) => Ok(Number { value, is_duration: false, span }),
                None => Fault::parse(span, format!("error parsing number: {text}")),
            },
            _ => match duration::parse(text) {
                Ok(milliseconds) => Ok(Number { value: milliseconds as f64 / 1000.0, is_duration: true, span }),
                Err(message) => Fault::parse(span, message),
            },
        }
    }

    pub(super) fn unquote(&self, lexeme: Lexeme) -> Result<Vec<u8>> {
        let text = self.text_of(lexeme);
        unquoted(text).map_err(|error| Fault::Parse {
            span: lexeme.span,
            message: format!("error unquoting string {text}: {error}"),
        })
    }

    /// A text that must be UTF-8.
    pub(super) fn unquote_text(&self, lexeme: Lexeme) -> Result<String> {
        let bytes = self.unquote(lexeme)?;
        String::from_utf8(bytes)
            .or_else(|_| Fault::parse(lexeme.span, format!("the text {} is not UTF-8", self.text_of(lexeme))))
    }

    /// A number with a sign.
    pub(super) fn signed_number(&mut self) -> Result<Number> {
        let start = self.peek().span.start;
        let sign = self.sign();
        if sign.is_some() {
            self.take();
        }
        if !matches!(self.peek().token, Token::Number | Token::Duration) {
            return self.unexpected("", "number");
        }
        let number = self.number()?;
        let value = if sign == Some(true) { -number.value } else { number.value };
        Ok(Number { value, span: Span::new(start, number.span.end), ..number })
    }
}
