//! The memory limiter: one sum over all memories and one over all tables of a store.
//!
//! wasmtime's own limit is per memory, and a component may have many. A growth beyond the limit ends the attempt at
//! once, with our reason; answering -1 would leave it to the guest to fail in its own words.

use std::time::Duration;

use clockjack_schedule::{
    job::Limits,
    manifest::scalar::{show_duration, show_size},
};

/// Most linear memories of one attempt. The runtime with the most (QuickJS with stubs) has 3.
pub(crate) const MEMORIES_MAX: usize = 16;

/// Most tables of one attempt. The runtime with the most has 4.
pub(crate) const TABLES_MAX: usize = 32;

/// Which bound was met. The text names the limit, its value and the key to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitHit {
    #[error("the guest asked for {} of memory in all; its limit is {} (`limits.memory`)", show_size(*.asked), show_size(*.limit))]
    Memory { asked: u64, limit: u64 },
    #[error("the guest asked for {asked} table elements in all; its limit is {limit} (`limits.table_elements`)")]
    Tables { asked: u64, limit: u64 },
    #[error("the guest called the host more than {limit} times (`limits.host_calls`)")]
    HostCalls { limit: u64 },
    #[error("the guest took longer than its {} (`limits.startup`)", show_duration(*.limit))]
    Startup { limit: Duration },
    #[error("the guest wrote more than {} into files; holes count, too (`limits.file_bytes`)", show_size(*.limit))]
    FileBytes { limit: u64 },
    #[error("the guest made more than {limit} files, folders and links (`limits.files`)")]
    Files { limit: u64 },
}

/// Counts what the store of one attempt holds.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_bytes_max: u64,
    table_elements_max: u64,
    instances_max: usize,
    memory_bytes: u64,
    table_elements: u64,
    /// Highest sum of all memories.
    pub(crate) memory_peak_bytes: u64,
    /// Highest sum of all tables.
    pub(crate) table_elements_peak: u64,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory_bytes_max: limits.memory_bytes_max,
            table_elements_max: limits.table_elements_max,
            instances_max: usize::try_from(limits.instances_max).unwrap_or(usize::MAX),
            memory_bytes: 0,
            table_elements: 0,
            memory_peak_bytes: 0,
            table_elements_peak: 0,
        }
    }
}

fn grown(sum: u64, current: usize, desired: usize) -> u64 {
    let more = u64::try_from(desired.saturating_sub(current)).unwrap_or(u64::MAX);
    sum.saturating_add(more)
}

impl wasmtime::ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // What the memory's own type forbids fails in the guest, as the specification says.
        if maximum.is_some_and(|maximum| maximum < desired) {
            return Ok(false);
        }
        let asked = grown(self.memory_bytes, current, desired);
        if self.memory_bytes_max < asked {
            return Err(LimitHit::Memory { asked, limit: self.memory_bytes_max }.into());
        }
        self.memory_bytes = asked;
        self.memory_peak_bytes = self.memory_peak_bytes.max(asked);
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| maximum < desired) {
            return Ok(false);
        }
        let asked = grown(self.table_elements, current, desired);
        if self.table_elements_max < asked {
            return Err(LimitHit::Tables { asked, limit: self.table_elements_max }.into());
        }
        self.table_elements = asked;
        self.table_elements_peak = self.table_elements_peak.max(asked);
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances_max
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }
}
