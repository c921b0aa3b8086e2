//! What does a TraceQL query mean, and what is its answer?
//!
//! `parse` reads a text into a tree (`lexer`, `parser`, `ast`) and refuses what makes no sense (`check`). Of the tree a search
//! is made (`search`): predicates that the store is asked (`lower`) propose traces, and each is then read whole (`trace`) and
//! run through the pipeline (`pipeline`, `expression`, `structure`). What relates spans is asked of whole row groups before, where traces
//! lie whole (`columnar`). Series are made of spans in the same way (`metric`).
//!
//! T1  What Tempo parses and calls unsupported is answered here: `parent.`, aggregates against aggregates, scalars of pipelines.
//! T2  Answers depend on spans only, not on where they lie (memory, which block) nor on the order in which they are found.
//!
//! Not here: HTTP (`http`), where rows are read (`exec`).

mod ast;
mod check;
mod columnar;
#[cfg(test)]
mod corpus;
mod expression;
#[cfg(test)]
mod language;
mod lexer;
mod list;
mod lower;
mod metric;
mod parser;
mod pattern;
mod pipeline;
mod problem;
mod search;
mod span;
mod structure;
mod trace;
mod value;
mod within;

pub(crate) use ast::Query;
pub(crate) use list::{
    Distinct, Keys, Listed, distinct, intrinsic_names, keys_of, keys_of_events_and_links, understood,
};
pub(crate) use metric::{Answer, Axis, MOST_SERIES, MetricsQuery, Series};
pub(crate) use problem::Problem;
pub(crate) use search::{Found, FoundSet, FoundSpan, Search, SearchQuery, Told};
pub(crate) use value::Value;
pub(crate) use within::Within;

use crate::error::{Error, Result};
use ast::Root;

/// Reads and checks a query.
pub(crate) fn parse(text: &str) -> Result<Query, Problem> {
    let query = parser::parse(text)?;
    check::check(text, &query)?;
    Ok(query)
}

impl Query {
    /// The search that the query is.
    pub(crate) fn search(&self) -> Result<Search> {
        match &self.root {
            Root::Spans(pipeline) => Search::new(pipeline).map_err(|message| Error::parameter("q", message)),
            Root::Metrics(_) => {
                Err(Error::parameter("q", "this query asks for series; expected one that asks for traces"))
            }
        }
    }

    /// The series that the query asks for.
    pub(crate) fn metrics(&self) -> Result<MetricsQuery> {
        match &self.root {
            Root::Metrics(metrics) => Ok(MetricsQuery::new(metrics, self.extrapolates())),
            Root::Spans(_) => {
                let message = "this query asks for traces; expected one that asks for series, such as `{ } | rate()`";
                Err(Error::parameter("q", message))
            }
        }
    }
}
