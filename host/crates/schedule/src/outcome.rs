//! How a run ended: one closed vocabulary of stable strings.

use std::{fmt, time::Duration};

/// The code of an outcome. Its text form is a contract: it stands in the ledger, the API, the logs and the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OutcomeCode {
    /// The function returned.
    Succeeded,
    /// The function returned an error, or the command a non-zero exit code.
    Failed,
    /// The guest itself said that there was nothing to do.
    Skipped,
    /// The wall-clock limit of the attempt passed.
    TimeoutWall,
    /// The processor-time limit was used up.
    TimeoutCpu,
    /// The instruction budget was used up.
    Fuel,
    /// The sum of all memories would have passed the limit.
    MemoryLimit,
    /// The sum of all table elements would have passed the limit.
    TableLimit,
    /// More core instances, memories or tables than allowed.
    InstanceLimit,
    /// The guest recursed too deep.
    StackOverflow,
    /// A value that crossed the boundary was larger than allowed, or there were too many host calls.
    HostcallLimit,
    /// More open resources than allowed.
    HandlesLimit,
    /// A connection that no grant covers.
    EgressDenied,
    /// A path that no grant covers.
    FsDenied,
    /// The guest trapped.
    Trap(TrapKind),
    /// A person or program cancelled the run.
    Cancelled,
    /// The host stopped before the run had ended, or the attempt made way for other code.
    Interrupted,
    /// The host vanished during the run, and the job must not be started twice.
    Lost,
}

/// Why a guest trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrapKind {
    /// `unreachable`: a panic, an abort, a failed assertion.
    Unreachable,
    /// A memory access out of bounds.
    MemoryOutOfBounds,
    /// A table access out of bounds.
    TableOutOfBounds,
    /// A call through an empty table slot.
    IndirectCallToNull,
    /// A call through a table slot of another type.
    BadSignature,
    /// An integer overflow.
    IntegerOverflow,
    /// An integer division by zero.
    DivisionByZero,
    /// A float that fits no integer.
    BadConversion,
    /// A value that breaks the component model's rules: bad UTF-8, a bad discriminant, a pointer out of bounds.
    Abi,
    /// Anything else that wasmtime calls a trap.
    Other,
}

impl OutcomeCode {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 27] = [
        Self::Succeeded,
        Self::Failed,
        Self::Skipped,
        Self::TimeoutWall,
        Self::TimeoutCpu,
        Self::Fuel,
        Self::MemoryLimit,
        Self::TableLimit,
        Self::InstanceLimit,
        Self::StackOverflow,
        Self::HostcallLimit,
        Self::HandlesLimit,
        Self::EgressDenied,
        Self::FsDenied,
        Self::Trap(TrapKind::Unreachable),
        Self::Trap(TrapKind::MemoryOutOfBounds),
        Self::Trap(TrapKind::TableOutOfBounds),
        Self::Trap(TrapKind::IndirectCallToNull),
        Self::Trap(TrapKind::BadSignature),
        Self::Trap(TrapKind::IntegerOverflow),
        Self::Trap(TrapKind::DivisionByZero),
        Self::Trap(TrapKind::BadConversion),
        Self::Trap(TrapKind::Abi),
        Self::Trap(TrapKind::Other),
        Self::Cancelled,
        Self::Interrupted,
        Self::Lost,
    ];

    /// The stable string.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::TimeoutWall => "timeout.wall",
            Self::TimeoutCpu => "timeout.cpu",
            Self::Fuel => "fuel",
            Self::MemoryLimit => "memory.limit",
            Self::TableLimit => "table.limit",
            Self::InstanceLimit => "instance.limit",
            Self::StackOverflow => "stack.overflow",
            Self::HostcallLimit => "hostcall.limit",
            Self::HandlesLimit => "handles.limit",
            Self::EgressDenied => "egress.denied",
            Self::FsDenied => "fs.denied",
            Self::Trap(kind) => kind.as_str(),
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Lost => "lost",
        }
    }

    /// Whether the run did what it was there for.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Succeeded | Self::Skipped)
    }
}

impl TrapKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "trap.unreachable",
            Self::MemoryOutOfBounds => "trap.memory_out_of_bounds",
            Self::TableOutOfBounds => "trap.table_out_of_bounds",
            Self::IndirectCallToNull => "trap.indirect_call_to_null",
            Self::BadSignature => "trap.bad_signature",
            Self::IntegerOverflow => "trap.integer_overflow",
            Self::DivisionByZero => "trap.division_by_zero",
            Self::BadConversion => "trap.bad_conversion",
            Self::Abi => "trap.abi",
            Self::Other => "trap.other",
        }
    }
}

impl fmt::Display for OutcomeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no outcome code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no outcome")]
pub struct UnknownOutcome(String);

impl std::str::FromStr for OutcomeCode {
    type Err = UnknownOutcome;

    fn from_str(text: &str) -> Result<Self, UnknownOutcome> {
        Self::ALL.into_iter().find(|code| code.as_str() == text).ok_or_else(|| UnknownOutcome(text.to_owned()))
    }
}

/// How a run ended, with what a person needs to understand it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The code.
    pub code: OutcomeCode,
    /// Why, for a person: names the limit, its value and the manifest key to change. Empty on success.
    pub message: String,
    /// What the function returned, or the value of its error.
    pub output: Option<serde_json::Value>,
    /// Whether the guest itself said when another attempt makes sense.
    pub again: Again,
}

/// What a guest says about another attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Again {
    /// Nothing: the job's policy decides.
    #[default]
    AsPolicySays,
    /// It will not help (`permanent`).
    Never,
    /// Not before this time has passed (`retry-after`).
    After(Duration),
}

impl Outcome {
    /// Success with what the function returned.
    #[must_use]
    pub fn succeeded(output: Option<serde_json::Value>) -> Self {
        Self { code: OutcomeCode::Succeeded, message: String::new(), output, again: Again::default() }
    }

    /// The end of an attempt that makes way for other code of its job. Another one follows at once, however often that
    /// happens.
    pub fn replaced(message: impl Into<String>) -> Self {
        Self { again: Again::After(Duration::ZERO), ..Self::ended(OutcomeCode::Interrupted, message) }
    }

    /// Whether it is the end of an attempt that made way for other code.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        self.code == OutcomeCode::Interrupted && matches!(self.again, Again::After(_))
    }

    /// Any other end with its reason.
    pub fn ended(code: OutcomeCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), output: None, again: Again::default() }
    }
}

/// About how many bytes a JSON value holds.
#[must_use]
pub fn json_bytes(json: &serde_json::Value) -> usize {
    use serde_json::Value as Json;
    let node = size_of::<Json>();
    match json {
        Json::Null | Json::Bool(_) | Json::Number(_) => node,
        Json::String(text) => node + text.len(),
        Json::Array(items) => node + items.iter().map(json_bytes).sum::<usize>(),
        Json::Object(entries) => node + entries.iter().map(|(key, value)| key.len() + json_bytes(value)).sum::<usize>(),
    }
}

/// Whether a JSON value nests deeper than so many lists and maps.
#[must_use]
pub fn is_deeper(json: &serde_json::Value, depth_max: usize) -> bool {
    use serde_json::Value as Json;
    match json {
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
        Json::Array(items) => depth_max == 0 || items.iter().any(|item| is_deeper(item, depth_max - 1)),
        Json::Object(entries) => depth_max == 0 || entries.values().any(|value| is_deeper(value, depth_max - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_read_back() {
        for code in OutcomeCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
        }
        assert!("timeout".parse::<OutcomeCode>().is_err());
    }
}
