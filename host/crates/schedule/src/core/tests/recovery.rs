//! What a crash left goes on where it was: rows, claims, retries, pauses, and what was edited meanwhile.

use super::*;
use crate::{job::Delivery, ports::OpenRun};

fn open(job: &Job, slot: i64) -> OpenRun {
    let (scheduled_for, id) = (at(slot), RunId::of_slot(&job.id, at(slot)));
    let run = Arc::new(Run {
        id,
        job: job.id.clone(),
        scheduled_for,
        due_at: scheduled_for,
        cause: Cause::Schedule,
        payload: None,
    });
    OpenRun { run, n_attempts: 0, n_interrupted: 0, claimed_at: None, retry_at: None }
}

fn claimed(job: &Job, slot: i64) -> OpenRun {
    OpenRun { claimed_at: Some(at(slot)), ..open(job, slot) }
}

/// A host that comes back at `now` with a job that was decided until the watermark.
fn back(now: i64, job: &Arc<Job>, watermark: i64, open: Vec<OpenRun>) -> Script {
    let mut script = Script::default();
    let mut past = past(job, at(0), at(0));
    past.watermark = Some(at(watermark));
    past.row.open = open;
    script.input(now, Input::Add { job: Arc::clone(job), past: Some(past) }).tick(now);
    script
}

