//! Which metrics are there, and what were their values?
//!
//! Not here: parameters and paths (`http`).

mod identity;
mod list;
mod point;
mod series;

pub(crate) use list::{MetricsQuery, metrics};
pub(crate) use series::{SeriesQuery, series};

#[cfg(test)]
mod tests;
