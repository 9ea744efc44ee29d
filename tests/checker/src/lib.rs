//! Judges whether a history is right: whether every due slot of every job became exactly one run or one skip, and each
//! for a reason that was there.
//!
//! It knows none of our crates, so that it cannot share their mistakes. It reads no clock, no file and no environment.
//! What it judges comes from four places that do not trust each other:
//!
//! - [`Facts`]: what the harness did and saw. When the host was up and how it ended, when its clock was set, when the
//!   ledger was out of reach, when the host had no chance (`saturated`: load, `SIGSTOP`, suspend), pauses, requests,
//!   cancellations, other code for jobs. **True time.** Note a death of the host at the instant of the kill, a start at the start of the
//!   process; what the host needs to come up is part of the recovery.
//! - [`Revision`]: what each job was to do, with slots from an independent generator ([`slots`], or a list), and from
//!   when to when. Note the instant at which the harness made the change; it takes effect within the latency, or, if
//!   the host was not itself then, within the recovery.
//! - [`Witness`]: what the guests themselves wrote down, one line per attempt. The end goes into the line before the
//!   guest returns; a guest that was cut has none. **True time.**
//! - [`History`]: runs and skips as the ledger tells them, nothing pruned. **Wall time of the host.** Take the runs
//!   with all their attempts where you can; without them less is checked.
//!
//! [`Tolerance`] says how exact the answer is to be. In virtual time the latency is a step of the simulation and the
//! clocks agree; on a busy machine a second or two of latency and five of recovery are fair.
//!
//! ```
//! use clockjack_checker::*;
//!
//! let span = Span::new(0, 25 * SECOND);
//! let facts = Facts { until: span.until, up: vec![Up { span, ending: Ending::StillUp }], ..Facts::default() };
//! let job = Revision::new("report", slots::every(0, 10, 0, span.until));
//! let job = Revision { in_force: span, misfire_grace: Some(5 * SECOND), ..job };
//! // Nothing ran and nothing was skipped: both slots are missed.
//! let tolerance = Tolerance { latency: SECOND, recovery: 5 * SECOND, clock: 0 };
//! let violations = check(&facts, &[job.clone()], &[], &History::default(), &tolerance);
//! assert_eq!(violations.len(), 2);
//! assert_eq!(violations[0].class, Class::Stuck);
//! println!("{}", violations[0].picture(&facts, &[job], &[], &History::default()));
//! ```
//!
//! **How it thinks.** Times in which the host was up, reached its ledger and had recovered from its last fault are
//! *settled*. Whatever could be done for longer than the latency in settled time must have been done by then; a reason
//! for not doing it counts only if there was no such stretch. All rules rest on that one question, which is answered
//! by a binary search, so that the whole takes O(n log n).
//!
//! **What is allowed on purpose.** An attempt that was claimed and whose guest had not begun when the host died: the
//! ledger says `interrupted` or `lost`, no guest says anything. A guest that succeeded and whose host died before it
//! wrote that down. Slots and starts within the latency of an edge (a change, a pause, the end of the facts) may be
//! seen either way. A limit or a cancellation may end an attempt before its guest begins. Where the clock was set
//! back, one wall time stands for two instants; a row is right if it is right at one of them.
//!
//! **What it cannot judge.** Fixed delays, whose slots depend on the ends of runs. Which of several waiting runs goes
//! first (priorities), how long a backoff is beyond its greatest length, `retry.on`, `catch-up of n` as a number, a
//! follower with a trigger of its own whose slots meet those of its upstream, and several hosts with their fences.

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
    facts::{Cancel, Ending, Facts, Pause, Pool, Reload, Request, Resume, Tolerance, Up},
    history::{Attempt, Cause, History, NextSeen, Run, Said, Skip, Witness},
    revision::{After, AfterOn, Coalesce, Delivery, OnReload, Overlap, Revision},
    time::{Micros, SECOND, Span, show},
    verdict::check,
    violation::{Class, Violation},
};
