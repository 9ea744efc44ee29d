//! Other code for a job: what attempts run that go on, that begin, and that follow others.

use std::future::poll_fn;

use clockjack_schedule::ports::{CodePin, Executor as _};
use serde_json::json;

use super::*;
use crate::SandboxExecutor;

/// A plugin whose function returns a number.
fn returning(number: u32) -> Arc<Plugin> {
    let wat = format!(
        "(component (core module $m (func (export \"run\") (result i32) (i32.const {number})))
           (core instance $i (instantiate $m))
           (func (export \"run\") (result u32) (canon lift (core func $i \"run\"))))"
    );
    load(&wat, false).unwrap()
}

/// A plugin whose function never ends by itself.
fn spinning() -> Arc<Plugin> {
    load(&component("(func (export \"run\") (loop (br 0)))"), false).unwrap()
}

fn plain(id: &str) -> Arc<Job> {
    job(id, Limits::default(), Grants::default())
}

/// An attempt of a job, which runs the same as another one where that is said.
fn attempt(job: &str, code: Option<CodePin>) -> Attempt {
    let first = facts().attempt;
    let run = Arc::new(Run { job: job.parse().unwrap(), ..Run::clone(&first.run) });
    Attempt { run, code, ..first }
}

/// What an attempt returned, and of which generation it was.
fn told(report: &Report) -> (Option<serde_json::Value>, u32) {
    assert_eq!(report.outcome.code, OutcomeCode::Succeeded, "{}", report.outcome.message);
    (report.outcome.output.clone(), report.generation)
}

#[tokio::test]
async fn an_attempt_that_goes_on_finishes_on_its_own_code_and_the_next_one_has_the_new() {
    let executor = SandboxExecutor::new(SANDBOX.clone());
    executor.put_all(vec![prepared(&plain("a"), &spinning(), 3)]);
    let first = attempt("a", None);
    let (stop, chosen) = (first.stop.clone(), Arc::clone(&first.generation));
    let mut going = executor.execute(first);
    assert_eq!(chosen.get(), Some(&3), "it is known before the guest begins");
    let is_pending = poll_fn(|context| std::task::Poll::Ready(going.as_mut().poll(context).is_pending())).await;
    assert!(is_pending);
    executor.put_all(vec![prepared(&plain("a"), &returning(4), 4)]);
    let second = attempt("a", None);
    let chosen = Arc::clone(&second.generation);
    let next = executor.execute(second).await;
    assert_eq!((told(&next), chosen.get()), ((Some(json!(4)), 4), Some(&4)));
    stop.request();
    let first = going.await;
    assert_eq!((first.outcome.code, first.generation), (OutcomeCode::Cancelled, 3));
    assert_ne!(first.digest, next.digest);
}

#[tokio::test]
async fn all_jobs_of_a_plugin_get_its_new_code_at_one_moment() {
    let executor = SandboxExecutor::new(SANDBOX.clone());
    let jobs: Vec<_> = (0..50).map(|n| plain(&format!("j{n}"))).collect();
    let plugins = [returning(1), returning(2)];
    let put = |generation: u32| {
        let plugin = &plugins[usize::try_from(generation % 2).unwrap()];
        executor.put_all(jobs.iter().map(|job| prepared(job, plugin, generation)).collect());
    };
    put(1);
    let asked = executor.clone();
    let (first, last) = (jobs[0].id.clone(), jobs[49].id.clone());
    let looks = std::thread::spawn(move || {
        let generation = |job| asked.prepared(job).unwrap().generation;
        // Looked at one after the other, the later look never sees older code.
        let mut n_changes = 0;
        while n_changes < 20_000 {
            let (one, two) = (generation(&first), generation(&last));
            assert!(one <= two, "{one} {two}");
            if two == 200 {
                return;
            }
            n_changes += 1;
        }
    });
    (2..=200).for_each(put);
    looks.join().unwrap();
}

#[tokio::test]
async fn a_retry_on_the_same_code_runs_it_under_what_the_job_is_now() {
    let executor = SandboxExecutor::new(SANDBOX.clone());
    executor.put_all(vec![prepared(&plain("a"), &returning(1), 1)]);
    let first = executor.execute(attempt("a", None)).await;
    let pin = first.code.clone().expect("what ran can be kept");
    executor.put_all(vec![prepared(&plain("a"), &returning(2), 2)]);
    let same = attempt("a", Some(pin.clone()));
    let chosen = Arc::clone(&same.generation);
    let same = executor.execute(same).await;
    assert_eq!((told(&same), chosen.get(), same.digest), ((Some(json!(1)), 1), Some(&1), first.digest));
    // Less memory than the old code needs, and instructions that it cannot count.
    let too_little = Limits { fuel: Some(1_000_000), ..Limits::default() };
    let metered = load(&component("(func (export \"run\"))"), true).unwrap();
    executor.put_all(vec![prepared(&job("a", too_little, Grants::default()), &metered, 3)]);
    let other = attempt("a", Some(pin.clone()));
    let chosen = Arc::clone(&other.generation);
    let other = executor.execute(other).await;
    assert_eq!((told(&other), chosen.get()), ((None, 3), Some(&3)), "what does not fit runs the latest");
    // The job runs another plugin by now: what was before is not the same of anything.
    let elsewhere = plain("a");
    let setup = Setup { plugin: "q".parse().unwrap(), ..Setup::clone(&elsewhere.setup) };
    let elsewhere = Arc::new(Job { setup: Arc::new(setup), ..Job::clone(&elsewhere) });
    executor.put_all(vec![prepared(&elsewhere, &returning(5), 1)]);
    assert_eq!(told(&executor.execute(attempt("a", Some(pin))).await), (Some(json!(5)), 1));
}

#[tokio::test]
async fn old_code_is_freed_when_nothing_runs_it_any_more() {
    let executor = SandboxExecutor::new(SANDBOX.clone());
    let old = returning(1);
    executor.put_all(vec![prepared(&plain("a"), &old, 1), prepared(&plain("b"), &old, 1)]);
    let report = executor.execute(attempt("a", None)).await;
    let weak = Arc::downgrade(&old);
    drop(old);
    executor.put_all(vec![prepared(&plain("a"), &returning(2), 2)]);
    executor.retain(|job| job.as_str() == "a");
    assert!(weak.upgrade().is_some(), "the report keeps it");
    drop(report);
    assert!(weak.upgrade().is_none());
}

#[test]
fn what_is_imported_without_a_grant_is_told_apart_and_can_be_approved() {
    let remembering = load(include_str!("../../../../../tests/guests/remember.wat"), false).unwrap();
    let (ungranted, folder) = (plain("a"), Path::new(""));
    let mut setup = Setup::clone(&ungranted.setup);
    setup.call = Some(remembering.functions[0].name.as_str().into());
    let recipe = Recipe::of(&setup, folder);
    let held = recipe.prepare(&remembering, Imports::Granted).err().expect("state is not granted");
    assert!(held.iter().any(crate::CallProblem::is_missing_grant), "{held:?}");
    let approved = recipe.prepare(&remembering, Imports::Approved);
    let others: Vec<_> = held.iter().filter(|problem| !problem.is_missing_grant()).cloned().collect();
    assert_eq!(approved.err().unwrap_or_default(), others, "everything else is checked all the same");
    // Something else that is wrong is no missing grant.
    let setup = Setup { call: Some("absent".into()), ..setup };
    let wrong = Recipe::of(&setup, folder).prepare(&remembering, Imports::Approved).err().expect("no such function");
    assert!(!wrong.iter().any(crate::CallProblem::is_missing_grant), "{wrong:?}");
}
