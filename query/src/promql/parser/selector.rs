//! Which series does `name{label="value"}` select?

use super::Parser;
use crate::promql::ast::{Operator, Shift, VectorSelector};
use crate::promql::fault::{Fault, Result};
use crate::promql::lexer::Token;
use crate::promql::regex::Matcher;
use crate::series::NAME;
use storage::metric::Relation;

impl Parser<'_> {
    pub(super) fn selector(&mut self) -> Result<VectorSelector> {
        let start = self.peek();
        let mut span = start.span;
        let name = match start.token {
            Token::Word | Token::MetricName => self.text_of(self.peek()).to_owned(),
            Token::LeftBrace => String::new(),
            _ => return self.unexpected("", ""),
        };
        if !name.is_empty() {
            self.take();
        }
        let mut matchers = Vec::new();
        if self.take_if(Token::LeftBrace).is_some() {
            while self.peek().token != Token::RightBrace {
                matchers.push(self.matcher()?);
                if self.take_if(Token::Comma).is_none() && self.peek().token != Token::RightBrace {
                    return self.unexpected("label matching", "\",\" or \"}\"");
                }
            }
            span = span.to(self.take().span);
        }
        if !name.is_empty() {
            matchers.push(self.compiled(NAME, Relation::Equal, &name, span)?);
        }
        Ok(VectorSelector { name, matchers, shift: Shift::default(), extension: None, skips_buckets: false, span })
    }

    fn compiled(
        &self,
        label: &str,
        relation: Relation,
        value: &str,
        span: crate::promql::ast::Span,
    ) -> Result<Matcher> {
        Matcher::new(label, relation, value).map_err(|message| Fault::Parse { span, message })
    }

    fn matcher(&mut self) -> Result<Matcher> {
        let label = self.peek();
        let (name, is_quoted) = match label.token {
            Token::Word => (self.text_of(label).to_owned(), false),
            Token::Text => (self.unquote_text(label)?, true),
            _ => return self.unexpected("label matching", "identifier or \"}\""),
        };
        self.take();
        let relation = match self.peek().token {
            Token::Assign => Relation::Equal,
            Token::Op(Operator::NotEqual) => Relation::NotEqual,
            Token::Matches => Relation::Matches,
            Token::MatchesNot => Relation::MatchesNot,
            // A name between quotes alone is that of the metric.
            _ if is_quoted => return self.compiled(NAME, Relation::Equal, &name, label.span),
            _ => return self.unexpected("label matching", "label matching operator"),
        };
        self.take();
        let value = self.expect(Token::Text, "label matching", "string")?;
        let text = self.unquote_text(value)?;
        self.compiled(&name, relation, &text, label.span.to(value.span))
    }
}
