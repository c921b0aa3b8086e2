//! Which expression over spans does a text stand for?

use super::{Parser, Result};
use crate::traceql::ast::{
    Arithmetic, At, Compare, Field, Intrinsic, KINDS, Logic, Name, STATUSES, Static, Unary, What,
};
use crate::traceql::lexer::{AttributeToken, Token};

#[derive(Debug, Clone, Copy)]
enum Infix {
    Logic(Logic),
    Compare(Compare),
    Arithmetic(Arithmetic),
}

/// An expression and how deep it is.
type Deep = (Field, usize);

impl Parser<'_> {
    /// `{ … }`.
    pub(super) fn filter(&mut self) -> Result<(Option<Field>, usize)> {
        self.expect("{")?;
        if self.take("}") {
            return Ok((None, 1));
        }
        let (field, depth) = self.field()?;
        if !self.take("}") {
            return Err(self.unexpected("an operator or `}`"));
        }
        Ok((Some(field), depth))
    }

    /// An expression.
    pub(super) fn field(&mut self) -> Result<Deep> {
        self.field_above(0)
    }

    fn field_above(&mut self, strength: u8) -> Result<Deep> {
        let mut left = self.field_operand()?;
        // Of a chain of one operator each further part makes the list longer, not the tree deeper; a list in parentheses
        // is a part of its own.
        let mut chain: Option<Logic> = None;
        while let Some((infix, binding)) = self.field_infix() {
            if binding < strength {
                break;
            }
            let at = self.at();
            self.place += 1;
            let next = if matches!(infix, Infix::Arithmetic(Arithmetic::Power)) { binding } else { binding + 1 };
            let (right, right_depth) = self.nested(|parser| parser.field_above(next))?;
            let depth = left.1.max(right_depth);
            left = match infix {
                Infix::Logic(op) => {
                    let joined = match left.0 {
                        Field::Logic { op: same, mut parts } if chain == Some(op) && same == op => {
                            parts.push(right);
                            (Field::Logic { op, parts }, left.1.max(right_depth + 1))
                        }
                        first => (Field::Logic { op, parts: vec![first, right] }, self.deeper(at, depth)?),
                    };
                    chain = Some(op);
                    joined
                }
                Infix::Compare(op) => {
                    let (left, right) = (Box::new(left.0), Box::new(right));
                    (Field::Compare { op, left, right, at: At(at) }, self.deeper(at, depth)?)
                }
                Infix::Arithmetic(op) => {
                    let (left, right) = (Box::new(left.0), Box::new(right));
                    (Field::Arithmetic { op, left, right, at: At(at) }, self.deeper(at, depth)?)
                }
            };
        }
        Ok(left)
    }

    fn field_infix(&self) -> Option<(Infix, u8)> {
        let Token::Sign(sign) = self.peek() else { return None };
        Some(match *sign {
            "&&" => (Infix::Logic(Logic::And), 1),
            "||" => (Infix::Logic(Logic::Or), 1),
            "=" => (Infix::Compare(Compare::Equal), 2),
            "!=" => (Infix::Compare(Compare::NotEqual), 2),
            "<" => (Infix::Compare(Compare::Less), 2),
            "<=" => (Infix::Compare(Compare::LessOrEqual), 2),
            ">" => (Infix::Compare(Compare::Greater), 2),
            ">=" => (Infix::Compare(Compare::GreaterOrEqual), 2),
            "=~" => (Infix::Compare(Compare::Matches), 2),
            "!~" => (Infix::Compare(Compare::MatchesNot), 2),
            "+" => (Infix::Arithmetic(Arithmetic::Add), 3),
            "-" => (Infix::Arithmetic(Arithmetic::Subtract), 3),
            "*" => (Infix::Arithmetic(Arithmetic::Multiply), 5),
            "/" => (Infix::Arithmetic(Arithmetic::Divide), 5),
            "%" => (Infix::Arithmetic(Arithmetic::Modulo), 5),
            "^" => (Infix::Arithmetic(Arithmetic::Power), 6),
            _ => return None,
        })
    }

    fn field_operand(&mut self) -> Result<Deep> {
        let at = self.at();
        match self.peek().clone() {
            Token::Sign("(") => {
                self.place += 1;
                let (inner, depth) = self.nested(Parser::field)?;
                self.expect(")")?;
                Ok((inner, self.deeper(at, depth)?))
            }
            Token::Sign("-") => {
                self.place += 1;
                let literal = matches!(self.peek(), Token::Int(_) | Token::Float(_) | Token::Duration(_));
                let (inner, depth) = self.nested(|parser| parser.field_above(5))?;
                let negative = match inner {
                    Field::Static(Static::Int(value), _) if literal => Static::Int(-value),
                    Field::Static(Static::Float(value), _) if literal => Static::Float(-value),
                    Field::Static(Static::Duration(value), _) if literal => Static::Duration(-value),
                    inner => {
                        let inner = Box::new(inner);
                        return Ok((Field::Unary { op: Unary::Negate, inner, at: At(at) }, self.deeper(at, depth)?));
                    }
                };
                Ok((Field::Static(negative, At(at)), depth))
            }
            Token::Sign("!") => {
                self.place += 1;
                let (inner, depth) = self.nested(|parser| parser.field_above(5))?;
                Ok((Field::Unary { op: Unary::Not, inner: Box::new(inner), at: At(at) }, self.deeper(at, depth)?))
            }
            _ => match self.literal() {
                Some(value) => Ok((Field::Static(value, At(at)), 1)),
                None => Ok((Field::Name(self.name()?), 1)),
            },
        }
    }

    /// A value, if one comes next.
    pub(super) fn literal(&mut self) -> Option<Static> {
        let value = match self.peek() {
            Token::Int(value) => Static::Int(*value),
            Token::Float(value) => Static::Float(*value),
            Token::Duration(value) => Static::Duration(*value),
            Token::Text(text) => Static::Text(text.clone()),
            Token::Word(word) => {
                let number_in = |names: &[&str]| {
                    let place = names.iter().position(|name| name == word);
                    place.and_then(|place| i32::try_from(place).ok())
                };
                match word.as_str() {
                    "nil" => Static::Nil,
                    "true" => Static::Bool(true),
                    "false" => Static::Bool(false),
                    "minInt" => Static::Int(i64::MIN),
                    "maxInt" => Static::Int(i64::MAX),
                    _ => match (number_in(&STATUSES), number_in(&KINDS)) {
                        (Some(status), _) => Static::Status(status),
                        (None, Some(kind)) => Static::Kind(kind),
                        (None, None) => return None,
                    },
                }
            }
            _ => return None,
        };
        self.place += 1;
        Some(value)
    }

    /// An attribute or an intrinsic.
    pub(super) fn name(&mut self) -> Result<Name> {
        let at = At(self.at());
        let (parent, what) = match self.peek() {
            Token::Attribute(AttributeToken { parent, scope, name, plain }) => {
                let unscoped = *parent && *plain && *scope == crate::traceql::ast::Scope::Any;
                match Intrinsic::named(name).filter(|_| unscoped && !name.contains(':')) {
                    Some(intrinsic) => (true, What::Intrinsic(intrinsic)),
                    None => (*parent, What::Attribute(*scope, name.clone())),
                }
            }
            Token::Scoped(scope, word) => match Intrinsic::named(&format!("{scope}:{word}")) {
                Some(intrinsic) => (false, What::Intrinsic(intrinsic)),
                None => {
                    let message = format!("there is no `{scope}:{word}`; an attribute is written `{scope}.{word}`");
                    return Err(self.problem(at.0, message));
                }
            },
            Token::Word(word) => match Intrinsic::named(word) {
                Some(intrinsic) => (false, What::Intrinsic(intrinsic)),
                None => {
                    let message =
                        format!("`{word}` is unknown; an attribute is written `.{word}`, a text `\"{word}\"`");
                    return Err(self.problem(at.0, message));
                }
            },
            _ => return Err(self.unexpected("a value, an attribute such as `.http.method`, or an intrinsic")),
        };
        self.place += 1;
        Ok(Name { parent, what, at })
    }

    /// One or more names.
    pub(super) fn names(&mut self) -> Result<Vec<Name>> {
        let mut names = vec![self.name()?];
        while self.take(",") {
            names.push(self.name()?);
        }
        Ok(names)
    }
}
