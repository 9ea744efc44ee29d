//! Step 4, skips: each has the reason that it tells.

use super::dispositions::told;
use crate::{
    facts::Resume,
    history::Skip,
    job::JobView,
    revision::{Coalesce, Overlap, Revision},
    time::{Micros, show},
    violation::{Class, Violation},
    world::{RunView, World},
};

/// What is wrong with a reason.
type Judged = Result<(), (Class, String)>;

/// Each skip is justified by what the harness knows.
pub(crate) fn each_has_its_reason(world: &World<'_>, job: &JobView<'_>, out: &mut Vec<Violation>) {
    for skip in &job.skips {
        let instants = world.facts.clock.instants(skip.at);
        let tries = instants.into_iter().map(|decided| judge(world, job, skip, decided));
        // The same wall time may have come twice; one of them is enough.
        if let Some(Err((class, why))) = tries.reduce(Judged::or) {
            let evidence = vec![told(skip), why];
            out.push(Violation { class, job: job.name.to_owned(), slot: Some(skip.first), evidence });
        }
    }
}

fn judge(world: &World<'_>, job: &JobView<'_>, skip: &Skip, decided: Micros) -> Judged {
    let own = job.slot_at(skip.first).map(|place| job.slots[place].revision);
    let own = own.map(|index| job.revisions[index]).into_iter();
    let mut verdict = Err((Class::Resurrected, "the job was not there".to_owned()));
    for revision in own.chain(job.revisions_at(decided).map(|(_, revision)| revision)) {
        verdict = match skip.reason.as_str() {
            "misfired" => misfired(world, job, skip, revision),
            "coalesced" => coalesced(world, job, skip, revision, decided),
            "overlapping" => overlapping(world, job, skip, revision, decided),
            "paused" => paused(world, job, skip, decided),
            "removed" => removed(world, job, decided),
            "cancelled" => cancelled(world, job, skip, decided),
            "overloaded" => overloaded(world, decided),
            other => Err((Class::UnknownWord, format!("`{other}` is no reason"))),
        };
        if verdict.is_ok() {
            break;
        }
    }
    verdict
}

/// It was past its grace, and nothing fitted inside the grace.
fn misfired(world: &World<'_>, job: &JobView<'_>, skip: &Skip, revision: &Revision) -> Judged {
    let wrong = |why: String| Err((Class::UnjustifiedMiss, why));
    let Some(grace) = revision.misfire_grace else { return wrong("the job has no grace".to_owned()) };
    let left = skip.last.saturating_add(grace).saturating_sub(skip.at).saturating_sub(world.tolerance.clock);
    if 0 < left {
        return wrong(format!("{left} us of the grace were left"));
    }
    for place in job.slots_between(skip.first, skip.last) {
        let slot = job.slots[place];
        if job.run_at(slot.at).is_some() {
            continue;
        }
        let until = world.facts.clock.first_reaching(slot.at.saturating_add(grace), slot.due);
        let wall = slot.at.saturating_add(revision.jitter_max);
        if let Some(chance) = world.chance(&job.free, wall, slot.due, until) {
            return wrong(format!("slot {} could have run from {} on", show(slot.at), show(chance.from)));
        }
    }
    Ok(())
}

/// All slots of the group were due and late, and the right one of them was chosen.
fn coalesced(world: &World<'_>, job: &JobView<'_>, skip: &Skip, revision: &Revision, decided: Micros) -> Judged {
    let wrong = |why: String| Err((Class::WrongCoalesce, why));
    let edge = world.tolerance.edge();
    if !was_due(world, job, skip, decided) {
        return wrong("not all of its slots were due".to_owned());
    }
    let due = job.slot_at(skip.first).map_or(decided, |place| job.slots[place].due);
    let wall = skip.first.saturating_add(revision.jitter_max);
    // Waiting for room, or for a place in the pool, is lateness too.
    if let Some(chance) = world.chance(&job.free, wall, due, decided) {
        return wrong(format!("it was not late: the host could act from {} on", show(chance.from)));
    }
    let n_newer = job.slots_between(skip.last.saturating_add(1), skip.at.saturating_add(edge)).len();
    match revision.coalesce {
        Coalesce::All if n_newer < revision.max_backlog => {
            wrong(format!("only {n_newer} newer slots were due, and {} may run", revision.max_backlog))
        }
        Coalesce::All => Ok(()),
        Coalesce::Latest | Coalesce::Earliest => right_one_chosen(world, job, skip, revision.coalesce, decided),
    }
}