#[test]
fn rows_and_the_gap_behind_them_are_one_backlog() {
    let downtime = |coalesce| {
        let max_backlog = NonZeroU32::new(3).unwrap();
        let job = job("a", "every: 2s", Policy { coalesce, max_backlog, overlap: Overlap::Allow, ..Policy::default() });
        back(11_500, &job, 5_000, vec![open(&job, 2_000), open(&job, 4_000)])
    };
    downtime(Coalesce::Latest).check(expect![[r#"
        11500  skip a 2000 coalesced
        11500  skip a 4000 coalesced
        11500  skip a 6000..8000 (2 slots) coalesced
        11500  plan a 10000 (catch-up of 5)
        11500  plan a 12000 (schedule)
        11500  plan a 14000 (schedule)
        11500  plan a 16000 (schedule)
        11500  decided until 16500
        11500  START a 10000 (catch-up of 5)
    "#]]);
    downtime(Coalesce::Earliest).check(expect![[r#"
        11500  skip a 6000..10000 (3 slots) coalesced
        11500  skip a 4000 coalesced
        11500  take back
        11500  plan a 2000 (catch-up of 5)
        11500  plan a 12000 (schedule)
        11500  plan a 14000 (schedule)
        11500  plan a 16000 (schedule)
        11500  decided until 16500
        11500  START a 2000 (catch-up of 5)
    "#]]);
    downtime(Coalesce::All).check(expect![[r#"
        11500  skip a 2000 coalesced
        11500  skip a 4000 coalesced
        11500  plan a 6000 (schedule)
        11500  plan a 8000 (schedule)
        11500  plan a 10000 (schedule)
        11500  plan a 12000 (schedule)
        11500  plan a 14000 (schedule)
        11500  plan a 16000 (schedule)
        11500  decided until 16500
        11500  START a 6000 (schedule)
        11500  START a 8000 (schedule)
        11500  START a 10000 (schedule)
    "#]]);
}

#[test]
fn rows_that_are_still_ahead_start_on_time() {
    let job = job("a", "every: 2s", Policy::default());
    let mut script = back(1_500, &job, 5_000, vec![open(&job, 2_000), open(&job, 4_000)]);
    script.tick(2_000).check(expect![[r#"
        2000   START a 2000 (schedule)
    "#]]);
}

#[test]
fn an_attempt_that_a_crash_cut_is_tried_again_or_lost() {
    let cut = |policy: Policy, now| {
        let job = job("a", "every: 1h", policy);
        back(now, &job, 5_000, vec![claimed(&job, 2_000)])
    };
    cut(Policy::default(), 3_000).check(expect![[r#"
        3000   a cut, again: the host stopped or crashed during the attempt; it is tried again
        3000   START a 2000 (schedule) attempt 2
    "#]]);
    let once = Policy { delivery: Delivery::AtMostOnce, ..Policy::default() };
    cut(once, 3_000).check(expect![[r#"
        3000   a ends as lost: the host stopped or crashed during the attempt; it is not started twice (`delivery: at_most_once`)
    "#]]);
    let graced = Policy { misfire_grace: Some(Duration::from_secs(30)), ..Policy::default() };
    cut(graced, 60_000).check(expect![[r#"
        60000  a cut, again: the host stopped or crashed during the attempt; it is tried again
        60000  START a 2000 (schedule) attempt 2
    "#]]);
}

#[test]
fn a_run_that_stops_the_host_each_time_is_given_up() {
    let job = job("a", "every: 1h", Policy::default());
    let open = OpenRun { n_attempts: 10, n_interrupted: 10, ..claimed(&job, 2_000) };
    back(3_000, &job, 5_000, vec![open]).check(expect![[r#"
        3000   a ends as interrupted: the host stopped or crashed during the attempt, for the 11th time; it is not tried again
    "#]]);
}

#[test]
fn a_retry_comes_when_it_was_due() {
    let job = job("a", "every: 1h", Policy::default());
    let open = OpenRun { n_attempts: 2, retry_at: Some(at(9_000)), ..open(&job, 2_000) };
    let mut script = back(3_000, &job, 5_000, vec![open]);
    script.tick(8_999).tick(9_000).check(expect![[r#"
        9000   START a 2000 (schedule) attempt 3
    "#]]);
}

#[test]
fn a_pause_survives_and_its_slots_are_skipped_at_the_end_of_it() {
    let job = job("a", "every: 2s", Policy::default());
    let mut past = past(&job, at(0), at(1_500));
    past.row.state.paused = true;
    past.watermark = Some(at(5_000));
    let mut script = Script::default();
    script.input(9_000, Input::Add { job, past: Some(past) }).tick(9_000);
    script.check(expect![[r#""#]]);
    script.input(9_500, Input::Resume { job: "a".parse().unwrap(), from: ResumeFrom::Now }).tick(9_500);
    script.check(expect![[r#"
        9500   skip a 2000..8000 (4 slots) paused
        9500   a counts from 9500
        9500   plan a 10000 (schedule)
        9500   plan a 12000 (schedule)
        9500   plan a 14000 (schedule)
        9500   decided until 14500
    "#]]);
}

#[test]
fn only_a_change_of_the_manifest_changes_a_pause() {
    let with = |paused| job("a", "every: 2s", Policy { paused, ..Policy::default() });
    let back = |now_paused, then_in_manifest, then_paused| {
        let job = with(now_paused);
        let mut past = past(&job, at(0), at(1_500));
        past.row.state.paused = then_paused;
        past.row.state.paused_in_manifest = then_in_manifest;
        let mut script = Script::default();
        script.input(9_000, Input::Add { job, past: Some(past) }).tick(9_000);
        script
    };
    // A person resumed what the manifest pauses, and paused what it does not.
    back(true, true, false).check(expect![[r#"
        9000   skip a 2000..6000 (3 slots) coalesced
        9000   plan a 8000 (catch-up of 4)
        9000   plan a 10000 (schedule)
        9000   plan a 12000 (schedule)
        9000   plan a 14000 (schedule)
        9000   decided until 14000
        9000   START a 8000 (catch-up of 4)
    "#]]);
    back(false, false, true).check(expect![[r#""#]]);
    // The manifest was edited.
    back(true, false, false).check(expect![[r#"
        9000   a paused from 1500
    "#]]);
    back(false, true, true).check(expect![[r#"
        9000   skip a 2000..8000 (4 slots) paused
        9000   a counts from 9000
        9000   plan a 10000 (schedule)
        9000   plan a 12000 (schedule)
        9000   plan a 14000 (schedule)
        9000   decided until 14000
    "#]]);
}

#[test]
fn another_trigger_counts_from_now_and_old_rows_are_told() {
    let (before, after) = (job("a", "every: 2s", Policy::default()), job("a", "every: 3s", Policy::default()));
    let mut past = past(&before, at(0), at(0));
    past.watermark = Some(at(5_000));
    past.row.open = vec![open(&before, 2_000), open(&before, 4_000)];
    let mut script = Script::default();
    script.input(3_500, Input::Add { job: after, past: Some(past) }).tick(3_500);
    script.check(expect![[r#"
        3500   skip a 2000 removed
        3500   take back
        3500   a counts from 3500
        3500   plan a 6000 (schedule)
        3500   decided until 8500
    "#]]);
}

#[test]
fn what_is_in_no_manifest_any_more_ends() {
    let job = job("a", "every: 2s", Policy::default());
    let mut past = past(&job, at(0), at(0));
    past.row.open = vec![claimed(&job, 2_000), open(&job, 3_000), open(&job, 4_000)];
    let mut script = Script::default();
    script.input(3_500, Input::Forget(past)).tick(3_500);
    script.check(expect![[r#"
        3500   a ends as interrupted: the host stopped or crashed during the attempt, and the job has been removed since
        3500   skip a 3000 removed
        3500   take back
        3500   a is gone
    "#]]);
}

#[test]
fn a_month_of_missed_seconds_is_counted_and_not_walked() {
    let month = 30 * 24 * 3_600_000;
    let with = |coalesce| {
        let max_backlog = NonZeroU32::new(2).unwrap();
        job("a", "every: 1s", Policy { coalesce, max_backlog, overlap: Overlap::Allow, ..Policy::default() })
    };
    back(month, &with(Coalesce::All), 0, Vec::new()).check(expect![[r#"
        2592000000 skip a 1000..2591998000 (2591998 slots) coalesced
        2592000000 plan a 2591999000 (schedule)
        2592000000 plan a 2592000000 (schedule)
        2592000000 plan a 2592001000 (schedule)
        2592000000 plan a 2592002000 (schedule)
        2592000000 plan a 2592003000 (schedule)
        2592000000 plan a 2592004000 (schedule)
        2592000000 plan a 2592005000 (schedule)
        2592000000 decided until 2592005000
        2592000000 START a 2591999000 (schedule)
        2592000000 START a 2592000000 (schedule)
    "#]]);
    back(month, &with(Coalesce::Latest), 0, Vec::new()).check(expect![[r#"
        2592000000 skip a 1000..2591999000 (2591999 slots) coalesced
        2592000000 plan a 2592000000 (catch-up of 2592000)
        2592000000 plan a 2592001000 (schedule)
        2592000000 plan a 2592002000 (schedule)
        2592000000 plan a 2592003000 (schedule)
        2592000000 plan a 2592004000 (schedule)
        2592000000 plan a 2592005000 (schedule)
        2592000000 decided until 2592005000
        2592000000 START a 2592000000 (catch-up of 2592000)
    "#]]);
    let graced = Policy { misfire_grace: Some(Duration::from_secs(60)), ..Policy::default() };
    back(month, &job("a", "cron: '* * * * * *'", graced), 0, Vec::new()).check(expect![[r#"
        2592000000 skip a 1000..2591939000 (2591939 slots) misfired
        2592000000 skip a 2591940000..2591999000 (60 slots) coalesced
        2592000000 plan a 2592000000 (catch-up of 61)
        2592000000 plan a 2592001000 (schedule)
        2592000000 plan a 2592002000 (schedule)
        2592000000 plan a 2592003000 (schedule)
        2592000000 plan a 2592004000 (schedule)
        2592000000 plan a 2592005000 (schedule)
        2592000000 decided until 2592005000
        2592000000 START a 2592000000 (catch-up of 61)
    "#]]);
}
