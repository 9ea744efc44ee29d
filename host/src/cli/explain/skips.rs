//! Slots that became no run: who or what was in the way, and what lets such slots run.

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    job::{Job, Overlap, Policy},
    manifest::scalar::show_duration,
    ports::RunRow,
    run::{Skip, SkipReason},
};

use super::Explained;
use crate::{
    cli::{find, reading::Trouble, rows, why::Subject},
    operate::{Pauses, pause_of},
};

/// Slots that became no run.
pub(in crate::cli) async fn skip(subject: &Subject<'_>, skip: &Skip) -> Result<Explained, Trouble> {
    let by = match skip.by {
        Some(run) => find::story(subject.reading, run).await?.map(|story| story.row),
        None => None,
    };
    let mut explanation = skipped(skip, by.as_ref(), subject.job);
    if skip.reason == SkipReason::Paused {
        explanation.push_str(&still_paused(subject).await?);
    }
    Ok(Explained {
        slot: (skip.count == 1).then_some(skip.last),
        first: skip.first,
        last: skip.last,
        count: skip.count,
        reason: Some(skip.reason.as_str()),
        run: skip.run,
        by: skip.by,
        ..Explained::of_slot(skip.last, "skipped", explanation)
    })
}

/// Who has paused the job, where the pause goes on.
pub(in crate::cli) async fn still_paused(subject: &Subject<'_>) -> Result<String, Trouble> {
    let notes = Pauses::all(&*subject.reading.ledger).await?.into_iter().collect();
    let Some(note) = pause_of(&notes, subject.row) else { return Ok(String::new()) };
    let told = note.told();
    Ok(if told.is_empty() { String::new() } else { format!(". It is paused{told}") })
}

/// What is said of one instant of a gap: a slot of it, or what may be one where no trigger says so.
pub(in crate::cli) fn in_gap(gap: Explained, slot: DateTime<Utc>, is_slot: bool) -> Explained {
    let (first, last) = (rows::shown(gap.first), rows::shown(gap.last));
    let what = if is_slot { "it is one of" } else { "if it was a slot, it is one of" };
    let gap_of = format!("{what} {} from {first} to {last} with one fate", rows::plural(gap.count, "slot"));
    Explained { slot: Some(slot), explanation: format!("{gap_of}: {}", gap.explanation), ..gap }
}

fn skipped(skip: &Skip, by: Option<&RunRow>, job: Option<&Job>) -> String {
    let policy = job.map(|job| &job.policy);
    let by_run = |fallback: &str| match (by, skip.by) {
        (Some(row), _) => format!("run {} of slot {}", row.run.id, rows::shown(row.run.scheduled_for)),
        (None, Some(id)) => format!("run {id}"),
        (None, None) => fallback.to_owned(),
    };
    let late = rows::span(rows::distance(skip.at, skip.last));
    match skip.reason {
        SkipReason::Misfired => {
            let grace = policy.and_then(|policy| policy.misfire_grace);
            let grace = grace.map_or_else(String::new, |grace| format!(" ({} now)", show_duration(grace)));
            format!(
                "nothing could start it in time: that was noticed {late} after the slot, later than its \
                 `misfire_grace`{grace} allows. The host was not running, slept or was busy. A longer `misfire_grace`, or \
                 none, lets late slots run"
            )
        }
        SkipReason::Coalesced if skip.by.is_none() => {
            let n_max = policy.map_or_else(String::new, |policy| format!(" ({} now)", policy.max_backlog));
            format!("more slots were late together than `max_backlog`{n_max} lets run; a higher one lets more run")
        }
        SkipReason::Coalesced => format!(
            "it was late, and {} ran for all slots that were late together; `coalesce: all` runs each of them",
            by_run("another run")
        ),
        SkipReason::Overlapping => overlapping(skip, by, &by_run("another run of the job"), policy),
        SkipReason::Paused => {
            "the job was paused; slots of a pause do not run. `clockjack resume` ends a pause".to_owned()
        }
        SkipReason::Removed => {
            "the job was removed from the manifest, or got another trigger, while the slot waited".to_owned()
        }
        SkipReason::Cancelled => "somebody cancelled it before it began".to_owned(),
        SkipReason::Overloaded => "more runs waited for a place in their pools than the host holds; more places \
                                   (`pools`), shorter runs or fewer slots avoid that"
            .to_owned(),
    }
}

fn overlapping(skip: &Skip, by: Option<&RunRow>, by_run: &str, policy: Option<&Policy>) -> String {
    let until = by.and_then(RunRow::finish).map_or_else(
        || " was still going".to_owned(),
        |finish| format!(" was still going, until {}", rows::beside(finish.finished_at, skip.last)),
    );
    let what = format!("{by_run}{until}");
    let n_max = policy.map_or_else(String::new, |policy| format!(" ({} now)", policy.max_instances));
    match policy.map(|policy| policy.overlap) {
        Some(Overlap::Skip) | None => format!(
            "{what}, and no more than `max_instances`{n_max} go on at once. `overlap: queue` lets a slot wait, a higher \
             `max_instances` lets it run beside"
        ),
        Some(Overlap::Queue) => {
            format!("{what}, and `max_backlog` slots waited already; a higher one lets more wait (`overlap: queue`)")
        }
        Some(Overlap::Replace) => {
            format!("{what}, and a newer slot took its place before it began (`overlap: replace`)")
        }
        Some(Overlap::Allow) => format!("{what}; now that the job has `overlap: allow` that is no reason any more"),
    }
}
