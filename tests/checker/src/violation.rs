//! What is wrong with a history.

use std::fmt;

use crate::time::{Micros, show};

/// The kinds of wrong, each with a stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// A slot became nothing, though later ones became something.
    NoDisposition,
    /// From some instant on nothing happens, or a run stays open.
    Stuck,
    /// A slot became two things.
    TwoDispositions,
    /// A gap does not hold as many slots as it says.
    GapCount,
    /// A run or skip for an instant that is no slot, or that nobody asked for.
    Extra,
    /// Something happened for a job while it did not exist.
    Resurrected,
    /// Something began while its job was paused, or after a pause that should have skipped it.
    RanWhilePaused,
    /// A run began before its slot.
    EarlyStart,
    /// A run began later than its grace.
    PastGrace,
    /// A run began later than it could have, without any reason.
    LateStart,
    /// A guest began while the host was down, or names the wrong life of the host.
    HostDown,
    /// Skipped as `misfired` although it could have run in time.
    UnjustifiedMiss,
    /// Skipped as `coalesced` although it should have run, or for the wrong one.
    WrongCoalesce,
    /// Skipped as `overlapping` although there was room.
    UnjustifiedOverlap,
    /// Skipped as `paused`, `removed`, `cancelled` or `overloaded` although it was not so.
    UnjustifiedSkip,
    /// A run ended as `lost`, `interrupted` or `cancelled` without what that needs.
    UnjustifiedEnd,
    /// An attempt went on on code that was replaced, although its job ends such.
    OldCode,
    /// A reason or an outcome that is no word of ours.
    UnknownWord,
    /// The starts do not fit the slots, whatever the ids say.
    TimesDoNotMatch,
    /// Attempts are not numbered 1, 2, 3.
    AttemptGap,
    /// An attempt began before the one before it had ended.
    AttemptOrder,
    /// More attempts than allowed, or one after a success.
    TooManyAttempts,
    /// A guest began twice where it must not.
    DoubleStart,
    /// More runs of a job, or attempts in a pool, side by side than allowed.
    TooManyInstances,
    /// The ledger tells of an end that no guest had.
    Ghost,
    /// A guest ran of which the ledger tells nothing.
    Unrecorded,
    /// Guest and ledger tell of different ends.
    OutcomeDisagrees,
    /// Guest and ledger tell of different jobs, slots or causes for one run.
    Identity,
    /// A request became no run, or two.
    Request,
    /// The end of a run made another job run not at all, or twice.
    Chain,
    /// The next slot went back, or lies in the past.
    NextWrong,
}

impl Class {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoDisposition => "no_disposition",
            Self::Stuck => "stuck",
            Self::TwoDispositions => "two_dispositions",
            Self::GapCount => "gap_count",
            Self::Extra => "extra",
            Self::Resurrected => "resurrected",
            Self::RanWhilePaused => "ran_while_paused",
            Self::EarlyStart => "early_start",
            Self::PastGrace => "past_grace",
            Self::LateStart => "late_start",
            Self::HostDown => "host_down",
            Self::UnjustifiedMiss => "unjustified_miss",
            Self::WrongCoalesce => "wrong_coalesce",
            Self::UnjustifiedOverlap => "unjustified_overlap",
            Self::UnjustifiedSkip => "unjustified_skip",
            Self::UnjustifiedEnd => "unjustified_end",
            Self::OldCode => "old_code",
            Self::UnknownWord => "unknown_word",
            Self::TimesDoNotMatch => "times_do_not_match",
            Self::AttemptGap => "attempt_gap",
            Self::AttemptOrder => "attempt_order",
            Self::TooManyAttempts => "too_many_attempts",
            Self::DoubleStart => "double_start",
            Self::TooManyInstances => "too_many_instances",
            Self::Ghost => "ghost",
            Self::Unrecorded => "unrecorded",
            Self::OutcomeDisagrees => "outcome_disagrees",
            Self::Identity => "identity",
            Self::Request => "request",
            Self::Chain => "chain",
            Self::NextWrong => "next_wrong",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its kind.
    pub class: Class,
    /// Which job.
    pub job: String,
    /// Which slot, where it is about one (wall time).
    pub slot: Option<Micros>,
    /// What shows it, a sentence each.
    pub evidence: Vec<String>,
}

impl Violation {
    pub(crate) fn new(class: Class, job: &str, slot: Option<Micros>, evidence: String) -> Self {
        Self { class, job: job.to_owned(), slot, evidence: vec![evidence] }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.class, self.job)?;
        if let Some(slot) = self.slot {
            write!(f, " slot {}", show(slot))?;
        }
        self.evidence.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}
