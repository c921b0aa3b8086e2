//! Which traces are kept, where not all are? Tail sampling: policies, asked of whole traces.
//!
//! Y1  Of the policies the first whose conditions a trace meets decides; where none does, the trace is kept. What a policy keeps it keeps
//!     by a threshold that is compared with the trace's randomness, so that a share is the same traces everywhere
//!     ([`crate::model::trace_state`]), and what is kept tells for how many it stands.
//! Y2  A decision depends on the spans of the trace only, and where a policy has a rate on the traces that are decided with it; not on the
//!     order of either.
//!
//! Not here: when a trace is decided, and what becomes of its spans (`engine::sample`).

mod config;
mod decide;
mod policy;
mod traits;

pub use config::{SamplingPolicy, SpanStatus, TailSampling};
pub(crate) use decide::Decision;
pub(crate) use policy::Policies;
pub(crate) use traits::{Traces, Traits};
