//! What the harness itself did and saw. True time throughout, unless a line says otherwise.

use crate::{
    clock::Clock,
    time::{Micros, Span},
};

/// The log of the harness.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// When the history was read: nothing is known of what came after.
    pub until: Micros,
    /// When the host was up, in order. A witness line names its place in this list.
    pub up: Vec<Up>,
    /// The wall clock of the host.
    pub clock: Clock,
    /// When the ledger could not be written or read.
    pub unreachable: Vec<Span>,
    /// When the host was up and had no chance: overloaded, starved, suspended, stopped by a signal.
    pub saturated: Vec<Span>,
    /// When jobs were paused.
    pub pauses: Vec<Pause>,
    /// The runs that somebody asked for.
    pub requests: Vec<Request>,
    /// The runs that somebody cancelled.
    pub cancels: Vec<Cancel>,
    /// When other code was put in force for jobs.
    pub reloads: Vec<Reload>,
    /// The pools whose size is to be kept.
    pub pools: Vec<Pool>,
}

/// A time in which the host was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Up {
    /// From the start of the process to its end. Where it is still up: to the end of the facts.
    pub span: Span,
    /// How it ended.
    pub ending: Ending,
}

/// How a time in which the host was up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It has not.
    StillUp,
    /// In good order, on a signal; runs may have been cut.
    Stopped,
    /// Like a crash.
    Killed,
}

/// A job was paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Which.
    pub job: String,
    /// When. Where it still is: to the end of the facts.
    pub span: Span,
    /// From where it went on.
    pub resume: Resume,
}

/// From where a paused job goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// The slots of the pause are skipped as `paused`.
    Now,
    /// The slots of the pause are a backlog, treated as after a downtime.
    Last,
}

/// Somebody asked for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Of which job.
    pub job: String,
    /// When.
    pub at: Micros,
    /// The key under which it was asked; several requests with one key are one run. Without a key each is its own.
    pub key: Option<String>,
    /// The id that the host answered. Without it the run is found by its time.
    pub run: Option<String>,
    /// Whether the host said yes. If it did not, there may be a run or none.
    pub acknowledged: bool,
}

/// Somebody cancelled a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// Of which job.
    pub job: String,
    /// Which run; any of the job if absent.
    pub run: Option<String>,
    /// When.
    pub at: Micros,
}

/// Other code was put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// For which job; for all of them if absent.
    pub job: Option<String>,
    /// When.
    pub at: Micros,
}

/// A pool, whose runs share its places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// How many attempts go on at once.
    pub size: usize,
}

/// How exact the answers are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// How long after it could be done a thing is done. A millisecond or less in virtual time, a second or two on a
    /// busy machine. What the harness does to jobs takes effect within it.
    pub latency: Micros,
    /// How long after the end of a fault the host may need to be itself again.
    pub recovery: Micros,
    /// How far the clocks of harness, host and guest may differ. 0 in virtual time.
    pub clock: Micros,
}

impl Tolerance {
    /// How far an instant of the harness and its effect in the host may lie apart.
    pub(crate) fn edge(self) -> Micros {
        self.latency.saturating_add(self.clock)
    }
}