/// The run into which slots were folded is that of the newest, or of the oldest.
fn right_one_chosen(world: &World<'_>, job: &JobView<'_>, skip: &Skip, coalesce: Coalesce, decided: Micros) -> Judged {
    let wrong = |why: String| Err((Class::WrongCoalesce, why));
    let is_latest = coalesce == Coalesce::Latest;
    let edge = world.tolerance.edge();
    let Some(chosen) = job.folded_into(skip, is_latest) else {
        return wrong("there is no run into which it was folded".to_owned());
    };
    let is_on_its_side = if is_latest { skip.last < chosen } else { chosen < skip.first };
    if !is_on_its_side {
        let word = if is_latest { "newer" } else { "older" };
        return wrong(format!("folded into {}, which is not {word}", show(chosen)));
    }
    if skip.at.saturating_add(world.tolerance.clock) < chosen {
        return wrong(format!("folded into {}, which was not due", show(chosen)));
    }
    let jitter = job.revisions.iter().map(|revision| revision.jitter_max).max().unwrap_or(0);
    let newest_due = skip.at.saturating_sub(edge).saturating_sub(jitter);
    if is_latest && let Some(place) = job.slots_between(chosen.saturating_add(1), newest_due).next() {
        return wrong(format!("folded into {}, but {} was due too", show(chosen), show(job.slots[place].at)));
    }
    let decided_before = job.skips_by_slot.get(&chosen).is_some_and(|at| at.saturating_add(edge) < skip.at);
    if decided_before && job.run_at(chosen).is_none() {
        return wrong(format!("folded into {}, which was skipped before", show(chosen)));
    }
    let began = job.run_at(chosen).and_then(|view| view.first_start(world));
    if let Some(began) = began.filter(|began| began.saturating_add(edge) < decided) {
        return wrong(format!("folded into {}, which had begun at {} already", show(chosen), show(began)));
    }
    let between =
        if is_latest { (skip.last.saturating_add(1), chosen - 1) } else { (chosen.saturating_add(1), skip.first - 1) };
    let first = job.runs.partition_point(|view| view.run.slot < between.0);
    let others = job.runs[first..].iter().take_while(|view| view.run.slot <= between.1);
    for other in others.filter(|view| view.run.cause.is_slot()) {
        if other.first_start(world).is_some_and(|start| decided.saturating_sub(edge) <= start) {
            return wrong(format!("run {} of the same group ran too", other.run.id));
        }
    }
    Ok(())
}

/// Whether the last of its slots had come due; what is no slot is due when it is asked for.
fn was_due(world: &World<'_>, job: &JobView<'_>, skip: &Skip, decided: Micros) -> bool {
    let slot = job.slot_at(skip.last).map(|place| job.slots[place]);
    slot.is_none_or(|slot| slot.due <= decided.saturating_add(world.tolerance.clock))
}

/// As many runs as allowed went on, and with a queue as many waited as may.
fn overlapping(world: &World<'_>, job: &JobView<'_>, skip: &Skip, revision: &Revision, decided: Micros) -> Judged {
    let wrong = |why: String| Err((Class::UnjustifiedOverlap, why));
    let edge = world.tolerance.edge().saturating_add(1);
    let [from, until] = [decided.saturating_sub(edge), decided.saturating_add(edge)];
    if !was_due(world, job, skip, decided) {
        return wrong("the slot was not due".to_owned());
    }
    // A newer slot overtook it while it waited for its place.
    let by = skip.by.as_deref().and_then(|by| job.runs_by_id.get(by)).map(|place| job.runs[*place].run.slot);
    let by = by.or_else(|| job.skips_by_run.get(skip.by.as_deref()?).copied());
    if revision.overlap == Overlap::Replace && by.is_some_and(|by| skip.last < by) {
        return Ok(());
    }
    let n_running = job.crowd.max_in(from, until);
    if revision.overlap == Overlap::Allow || n_running < revision.max_instances {
        return wrong(format!(
            "{n_running} runs went on; the policy is {:?} of {}",
            revision.overlap, revision.max_instances
        ));
    }
    let n_waiting = job.waiting.max_in(from, until);
    if revision.overlap == Overlap::Queue && n_waiting < revision.max_backlog {
        return wrong(format!("{n_waiting} waited; {} may", revision.max_backlog));
    }
    Ok(())
}

