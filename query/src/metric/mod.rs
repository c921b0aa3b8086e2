//! Which metrics are there, how many series have they, and what were their values?
//!
//! Not here: parameters and paths (`http`).

mod cardinality;
mod identity;
mod list;
mod point;
mod series;
mod told;

pub(crate) use cardinality::{CardinalityQuery, cardinality};
pub(crate) use list::{MetricsQuery, metrics};
pub(crate) use series::{SeriesQuery, series};

#[cfg(test)]
mod tests;
