//! What does the interface know, apart from how it is drawn? Pure values and functions, tested natively.
//!
//! S1  Nothing here touches the DOM, the network or a clock: times come in as nanoseconds since 1970 UTC.
//! S2  Nothing here recurses over data from outside: traces may be 100,000 spans deep.
//!
//! Not here: signals and effects (`component`, `page`), requests (`client`).

pub mod address;
pub mod attribute;
pub mod calendar;
pub mod difference;
pub mod filter;
pub mod format;
pub mod hue;
pub mod json;
pub mod kafka;
pub mod listed;
pub mod log;
pub mod lower;
pub mod map;
pub mod metric;
pub mod number;
pub mod object;
pub mod order;
pub mod query;
pub mod rows;
pub mod scale;
pub mod service;
pub mod strips;
pub mod tempo;
pub mod time;
pub mod trace;
pub mod traceql;
