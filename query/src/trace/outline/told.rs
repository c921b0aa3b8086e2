//! What is said of a trace as a whole? Its services, what is wrong with it, what is repeated, where its errors began, and all of it in
//! miniature.

use super::repeat::{self, Call, Repeat};
use super::same::same;
use super::{Outline, Row};
use crate::error::Result;
use crate::exec::Control;
use query_api::fault;
use query_api::otlp::TracesData;
use query_api::outline::{
    MinimapBar, OutlineFlaw, OutlineFlaws, OutlineRepeat, OutlineResponse, OutlineService, Repeated,
};
use std::collections::HashSet;

/// Rows and columns of the miniature: what the page has pixels for, and a fourth or so of those across.
const BANDS: usize = 48;
const COLUMNS: usize = 240;
/// Kinds of spans.
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
/// What a row takes while calls are compared: its call, its way, the numbers of both, and its part of a group.
const COMPARED_BYTES: usize = size_of::<Call>() + 20 * size_of::<usize>();
/// Repeats that are told.
const REPEATS: usize = 100;

impl Outline {
    /// All but repeats, rows and cost.
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

    /// Calls that are made again and again; those that ask exactly the same where the spans are at hand, with their attributes.
    pub(super) fn repeats(&self, control: &Control, data: Option<&TracesData>) -> Result<Vec<OutlineRepeat>> {
        control.check()?;
        control.charge(self.rows.len() * COMPARED_BYTES)?;
        let names = repeat::text_numbers(self.names.iter().map(|name| repeat::plain(name)));
        let call = |row: &Row| Call {
            service: row.service,
            name: names.get(row.name).copied().unwrap_or_default(),
            kind: row.kind,
            failed: row.is_error() || row.errors_below > 0,
        };
        let calls: Vec<Call> = self.rows.iter().map(call).collect();
        let (mut repeats, others) = repeat::repeats(self, &calls);
        control.check()?;
        if let Some(data) = data {
            let parent = |calls: &[usize]| self.rows.get(*calls.first()?)?.parent;
            let same = same(control, self, others, data)?.into_iter();
            repeats.extend(same.filter_map(|rows| Some(Repeat { above: parent(&rows)?, rows, how: Repeated::Same })));
        }
        let mut found: Vec<OutlineRepeat> = repeats.iter().filter_map(|repeat| self.repeat(repeat)).collect();
        found.sort_by_key(|repeat| (std::cmp::Reverse(repeat.total_nano), repeat.row));
        found.truncate(REPEATS);
        Ok(found)
    }

    fn repeat(&self, repeat: &Repeat) -> Option<OutlineRepeat> {
        let rows = || repeat.rows.iter().filter_map(|at| self.rows.get(*at));
        let above = self.rows.get(repeat.above)?;
        Some(OutlineRepeat {
            row: *repeat.rows.first()?,
            span_id: rows().next()?.id.to_string(),
            how: repeat.how,
            count: repeat.rows.len(),
            total_nano: rows().map(|row| row.duration).fold(0, i64::saturating_add),
            name: repeat::name(rows().map(|row| self.name_of(row))),
            parent: format!("{} {}", self.service_of(above), self.name_of(above)),
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
