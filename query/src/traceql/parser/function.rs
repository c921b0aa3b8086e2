//! Which aggregate, metrics function or hint does a text stand for?

use super::{Node, Parser, Part, Result};
use crate::traceql::ast::{Aggregate, At, Comparison, Function, Measure, Scalar, Static};
use crate::traceql::lexer::Token;

impl Parser<'_> {
    /// `count()` or `max(expression)`.
    pub(super) fn aggregate(&mut self, word: &str) -> Result<Part> {
        let at = self.at();
        self.place += 1;
        self.expect("(")?;
        let op = match word {
            "min" => Aggregate::Min,
            "max" => Aggregate::Max,
            "avg" => Aggregate::Avg,
            "sum" => Aggregate::Sum,
            _ => Aggregate::Count,
        };
        let (field, depth) = match op {
            Aggregate::Count => (None, 1),
            _ => {
                let (field, depth) = self.field()?;
                (Some(field), depth)
            }
        };
        self.expect(")")?;
        let depth = self.deeper(at, depth)?;
        Ok(Part { node: Node::Scalar(Scalar::Aggregate { op, field, at: At(at) }), at, depth })
    }

    /// The metrics function of a name, if it is one.
    pub(super) fn function(&mut self, word: &str) -> Result<Option<Function>> {
        let with_name = match word {
            "rate" | "count_over_time" => {
                self.place += 1;
                self.expect("(")?;
                self.expect(")")?;
                return self.grouped(if word == "rate" { Measure::Rate } else { Measure::Count }).map(Some);
            }
            "compare" => {
                self.place += 1;
                return self.comparison().map(|comparison| Some(Function::Compare(comparison)));
            }
            "min_over_time" => Measure::Min,
            "max_over_time" => Measure::Max,
            "avg_over_time" => Measure::Avg,
            "sum_over_time" => Measure::Sum,
            "histogram_over_time" => Measure::Histogram,
            "quantile_over_time" => |name| Measure::Quantile(name, Vec::new()),
            _ => return Ok(None),
        };
        self.place += 1;
        self.expect("(")?;
        let measure = match with_name(self.name()?) {
            Measure::Quantile(name, mut quantiles) => {
                while self.take(",") {
                    quantiles.push(self.quantile()?);
                }
                if quantiles.is_empty() {
                    return Err(self.unexpected("`,` and the quantiles, numbers from 0 to 1"));
                }
                Measure::Quantile(name, quantiles)
            }
            measure => measure,
        };
        self.expect(")")?;
        self.grouped(measure).map(Some)
    }

    fn quantile(&mut self) -> Result<f64> {
        match self.next() {
            Token::Int(value) => Ok(value as f64),
            Token::Float(value) => Ok(value),
            _ => {
                self.place -= 1;
                Err(self.unexpected("a quantile, a number from 0 to 1"))
            }
        }
    }

    /// `by(…)`, if it comes next.
    fn grouped(&mut self, measure: Measure) -> Result<Function> {
        let mut by = Vec::new();
        if self.take_word("by") {
            self.expect("(")?;
            by = self.names()?;
            self.expect(")")?;
        }
        Ok(Function::Over { measure, by })
    }

    fn comparison(&mut self) -> Result<Comparison> {
        self.expect("(")?;
        let (selection, _) = self.filter()?;
        let mut numbers = Vec::new();
        while numbers.len() < 3 && self.take(",") {
            match self.next() {
                Token::Int(value) => numbers.push(value),
                _ => {
                    self.place -= 1;
                    return Err(self.unexpected("an integer"));
                }
            }
        }
        if numbers.len() == 2 {
            return Err(self.unexpected("`,` and the end of the selection in Unix nanoseconds"));
        }
        self.expect(")")?;
        let range = numbers.get(1).copied().zip(numbers.get(2).copied());
        Ok(Comparison { selection, top: numbers.first().copied(), range })
    }

    /// `(name=value, …)`.
    pub(super) fn hints(&mut self) -> Result<Vec<(String, Static)>> {
        self.expect("(")?;
        let mut hints = Vec::new();
        loop {
            let Token::Word(name) = self.next() else {
                self.place -= 1;
                return Err(self.unexpected("a hint's name"));
            };
            self.expect("=")?;
            let negative = self.take("-");
            let value = match self.literal() {
                Some(Static::Int(value)) if negative => Static::Int(-value),
                Some(Static::Float(value)) if negative => Static::Float(-value),
                Some(Static::Duration(value)) if negative => Static::Duration(-value),
                Some(value) if !negative => value,
                _ => return Err(self.unexpected("a hint's value")),
            };
            hints.push((name, value));
            if !self.take(",") {
                self.expect(")")?;
                return Ok(hints);
            }
        }
    }
}
