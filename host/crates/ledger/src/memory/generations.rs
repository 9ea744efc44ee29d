//! Which code of plugins came into force, in memory.

use std::{collections::BTreeMap, sync::Arc};

use clockjack_schedule::{
    id::PluginName,
    ports::{GENERATIONS_MAX, GenerationRow},
};

/// The newest generations of each plugin.
#[derive(Debug, Default)]
pub(super) struct Generations(BTreeMap<PluginName, BTreeMap<u32, Arc<GenerationRow>>>);

impl Generations {
    /// Keeps a row in the place of one with the same number; the oldest beyond the bound goes.
    pub(super) fn put(&mut self, row: Arc<GenerationRow>) {
        let rows = self.0.entry(row.plugin.clone()).or_default();
        rows.insert(row.number, row);
        while GENERATIONS_MAX < rows.len() {
            rows.pop_first();
        }
    }

    /// All rows, by plugin and number.
    pub(super) fn all(&self) -> Vec<GenerationRow> {
        self.0.values().flat_map(BTreeMap::values).map(|row| GenerationRow::clone(row)).collect()
    }
}
