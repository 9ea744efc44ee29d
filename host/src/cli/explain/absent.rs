//! Instants of which the ledger has nothing: slots that are not decided yet or long forgotten, and what is no slot.

use chrono::{DateTime, Utc};
use clockjack_schedule::{job::Job, manifest::scalar::show_duration};

use super::Explained;
use crate::cli::{
    rows,
    why::{Around, Subject},
};

/// A slot of which the ledger has nothing, or what is no slot at all.
pub(in crate::cli) fn absent(subject: &Subject<'_>, at: DateTime<Utc>, around: Option<&Around>) -> Explained {
    let say = |disposition, explanation| Explained::of_slot(at, disposition, explanation);
    let now = subject.reading.now;
    let Some(around) = around else { return say("no_slot", no_trigger(subject)) };
    if !around.is_slot {
        return say("no_slot", not_a_slot(around));
    }
    let Some(row) = subject.row else {
        return say("undecided", "no host has seen the job yet with this ledger: start `clockjack up`".to_owned());
    };
    let state = &row.state;
    if let Some(removed_at) = state.removed_at.filter(|removed_at| *removed_at <= at) {
        return say(
            "no_slot",
            format!("the job was removed at {}; it had no slots after that", rows::shown(removed_at)),
        );
    }
    if at < state.first_seen {
        let seen = rows::shown(state.first_seen);
        return say("no_slot", format!("the job was first seen at {seen}; slots before that are not counted"));
    }
    if state.paused && now < at {
        return say(
            "undecided",
            "it lies ahead, and the job is paused: it is skipped unless that ends before".to_owned(),
        );
    }
    if now < at {
        let ahead = rows::span(rows::distance(at, now));
        return say(
            "undecided",
            format!("it lies ahead, in {ahead}; slots become runs a few seconds before they are due"),
        );
    }
    let decided_until = match subject.loaded.watermark.filter(|_| !state.paused) {
        Some(watermark) => watermark.max(state.decided_until),
        None => state.decided_until,
    };
    if state.paused && decided_until < at {
        return say(
            "undecided",
            "the job is paused; what becomes of the slots of a pause is decided when it ends".to_owned(),
        );
    }
    if decided_until < at {
        let until = rows::shown(decided_until);
        return say(
            "undecided",
            format!(
                "slots are decided up to {until}, and this one came later: the host is not running, or cannot write its \
                 ledger. When it goes on, `misfire_grace` and `coalesce` say what becomes of it"
            ),
        );
    }
    say("forgotten", forgotten(subject.job, state.trigger_hash))
}

/// Why nothing is kept of a slot that was decided.
fn forgotten(job: Option<&Job>, trigger_hash: u64) -> String {
    if job.is_some_and(|job| job.trigger_hash != trigger_hash) {
        return "it was decided, and the ledger has nothing of it: the job has another trigger in the manifest than the \
                host knew last, of which this may have been no slot"
            .to_owned();
    }
    let keep = job.map(|job| job.policy.keep).map_or_else(String::new, |keep| {
        format!(": {} back, and at most {} runs (`keep`)", show_duration(keep.age_max), keep.n_max)
    });
    format!(
        "it was decided, and nothing is kept of it any more{keep}; or the job had another trigger then, of which this was \
         no slot"
    )
}

fn not_a_slot(around: &Around) -> String {
    let told = |slot: Option<DateTime<Utc>>, none: &str| slot.map_or_else(|| none.to_owned(), rows::shown);
    format!(
        "that is no slot of the job: the one before is {}, the one after {}",
        told(around.before, "none"),
        told(around.after, "none")
    )
}

/// That nothing can be computed, with the reason.
fn no_trigger(subject: &Subject<'_>) -> String {
    let nothing = "the ledger has nothing of that instant";
    match subject.job {
        None => format!("{nothing}, and the job is not in the manifest, so that its slots are not known"),
        Some(job) if job.trigger.is_none() => {
            let how = job.describe();
            let how = if how.is_empty() { "when it is asked to".to_owned() } else { how };
            format!("{nothing}, and the job has no slots of its own: it runs {}", lower(&how))
        }
        Some(_) => format!("{nothing}; the slots of the job count from the end of its last run (`mode: fixed_delay`)"),
    }
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}", first.to_lowercase(), chars.as_str()))
}

/// That no slot of a job is decided yet.
pub(in crate::cli) fn nothing(subject: &Subject<'_>) -> String {
    match subject.row {
        None => "no host has seen the job yet with this ledger: start `clockjack up`".to_owned(),
        Some(_) => "no slot of the job is decided yet; `clockjack next` says when the next one is".to_owned(),
    }
}
