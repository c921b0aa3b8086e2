//! How does a whole trace look in miniature? Bars in bands and columns, to be drawn one over the other.

use super::tree::Trace;
use query_api::outline::{MinimapBar, OutlineResponse};

/// Columns of a trace that is here whole: more than a screen has pixels.
const COLUMNS: usize = 4_000;

/// A trace in miniature.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mini {
    /// Rows.
    pub bands: usize,
    /// Columns.
    pub columns: usize,
    /// Names of services by index.
    pub services: Vec<String>,
    /// What is drawn, the last on top.
    pub bars: Vec<MinimapBar>,
}

impl Mini {
    /// Every span a band of its own.
    pub fn of_trace(trace: &Trace) -> Mini {
        let length = trace.duration.max(1) as f64;
        let column = |time: i64| (time as f64 / length * COLUMNS as f64) as usize;
        let bar = |(band, row): (usize, &super::tree::Row)| {
            let (start, end) = (column(row.start), column(row.end()));
            MinimapBar { band, start, end, service: row.service, failed: row.is_error() }
        };
        Mini {
            bands: trace.rows.len(),
            columns: COLUMNS,
            services: trace.services.iter().map(|part| part.name.clone()).collect(),
            bars: trace.rows.iter().enumerate().map(bar).collect(),
        }
    }

    /// As the server drew it.
    pub fn of_outline(outline: &OutlineResponse) -> Mini {
        Mini {
            bands: outline.minimap_bands,
            columns: outline.minimap_columns,
            services: outline.services.iter().map(|service| service.name.clone()).collect(),
            bars: outline.minimap.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::trace;
    use super::*;

    #[test]
    fn every_span_is_a_bar_of_its_time() {
        let mini = Mini::of_trace(&trace(&[(1, 0, 0, 100), (2, 1, 50, 75)]));
        let bars: Vec<_> = mini.bars.iter().map(|bar| (bar.band, bar.start, bar.end)).collect();
        assert_eq!((mini.bands, bars), (2, vec![(0, 0, COLUMNS), (1, COLUMNS / 2, COLUMNS / 4 * 3)]));
    }
}
