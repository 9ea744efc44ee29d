//! What happens to local times that a clock change leaves out or shows twice.

use crate::{
    diagnostic::Diagnostics,
    manifest::{
        fields::{self, Fields},
        node::Node,
    },
    zone::{Local, Zone},
};

/// A local time that does not exist, because the clock was put forward over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Run at the first moment after the gap.
    RunAfter,
    /// Do not run.
    Skip,
}

/// A local time that happens twice, because the clock was put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// Run the first time only.
    First,
    /// Run the second time only.
    Second,
    /// Run both times.
    Both,
}

/// What a trigger does on the days when the clock is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dst {
    /// The clock goes forward.
    pub gap: Gap,
    /// The clock goes back.
    pub fold: Fold,
}

/// The parts of a policy that were written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WrittenDst {
    pub(crate) gap: Option<Gap>,
    pub(crate) fold: Option<Fold>,
}

impl Dst {
    /// For a fixed time of day, as in Vixie cron: once, at the first valid moment after the gap, and once in the fold.
    pub const FIXED_TIME: Self = Self { gap: Gap::RunAfter, fold: Fold::First };

    /// For wildcards and steps: as real time passes. Also what APScheduler's documentation promises.
    pub const ELAPSED: Self = Self { gap: Gap::Skip, fold: Fold::Both };

    /// The instants of one local time, in seconds.
    pub(crate) fn instants(self, zone: &Zone, local: i64) -> impl Iterator<Item = i64> + use<> {
        let pair = match (zone.resolve(local), self.gap, self.fold) {
            (Local::Once(at), _, _) | (Local::Gap(at), Gap::RunAfter, _) => [Some(at), None],
            (Local::Gap(_), Gap::Skip, _) => [None, None],
            (Local::Twice(first, _), _, Fold::First) => [Some(first), None],
            (Local::Twice(_, second), _, Fold::Second) => [Some(second), None],
            (Local::Twice(first, second), _, Fold::Both) => [Some(first), Some(second)],
        };
        pair.into_iter().flatten()
    }
}

impl WrittenDst {
    /// Reads `dst: {gap: …, fold: …}`.
    pub(crate) fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::open(node, "`dst`", diagnostics)?;
        let gap = fields
            .get("gap")
            .map(|node| fields::one_of(node, &[("run_after", Gap::RunAfter), ("skip", Gap::Skip)], diagnostics));
        let fold = fields.get("fold").map(|node| {
            let words = [("first", Fold::First), ("second", Fold::Second), ("both", Fold::Both)];
            fields::one_of(node, &words, diagnostics)
        });
        fields.finish(diagnostics);
        let written = Self { gap: gap.flatten(), fold: fold.flatten() };
        (gap != Some(None) && fold != Some(None)).then_some(written)
    }

    /// The policy, where `default` fills what was not written.
    pub(crate) fn or(self, default: Dst) -> Dst {
        Dst { gap: self.gap.unwrap_or(default.gap), fold: self.fold.unwrap_or(default.fold) }
    }
}
