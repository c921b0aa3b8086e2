//! Where do outlines stay between one request of a page and the next? In memory, as long as they are true and there is room.
//!
//! SF1  An outline is given back only where the same blocks and deletions are seen as when it was read. What came to the memory
//!      since is seen when the outline as a whole is asked for again.
//! SF2  All that are kept take at most `MOST_BYTES`; the one that was used longest ago goes first. What would not fit is not kept.
//! SF3  An outline that lacks what lies in a damaged block is not kept.

use super::Outline;
use crate::error::Result;
use crate::exec::Control;
use std::sync::{Arc, Mutex, PoisonError};
use storage::engine::Mark;
use storage::model::{TenantId, TraceId};

/// Some traces of 100,000 spans: those that a few people look at.
const MOST_BYTES: usize = 64 << 20;

/// Outlines, the one that was used last at the end.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    tenant: TenantId,
    trace: TraceId,
    mark: Mark,
    outline: Arc<Outline>,
    bytes: usize,
}

impl Shelf {
    /// The outline of a trace, as it was kept or as it is now.
    pub(crate) fn outline(&self, control: &Control, trace: TraceId) -> Result<Arc<Outline>> {
        match self.take(control, trace) {
            Some(outline) => Ok(outline),
            None => self.read(control, trace),
        }
    }

    /// The outline of a trace as it is now.
    pub(crate) fn read(&self, control: &Control, trace: TraceId) -> Result<Arc<Outline>> {
        let mark = control.mark();
        let outline = Arc::new(Outline::read(control, trace)?);
        let bytes = outline.memory_bytes();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| !(kept.trace == trace && kept.tenant == *control.tenant()));
        if bytes <= MOST_BYTES && control.missing().is_empty() {
            let tenant = control.tenant().clone();
            kept.push(Kept { tenant, trace, mark, outline: Arc::clone(&outline), bytes });
        }
        while kept.iter().map(|kept| kept.bytes).sum::<usize>() > MOST_BYTES {
            kept.remove(0);
        }
        Ok(outline)
    }

    /// Appends how full it is, in Prometheus' text format.
    pub(crate) fn render_metrics(&self, out: &mut String) {
        let kept =
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|kept| kept.bytes).sum::<usize>();
        for (name, help, value) in [
            ("outline_memory_bytes", "Bytes of traces' outlines that are kept between requests.", kept),
            ("outline_memory_limit_bytes", "Bytes that those may have.", MOST_BYTES),
        ] {
            let name = format!("spanlight_{name}");
            out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"));
        }
    }

    fn take(&self, control: &Control, trace: TraceId) -> Option<Arc<Outline>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|kept| kept.trace == trace && kept.tenant == *control.tenant())?;
        let found = kept.remove(at);
        if !control.is_at(&found.mark) {
            return None;
        }
        let outline = Arc::clone(&found.outline);
        kept.push(found);
        Some(outline)
    }
}
