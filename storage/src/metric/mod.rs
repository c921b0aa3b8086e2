//! What is a metric, to the store? Series, and the samples of each.
//!
//! N1  A series is everything about a data point but its time, start time, flags, exemplars and what was measured: eleven
//!     columns (`series`). A point whose description differs is one of another series; who maps series to labels merges them.
//! N2  Of two samples of a series with one time the one that was written last counts. A head (one generation of memtables) and
//!     a block hold one sample per series and time; between them `Snapshot::series` decides, and merges keep the order
//!     (`compaction`). `Snapshot::scan` answers the rows of every source, those that were written later later, where no other
//!     order is asked for.
//!     So it is of the samples of rivals: series that only what a sender of Prometheus's says of a metric tells apart (`rival`).
//! N3  Samples may come in any order; readers get them by ascending time.
//! N4  A sample comes out bit for bit as it came in, NaN payloads, negative zeros and malformed cells too.
//!
//! - [`head`]: series in memory, each a log of compressed records.
//! - [`Samples`]: some samples of a series, column by column; [`Doubles`], those that are nothing but doubles.
//! - [`Matcher`]: which series are wanted, by their labels.
//! - [`Resolution`]: whether all samples are there, or those that stand for others (`thin`).
//!
//! Not here: files (`block::series`), PromQL's names for labels (`query`).

mod assemble;
mod doubles;
mod field;
mod head;
mod hidden;
mod label;
mod log;
mod matcher;
mod postings;
mod resolution;
mod rival;
mod rows;
mod samples;
mod series;
mod stray;
mod thin;

pub(crate) use assemble::{RowScan, SeriesSource, Stored};
pub use doubles::{Doubles, Read};
pub(crate) use doubles::{Joiner, TELLING, fields as doubles_fields};
pub(crate) use field::{CELLS, COUNT, Fields, NUMBERS, NumberKind, VALUE_DOUBLE};
pub(crate) use head::{Head, HeadReader, lock};
pub(crate) use hidden::{Hidden, hiding_windows};
pub use label::{Label, text_of};
pub(crate) use label::{LabelText, labels_of_resource, labels_of_scope, labels_of_series};
pub(crate) use log::counts_behind;
pub use matcher::{Matcher, Relation};
pub(crate) use matcher::{Pattern, Test};
pub use resolution::Resolution;
pub(crate) use rival::{Census, Lost};
pub use samples::Samples;
pub(crate) use samples::rows_in;
pub use series::Series;
pub use stray::{REACH, Strays};
pub(crate) use thin::thinned;

#[cfg(test)]
mod tests;
