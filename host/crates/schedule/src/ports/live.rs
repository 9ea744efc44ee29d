//! What an attempt says while it goes on, for whoever listens. The whole of it comes with its report.

use std::{fmt, sync::Arc};

use super::LogLine;
use crate::run::Run;

/// Something that an attempt says while it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It logged a line.
    Log(LogLine),
    /// It wrote a line, or a part of a long one.
    Wrote {
        /// To stderr, not to stdout.
        is_stderr: bool,
        /// The line without its end.
        text: String,
    },
    /// How far it is.
    Progress {
        /// How much is done.
        done: u64,
        /// Of how much, where it says so.
        total: Option<u64>,
        /// What it says to it; may be empty.
        message: String,
    },
    /// It said more than is passed on: so many lines are left out here. Its report has them.
    LeftOut(u64),
}

/// Who listens to attempts. It is told from within guests, so it never waits, and bounds what it keeps.
pub trait Listen: Send + Sync {
    /// An attempt of a run says something.
    fn hear(&self, run: &Arc<Run>, attempt: u32, said: Said);
}

/// Who listens to an attempt. By default nobody does, which costs nothing.
#[derive(Clone, Default)]
pub struct Live(pub Option<Arc<dyn Listen>>);

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Live" } else { "Live(nobody)" })
    }
}
