//! How are rules evaluated? Files in Prometheus's format; what recording rules give, and what there is to say of alerts, comes into the
//! store by the collector's door.
//!
//! L1  A group is evaluated at moments that its name and interval settle, whenever the server started; moments that passed without an
//!     evaluation are counted, not made up for. Its rules are evaluated one after another, so that one sees what the one before it stored.
//! L2  A rule that fails costs its own samples of this moment, and says so: health, error, counters.
//! L3  A series that a rule does not give any more is marked as ended, unless another rule of the group gives it. So are those of rules
//!     that went from the files.
//! L4  For how long an alert has been pending survives a restart: it is read from `ALERTS_FOR_STATE`, by the rules of Prometheus (an outage of
//!     an hour, ten minutes of grace). Until that was read, no series of alerts are written.
//! L5  Files are read again when they change, and when the process is told to (SIGHUP). A group that stays the same goes on; one that changes
//!     keeps the state of the rules that stay. Where a file cannot be used, all rules stay as they were.
//! L6  One server evaluates. It sees what it has itself, memory included; two that share rules would both write.
//!
//! - `config`, `file`: which files there are, and what they say.
//! - `template`: texts of labels and annotations.
//! - `evaluate`: a rule's value, on the executor's threads.
//! - `alert`: what becomes of an alert.
//! - `group`: one evaluation of a group; `write`: what it stores.
//! - `board`: what is told of it, for `http::prometheus` and in `/metrics`.
//! - `run`: all groups, by the clock.
//!
//! Not here: who is told of alerts: nobody is yet.

mod alert;
mod board;
mod config;
mod evaluate;
mod file;
mod group;
mod run;
mod template;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use alert::{Alert, State};
pub use board::Board;
pub(crate) use board::{GroupView, RuleView};
pub use config::{RulesConfig, RulesError};
pub(crate) use file::{RuleKind, RuleSpec};
pub use run::Rules;
