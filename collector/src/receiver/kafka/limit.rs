//! Which points that Kafka brings has their tenant no room for?
//!
//! F1  It is decided when a portion is given to the store. Where that does not take it, and after a crash, its messages are read again and it is
//!     decided anew: of what was left out nothing is kept, and what was stored is known by its series.
//! F2  What is left out is passed over as what is stored: the offsets go on, and so does the rest of a message.
//! F3  What is left out is told once the rest is stored, so that nothing is counted twice.
//!
//! Not here: which series there are, and how many there may be (`admission::series`).

use super::intake::Portion;
use super::reader::Reader;
use super::report::ACTIVE_SERIES;
use storage::model::{Signal, TenantId};

/// Records of a portion that are left out.
#[derive(Debug)]
pub(super) struct LeftOut {
    pub(super) tenant: TenantId,
    pub(super) reason: &'static str,
    pub(super) records: u64,
    /// What there is to say of them, for people.
    pub(super) said: String,
}

impl Reader {
    /// Leaves out the points of series that are one too many for their tenant (F1).
    pub(super) fn limit_series(&self, topic: &str, portion: &mut Portion) {
        for (tenant, batch) in &mut portion.rows {
            if batch.signal() != Signal::Metrics {
                continue;
            }
            let Some(left_out) = self.collector.limit_read(tenant, batch) else { continue };
            let (records, said) = (left_out.rows.len() as u64, left_out.message);
            if let Some(unsaid) = self.metrics.may_log(&format!("series of {topic}"), self.clock.monotonic()) {
                tracing::warn!(topic, %tenant, said, unsaid, "series beyond the limit are left out of messages of kafka");
            }
            portion.told.rows = portion.told.rows.saturating_sub(records);
            portion.told.rejected += records;
            portion.left_out.push(LeftOut { tenant: tenant.clone(), reason: ACTIVE_SERIES, records, said });
        }
        portion.rows.retain(|(_, batch)| batch.num_rows() > 0);
    }

    /// Counts what was left out (F3).
    pub(super) fn tell_left_out(&self, topic: &str, left_out: Vec<LeftOut>) {
        for LeftOut { tenant, reason, records, said } in left_out {
            if reason == ACTIVE_SERIES {
                self.collector.left_out_of_read(usize::try_from(records).unwrap_or(usize::MAX));
            }
            self.metrics.left_out(&tenant, topic, reason, records, said);
        }
    }
}
