//! A process that is stopped for a while, as a debugger or a sleeping machine does.

use std::time::Duration;

use clockjack_checker::{SECOND, Span};

use crate::{
    fleet::Fleet,
    machine,
    process::{now, sleep},
    story::{Story, Verdict, settle},
};

/// How long the process stands still.
const STANDSTILL: Duration = Duration::from_secs(3);

/// How long after that something must have been done about every job that was due meanwhile.
const BACK_WITHIN: i64 = SECOND;

/// Slots of the standstill are late, none is doubled, and soon it is as if nothing had been.
pub(crate) fn story() -> Verdict {
    let mut story = Story::new("SIGSTOP and SIGCONT", Fleet::mixed(now()));
    let host = story.up_and_settled();
    let stopped = now();
    host.signal("STOP");
    sleep(STANDSTILL);
    let went_on = now();
    host.signal("CONT");
    story.facts.saturated.push(Span::new(stopped, went_on));
    settle();
    story.stop_well(host);
    let told = story.read();
    let back = Span::new(went_on, went_on + BACK_WITHIN);
    let mut silent = Vec::new();
    for job in story.fleet().members.iter().filter(|member| member.every.is_some()) {
        let name = &job.revision.job;
        let starts = told.history.runs.iter().filter(|run| run.job == *name).flat_map(|run| run.attempts.iter());
        let starts = starts.filter_map(|attempt| attempt.started);
        let skips = told.history.skips.iter().filter(|skip| skip.job == *name).map(|skip| skip.at);
        if !starts.chain(skips).any(|at| back.contains(at)) {
            silent.push(name.clone());
        }
    }
    let mut verdict = story.judge(&told);
    let is_alone = machine::standstills(went_on).iter().all(|span| back.until < span.from);
    if !silent.is_empty() && is_alone {
        verdict.wrong.push_str(&format!("\nwithin a second after SIGCONT nothing was done for {silent:?}"));
    }
    verdict
}
