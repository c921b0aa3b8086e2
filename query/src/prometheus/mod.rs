//! How are OpenTelemetry's metrics called in Prometheus, and what are their samples there?
//!
//! Names and conversions are those of Prometheus's own OTLP receiver, with any of its four strategies (`TranslationStrategy`):
//! `job` and `instance` from the resource, its other attributes in `target_info`, some of them and the scope as labels, too;
//! explicit histograms become classic ones, exponential histograms native ones. Delta sums stay as they are; their start times let `rate` add them up.
//!
//! - `naming`: names of metrics and labels.
//! - `origin`: what labels tell of resources and scopes.
//! - `translate`: series and samples.
//! - `stored`: which stored metrics a name means.
//! - `store`: the store as a source for PromQL. `concurrent`: whether stored series that became one go on beside each other.
//! - `protobuf`: samples as messages.
//! - `catalogue`: which series, labels and metrics there are; exemplars. `first`: the first of them.
//!
//! Metrics that came by Prometheus's own doors have its names already, and keep them (`storage::model::verbatim`).
//!
//! Not here: PromQL (`promql`), HTTP (`http::prometheus`).

#[cfg(test)]
mod apart;
mod catalogue;
mod concurrent;
#[cfg(test)]
mod downsampled;
mod first;
mod naming;
mod origin;
pub(crate) mod protobuf;
#[cfg(test)]
mod rewritten;
mod store;
mod stored;
#[cfg(test)]
mod tests;
mod translate;

pub(crate) use catalogue::{Catalogue, MetricFacts};
pub(crate) use first::{First, text_bytes};
pub(crate) use store::Store;
pub(crate) use stored::{promql_name, stored_names};
