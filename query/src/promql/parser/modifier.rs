//! What stands behind an expression? A range, a subquery, `offset`, `@`, `anchored` or `smoothed`.

use super::Parser;
use crate::promql::ast::{At, Expr, Extension, Lasting, RangeSelector, Shift, Span, Subquery};
use crate::promql::fault::{Fault, Result};
use crate::promql::lexer::Token;

impl Parser<'_> {
    pub(super) fn modified(&mut self, expr: Expr) -> Result<Expr> {
        let mut expr = expr;
        // Each subquery is one level of the expression.
        let mut subqueries = 0;
        loop {
            match self.peek().token {
                Token::LeftBracket => {
                    subqueries += 1;
                    if self.depth + subqueries > super::MOST_DEPTH {
                        return self.too_deep();
                    }
                    expr = self.bracketed(expr)?;
                }
                Token::At => {
                    self.take();
                    self.at_modifier(&mut expr)?;
                }
                Token::Word => match self.word().unwrap_or_default().as_str() {
                    "offset" => {
                        self.take();
                        let offset = self.offset_length()?;
                        self.offset_modifier(&mut expr, offset)?;
                    }
                    "anchored" => self.extension(&mut expr, Extension::Anchored)?,
                    "smoothed" => self.extension(&mut expr, Extension::Smoothed)?,
                    _ => return Ok(expr),
                },
                _ => return Ok(expr),
            }
        }
    }

    fn bracketed(&mut self, expr: Expr) -> Result<Expr> {
        let open = self.take().span;
        let range = self.positive_length("subquery or range selector")?;
        if self.take_if(Token::Colon).is_none() {
            let close = self.expect(Token::RightBracket, "subquery or range", "\":\" or \"]\"")?.span;
            return range_selector(expr, range, open.to(close));
        }
        let step = match self.peek().token {
            Token::RightBracket => None,
            _ => Some(self.positive_length("subquery selector")?),
        };
        let end = self.expect(Token::RightBracket, "subquery selector", "\"]\"")?.span.end;
        Ok(Expr::Subquery(Box::new(Subquery { expr, range, step, shift: Shift::default(), end })))
    }

    fn at_modifier(&mut self, expr: &mut Expr) -> Result<()> {
        let span = expr.span();
        let at = match self.word().as_deref() {
            Some(word @ ("start" | "end")) => {
                let at = if word == "start" { At::Start } else { At::End };
                self.take();
                self.expect(Token::LeftParen, "@", "timestamp")?;
                self.expect(Token::RightParen, "@", "timestamp")?;
                at
            }
            _ => {
                let is_number = matches!(self.peek().token, Token::Number | Token::Duration);
                if !is_number && self.sign().is_none() {
                    return self.unexpected("@", "timestamp");
                }
                let seconds = self.signed_number()?.value;
                // What does not fit 64 bits as seconds is refused; what does not as milliseconds is the last moment.
                if !seconds.is_finite() || seconds.abs() >= 9.223_372_036_854_775e18 {
                    return Fault::parse(span, format!("timestamp out of bounds for @ modifier: {seconds:.6}"));
                }
                At::Time((seconds * 1000.0).round() as i64)
            }
        };
        let (shift, end) = shift_of(expr, "@ modifier")?;
        if shift.at.is_some() {
            return Fault::parse(span, "@ <timestamp> may not be set multiple times");
        }
        shift.at = Some(at);
        *end = self.last_closing;
        Ok(())
    }

    fn offset_modifier(&mut self, expr: &mut Expr, offset: Lasting) -> Result<()> {
        let span = expr.span();
        let (shift, end) = shift_of(expr, "offset modifier")?;
        if shift.offset.is_some() {
            return Fault::parse(span, "offset may not be set multiple times");
        }
        // As if there were none.
        shift.offset = Some(offset).filter(|offset| !matches!(offset, Lasting::Known(0)));
        *end = self.last_closing;
        Ok(())
    }

    fn extension(&mut self, expr: &mut Expr, extension: Extension) -> Result<()> {
        self.take();
        let span = expr.span();
        let selector = match expr {
            Expr::Vector(selector) => selector.as_mut(),
            Expr::Range(range) => &mut range.selector,
            Expr::Subquery(_) => {
                return Fault::parse(span, format!("{} modifier is not supported for subqueries", extension.name()));
            }
            _ => return Fault::parse(span, format!("{} modifier not implemented", extension.name())),
        };
        if selector.extension.is_some_and(|other| other != extension) {
            return Fault::parse(span, "anchored and smoothed modifiers cannot be used together");
        }
        selector.extension = Some(extension);
        Ok(())
    }
}

fn range_selector(expr: Expr, range: Lasting, brackets: Span) -> Result<Expr> {
    let Expr::Vector(selector) = expr else {
        return Fault::parse(brackets, "ranges only allowed for vector selectors");
    };
    if selector.shift.offset.is_some() {
        return Fault::parse(brackets, "no offset modifiers allowed before range");
    }
    if selector.shift.at.is_some() {
        return Fault::parse(brackets, "no @ modifiers allowed before range");
    }
    Ok(Expr::Range(Box::new(RangeSelector { selector: *selector, range, end: brackets.end })))
}

/// The shift of a selector or subquery, and where that ends.
fn shift_of<'e>(expr: &'e mut Expr, modifier: &str) -> Result<(&'e mut Shift, &'e mut usize)> {
    let span = expr.span();
    match expr {
        Expr::Vector(selector) => Ok((&mut selector.shift, &mut selector.span.end)),
        Expr::Range(range) => Ok((&mut range.selector.shift, &mut range.end)),
        Expr::Subquery(subquery) => Ok((&mut subquery.shift, &mut subquery.end)),
        _ => {
            let places = "an instant vector selector or range vector selector or a subquery";
            Fault::parse(span, format!("{modifier} must be preceded by {places}"))
        }
    }
}
