//! What guests write: output and log lines.

use chrono::{DateTime, Utc};

/// Output of a guest: head and tail of it, and how much there was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// What was kept, as text; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// How many bytes the guest wrote.
    pub n_bytes: u64,
    /// How many bytes from the middle are missing in `text`.
    pub n_bytes_dropped: u64,
}

/// One line that a guest logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub at: DateTime<Utc>,
    /// How much it matters.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
    /// Values that belong to it.
    pub fields: Vec<(String, String)>,
}

/// How much a log line of a guest matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For following each step.
    Trace,
    /// For finding a fault.
    Debug,
    /// Good to know.
    Info,
    /// Should be looked at.
    Warn,
    /// Went wrong.
    Error,
}

impl LogLevel {
    /// The stable string.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}
