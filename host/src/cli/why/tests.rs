//! Every fate of a slot, in the words of `clockjack why`.

use std::{num::NonZeroU32, sync::Arc};

use chrono::TimeDelta;
use clockjack_schedule::{
    id::PoolName,
    outcome::OutcomeCode,
    ports::Change,
    run::{Cause, JobState, Run, Skip, SkipReason},
};
use expect_test::expect;

use super::why;
use crate::cli::{
    Output,
    reading::{
        Reading,
        tests::{claim, ended, finish, job, minutes, now, plan, reading, retried, run, seen, skip, told},
    },
};

async fn newest(reading: &Reading, id: &str) -> String {
    told(why(reading, &job(id), None, 10, Output::Table).await)
}

async fn at(reading: &Reading, id: &str, at: &str) -> String {
    told(why(reading, &job(id), Some(at), 10, Output::Table).await)
}

/// Each in one line, for tables of cases.
async fn at_each(reading: &Reading, id: &str, instants: &[&str]) -> String {
    let mut lines = Vec::new();
    for instant in instants {
        lines.push(at(reading, id, instant).await);
    }
    lines.join("\n")
}

#[tokio::test]
async fn runs_and_skips_are_merged_by_slot() {
    let first = run("report", minutes(-60));
    let mut changes = vec![Change::Job(seen("report"))];
    changes.extend(ended(&first, OutcomeCode::Succeeded, ""));
    changes.push(Change::Skip(Skip { by: Some(first.id), ..skip("report", -50, -50, 1, SkipReason::Overlapping) }));
    changes.push(Change::Skip(skip("report", -40, -30, 2, SkipReason::Misfired)));
    changes.extend(ended(&run("report", minutes(-20)), OutcomeCode::TimeoutCpu, "more than `limits.cpu_time` (10s)"));
    changes.extend(retried(&run("report", minutes(-10)), now() + TimeDelta::seconds(30)));
    changes.push(plan(&run("report", minutes(10))));
    let reading = reading(changes).await;
    expect![[r#"
        2027-01-15 11:50:00Z  retrying  01a3192e-e240-88b4-be02-0cc641159687
          attempt 1 did not succeed; it waits for the next one at 2027-01-15 12:00:30Z, in 30s (`retry.backoff`)
        2027-01-15 11:40:00Z  timeout.cpu  01a31925-ba80-8292-9294-685b2c576701
          it ran and was stopped: `timeout.cpu` after 1s (more than `limits.cpu_time` (10s)); `clockjack logs 01a31925-ba80-8292-9294-685b2c576701` has what it said
        2027-01-15 11:20:00Z to 2027-01-15 11:30:00Z (2 slots)  skipped: misfired
          nothing could start it in time: that was noticed 7m after the slot, later than its `misfire_grace` (5m now) allows. The host was not running, slept or was busy. A longer `misfire_grace`, or none, lets late slots run
        2027-01-15 11:10:00Z  skipped: overlapping
          run 01a31901-1b80-80a5-9b7c-1ea9be474d8c of slot 2027-01-15 11:00:00Z was still going, until 11:00:01.003Z, and no more than `max_instances` (1 now) go on at once. `overlap: queue` lets a slot wait, a higher `max_instances` lets it run beside
        2027-01-15 11:00:00Z  succeeded  01a31901-1b80-80a5-9b7c-1ea9be474d8c
          it ran and succeeded after 1s"#]].assert_eq(&newest(&reading, "report").await);
    expect![[r#"
        [
          {
            "job": "report",
            "slot": "2027-01-15T11:50:00Z",
            "first": "2027-01-15T11:50:00Z",
            "last": "2027-01-15T11:50:00Z",
            "count": 1,
            "disposition": "retrying",
            "outcome": null,
            "reason": null,
            "explanation": "attempt 1 did not succeed; it waits for the next one at 2027-01-15 12:00:30Z, in 30s (`retry.backoff`)",
            "run": "01a3192e-e240-88b4-be02-0cc641159687",
            "by": null
          }
        ]"#]]
    .assert_eq(&told(why(&reading, &job("report"), None, 1, Output::Json).await));
    expect![[r#"
        [
          {
            "job": "report",
            "slot": "2027-01-15T11:30:00Z",
            "first": "2027-01-15T11:20:00Z",
            "last": "2027-01-15T11:30:00Z",
            "count": 2,
            "disposition": "skipped",
            "outcome": null,
            "reason": "misfired",
            "explanation": "it is one of 2 slots from 2027-01-15 11:20:00Z to 2027-01-15 11:30:00Z with one fate: nothing could start it in time: that was noticed 7m after the slot, later than its `misfire_grace` (5m now) allows. The host was not running, slept or was busy. A longer `misfire_grace`, or none, lets late slots run",
            "run": null,
            "by": null
          }
        ]"#]].assert_eq(&told(why(&reading, &job("report"), Some("30m"), 1, Output::Json).await));
}

#[tokio::test]
async fn every_reason_of_a_skip() {
    let by = run("report", minutes(-180));
    let mut changes = vec![Change::Job(seen("report"))];
    changes.extend(ended(&by, OutcomeCode::Succeeded, ""));
    let reasons = [
        (SkipReason::Misfired, None),
        (SkipReason::Coalesced, Some(by.id)),
        (SkipReason::Coalesced, None),
        (SkipReason::Overlapping, Some(run("report", minutes(-190)).id)),
        (SkipReason::Paused, None),
        (SkipReason::Removed, None),
        (SkipReason::Cancelled, None),
        (SkipReason::Overloaded, None),
    ];
    for (minute, (reason, by)) in (-170..).step_by(10).zip(reasons) {
        changes.push(Change::Skip(Skip { by, ..skip("report", minute, minute, 1, reason) }));
    }
    let reading = reading(changes).await;
    expect![[r#"
        2027-01-15 10:20:00Z  skipped: overloaded
          more runs waited for a place in their pools than the host holds; more places (`pools`), shorter runs or fewer slots avoid that
        2027-01-15 10:10:00Z  skipped: cancelled
          somebody cancelled it before it began
        2027-01-15 10:00:00Z  skipped: removed
          the job was removed from the manifest, or got another trigger, while the slot waited
        2027-01-15 09:50:00Z  skipped: paused
          the job was paused; slots of a pause do not run. `clockjack resume` ends a pause
        2027-01-15 09:40:00Z  skipped: overlapping
          run 01a3188a-16c0-8e94-80d4-bc74d74cdf3c was still going, and no more than `max_instances` (1 now) go on at once. `overlap: queue` lets a slot wait, a higher `max_instances` lets it run beside
        2027-01-15 09:30:00Z  skipped: coalesced
          more slots were late together than `max_backlog` (24 now) lets run; a higher one lets more run
        2027-01-15 09:20:00Z  skipped: coalesced
          it was late, and run 01a31893-3e80-88e5-b97b-cd28b8d7a065 of slot 2027-01-15 09:00:00Z ran for all slots that were late together; `coalesce: all` runs each of them
        2027-01-15 09:10:00Z  skipped: misfired
          nothing could start it in time: that was noticed 7m after the slot, later than its `misfire_grace` (5m now) allows. The host was not running, slept or was busy. A longer `misfire_grace`, or none, lets late slots run
        2027-01-15 09:00:00Z  succeeded  01a31893-3e80-88e5-b97b-cd28b8d7a065
          it ran and succeeded after 1s"#]].assert_eq(&newest(&reading, "report").await);
}

#[tokio::test]
async fn late_runs_say_what_was_in_the_way() {
    let long = run("report", minutes(-40));
    let mut end = finish(&long, 1, OutcomeCode::Succeeded, "");
    end.finished_at = minutes(-25);
    let mut changes = vec![Change::Job(seen("report")), plan(&long), Change::Finish(Arc::new(end))];
    for (slot, start, cause) in [
        (-30, -24, Cause::Schedule),
        (-20, -12, Cause::Schedule),
        (-10, -8, Cause::CatchUp(4)),
        (-9, -9, Cause::Manual),
    ] {
        let run = Run { cause, ..run("report", minutes(slot)) };
        let mut end = finish(&run, 1, OutcomeCode::Succeeded, "");
        end.started_at = Some(minutes(start));
        end.finished_at = minutes(start) + TimeDelta::seconds(1);
        changes.extend([plan(&run), Change::Finish(Arc::new(end))]);
    }
    let reading = reading(changes).await;
    expect![[r#"
        2027-01-15 11:51:00Z  succeeded  01a3192f-cca0-8603-b4ec-28c02b8395ec
          somebody asked for this run; it ran and succeeded after 1s
        2027-01-15 11:50:00Z  succeeded  01a3192e-e240-88b4-be02-0cc641159687
          4 slots were late together, and this run stands for all of them, the newest of them (`coalesce: latest`); it ran and succeeded after 1s; it began 2m after it was due, for nothing was decided meanwhile: the host was not running, or slept
        2027-01-15 11:40:00Z  succeeded  01a31925-ba80-8292-9294-685b2c576701
          it ran and succeeded after 1s; it began 8m after it was due: the host was not running or busy, or it waited for a place in the pool `default`, which has 64 places (`pools`)
        2027-01-15 11:30:00Z  succeeded  01a3191c-92c0-8815-8c49-27b160b6e9b5
          it ran and succeeded after 1s; it began 6m after it was due: it waited for the run of 2027-01-15 11:20:00Z to end (`overlap`, `max_instances`)
        2027-01-15 11:20:00Z  succeeded  01a31913-6b00-8686-8609-c5976ea0fc1c
          it ran and succeeded after 1s"#]].assert_eq(&newest(&reading, "report").await);
}

#[tokio::test]
async fn runs_that_wait_say_for_what() {
    let mut changes = vec![Change::Job(seen("report")), Change::Job(seen("backup")), Change::Job(seen("chained"))];
    let waiting = run("backup", minutes(-3));
    changes.push(plan(&waiting));
    let alone = reading(changes.clone()).await;
    expect![[r#"
        2027-01-15 11:57:00Z  planned  01a31935-4ae0-80ca-bb37-fa4e96525b0e
          it has been due for 3m, and nothing that the ledger knows keeps it from beginning: the host is not running, or cannot write its ledger"#]]
    .assert_eq(&newest(&alone, "backup").await);
    let going = run("backup", minutes(-10));
    changes.extend([plan(&going), claim(&going, 1, going.due_at)]);
    let busy = reading(changes.clone()).await;
    expect![[r#"
        2027-01-15 11:57:00Z  planned  01a31935-4ae0-80ca-bb37-fa4e96525b0e
          it has been due for 3m and waits for an earlier run of the job to end: `max_instances` is 1, and as many go on
        2027-01-15 11:50:00Z  running  01a3192e-e240-83b6-be62-f05ed3f19450
          attempt 1 began 10m ago, longer than its `timeout` (1m now) allows: the host is gone, and its next start says what becomes of it (`delivery`)"#]]
    .assert_eq(&newest(&busy, "backup").await);
    let other = run("chained", minutes(-5));
    changes.extend([plan(&run("report", minutes(-1))), plan(&other), claim(&other, 1, other.due_at)]);
    let mut full = reading(changes).await;
    expect![[r#"
        2027-01-15 11:59:00Z  planned  01a31937-1fa0-8390-9a3e-f6407939db44
          it has been due for 1m, and nothing that the ledger knows keeps it from beginning: the host is not running, or cannot write its ledger"#]].assert_eq(&newest(&full, "report").await);
    full.manifest.pools.insert(PoolName::default(), NonZeroU32::MIN);
    expect![[r#"
        2027-01-15 11:59:00Z  planned  01a31937-1fa0-8390-9a3e-f6407939db44
          it has been due for 1m and waits for a place in the pool `default`, which has 1 place (`pools`); as many runs go on there"#]].assert_eq(&newest(&full, "report").await);
}

#[tokio::test]
async fn slots_without_a_row() {
    let mut state = seen("report");
    state.first_seen = minutes(-5 * 60);
    let changes = vec![Change::Job(state.clone()), Change::Watermark(minutes(-60))];
    let running = reading(changes).await;
    let instants = ["2027-01-15T13:00", "2027-01-15T11:30", "2027-01-15T10:30", "2027-01-15T05:00", "2027-01-15T11:35"];
    expect![[r#"
        2027-01-15 13:00:00Z  undecided
          it lies ahead, in 1h; slots become runs a few seconds before they are due
        2027-01-15 11:30:00Z  undecided
          slots are decided up to 2027-01-15 11:00:00Z, and this one came later: the host is not running, or cannot write its ledger. When it goes on, `misfire_grace` and `coalesce` say what becomes of it
        2027-01-15 10:30:00Z  forgotten
          it was decided, and the ledger has nothing of it: the job has another trigger in the manifest than the host knew last, of which this may have been no slot
        2027-01-15 05:00:00Z  no slot
          the job was first seen at 2027-01-15 07:00:00Z; slots before that are not counted
        2027-01-15 11:35:00Z  no slot
          that is no slot of the job: the one before is 2027-01-15 11:30:00Z, the one after 2027-01-15 11:40:00Z"#]].assert_eq(&at_each(&running, "report", &instants).await);
    let paused = JobState { paused: true, decided_until: minutes(-120), ..state.clone() };
    let paused = reading(vec![Change::Job(paused), Change::Watermark(minutes(-60))]).await;
    expect![[r#"
        2027-01-15 13:00:00Z  undecided
          it lies ahead, and the job is paused: it is skipped unless that ends before
        2027-01-15 11:30:00Z  undecided
          the job is paused; what becomes of the slots of a pause is decided when it ends"#]]
    .assert_eq(&at_each(&paused, "report", &instants[..2]).await);
    let trigger_hash = running.job(&job("report")).unwrap().trigger_hash;
    let pruned = JobState { trigger_hash, ..state.clone() };
    let pruned = reading(vec![Change::Job(pruned), Change::Watermark(minutes(-60))]).await;
    expect![[r#"
        2027-01-15 10:30:00Z  forgotten
          it was decided, and nothing is kept of it any more: 30d back, and at most 10000 runs (`keep`); or the job had another trigger then, of which this was no slot"#]].assert_eq(&at_each(&pruned, "report", &instants[2..3]).await);
    let removed = reading(vec![Change::Job(JobState { removed_at: Some(minutes(-90)), ..state })]).await;
    expect![[r#"
        2027-01-15 11:30:00Z  no slot
          the job was removed at 2027-01-15 10:30:00Z; it had no slots after that"#]]
    .assert_eq(&at_each(&removed, "report", &instants[1..2]).await);
}

#[tokio::test]
async fn gaps_hold_slots_and_what_lies_between_them() {
    let gap = skip("report", -60, -30, 4, SkipReason::Misfired);
    let reading = reading(vec![Change::Job(seen("report")), Change::Skip(gap)]).await;
    let instants = ["2027-01-15T11:00", "2027-01-15T11:20", "2027-01-15T11:25"];
    expect![[r#"
        2027-01-15 11:00:00Z  skipped: misfired
          it is one of 4 slots from 2027-01-15 11:00:00Z to 2027-01-15 11:30:00Z with one fate: nothing could start it in time: that was noticed 7m after the slot, later than its `misfire_grace` (5m now) allows. The host was not running, slept or was busy. A longer `misfire_grace`, or none, lets late slots run
        2027-01-15 11:20:00Z  skipped: misfired
          it is one of 4 slots from 2027-01-15 11:00:00Z to 2027-01-15 11:30:00Z with one fate: nothing could start it in time: that was noticed 7m after the slot, later than its `misfire_grace` (5m now) allows. The host was not running, slept or was busy. A longer `misfire_grace`, or none, lets late slots run
        2027-01-15 11:25:00Z  no slot
          that is no slot of the job: the one before is 2027-01-15 11:20:00Z, the one after 2027-01-15 11:30:00Z"#]].assert_eq(&at_each(&reading, "report", &instants).await);
}

#[tokio::test]
async fn local_times_are_those_of_the_job() {
    let slot = "2027-01-15T08:30:00Z".parse().unwrap();
    let mut changes = vec![Change::Job(seen("backup"))];
    changes.extend(ended(&run("backup", slot), OutcomeCode::Succeeded, ""));
    let reading = reading(changes).await;
    expect![[r#"
        2027-01-15 08:30:00Z  succeeded  01a31877-c740-80bc-9920-47ad526747fb
          it ran and succeeded after 1s
        2027-01-15 08:31:00Z  no slot
          that is no slot of the job: the one before is 2027-01-15 08:30:00Z, the one after 2027-01-16 08:30:00Z"#]]
    .assert_eq(&at_each(&reading, "backup", &["2027-01-15T09:30", "2027-01-15T09:31"]).await);
}

#[tokio::test]
async fn jobs_without_slots_or_without_a_past() {
    let reading = reading(vec![Change::Job(seen("gone"))]).await;
    let instant = ["2027-01-15T11:00"];
    let mut lines = Vec::new();
    for id in ["chained", "report", "gone", "repport"] {
        lines.push(newest(&reading, id).await);
        lines.push(at_each(&reading, id, &instant).await);
    }
    expect![[r#"
        # no host has seen the job yet with this ledger: start `clockjack up`
        2027-01-15 11:00:00Z  no slot
          the ledger has nothing of that instant, and the job has no slots of its own: it runs after `report` has succeeded
        # no host has seen the job yet with this ledger: start `clockjack up`
        2027-01-15 11:00:00Z  undecided
          no host has seen the job yet with this ledger: start `clockjack up`
        # no slot of the job is decided yet; `clockjack next` says when the next one is
        2027-01-15 11:00:00Z  no slot
          the ledger has nothing of that instant, and the job is not in the manifest, so that its slots are not known
        error: neither the ledger nor the manifest has a job `repport`; did you mean `report`?
        error: neither the ledger nor the manifest has a job `repport`; did you mean `report`?"#]].assert_eq(&lines.join("\n"));
}
