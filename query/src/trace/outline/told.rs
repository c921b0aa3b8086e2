//! What is said of a trace as a whole? Its services, what is wrong with it, what is repeated, where its errors began, and all of it in
//! miniature.

use super::{Outline, Row};
use crate::error::Result;
use crate::exec::Control;
use query_api::fault;
use query_api::outline::{
    MinimapBar, OutlineFlaw, OutlineFlaws, OutlineRepeat, OutlineResponse, OutlineService, Repeated,
};
use std::collections::{HashMap, HashSet};

/// Rows and columns of the miniature: what the page has pixels for, and a fourth or so of those across.
const BANDS: usize = 48;
const COLUMNS: usize = 240;
/// Kinds of spans.
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
/// Calls alike in a row, from which on they are told as a loop: what profilers of requests take as the mark.
const LOOP: usize = 5;
/// Of five of those, so many waited for the one before.
const IN_TURN: usize = 4;
/// Repeats that are told.
const REPEATS: usize = 100;

impl Outline {
    /// All but rows and cost.
    pub(super) fn told(&self, control: &Control) -> Result<OutlineResponse> {
        control.check()?;
        let minimap = self.minimap();
        control.charge(minimap.len() * size_of::<MinimapBar>())?;
        Ok(OutlineResponse {
            version: self.version.clone(),
            start_unix_nano: self.start,
            duration_nano: self.duration,
            span_count: self.rows.len(),
            error_count: self.rows.iter().filter(|row| row.is_error()).count(),
            level_count: self.rows.iter().map(|row| row.depth + 1).max().unwrap_or(0),
            services: self.parts(),
            origin_row: fault::origin(self, |at| self.rows.get(at).is_some_and(Row::is_error)),
            flaws: self.flaws(),
            repeats: self.repeats(),
            minimap,
            minimap_bands: BANDS.min(self.rows.len()),
            minimap_columns: COLUMNS,
            ..OutlineResponse::default()
        })
    }

    fn parts(&self) -> Vec<OutlineService> {
        let of = |name: &str| OutlineService { name: name.to_owned(), ..OutlineService::default() };
        let mut parts: Vec<OutlineService> = self.services.iter().map(|name| of(name)).collect();
        for row in &self.rows {
            if let Some(part) = parts.get_mut(row.service) {
                part.span_count += 1;
                part.error_count += usize::from(row.is_error());
                part.self_nano = part.self_nano.saturating_add(row.own);
            }
        }
        let mut longest = vec![0; parts.len()];
        for section in &self.path {
            let Some(service) = self.rows.get(section.row).map(|row| row.service) else { continue };
            if let (Some(part), Some(longest)) = (parts.get_mut(service), longest.get_mut(service)) {
                let nanos = section.end - section.start;
                part.critical_nano += nanos;
                if nanos > *longest {
                    (*longest, part.critical_row) = (nanos, Some(section.row));
                }
            }
        }
        parts
    }

    fn flaws(&self) -> OutlineFlaws {
        let count = |which: fn(&Row) -> bool| self.rows.iter().filter(|row| which(row)).count();
        let kind = |at: usize| self.rows.get(at).map_or(0, |row| row.kind);
        let skew = fault::skew(self, |caller, at| kind(caller) == CLIENT && kind(at) == SERVER);
        let ids: HashSet<_> = self.rows.iter().map(|row| row.id).collect();
        OutlineFlaws {
            roots: count(|row| row.parent.is_none() && row.flaw.is_none()),
            missing_parent: count(|row| row.flaw == Some(OutlineFlaw::MissingParent)),
            cycle: count(|row| matches!(row.flaw, Some(OutlineFlaw::Cycle | OutlineFlaw::SelfParent))),
            backwards: count(|row| row.is_backwards),
            early: skew.early,
            earliest_nano: skew.earliest,
            late: skew.late,
            latest_nano: skew.latest,
            same_id: self.rows.len() - ids.len(),
        }
    }

    /// Calls alike below one span, one after the other. What exactly they ask is not looked at.
    fn repeats(&self) -> Vec<OutlineRepeat> {
        let mut groups: HashMap<(usize, usize, usize), Vec<usize>> = HashMap::new();
        for (at, row) in self.rows.iter().enumerate() {
            let Some((parent, above)) = row.parent.and_then(|parent| Some((parent, self.rows.get(parent)?))) else {
                continue;
            };
            // Only calls count: of kind client or producer, or to another service.
            if matches!(row.kind, 3 | 4) || row.service != above.service {
                groups.entry((parent, row.service, row.name)).or_default().push(at);
            }
        }
        let mut found: Vec<OutlineRepeat> = groups
            .into_iter()
            .filter_map(|((parent, ..), rows)| {
                self.repeat(parent, &rows.iter().map(|at| &self.rows[*at]).collect::<Vec<_>>(), rows[0])
            })
            .collect();
        found.sort_by_key(|repeat| (std::cmp::Reverse(repeat.total_nano), repeat.row));
        found.truncate(REPEATS);
        found
    }

    fn repeat(&self, parent: usize, rows: &[&Row], first: usize) -> Option<OutlineRepeat> {
        let in_turn = rows.windows(2).filter(|pair| pair[0].end() <= pair[1].start).count();
        if rows.len() < LOOP || in_turn * LOOP < IN_TURN * (rows.len() - 1) {
            return None;
        }
        let failed = |row: &&&Row| row.is_error() || row.errors_below > 0;
        let again = rows.iter().take(rows.len() - 1).filter(failed).count();
        let how = match () {
            () if 2 * again >= rows.len() => Repeated::Retry,
            () if rows.len() - again >= LOOP => Repeated::Loop,
            () => return None,
        };
        let (parent, row) = (self.rows.get(parent)?, rows.first()?);
        Some(OutlineRepeat {
            row: first,
            how,
            count: rows.len(),
            total_nano: rows.iter().map(|row| row.duration).fold(0, i64::saturating_add),
            name: self.name_of(row).to_owned(),
            parent: format!("{} {}", self.service_of(parent), self.name_of(parent)),
        })
    }

    fn minimap(&self) -> Vec<MinimapBar> {
        let bands = BANDS.min(self.rows.len());
        let mut cells: Vec<Option<(usize, bool)>> = vec![None; bands * COLUMNS];
        let length = i128::from(self.duration.max(1));
        let column = |time: i64| {
            let at = i128::from(time) * i128::try_from(COLUMNS).unwrap_or(0) / length;
            usize::try_from(at).unwrap_or(0).min(COLUMNS)
        };
        for (at, row) in self.rows.iter().enumerate() {
            let first = at * bands / self.rows.len() * COLUMNS;
            let start = column(row.start).min(COLUMNS - 1);
            let end = column(row.end()).max(start + 1);
            for cell in cells.get_mut(first + start..first + end).into_iter().flatten() {
                let failed = row.is_error() || cell.is_some_and(|(_, failed)| failed);
                *cell = Some((row.service, failed));
            }
        }
        let mut bars: Vec<MinimapBar> = Vec::new();
        for (at, cell) in cells.iter().enumerate() {
            let Some((service, failed)) = *cell else { continue };
            let (band, start) = (at / COLUMNS, at % COLUMNS);
            match bars.last_mut() {
                Some(last) if (last.band, last.end, last.service, last.failed) == (band, start, service, failed) => {
                    last.end += 1;
                }
                _ => bars.push(MinimapBar { band, start, end: start + 1, service, failed }),
            }
        }
        bars
    }
}
