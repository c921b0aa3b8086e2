//! What is drawn of a metric, given its raw points or the answer of a query, and what could be asked of it?

pub mod answer;
pub mod grid;
pub mod heat;
pub mod moment;
pub mod names;
pub mod rate;
pub mod stats;
pub mod suggest;
