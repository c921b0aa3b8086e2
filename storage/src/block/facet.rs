//! Which attribute keys and values do the rows of a block have?
//!
//! Answered from statistics where they know all of it and the whole block is asked for; else from the columns of the rows,
//! without putting maps together.
//!
//! Not here: how keys and values are counted (`scan::facet`).

use super::read::{AttributeLeaf, Block};
use super::restore::Cells;
use super::scan::BlockScan;
use super::shown::Shown;
use super::shred::ABSENT_STRING;
use super::stats::{FacetStats, text_value, value_type};
use crate::error::{Error, Result};
use crate::model::schema::column as name;
use crate::scan::{AttributeScope, Facets, FactCost, SCOPES, ScanRequest, TimeRange, attribute_column, required};
use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_buffer::BooleanBuffer;
use std::collections::VecDeque;
use std::sync::Arc;

/// The number of the rows' own attributes among the owners.
const OWN: u8 = 0;

/// Rows of a block whose attributes are to be read.
#[derive(Debug)]
pub(crate) struct BlockFacets {
    block: Arc<Block>,
    scan: BlockScan,
    pieces: VecDeque<(usize, BooleanBuffer)>,
}

impl Shown {
    /// Counts what is known of the block; the rows that must be read, if there are some.
    pub(crate) fn facets(
        &self,
        time: TimeRange,
        facets: &mut Facets,
        cost: &mut FactCost,
    ) -> Result<Option<BlockFacets>> {
        let Some(block) = self.block.rows() else { return Ok(None) };
        let whole = time.covers(self.meta().min_time, self.meta().max_time);
        if whole
            && self.hidden().is_none()
            && let Some(stats) = block.stats()
        {
            let known = block.unless_lost(stats.facets())?;
            if let Some(known) = known.filter(|known| answers(known, facets)) {
                add_known(&known, facets);
                cost.rows_from_statistics += self.meta().rows;
                return Ok(None);
            }
        }
        let request = self.shown_request(&Arc::new(ScanRequest { time, ..ScanRequest::all([]) }));
        let scan = block.scan(&request)?;
        Ok(Some(BlockFacets { block: block.clone(), scan, pieces: VecDeque::new() }))
    }
}

/// Whether statistics know all that is of interest.
fn answers(known: &FacetStats, facets: &Facets) -> bool {
    let Some(only) = facets.only_key() else { return known.complete };
    let of_key = |key: &[u8], scope: u8| key == only.as_bytes() && facets.wants_scope(scope);
    known.complete
        && known
            .facets
            .iter()
            .filter(|facet| of_key(&facet.key, facet.scope))
            .all(|facet| facet.values.is_some() || !facet.r#type.is_listed())
}

fn add_known(known: &FacetStats, facets: &mut Facets) {
    for facet in &known.facets {
        let Some(place) = facets.place(facet.scope, facet.r#type, &facet.key) else { continue };
        facets.add_rows(place, facet.rows);
        for (value, rows) in facet.values.iter().flatten() {
            facets.add_value(place, value, *rows);
        }
    }
}

impl BlockFacets {
    /// Counts the attributes of some of the rows; `false` when none was left.
    pub(crate) fn advance(&mut self, facets: &mut Facets, cost: &mut FactCost) -> Result<bool> {
        while self.pieces.is_empty() {
            let Some((group, rows)) = self.scan.next_group()? else { return Ok(false) };
            cost.rows_read += rows.count_set_bits() as u64;
            if rows.count_set_bits() > 0 {
                let pieces = self.block.cut((group, rows), &facets.columns());
                self.pieces.extend(pieces);
            }
        }
        if let Some((group, rows)) = self.pieces.pop_front() {
            self.block.note_attributes(group, &rows, facets)?;
        }
        Ok(true)
    }
}

impl Block {
    fn note_attributes(&self, group: usize, rows: &BooleanBuffer, facets: &mut Facets) -> Result<()> {
        let only = facets.only_key().map(str::to_owned);
        let is_wanted = |attribute: &&AttributeLeaf| only.as_ref().is_none_or(|only| *only == attribute.key);
        let mut attributes: Vec<&AttributeLeaf> = Vec::new();
        let mut cells = Vec::new();
        for (scope, owner) in (0u8..).zip(SCOPES).filter(|(scope, _)| facets.wants_scope(*scope)) {
            let column = attribute_column(owner);
            if owner == AttributeScope::Own {
                attributes.extend(self.attributes().iter().filter(is_wanted));
            }
            if column != name::ATTRIBUTES || only.as_ref().is_none_or(|only| self.rest_may_hold(only)) {
                cells.push((scope, column));
            }
        }
        let mut leaves: Vec<usize> = attributes.iter().map(|attribute| attribute.leaf).collect();
        leaves.extend(cells.iter().filter_map(|(_, column)| self.leaf(column)));
        leaves.sort_unstable();
        if leaves.is_empty() {
            return Ok(());
        }
        let batch = self.read(group, &leaves, rows)?;
        for attribute in attributes {
            note_column(facets, attribute, required(&batch, &attribute.name)?)?;
        }
        for (scope, column) in cells {
            let array = required(&batch, column)?;
            match (array.as_dictionary_opt::<Int32Type>(), array.as_binary_opt::<i32>()) {
                (Some(coded), _) => facets.add_repeated(scope, coded),
                (_, Some(plain)) => plain.iter().flatten().for_each(|cell| facets.add_cell(scope, cell, 1)),
                _ => return Err(Error::Request { what: format!("the column {column} holds no cells") }),
            }
        }
        Ok(())
    }
}

/// Counts the values of an attribute's column.
fn note_column(facets: &mut Facets, attribute: &AttributeLeaf, array: &ArrayRef) -> Result<()> {
    let Some(place) = facets.place(OWN, value_type(attribute.kind), attribute.key.as_bytes()) else { return Ok(()) };
    let cells = Cells::new(attribute, array)?;
    let mut encoded = Vec::new();
    if let Cells::Coded { keys, values, .. } = &cells {
        let mut rows = vec![0u64; values.iter().len()];
        for &key in *keys {
            if let Some(rows) = usize::try_from(key).ok().and_then(|key| rows.get_mut(key)) {
                *rows += 1;
            }
        }
        for (value, rows) in values.iter().zip(rows).filter(|(_, rows)| *rows > 0) {
            let Some(value) = value.filter(|value| *value != ABSENT_STRING) else { continue };
            facets.add_rows(place, rows);
            if facets.lists(place) {
                facets.add_value(place, text_value(&mut encoded, value), rows);
            }
        }
        return Ok(());
    }
    for row in (0..array.len()).filter(|row| cells.is_present(*row)) {
        facets.add_rows(place, 1);
        if facets.lists(place) {
            encoded.clear();
            cells.put(row, &mut encoded);
            facets.add_value(place, &encoded, 1);
        }
    }
    Ok(())
}

/// The number of the rows' own attributes is the one that the owners are listed by.
const _: () = assert!(matches!(SCOPES[OWN as usize], AttributeScope::Own));
