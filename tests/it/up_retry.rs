//! `retry`: how many attempts there are, when each begins, what the guest has to say, and what is kept of each.

use chrono::TimeDelta;
use serde_json::{Value as Json, json};

use crate::hosted::{Hosted, at, each, ends, list, text, wait};

const JOBS: [&str; 9] = ["growing", "permanent", "asked", "later", "not-wanted", "wanted", "done", "numbered", "told"];

const MANIFEST: &str = "
defaults: { run_on_start: true }
jobs:
  growing:
    plugin: typed
    call: divide
    args: { dividend: 1, divisor: 0 }
    every: 1h
    retry: { attempts: 4, backoff: 100ms, max_backoff: 250ms, jitter: 0% }
  permanent:
    plugin: hostile
    call: fail
    args: { kind: permanent, message: no use }
    every: 1h
    retry: { attempts: 5, backoff: 1ms }
  asked:
    plugin: hostile
    call: fail
    args: { kind: retry, message: once more }
    every: 1h
    retry: { attempts: 2, backoff: 1ms }
  later:
    plugin: hostile
    call: fail
    args: { kind: retry-after, message: in a second }
    every: 1h
    retry: { attempts: 2, backoff: 1ms }
  not-wanted: { plugin: typed, call: refuse, every: 1h, retry: { attempts: 3, backoff: 1ms, on: [timeout] } }
  wanted:
    plugin: hostile
    call: sleep-ms
    args: { ms: 120000 }
    every: 1h
    timeout: 200ms
    retry: { attempts: 2, backoff: 1ms, on: [timeout] }
  done: { plugin: hostile, call: fail, args: { kind: skipped, message: empty }, every: 1h, retry: { attempts: 3 } }
  numbered: { plugin: command, args: ['--exit=7'], every: 1h, retry: { attempts: 3, backoff: 1ms } }
  told: { plugin: typed, call: facts, every: 1h, retry: { attempts: 6 } }
";

/// How long after the end of each attempt the next one began.
fn waits(attempts: &[Json]) -> Vec<TimeDelta> {
    attempts.windows(2).map(|pair| at(&pair[1], "started_at") - at(&pair[0], "finished_at")).collect()
}

#[test]
fn every_attempt_is_made_and_kept_as_the_job_and_the_guest_say() {
    let hosted = Hosted::with(MANIFEST);
    let mut host = hosted.up(&[]).start();
    for job in JOBS {
        wait(&mut host, job, ends(job));
    }
    drop(host);
    for (job, outcomes) in [
        ("growing", &["failed"; 4][..]),
        ("permanent", &["failed"]),
        ("asked", &["failed"; 2]),
        ("later", &["failed"; 2]),
        ("not-wanted", &["failed"]),
        ("wanted", &["timeout.wall"; 2]),
        ("done", &["skipped"]),
        ("numbered", &["failed"; 3]),
        ("told", &["succeeded"]),
    ] {
        let run = hosted.only(job);
        let attempts = list(&run["attempt_list"]);
        assert_eq!(each(&attempts, "outcome"), outcomes, "{job}: {run:#}");
        let numbers: Vec<_> = attempts.iter().filter_map(|attempt| attempt["number"].as_u64()).collect();
        assert_eq!(numbers, (1..=outcomes.len() as u64).collect::<Vec<_>>(), "{job}");
        assert_eq!(
            (&run["attempts"], &run["outcome"]),
            (&json!(outcomes.len()), &attempts[outcomes.len() - 1]["outcome"])
        );
    }
    let attempts = |job| list(&hosted.only(job)["attempt_list"]);
    // 100 ms, twice as much, and the cap.
    let [first, second, third] = waits(&attempts("growing"))[..] else { panic!("three waits") };
    for (wait, millis) in [(first, 100), (second, 200), (third, 250)] {
        assert!(TimeDelta::milliseconds(millis) <= wait, "{wait} is shorter than {millis} ms");
    }
    assert!(waits(&attempts("later")).iter().all(|wait| TimeDelta::seconds(1) <= *wait), "{:#?}", attempts("later"));
    assert!(text(&attempts("permanent")[0], "error").contains("no use"));
    for (index, attempt) in attempts("numbered").iter().enumerate() {
        let told = format!("env CLOCKJACK_ATTEMPT={}\n", index + 1);
        assert!(text(attempt, "stdout").contains(&told), "{told}: {attempt:#}");
    }
    let facts = &hosted.only("told")["output"];
    assert_eq!((&facts["attempt"], &facts["max-attempts"]), (&json!(1), &json!(6)), "{facts:#}");
    let second = hosted.read(&["logs", "numbered", "--attempt", "2"]).ends_with(0);
    assert!(second.stdout.contains("env CLOCKJACK_ATTEMPT=2"), "{}", second.stdout);
    let why = list(&hosted.json(&["why", "growing"]));
    assert!(text(&why[0], "explanation").contains("the last of 4 attempts"), "{why:#?}");
}

/// An attempt that is due later is due at that instant also for the next host.
#[test]
fn a_wait_for_the_next_attempt_outlives_the_host() {
    let job = "{ plugin: typed, call: refuse, every: 1h, run_on_start: true,
        retry: { attempts: 3, backoff: 1500ms, jitter: 0% } }";
    let hosted = Hosted::with(&format!("jobs: {{ refuse: {job} }}"));
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "the first attempt", |line| line.message.contains("tried again"));
    host.signal("KILL");
    drop(host);
    let open = hosted.runs("refuse")[0].clone();
    assert_eq!((&open["state"], &open["attempts"]), (&json!("retrying"), &json!(1)), "{open:#}");
    let retry_at = at(&open, "retry_at");
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "the last attempt", ends("refuse"));
    drop(host);
    let attempts = list(&hosted.only("refuse")["attempt_list"]);
    assert_eq!(each(&attempts, "outcome"), ["failed"; 3]);
    assert!(retry_at <= at(&attempts[1], "started_at"), "{retry_at}: {attempts:#?}");
    assert!(TimeDelta::milliseconds(3_000) <= waits(&attempts)[1], "the wait has doubled: {attempts:#?}");
}
