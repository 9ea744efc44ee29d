//! What the record keeps beside slots and runs: small documents by name, and the events that were told.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};

/// A small text under a name, as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Of which kind.
    pub kind: DocumentKind,
    /// Its name among those of its kind.
    pub key: Arc<str>,
    /// Grows with each version.
    pub revision: u64,
    /// When this version was written.
    pub at: DateTime<Utc>,
    /// What it says: JSON.
    pub text: Arc<str>,
}

/// What a document is about. Closed: whoever adds a kind says here whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// A job that was made through the API, by its id.
    Job,
    /// A plugin that was uploaded, by its name.
    Plugin,
    /// Why a job is paused, and until when, by its id.
    Pause,
    /// What is known of the host as a whole.
    Host,
    /// A range of slots that is being made up for, by its id.
    Backfill,
    /// A notification that has not arrived yet, and what is known of a job for the next one.
    Notice,
    /// The answer that was given to a request, by its idempotency key.
    Answer,
}

impl DocumentKind {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::Job, Self::Plugin, Self::Pause, Self::Host, Self::Backfill, Self::Notice, Self::Answer];

    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Plugin => "plugin",
            Self::Pause => "pause",
            Self::Host => "host",
            Self::Backfill => "backfill",
            Self::Notice => "notice",
            Self::Answer => "answer",
        }
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Events that were told one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBatch {
    /// The number of the first.
    pub first: u64,
    /// The number of the last; the batch's own name.
    pub last: u64,
    /// When the last was told.
    pub at: DateTime<Utc>,
    /// The events: one JSON object in each line, in their order.
    pub text: Arc<str>,
}

/// That a batch of events is kept, without what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventMark {
    /// The number of its last event.
    pub last: u64,
    /// When that was told.
    pub at: DateTime<Utc>,
    /// How long its text is.
    pub n_bytes: u64,
}
