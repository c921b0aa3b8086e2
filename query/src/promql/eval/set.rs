//! Which series are in both of two vectors, in one of them, or in the first only?
//!
//! S1  `or` after `or` adds to one set: each vector is looked at once, however many there are.

use super::binary::Groups;
use super::merge;
use crate::promql::ast::{Link, Matching, Operator};
use crate::promql::fault::Result;
use crate::series::{Labels, Row};
use std::collections::HashMap;

/// What `and` or `unless` leaves of the left side.
pub(super) fn filtered_by(link: &Link, left: Vec<Row>, right: &[Row]) -> Vec<Row> {
    let mut groups = Groups::new(&link.matching);
    let (left_groups, right_groups) = (groups.of(&left), groups.of(right));
    let mut present = Presence::default();
    present.add(right, &right_groups);
    let wanted = link.op == Operator::And;
    filtered(left, &left_groups, |group, step| present.has(group, step) == wanted)
}

/// What is in one of several vectors; of those that match, what is in the first that has a value.
pub(super) struct Union<'m> {
    matching: &'m Matching,
    groups: Groups<'m>,
    present: Presence,
    places: HashMap<Labels, usize>,
    rows: Vec<Row>,
}

impl<'m> Union<'m> {
    pub(super) fn new(matching: &'m Matching) -> Self {
        let (present, places, rows) = (Presence::default(), HashMap::new(), Vec::new());
        Union { matching, groups: Groups::new(matching), present, places, rows }
    }

    /// Whether a link after it only adds to it (S1).
    pub(super) fn goes_on_with(&self, link: &Link) -> bool {
        let Matching { labels, on, .. } = &link.matching;
        link.op == Operator::Or && *on == self.matching.on && *labels == self.matching.labels
    }

    /// Takes what matches nothing that is there.
    pub(super) fn add(&mut self, rows: Vec<Row>) -> Result<()> {
        let groups = self.groups.of(&rows);
        let present = &self.present;
        let added = filtered(rows, &groups, |group, step| !present.has(group, step));
        self.add_all(added)
    }

    /// Takes all; those of the same labels as one, which must not have two values at a step.
    pub(super) fn add_all(&mut self, rows: Vec<Row>) -> Result<()> {
        let groups = self.groups.of(&rows);
        self.present.add(&rows, &groups);
        for row in rows {
            match self.places.get(&row.labels).and_then(|place| self.rows.get_mut(*place)) {
                None => {
                    self.places.insert(row.labels.clone(), self.rows.len());
                    self.rows.push(row);
                }
                Some(own) => merge(own, row)?,
            }
        }
        Ok(())
    }

    pub(super) fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}

/// For each group the steps at which one of its series has a value.
#[derive(Default)]
struct Presence(Vec<Vec<bool>>);

impl Presence {
    fn add(&mut self, rows: &[Row], groups: &[usize]) {
        for (row, group) in rows.iter().zip(groups) {
            if self.0.len() <= *group {
                self.0.resize_with(group + 1, Vec::new);
            }
            let Some(present) = self.0.get_mut(*group) else { continue };
            present.resize(row.cells.len(), false);
            for (present, cell) in present.iter_mut().zip(&row.cells) {
                *present |= cell.is_some();
            }
        }
    }

    fn has(&self, group: usize, step: usize) -> bool {
        self.0.get(group).and_then(|steps| steps.get(step)).copied().unwrap_or_default()
    }
}

fn filtered(rows: Vec<Row>, groups: &[usize], keep: impl Fn(usize, usize) -> bool) -> Vec<Row> {
    let rows = rows.into_iter().zip(groups);
    rows.filter_map(|(row, group)| row.mapped(|step, value| keep(*group, step).then_some(value))).collect()
}
