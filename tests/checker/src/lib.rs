//! Judges whether a history is right. (Draft)

mod clock;
mod facts;
mod history;
mod job;
mod picture;
mod revision;
mod rules;
pub mod slots;
mod time;
mod verdict;
mod violation;
mod world;

pub use self::{
    clock::{Clock, Step},
    facts::{Cancel, Ending, Facts, Pause, Pool, Request, Resume, Tolerance, Up},
    history::{Attempt, Cause, History, NextSeen, Run, Said, Skip, Witness},
    revision::{After, AfterOn, Coalesce, Delivery, Overlap, Revision},
    time::{Micros, SECOND, Span, show},
    verdict::check,
    violation::{Class, Violation},
};
