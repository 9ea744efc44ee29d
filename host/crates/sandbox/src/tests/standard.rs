//! A component that knows only standard interfaces: its bucket is the state of the job, its settings are its variables.

use clockjack_schedule::ports::{LogLevel, States};
use serde_json::{Value as Json, json};

use super::*;

const STANDARD: &str = include_str!("../../../../../tests/guests/standard.wat");

async fn run(states: &Arc<Unkept>, function: &str, args: &[(&str, &str)], grants: &Grants) -> Report {
    let plugin = load(STANDARD, false).unwrap();
    let args = args.iter().map(|(name, value)| ((*name).to_owned(), Json::from(*value))).collect();
    let call = Call::prepare(&plugin, Some(function), &Arguments::Named(args), &quick(), grants)
        .map_err(|problems| format!("{problems:?}"))
        .unwrap();
    let mut facts = facts();
    facts.attempt.states = StateAccess(Arc::clone(states) as Arc<dyn States>);
    let report = SANDBOX.run(&call, facts).await;
    if let Some(draft) = &report.state {
        let change = draft.book().settle(draft).unwrap();
        draft.book().arrived(&change);
    }
    report
}

fn granted() -> Grants {
    let env = [("LEVEL".to_owned(), "info".to_owned())].into();
    Grants { state: true, env, ..Grants::default() }
}

#[tokio::test]
async fn a_bucket_is_the_state_of_the_job() {
    let states = Arc::new(Unkept::default());
    for sum in [5, 10] {
        let report = run(&states, "hit", &[], &granted()).await;
        assert_eq!((report.outcome.output, report.outcome.message.as_str()), (Some(json!(sum)), ""));
        let line = &report.logs[0];
        assert_eq!((line.level, line.message.as_str()), (LogLevel::Error, "none"));
        assert_eq!(line.fields, [("context".to_owned(), "hits".to_owned())]);
    }
    let draft = clockjack_schedule::state::Draft::new(states.open(&"test".parse().unwrap()).await.unwrap(), 0);
    assert_eq!(draft.get("hits").unwrap().unwrap().value[..], *b"10");
}

#[tokio::test]
async fn there_is_one_bucket() {
    let states = Arc::new(Unkept::default());
    for (name, code) in [("", 0), ("default", 0), ("other", 1)] {
        let report = run(&states, "open", &[("name", name)], &granted()).await;
        assert_eq!(report.outcome.output, Some(json!(code)), "`{name}`: {}", report.outcome.message);
    }
}

#[tokio::test]
async fn settings_are_the_variables_of_the_job() {
    let states = Arc::new(Unkept::default());
    for (key, value) in [("LEVEL", "info"), ("PATH", "none"), ("", "none")] {
        let report = run(&states, "setting", &[("key", key)], &granted()).await;
        assert_eq!(report.outcome.output, Some(json!(value)), "`{key}`: {}", report.outcome.message);
    }
}

#[test]
fn without_the_grant_the_job_is_refused() {
    let plugin = load(STANDARD, false).unwrap();
    let problems = Call::prepare(&plugin, Some("hit"), &Arguments::None, &quick(), &Grants::default()).err().unwrap();
    assert_eq!(problems.len(), 1, "settings and logging ask for nothing: {problems:?}");
    assert_eq!(problems[0].path, "grants.state");
    assert!(problems[0].error.message.contains("wasi:keyvalue"), "{}", problems[0].error.message);
}
