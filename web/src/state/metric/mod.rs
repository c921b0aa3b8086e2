//! What is drawn of a metric, given its raw points?

pub mod grid;
pub mod heat;
pub mod rate;
