//! What a job was to do, and from when to when it was so.

use crate::time::{Micros, Span};

/// One definition of a job.
///
/// A change of the definition is the end of one revision and the beginning of the next. A change made while the host
/// was down takes effect at the next start; slots between belong to the old revision only where the host is to
/// account for them. A fixed delay, whose slots depend on the ends of runs, cannot be told; leave such jobs out.
#[derive(Clone, Debug)]
pub struct Revision {
    /// Whose.
    pub job: String,
    /// Its slots in wall time, ascending, from an independent generator such as [`crate::slots`]. More than those in
    /// force may be there.
    pub slots: Vec<Micros>,
    /// When the host knew it, in true time. Its slots are those that came due in it.
    pub in_force: Span,
    /// How late a slot may start; absent means any time.
    pub misfire_grace: Option<Micros>,
    /// Which slot of a backlog runs.
    pub coalesce: Coalesce,
    /// With `Coalesce::All` how many slots of a backlog run, and with `Overlap::Queue` how many wait.
    pub max_backlog: usize,
    /// What happens to a slot that meets `max_instances` runs.
    pub overlap: Overlap,
    /// How many runs go on at once.
    pub max_instances: usize,
    /// How many attempts a run has that were not cut by a stop of the host or by other code.
    pub attempts_max: u32,
    /// The longest time between two attempts.
    pub backoff_max: Micros,
    /// What happens to a run that a crash cut.
    pub delivery: Delivery,
    /// What happens to an attempt that goes on when other code is put in force.
    pub on_reload: OnReload,
    /// How long after its slot a run starts at the most, by intention.
    pub jitter_max: Micros,
    /// Whose ends make the job run.
    pub after: Vec<After>,
    /// Whether the job runs once when it is first seen.
    pub run_on_start: bool,
    /// Whose places its attempts take.
    pub pool: Option<String>,
}

impl Revision {
    /// A job with these slots, in force all the time, with the defaults of a manifest.
    #[must_use]
    pub fn new(job: &str, slots: Vec<Micros>) -> Self {
        Self {
            job: job.to_owned(),
            slots,
            in_force: Span::new(Micros::MIN / 8, Micros::MAX / 8),
            misfire_grace: None,
            coalesce: Coalesce::Latest,
            max_backlog: 24,
            overlap: Overlap::Skip,
            max_instances: 1,
            attempts_max: 1,
            backoff_max: 0,
            delivery: Delivery::AtLeastOnce,
            on_reload: OnReload::Drain { deadline: None },
            jitter_max: 0,
            after: Vec::new(),
            run_on_start: false,
            pool: None,
        }
    }
}

/// Which slot of a backlog runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coalesce {
    /// The newest.
    Latest,
    /// The oldest.
    Earliest,
    /// Each, the newest `max_backlog` of them.
    All,
}

/// What happens to a slot that meets `max_instances` runs of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// It is skipped.
    Skip,
    /// It waits.
    Queue,
    /// It takes the place of the oldest.
    Replace,
    /// It runs beside them.
    Allow,
}

/// What happens to a run that a crash cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is tried again.
    AtLeastOnce,
    /// It ends as `lost`.
    AtMostOnce,
}

/// What happens to an attempt that goes on when other code is put in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnReload {
    /// It goes on.
    Drain {
        /// For this long at the most; then its run ends as `cancelled`.
        deadline: Option<Micros>,
    },
    /// Its run ends as `cancelled`.
    Cancel,
    /// It ends as `interrupted`, and another one follows at once.
    Replace,
}

/// Whose end makes a job run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// The other job.
    pub job: String,
    /// Which ends of it.
    pub on: AfterOn,
}

/// Which ends of another job make a job run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterOn {
    /// `succeeded`.
    Success,
    /// Every end but `succeeded` and `skipped`.
    Failure,
    /// Every end.
    Always,
}

impl AfterOn {
    pub(crate) fn matches(self, outcome: &str) -> bool {
        match self {
            Self::Success => outcome == "succeeded",
            Self::Failure => !matches!(outcome, "succeeded" | "skipped"),
            Self::Always => true,
        }
    }
}
