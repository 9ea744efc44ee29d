//! What is counted, and what of it is shown.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    diagnostic::Source,
    id::RunId,
    job::{Ceilings, Job},
    manifest::{
        directories::Found,
        resolve::{ResolveOptions, resolve},
    },
    outcome::{Outcome, OutcomeCode},
    ports::{Again, Finish, Report},
    run::{Cause, JobState, Run, Skip, SkipReason},
    zone::Zones,
};

use super::*;
use crate::shell::{Event, ManifestNews};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn now() -> DateTime<Utc> {
    at("2026-11-22T10:00:00Z")
}

fn jobs(n_jobs: usize) -> Vec<Arc<Job>> {
    let job = |index: usize| format!("  job-{index}: {{ plugin: ./a.wasm, cron: \"30 10 * * *\" }}\n");
    let text: String = ["jobs:\n".to_owned()].into_iter().chain((0..n_jobs).map(job)).collect();
    let options = ResolveOptions {
        zones: &Zones::bundled(),
        variables: &|_| None,
        folders: &[".".into()],
        ceilings: &Ceilings::default(),
        n_named: 1,
        found: Found::default(),
    };
    let (manifest, found) = resolve(&[Source::new("clockjack.yaml", text)], &options);
    manifest.unwrap_or_else(|| panic!("{found:?}")).jobs.into_values().collect()
}

fn run(job: &Job) -> Arc<Run> {
    let slot = now() - TimeDelta::seconds(10);
    let id = RunId::of_slot(&job.id, slot);
    let (job, cause) = (job.id.clone(), Cause::Schedule);
    Arc::new(Run { id, job, scheduled_for: slot, due_at: slot, cause, payload: None })
}

fn finish(run: &Run, code: OutcomeCode, n_attempts: u32) -> Finish {
    let mut report = Report::without_guest(Outcome::ended(code, ""));
    (report.cpu_time, report.memory_peak_bytes) = (Duration::from_millis(1_500), 1 << 20);
    Finish {
        run: run.id,
        job: run.job.clone(),
        started_at: Some(run.due_at + TimeDelta::milliseconds(30)),
        finished_at: now(),
        duration: Duration::from_millis(70),
        n_attempts,
        report,
        state: None,
    }
}

fn shown(meter: &Meter) -> String {
    let plugins = vec![("a".to_owned(), 3, true)];
    text(meter, Scene { now: now(), started_at: now() - TimeDelta::hours(1), plugins, n_listeners: 2 })
}

#[track_caller]
fn assert_has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|known| known == *line), "no `{line}` in\n{text}");
    }
}

#[test]
fn runs_attempts_and_skips_are_counted_by_job() {
    let (meter, job) = (Meter::default(), jobs(1).remove(0));
    meter.job_in_force(&job, None);
    let run = run(&job);
    let again = Again { finish: finish(&run, OutcomeCode::Failed, 1), retry_at: now() };
    meter.see(&Event::AttemptEnded { run: Arc::clone(&run), again: Arc::new(again) });
    let done = Arc::new(finish(&run, OutcomeCode::Succeeded, 2));
    meter.see(&Event::RunFinished { run: Arc::clone(&run), finish: done });
    let gap = Skip { count: 7, ..run.skipped(SkipReason::Misfired, now()) };
    meter.see(&Event::Skipped(gap));
    assert_has(
        &shown(&meter),
        &[
            "# TYPE clockjack_runs counter",
            "clockjack_runs_total{job_name=\"job-0\",outcome=\"succeeded\"} 1",
            "clockjack_slots_skipped_total{job_name=\"job-0\",reason=\"misfired\"} 7",
            "clockjack_attempts_total{job_name=\"job-0\"} 2",
            "clockjack_retries_total{job_name=\"job-0\"} 1",
            "clockjack_run_duration_seconds_count{job_name=\"job-0\"} 2",
            "clockjack_run_duration_seconds_sum{job_name=\"job-0\"} 0.14",
            "clockjack_run_duration_seconds_bucket{le=\"0.025\",job_name=\"job-0\"} 0",
            "clockjack_run_duration_seconds_bucket{le=\"0.1\",job_name=\"job-0\"} 2",
            // Of a run that is tried again only the first attempt says how late it began.
            "clockjack_run_start_lateness_seconds_count{job_name=\"job-0\"} 1",
            "clockjack_run_start_lateness_seconds_bucket{le=\"+Inf\",job_name=\"job-0\"} 1",
            "clockjack_guest_cpu_seconds_total{job_name=\"job-0\"} 3.0",
            "clockjack_guest_memory_peak_bytes{job_name=\"job-0\"} 1048576",
            "clockjack_job_last_run_success{job_name=\"job-0\"} 1",
            "clockjack_job_next_slot_timestamp_seconds{job_name=\"job-0\"} 1795343400.0",
            "clockjack_plugin_generation{plugin=\"a\"} 3",
            "clockjack_plugin_candidate_waiting{plugin=\"a\"} 1",
            "clockjack_event_readers 2",
        ],
    );
}

#[test]
fn a_paused_job_has_no_next_slot_and_a_removed_one_no_series() {
    let (meter, job) = (Meter::default(), jobs(1).remove(0));
    meter.job_in_force(&job, None);
    let state = JobState {
        job: job.id.clone(),
        first_seen: now(),
        decided_until: now(),
        paused: true,
        paused_with_all: false,
        paused_in_manifest: false,
        trigger_hash: 0,
        removed_at: None,
    };
    meter.job_state(&state);
    let text = shown(&meter);
    assert_has(&text, &["clockjack_job_paused{job_name=\"job-0\"} 1", "clockjack_jobs 1"]);
    assert!(!text.contains("clockjack_job_next_slot_timestamp_seconds{"), "{text}");
    meter.job_gone(&job.id);
    // What is still told of it makes no new series.
    let run = run(&job);
    let done = Arc::new(finish(&run, OutcomeCode::Succeeded, 1));
    meter.see(&Event::RunFinished { run, finish: done });
    let text = shown(&meter);
    assert!(!text.contains("job_name"), "{text}");
}

#[test]
fn jobs_beyond_the_bound_are_counted_together() {
    let (meter, jobs) = (Meter::default(), jobs(JOBS_METERED_MAX + 2));
    jobs.iter().for_each(|job| meter.job_in_force(job, None));
    for job in &jobs[JOBS_METERED_MAX..] {
        let run = run(job);
        let done = Arc::new(finish(&run, OutcomeCode::Fuel, 1));
        meter.see(&Event::RunFinished { run, finish: done });
    }
    let text = shown(&meter);
    assert_has(
        &text,
        &["clockjack_metrics_jobs_dropped 2", "clockjack_runs_total{job_name=\"_other\",outcome=\"fuel\"} 2"],
    );
}

#[test]
fn a_refused_manifest_is_told_until_one_is_in_force() {
    let meter = Meter::default();
    let read = |refused: Option<&str>| {
        meter.see(&Event::Manifest(Arc::new(ManifestNews {
            cause: "test".to_owned(),
            refused: refused.map(str::to_owned),
            jobs: [0; 4],
            findings: Vec::new(),
            sources: Vec::new(),
        })));
    };
    meter.turned(now(), std::iter::empty());
    assert_has(&shown(&meter), &["clockjack_manifest_ok 1"]);
    read(Some("broken"));
    assert_has(&shown(&meter), &["clockjack_manifest_ok 0", "clockjack_manifest_reloads_total{result=\"refused\"} 1"]);
    read(None);
    assert_has(&shown(&meter), &["clockjack_manifest_ok 1", "clockjack_manifest_reloads_total{result=\"ok\"} 1"]);
}
