//! Steps 6 and 8: the ledger and the guests tell the same story.

use crate::{
    history::{Said, Witness},
    job::JobView,
    time::show,
    violation::{Class, Violation},
    world::{RunView, World},
};

/// No end without a guest that had it, and no guest whose end is told otherwise.
pub(crate) fn guests_and_ledger_tell_the_same(world: &World<'_>, job: &JobView<'_>, out: &mut Vec<Violation>) {
    for view in &job.runs {
        let mut wrong: Vec<_> = view.lines.iter().filter_map(|line| same_identity(view, line)).collect();
        for number in 1..=view.run.n_attempts {
            wrong.extend(view.run.outcome_of(number).and_then(|code| same_end(world, view, number, code)));
        }
        wrong.extend(view.lines.iter().filter_map(|line| began_after_end(world, view, line)));
        wrong.extend(success_without_attempt(view));
        wrong.extend(all_attempts_told(view));
        out.extend(wrong.into_iter().map(|(class, evidence)| {
            let evidence = format!("run {}: {evidence}", view.run.id);
            Violation::new(class, job.name, Some(view.run.slot), evidence)
        }));
    }
}

/// No guest ran of which the ledger knows nothing.
pub(crate) fn no_guest_is_unrecorded(world: &World<'_>, out: &mut Vec<Violation>) {
    for line in &world.strays {
        let evidence = format!("run {}, attempt {}, began at {}", line.run, line.attempt, show(line.start));
        out.push(Violation::new(Class::Unrecorded, &line.job, Some(line.slot), evidence));
    }
}

type Wrong = Option<(Class, String)>;

fn same_identity(view: &RunView<'_>, line: &Witness) -> Wrong {
    let run = view.run;
    if line.job != run.job || line.slot != run.slot {
        let evidence = format!("its guest was told job {} and slot {}", line.job, show(line.slot));
        return Some((Class::Identity, evidence));
    }
    let told = line.cause.as_deref().filter(|cause| line.attempt == 1 && *cause != run.cause.word())?;
    Some((Class::Identity, format!("its guest was told the cause {told}, the ledger tells {}", run.cause.word())))
}

fn same_end(world: &World<'_>, view: &RunView<'_>, number: u32, code: &str) -> Wrong {
    if !matches!(code, "succeeded" | "failed" | "skipped") {
        return None;
    }
    let Some(line) = view.lines.iter().find(|line| line.attempt == number) else {
        return Some((Class::Ghost, format!("attempt {number} ended as {code}, but no guest began it")));
    };
    let has_succeeded = line.end.is_some() && line.said == Said::Succeeded;
    if has_succeeded != (code == "succeeded") && code != "skipped" {
        let said = line.end.map_or("nothing".to_owned(), |_| format!("{:?}", line.said).to_lowercase());
        let evidence = format!("attempt {number}: the ledger tells {code}, the guest {said}");
        return Some((Class::OutcomeDisagrees, evidence));
    }
    let told = view.run.finish_of(number)?;
    let noted = world.facts.clock.instants(told).into_iter().max()?.saturating_add(world.tolerance.clock);
    let end = line.end.filter(|end| noted < *end)?;
    let evidence = format!("attempt {number} ended at {} by the ledger, at {} by the guest", show(told), show(end));
    Some((Class::OutcomeDisagrees, evidence))
}

/// A guest does not begin when the ledger says that its attempt has ended.
fn began_after_end(world: &World<'_>, view: &RunView<'_>, line: &Witness) -> Wrong {
    let told = view.run.finish_of(line.attempt)?;
    let noted = world.facts.clock.instants(told).into_iter().max()?;
    let is_after = noted.saturating_add(world.tolerance.clock) < line.start;
    let evidence = || format!("attempt {} began at {}, after the ledger noted its end", line.attempt, show(line.start));
    is_after.then(|| (Class::OutcomeDisagrees, evidence()))
}

fn success_without_attempt(view: &RunView<'_>) -> Wrong {
    let told = view.run.outcome.as_deref().filter(|code| matches!(*code, "succeeded" | "failed"))?;
    (view.run.n_attempts == 0).then(|| (Class::Ghost, format!("ended as {told} without an attempt")))
}

fn all_attempts_told(view: &RunView<'_>) -> Wrong {
    let last = view.lines.iter().map(|line| line.attempt).max()?;
    let n_begun = if view.run.outcome.is_some() { 0 } else { 1 };
    let n_told = view.run.n_attempts.saturating_add(n_begun);
    (n_told < last).then(|| (Class::Unrecorded, format!("attempt {last} began, the ledger tells of {n_told}")))
}
