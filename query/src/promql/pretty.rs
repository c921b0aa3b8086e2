//! How does a long expression lie on lines? As Prometheus's `format_query` lays it.
//!
//! Y1  What has at most [`MOST_IN_LINE`] bytes stays on its line. What has more is broken: its parts on lines of their own, two blanks
//!     further in than itself, operators between them as far in as the whole.
//! Y2  Parsed again it is the same expression.
//! Y3  A chain of thousands of operators is as deep as it is long; one whose lines would have more than [`MOST_BYTES`] is told on one.
//!
//! Not here: what stands on a line (`print`).

use super::ast::{Aggregate, Call, Chain, Expr, Unary};
use super::print::{write_aggregate_head, write_link_head, write_subquery_end};
use std::fmt::{Display, Error, Result, Write};

/// Bytes of what is not broken.
const MOST_IN_LINE: usize = 100;
/// Bytes of all lines: blanks of the deepest expressions that people write, many times over.
const MOST_BYTES: usize = 4 << 20;

/// An expression on lines.
pub(crate) fn pretty(expr: &Expr) -> String {
    let mut page = Page(String::new());
    match page.put(expr, 0) {
        Ok(()) => page.0,
        Err(Error) => expr.to_string(),
    }
}

/// Counts what fits on a line, and no further.
struct Line(usize);

impl Write for Line {
    fn write_str(&mut self, text: &str) -> Result {
        self.0 = self.0.checked_sub(text.len()).ok_or(Error)?;
        Ok(())
    }
}

fn fits(part: &impl Display) -> bool {
    write!(Line(MOST_IN_LINE), "{part}").is_ok()
}

/// Lines, as long as there is room (Y3).
struct Page(String);

impl Write for Page {
    fn write_str(&mut self, text: &str) -> Result {
        if self.0.len() + text.len() > MOST_BYTES {
            return Err(Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

impl Page {
    fn indent(&mut self, level: usize) -> Result {
        if level > MOST_BYTES {
            return Err(Error);
        }
        (0..level).try_for_each(|_| self.write_str("  "))
    }

    fn put(&mut self, expr: &Expr, level: usize) -> Result {
        match expr {
            Expr::Invariant(inner) => self.put(inner, level),
            Expr::Unary(unary) => self.put_unary(unary, level),
            // As far in as its line begins: Prometheus forgets it here.
            Expr::Subquery(_) if fits(expr) => write!(self, "{expr}"),
            Expr::Subquery(subquery) => {
                self.put(&subquery.expr, level)?;
                write_subquery_end(subquery, self)
            }
            Expr::Chain(chain) => self.put_chain(chain, level),
            Expr::Aggregate(aggregate) if !fits(expr) => self.put_aggregate(aggregate, level),
            Expr::Call(call) if !fits(expr) => self.put_call(call, level),
            Expr::Paren(paren) if !fits(expr) => {
                self.indent(level)?;
                self.write_str("(\n")?;
                self.put(&paren.expr, level + 1)?;
                self.close(level)
            }
            whole => {
                self.indent(level)?;
                write!(self, "{whole}")
            }
        }
    }

    /// The parenthesis behind parts.
    fn close(&mut self, level: usize) -> Result {
        self.write_str("\n")?;
        self.indent(level)?;
        self.write_str(")")
    }

    /// The sign stands before whatever its operand begins with.
    fn put_unary(&mut self, unary: &Unary, level: usize) -> Result {
        self.indent(level)?;
        self.write_str(if unary.is_negative { "-" } else { "+" })?;
        let start = self.0.len();
        self.put(&unary.expr, level)?;
        let operand = self.0.get(start..).unwrap_or_default();
        let blanks = operand.len() - operand.trim_start().len();
        self.0.drain(start..start + blanks);
        Ok(())
    }

    fn put_aggregate(&mut self, aggregate: &Aggregate, level: usize) -> Result {
        self.indent(level)?;
        write_aggregate_head(aggregate, self)?;
        self.write_str("(\n")?;
        if let Some(param) = &aggregate.param {
            self.put(param, level + 1)?;
            self.write_str(",\n")?;
        }
        self.put(&aggregate.expr, level + 1)?;
        self.close(level)
    }

    fn put_call(&mut self, call: &Call, level: usize) -> Result {
        self.indent(level)?;
        writeln!(self, "{}(", call.function.name)?;
        for (place, arg) in call.args.iter().enumerate() {
            if place > 0 {
                self.write_str(",\n")?;
            }
            self.put(arg, level + 1)?;
        }
        self.close(level)
    }

    /// Every link is a level; the beginning that fits on a line is the deepest of them.
    fn put_chain(&mut self, chain: &Chain, level: usize) -> Result {
        let mut line = Line(MOST_IN_LINE);
        let count = chain.links.len();
        let fitting = match write!(line, "{}", chain.first) {
            Ok(()) => chain.links.iter().take_while(|link| write!(line, "{link}").is_ok()).count(),
            Err(Error) => 0,
        };
        let (whole, broken) = chain.links.split_at(fitting);
        if whole.is_empty() {
            self.put(&chain.first, level + count)?;
        } else {
            self.indent(level + broken.len())?;
            write!(self, "{}", chain.first)?;
            whole.iter().try_for_each(|link| write!(self, "{link}"))?;
        }
        for (behind, link) in broken.iter().enumerate() {
            let own = level + broken.len() - 1 - behind;
            self.write_str("\n")?;
            self.indent(own)?;
            write_link_head(link, self)?;
            self.write_str("\n")?;
            self.put(&link.right, own + 1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::parse;

    /// Each case: an expression on one line, and below it what Prometheus's `format_query` answers to it.
    const CASES: &str = include_str!("pretty.txt");

    #[test]
    fn y1_expressions_lie_as_prometheus_lays_them() {
        for case in CASES.trim_end().split("\n\n") {
            let (text, expected) = case.split_once('\n').unwrap();
            assert_eq!(pretty(&parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn y3_what_would_have_too_many_lines_is_told_on_one() {
        let chain = |links: usize| format!("a{}", " + a".repeat(links));
        let lines = |links: usize| pretty(&parse(&chain(links)).unwrap()).lines().count();
        // Twenty-five `a` have 97 bytes.
        assert_eq!((lines(24), lines(25), lines(1_000)), (1, 3, 1 + 2 * 976));
        assert_eq!(pretty(&parse(&chain(50_000)).unwrap()), chain(50_000));
    }
}
