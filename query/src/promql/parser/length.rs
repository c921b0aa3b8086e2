//! How long is a duration that is computed? `step()`, `range()`, `max_of(…)`, and arithmetic.

use super::Parser;
use crate::promql::ast::{Arithmetic, Lasting, Length, Number, Operator, Span};
use crate::promql::duration::of_seconds;
use crate::promql::fault::{Fault, Result};
use crate::promql::lexer::Token;

const EXPECTED: &str = "number, duration, step(), or range()";

impl Parser<'_> {
    /// A duration above 0, between brackets.
    pub(super) fn positive_length(&mut self, context: &str) -> Result<Lasting> {
        let length = self.length(0, context)?;
        if let Length::Number(number) = length {
            if number.value <= 0.0 {
                return Fault::parse(number.span, "duration must be greater than 0");
            }
            return known(number);
        }
        Ok(Lasting::Computed(length))
    }

    /// What stands behind `offset`: more than one operand only between parentheses.
    pub(super) fn offset_length(&mut self) -> Result<Lasting> {
        let sign = self.sign();
        let start = self.peek().span.start;
        if sign.is_none() && self.peek().token == Token::LeftParen {
            return lasting(self.length(0, "offset")?);
        }
        if sign.is_some() {
            self.take();
        }
        let operand = self.length_operand("offset")?;
        lasting(signed(operand, sign, start))
    }

    fn length(&mut self, strength: u8, context: &str) -> Result<Length> {
        self.deeper(|parser| {
            let start = parser.peek().span.start;
            let mut left = match parser.sign() {
                Some(is_negative) => {
                    parser.take();
                    signed(parser.length(Arithmetic::Mul.strength() + 1, context)?, Some(is_negative), start)
                }
                None => parser.length_operand(context)?,
            };
            let mut links = 0;
            while let Token::Op(Operator::Arithmetic(op)) = parser.peek().token {
                if op.strength() < strength {
                    break;
                }
                let op_span = parser.take().span;
                let right = parser.length(op.strength() + u8::from(op != Arithmetic::Pow), context)?;
                if matches!(right, Length::Number(number) if number.value == 0.0) {
                    match op {
                        Arithmetic::Div => return Fault::parse(op_span, "division by zero"),
                        Arithmetic::Mod => return Fault::parse(op_span, "modulo by zero"),
                        _ => {}
                    }
                }
                links += 1;
                if links > super::MOST_DEPTH {
                    return parser.too_deep();
                }
                left = Length::Binary(op, Box::new((left, right)));
            }
            Ok(left)
        })
    }

    fn length_operand(&mut self, context: &str) -> Result<Length> {
        let lexeme = self.peek();
        match lexeme.token {
            Token::Number | Token::Duration => {
                let number = self.number()?;
                known(number)?;
                Ok(Length::Number(number))
            }
            Token::LeftParen => {
                self.take();
                let inner = self.length(0, context)?;
                let end = self.expect(Token::RightParen, context, "\")\"")?;
                Ok(Length::Paren(Box::new(inner), lexeme.span.to(end.span)))
            }
            Token::Word => {
                let word = self.word().unwrap_or_default();
                if !["step", "range", "max_of", "min_of"].contains(&word.as_str()) {
                    return self.unexpected(context, EXPECTED);
                }
                self.take();
                self.expect(Token::LeftParen, context, "\"(\"")?;
                if word == "step" || word == "range" {
                    let end = self.expect(Token::RightParen, context, "\")\"")?;
                    let span = lexeme.span.to(end.span);
                    return Ok(if word == "step" { Length::Step(span) } else { Length::Range(span) });
                }
                let first = self.length(0, context)?;
                self.expect(Token::Comma, context, "\",\"")?;
                let second = self.length(0, context)?;
                let end = self.expect(Token::RightParen, context, "\")\"")?;
                let (sides, span) = (Box::new((first, second)), lexeme.span.to(end.span));
                Ok(if word == "max_of" { Length::Max(sides, span) } else { Length::Min(sides, span) })
            }
            _ => self.unexpected(context, EXPECTED),
        }
    }
}

fn signed(operand: Length, sign: Option<bool>, start: usize) -> Length {
    match (operand, sign) {
        (Length::Number(number), Some(is_negative)) => {
            let value = if is_negative { -number.value } else { number.value };
            Length::Number(Number { value, span: Span::new(start, number.span.end), ..number })
        }
        (operand, Some(true)) => {
            let span = Span::new(start, operand.span().end);
            Length::Negative(Box::new(operand), span)
        }
        (operand, _) => operand,
    }
}

fn lasting(length: Length) -> Result<Lasting> {
    match length {
        Length::Number(number) => known(number),
        length => Ok(Lasting::Computed(length)),
    }
}

fn known(number: Number) -> Result<Lasting> {
    match of_seconds(number.value) {
        Some(milliseconds) => Ok(Lasting::Known(milliseconds)),
        None => Fault::parse(number.span, "duration out of range"),
    }
}
