//! How events and logs look.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;

/// Some of what happened, in order.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct EventPage {
    /// The events. Each has its number, `id`, its `type` and when it was told, `at`; `docs/events.md` lists the others.
    #[schema(value_type = Vec<Object>)]
    pub events: Vec<Json>,
    /// Where the next page begins: its `after`.
    pub next: u64,
    /// The number of the first event that is kept, where those that were asked for are not.
    pub gap: Option<u64>,
    /// Where the look back ended, when fewer than `last` events that fit were found: the number of the first event that was
    /// looked at. `after=0` looks at all that are kept.
    pub looked_back_to: Option<u64>,
}

/// What one attempt of a run logged and wrote. Of an attempt that goes on: its newest lines.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RunLogs {
    /// The id of the run.
    pub run: String,
    /// Its job.
    pub job: String,
    /// Its slot.
    pub scheduled_for: String,
    /// Which attempt, counted from 1; absent where none has begun.
    pub attempt: Option<u32>,
    /// How it ended; absent where it has not.
    pub outcome: Option<String>,
    /// What it wrote to stdout, head and tail of it.
    pub stdout: Option<String>,
    /// How many bytes it wrote to stdout.
    pub stdout_bytes: Option<u64>,
    /// Whether some of it is missing.
    pub stdout_truncated: Option<bool>,
    /// What it wrote to stderr, head and tail of it.
    pub stderr: Option<String>,
    /// How many bytes it wrote to stderr.
    pub stderr_bytes: Option<u64>,
    /// Whether some of it is missing.
    pub stderr_truncated: Option<bool>,
    /// The lines that it logged: each with `at`, `level`, `message` and `fields`.
    #[schema(value_type = Vec<Object>)]
    pub logs: Vec<Json>,
    /// How many more lines it logged.
    pub logs_dropped: Option<u64>,
}
