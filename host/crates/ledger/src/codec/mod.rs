//! How nouns become columns and back. It knows no database: a dialect moves [`Value`]s in and out.
//!
//! Times are microseconds since 1970 in UTC, durations nanoseconds, what has structure is JSON. Each row carries a
//! checksum of its other columns, since a database notices a flipped bit in its own bookkeeping only.

mod documents;
mod generation;
mod parts;
mod report;
mod rows;
mod state;
mod value;

pub(crate) use documents::{document_key, document_values, event_values, read_document, read_event_mark, read_events};
pub(crate) use generation::{generation_values, read_generation};
pub(crate) use parts::{LAST_ATTEMPT, Part, log_values, part_values, read_log, read_part};
pub(crate) use report::Belongings;
pub(crate) use rows::{
    Last, attempt_values, job_values, last_values, mark_values, open_values, payload_values, read_attempt, read_job,
    read_last, read_mark, read_open, read_payload, read_run, read_skip, run_values, skip_values,
};
pub(crate) use state::{read_state, read_state_version, state_values, state_version_values};
pub(crate) use value::{Fields, Undecodable, Value, micros};
