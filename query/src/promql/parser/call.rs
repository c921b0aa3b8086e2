//! What is called, and how do two sides match?

use super::{Deep, Parser};
use crate::promql::ast::{Aggregate, Aggregator, Call, Cardinality, Expr, Matching, Span};
use crate::promql::fault::{Fault, Result};
use crate::promql::function;
use crate::promql::lexer::Token;

impl Parser<'_> {
    /// An operand that begins with a word.
    pub(super) fn word_operand(&mut self) -> Result<Deep> {
        let lexeme = self.peek();
        let text = self.text_of(lexeme);
        let word = text.to_ascii_lowercase();
        let next = self.peek_at(1);
        let next_word = if next.token == Token::Word { self.text_of(next).to_ascii_lowercase() } else { String::new() };
        let aggregator = Aggregator::ALL.into_iter().find(|op| op.name() == word);
        let is_aggregation = next.token == Token::LeftParen || next_word == "by" || next_word == "without";
        if let Some(op) = aggregator.filter(|_| is_aggregation) {
            return self.aggregate(op);
        }
        if next.token == Token::LeftParen && !super::is_reserved(&word) {
            return self.call();
        }
        if ["bool", "on", "ignoring", "group_left", "group_right", "atan2"].contains(&word.as_str()) {
            return self.unexpected("", "");
        }
        Ok((Expr::Vector(Box::new(self.selector()?)), 1))
    }

    fn call(&mut self) -> Result<Deep> {
        let name = self.take();
        let text = self.text_of(name);
        let Some(function) = function::find(text).or_else(|| function::find_keyword(text)) else {
            let quoted = crate::series::quoted(text.as_bytes());
            return Fault::parse(name.span, format!("unknown function with name {quoted}"));
        };
        let (args, depth) = self.arguments()?;
        let span = Span::new(name.span.start, self.last_closing);
        Ok((Expr::Call(Box::new(Call { function, args, span })), depth + 1))
    }

    fn arguments(&mut self) -> Result<(Vec<Expr>, usize)> {
        self.expect(Token::LeftParen, "", "")?;
        let (mut args, mut deepest) = (Vec::new(), 0);
        if self.take_if(Token::RightParen).is_some() {
            return Ok((args, deepest));
        }
        loop {
            let (expr, depth) = self.expression(0)?;
            deepest = deepest.max(depth);
            args.push(expr);
            let Some(comma) = self.take_if(Token::Comma) else { break };
            if self.peek().token == Token::RightParen {
                return Fault::parse(comma.span, "trailing commas not allowed in function call args");
            }
        }
        self.expect(Token::RightParen, "", "")?;
        Ok((args, deepest))
    }

    fn aggregate(&mut self, op: Aggregator) -> Result<Deep> {
        let start = self.take().span.start;
        let mut clause = self.grouping_clause()?;
        if self.peek().token != Token::LeftParen {
            return self.unexpected("aggregation", "");
        }
        let (args, depth) = self.arguments()?;
        if clause.is_none() {
            clause = self.grouping_clause()?;
        }
        let span = Span::new(start, self.last_closing);
        let (grouping, without) = clause.unwrap_or_default();
        let (count, wanted) = (args.len(), if op.parameter().is_some() { 2 } else { 1 });
        if count == 0 {
            return Fault::parse(span, "no arguments for aggregate expression provided");
        }
        let mut args = args.into_iter();
        let param = if wanted == 2 { args.next() } else { None };
        match args.next() {
            Some(expr) if count == wanted => {
                let aggregate = Aggregate { op, expr, param, grouping, without, span };
                Ok((Expr::Aggregate(Box::new(aggregate)), depth + 1))
            }
            _ => {
                let what = "wrong number of arguments for aggregate expression provided";
                Fault::parse(span, format!("{what}, expected {wanted}, got {count}"))
            }
        }
    }

    /// `by (…)` or `without (…)`.
    fn grouping_clause(&mut self) -> Result<Option<(Vec<String>, bool)>> {
        let without = self.take_word("without");
        if !without && !self.take_word("by") {
            return Ok(None);
        }
        Ok(Some((self.grouping_labels()?, without)))
    }

    fn grouping_labels(&mut self) -> Result<Vec<String>> {
        self.expect(Token::LeftParen, "grouping opts", "\"(\"")?;
        let mut labels = Vec::new();
        while self.peek().token != Token::RightParen {
            let lexeme = self.peek();
            let label = match lexeme.token {
                Token::Word | Token::MetricName => self.text_of(lexeme).to_owned(),
                Token::Text => self.unquote_text(lexeme)?,
                _ => return self.unexpected("grouping opts", "label"),
            };
            if label.is_empty() {
                return Fault::parse(lexeme.span, "invalid label name for grouping: \"\"");
            }
            self.take();
            labels.push(label);
            if self.take_if(Token::Comma).is_none() && self.peek().token != Token::RightParen {
                return self.unexpected("grouping opts", "\",\" or \")\"");
            }
        }
        self.take();
        Ok(labels)
    }

    /// What stands between an operator and its right side.
    pub(super) fn matching(&mut self) -> Result<(bool, Matching)> {
        let returns_bool = self.take_word("bool");
        let mut matching = Matching {
            cardinality: Cardinality::OneToOne,
            labels: Vec::new(),
            on: false,
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        };
        let on = self.take_word("on");
        if on || self.take_word("ignoring") {
            matching.on = on;
            matching.labels = self.grouping_labels()?;
            let left = self.take_word("group_left");
            if left || self.take_word("group_right") {
                matching.cardinality = if left { Cardinality::ManyToOne } else { Cardinality::OneToMany };
                if self.peek().token == Token::LeftParen {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        self.fill(&mut matching)?;
        Ok((returns_bool, matching))
    }

    /// `fill(0)`, or `fill_left(0)` and `fill_right(1)` in any order. A metric may be called `fill`.
    fn fill(&mut self, matching: &mut Matching) -> Result<()> {
        while self.peek_at(1).token == Token::LeftParen {
            let word = self.word().unwrap_or_default();
            let is_free = match word.as_str() {
                "fill" => matching.fill_left.is_none() && matching.fill_right.is_none(),
                "fill_left" => matching.fill_left.is_none(),
                "fill_right" => matching.fill_right.is_none(),
                _ => return Ok(()),
            };
            if !is_free {
                return self.unexpected("", "");
            }
            self.take();
            self.take();
            let value = self.signed_number()?.value;
            self.expect(Token::RightParen, "", "")?;
            if word != "fill_right" {
                matching.fill_left = Some(value);
            }
            if word != "fill_left" {
                matching.fill_right = Some(value);
            }
            if word == "fill" {
                return Ok(());
            }
        }
        Ok(())
    }
}
