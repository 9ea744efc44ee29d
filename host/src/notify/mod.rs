//! Notifications: who wants to know of runs is told, later where it cannot be now, and never at the expense of a run.
//!
//! [`Notifier`] is one task. It listens to the bus, asks the pure decision what an event means for the channels of its job,
//! and puts a [`Notice`] into the outbox of each. What it has queued stands in the ledger before anything is sent, so
//! that a restart delivers it; what the bus lost, and what happened while no notifier was there, is read from the ledger.
//! Receivers may get a notice twice, with the same id, and never not at all within a day.

mod catch_up;
mod command;
mod deliver;
mod going;
mod healthchecks;
mod notes;
mod notice;
mod notifier;
mod outbox;
mod papers;
mod sign;
mod watched;

pub use self::{
    deliver::{Undelivered, deliver},
    notice::Notice,
    notifier::{Notifier, NotifierParts, host_name, start},
};
