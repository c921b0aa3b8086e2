//! How is a cell that repeats from row to row built? Each distinct value once, and a key per row.

use super::same;
use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array};
use arrow_schema::ArrowError;
use std::collections::HashMap;
use std::sync::Arc;

/// A dictionary column in the making. `set` chooses the value of the rows that follow, `append` adds a row.
#[derive(Debug, Default)]
pub(super) struct DictionaryBuilder {
    index: HashMap<Vec<u8>, i32, foldhash::fast::RandomState>,
    values: Vec<Vec<u8>>,
    keys: Vec<i32>,
    current: i32,
}

impl DictionaryBuilder {
    /// Chooses the value of the rows that follow.
    pub(super) fn set(&mut self, value: &[u8]) {
        // Rows commonly have what the row before had.
        if self.chosen().is_some_and(|chosen| same(chosen, value)) {
            return;
        }
        if let Some(&key) = self.index.get(value) {
            self.current = key;
            return;
        }
        // One value per row at most, and a batch has fewer than 2^31 rows.
        self.current = i32::try_from(self.values.len()).unwrap_or(i32::MAX);
        self.index.insert(value.to_vec(), self.current);
        self.values.push(value.to_vec());
    }

    fn chosen(&self) -> Option<&[u8]> {
        self.values.get(usize::try_from(self.current).ok()?).map(Vec::as_slice)
    }

    /// Adds a row with the chosen value, which is empty as long as none was chosen.
    pub(super) fn append(&mut self) {
        if self.values.is_empty() {
            self.set(&[]);
        }
        self.keys.push(self.current);
    }

    pub(super) fn finish_cells(self) -> Result<ArrayRef, ArrowError> {
        let mut values = BinaryBuilder::new();
        self.values.iter().for_each(|value| values.append_value(value));
        let keys = Int32Array::from(self.keys);
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values.finish()))?))
    }

    pub(super) fn finish_text(self) -> Result<ArrayRef, ArrowError> {
        let mut values = StringBuilder::new();
        // `set` is given text only, for a column that is finished as text.
        self.values.iter().for_each(|value| values.append_value(String::from_utf8_lossy(value)));
        let keys = Int32Array::from(self.keys);
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values.finish()))?))
    }
}

/// The three columns that every table has: service.name, resource, scope.
#[derive(Debug, Default)]
pub(super) struct OriginBuilder {
    service_name: DictionaryBuilder,
    resource: DictionaryBuilder,
    scope: DictionaryBuilder,
    cell: Vec<u8>,
}

impl OriginBuilder {
    /// A builder that does not have to grow for so many rows.
    pub(super) fn with_room(rows: usize) -> Self {
        let column = || DictionaryBuilder { keys: Vec::with_capacity(rows), ..DictionaryBuilder::default() };
        OriginBuilder { service_name: column(), resource: column(), scope: column(), cell: Vec::new() }
    }

    pub(super) fn set_resource(&mut self, resource: &super::origin::Resource<'_>) {
        self.service_name.set(resource.service_name().as_bytes());
        self.cell.clear();
        resource.put(&mut self.cell);
        self.resource.set(&self.cell);
    }

    pub(super) fn set_scope(&mut self, scope: &super::origin::Scope<'_>) {
        self.cell.clear();
        scope.put(&mut self.cell);
        self.scope.set(&self.cell);
    }

    pub(super) fn append(&mut self) {
        self.service_name.append();
        self.resource.append();
        self.scope.append();
    }

    pub(super) fn finish(self) -> Result<[ArrayRef; 3], ArrowError> {
        Ok([self.service_name.finish_text()?, self.resource.finish_cells()?, self.scope.finish_cells()?])
    }
}
