//! What compiling one file may cost.

use std::time::Duration;

use clockjack_schedule::manifest::scalar::{show_duration, show_size};

/// Processor time that any file gets: a hundred thousand functions take 4 s, the bombs that are known take minutes.
const CPU_TIME: Duration = Duration::from_secs(20);

/// And more for each MiB of it: an interpreter of 18 MiB legitimately takes 15 s, on a slow machine several times that.
const CPU_TIME_PER_MIB: Duration = Duration::from_secs(2);

/// Memory that any file gets. A hundred thousand functions take half of it.
const MEMORY_BYTES: u64 = 1 << 30;

/// And more for each byte of it: what large files were seen to need, twice.
const MEMORY_PER_BYTE: u64 = 16;

/// How much longer than its processor time a child may take by the clock, and what its start may take: it has the lowest
/// rank on a machine that may be busy.
const WALL_FACTOR: u32 = 10;
const WALL_SLACK: Duration = Duration::from_secs(60);

/// Code that any file may become, and more for each byte of it: the most that was seen are 23 bytes.
const CODE_BYTES: u64 = 64 << 20;
const CODE_PER_BYTE: u64 = 16;

/// Lower bounds than the built-in ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompileBudget {
    /// Most processor time.
    pub cpu_time_max: Option<Duration>,
    /// Most memory.
    pub memory_bytes_max: Option<u64>,
}

/// What one file may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) cpu_seconds: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) code_bytes: u64,
    /// Whether the manifest made it smaller.
    pub(crate) is_lowered: bool,
}

impl Budget {
    /// The budget of a file of so many bytes.
    pub(crate) fn of(n_bytes: usize, lowered: &CompileBudget) -> Self {
        let n_bytes = u64::try_from(n_bytes).unwrap_or(u64::MAX);
        let mebibytes = u32::try_from(n_bytes >> 20).unwrap_or(u32::MAX);
        let built_in = CPU_TIME.saturating_add(CPU_TIME_PER_MIB.saturating_mul(mebibytes)).as_secs();
        let cpu_seconds = lowered.cpu_time_max.map_or(built_in, |most| built_in.min(most.as_secs().max(1)));
        let built_in_memory = MEMORY_BYTES.saturating_add(n_bytes.saturating_mul(MEMORY_PER_BYTE));
        let memory_bytes = lowered.memory_bytes_max.map_or(built_in_memory, |most| built_in_memory.min(most));
        let code_bytes = CODE_BYTES.saturating_add(n_bytes.saturating_mul(CODE_PER_BYTE));
        let is_lowered = cpu_seconds < built_in || memory_bytes < built_in_memory;
        Self { cpu_seconds, memory_bytes, code_bytes, is_lowered }
    }

    pub(crate) fn wall(&self) -> Duration {
        Duration::from_secs(self.cpu_seconds).saturating_mul(WALL_FACTOR).saturating_add(WALL_SLACK)
    }

    pub(crate) fn shown_time(&self) -> String {
        show_duration(Duration::from_secs(self.cpu_seconds))
    }

    pub(crate) fn shown_memory(&self) -> String {
        show_size(self.memory_bytes)
    }

    pub(crate) fn shown_code(&self) -> String {
        show_size(self.code_bytes)
    }
}
