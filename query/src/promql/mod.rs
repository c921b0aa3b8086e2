//! What does a PromQL expression mean, and what is its value?
//!
//! P1  A text that does not parse is refused with the place at which it fails; nesting is limited, so no text ends the process.
//! P2  An expression that is printed and parsed again is the same one.
//! P3  Evaluation sees a series at a time, at steps of equal distance, and asks `Source` for series and for leave to go on:
//!     time, memory and samples are limited there.
//! P4  The semantics are those of Prometheus 3.14 with delayed name removal, start timestamps, and its experimental
//!     functions and modifiers. The suite of `script` says how nearly.
//!
//! Parts, in the order in which a text passes them: `lexer`, `parser` (to `ast`, which `print` writes back, and `pretty` on lines),
//! `check` (types), `prepare` (what a query's range settles), `eval` with `function`.
//!
//! Not here: Prometheus's HTTP API (`http::prometheus`), histograms and labels themselves (`series`).

pub(crate) mod ast;
mod check;
mod duration;
mod eval;
mod fault;
mod function;
mod lexer;
#[cfg(test)]
mod naive;
mod note;
mod parser;
mod prepare;
mod pretty;
mod print;
mod quantile;
mod regex;
#[cfg(test)]
mod script;
mod source;

pub(crate) use ast::Expr;
pub(crate) use duration::{of_seconds, parse as parse_duration};
pub(crate) use eval::{Answer, Outcome, Settings, Tally, evaluate};
pub(crate) use fault::{Fault, Result};
pub(crate) use note::Level;
pub(crate) use parser::{parse, parse_selector};
pub(crate) use prepare::Frame;
pub(crate) use pretty::pretty;
pub(crate) use regex::Matcher;
pub(crate) use source::{Reading, Source};