/// Its slots came due in a pause, or were still undecided when it began.
fn paused(world: &World<'_>, job: &JobView<'_>, skip: &Skip, decided: Micros) -> Judged {
    let edge = world.tolerance.edge();
    let pauses: Vec<_> = world.facts.pauses.iter().filter(|pause| pause.job == job.name).collect();
    for place in job.slots_between(skip.first, skip.last) {
        let slot = job.slots[place];
        let is_covered = pauses.iter().any(|pause| {
            // A slot that waits for its jitter is taken back by a pause.
            let jitter = job.revisions[slot.revision].jitter_max;
            let start = slot.due.saturating_add(jitter);
            let undecided = || job.able.stretch(start, pause.span.from, world.tolerance.latency).is_none();
            let is_within = slot.due <= pause.span.until.saturating_add(edge);
            let is_after = pause.span.from.saturating_sub(edge) <= slot.due;
            let ends_job =
                || job.revisions.iter().any(|revision| pause.span.wider(edge).contains(revision.in_force.until));
            let is_kept = pause.resume == Resume::Now || ends_job();
            let is_decided_after = pause.span.from <= decided.saturating_add(edge);
            is_within && (is_after || undecided()) && is_kept && is_decided_after
        });
        if !is_covered && job.run_at(slot.at).is_none() {
            return Err((Class::UnjustifiedSkip, format!("the job was not paused at {}", show(slot.due))));
        }
    }
    Ok(())
}

/// A definition of the job had ended.
fn removed(world: &World<'_>, job: &JobView<'_>, decided: Micros) -> Judged {
    let after = decided.saturating_add(world.tolerance.edge());
    let has_ended = job.revisions.iter().any(|revision| revision.in_force.until <= after);
    let why = || (Class::UnjustifiedSkip, "no definition of the job had ended".to_owned());
    if has_ended { Ok(()) } else { Err(why()) }
}

/// Somebody had asked for that.
fn cancelled(world: &World<'_>, job: &JobView<'_>, skip: &Skip, decided: Micros) -> Judged {
    let edge = world.tolerance.edge().max(world.tolerance.recovery);
    let is_asked = world.facts.cancels.iter().any(|cancel| {
        let is_run = cancel.run.is_none() || skip.run.is_none() || cancel.run == skip.run;
        cancel.job == job.name
            && is_run
            && (decided.saturating_sub(edge)..=decided.saturating_add(edge)).contains(&cancel.at)
    });
    if is_asked { Ok(()) } else { Err((Class::UnjustifiedSkip, "nobody cancelled it".to_owned())) }
}

/// The host had more to do than it can.
fn overloaded(world: &World<'_>, decided: Micros) -> Judged {
    if world.strained.contains(decided) {
        return Ok(());
    }
    Err((Class::UnjustifiedSkip, "the host was not overloaded".to_owned()))
}

impl JobView<'_> {
    /// The run of a slot.
    fn run_at(&self, slot: Micros) -> Option<&RunView<'_>> {
        let first = self.runs.partition_point(|view| view.run.slot < slot);
        self.runs[first..].iter().take_while(|view| view.run.slot == slot).find(|view| view.run.cause.is_slot())
    }

    /// The slot into which a skip was folded: that of the run it names, else of the nearest run or other skip.
    fn folded_into(&self, skip: &Skip, is_latest: bool) -> Option<Micros> {
        if let Some(by) = &skip.by {
            let run = self.runs_by_id.get(by.as_str()).map(|place| self.runs[*place].run.slot);
            // It may have become a skip in its turn.
            return run.or_else(|| self.skips_by_run.get(by.as_str()).copied());
        }
        let later = self.targets.partition_point(|at| *at <= skip.last);
        let earlier = self.targets.partition_point(|at| *at < skip.first).checked_sub(1);
        if is_latest { self.targets.get(later).copied() } else { self.targets.get(earlier?).copied() }
    }
}
