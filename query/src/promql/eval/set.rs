//! Which series are in both of two vectors, in one of them, or in the first only?

use super::binary::Groups;
use super::merged;
use crate::promql::ast::{Binary, Operator};
use crate::promql::fault::Result;
use crate::series::Row;

pub(super) fn combine(binary: &Binary, left: Vec<Row>, right: Vec<Row>) -> Result<Vec<Row>> {
    let mut groups = Groups::new(&binary.matching);
    let (left_groups, right_groups) = (groups.of(&left), groups.of(&right));
    let count = groups.count();
    match binary.op {
        Operator::Or => {
            let present = presence(&left, &left_groups, count);
            let added = filtered(right, &right_groups, |group, step| !is_present(&present, group, step));
            merged(left.into_iter().chain(added).collect())
        }
        op => {
            let present = presence(&right, &right_groups, count);
            let wanted = op == Operator::And;
            Ok(filtered(left, &left_groups, |group, step| is_present(&present, group, step) == wanted))
        }
    }
}

/// For each group the steps at which one of its series has a value.
fn presence(rows: &[Row], groups: &[usize], count: usize) -> Vec<Vec<bool>> {
    let steps = rows.first().map_or(0, |row| row.cells.len());
    let mut present = vec![vec![false; steps]; count];
    for (row, group) in rows.iter().zip(groups) {
        let Some(present) = present.get_mut(*group) else { continue };
        for (present, cell) in present.iter_mut().zip(&row.cells) {
            *present |= cell.is_some();
        }
    }
    present
}

fn is_present(present: &[Vec<bool>], group: usize, step: usize) -> bool {
    present.get(group).and_then(|steps| steps.get(step)).copied().unwrap_or_default()
}

fn filtered(rows: Vec<Row>, groups: &[usize], keep: impl Fn(usize, usize) -> bool) -> Vec<Row> {
    let rows = rows.into_iter().zip(groups);
    rows.filter_map(|(row, group)| row.mapped(|step, value| keep(*group, step).then_some(value))).collect()
}
