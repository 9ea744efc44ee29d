//! Triggers: pure rules from an instant to the next nominal instant.
//!
//! A trigger is read once from its manifest node and compiled into masks and numbers; asking it for the next slot
//! parses nothing and allocates nothing. Reading is `read` and `read_kind` with the two grammars `crontext` (cron
//! strings) and `fieldmap` (APScheduler's fields); asking is `rule`, which hands on to `cron`, `every` and `calendar`.
//! `check`, `describe` and `backlog` answer what people and the core ask beyond the next slot.
//!
//! Nothing here reads a clock, opens a file or draws a random number.

mod backlog;
mod calendar;
mod calendars;
mod check;
mod cron;
mod crontext;
mod days;
mod describe;
mod dst;
mod every;
mod except;
mod fault;
mod fieldmap;
mod instant;
mod pattern;
mod read;
mod read_kind;
mod rule;
mod terms;
mod words;

pub use backlog::Backlog;
pub use calendars::Calendars;
pub use dst::{Dst, Fold, Gap};
pub use instant::parse_instant;
pub use read::{TRIGGER_DEPTH_MAX, TRIGGER_KEYS, TRIGGER_LEAVES_MAX, TriggerContext};
pub use rule::{Basis, Trigger};

#[cfg(test)]
mod tests;
