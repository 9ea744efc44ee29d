//! What a job remembers: buffered in its attempt, handed out with its success, closed without a grant.

use clockjack_schedule::{
    ports::States,
    state::{Draft, Refusal, StateChange},
};
use serde_json::{Value as Json, json};

use super::*;
use crate::LoadCode;

const REMEMBER: &str = include_str!("../../../../../tests/guests/remember.wat");

static PLUGIN: LazyLock<Arc<Plugin>> = LazyLock::new(|| load(REMEMBER, false).unwrap());

fn granted() -> Grants {
    Grants { state: true, ..Grants::default() }
}

fn prepared(function: &str, args: Json, limits: &Limits) -> Call {
    let Json::Object(args) = args else { panic!("arguments have names") };
    Call::prepare(&PLUGIN, Some(function), &Arguments::Named(args), limits, &granted())
        .map_err(|problems| format!("{problems:?}"))
        .unwrap()
}

/// One attempt over the state that `states` has.
async fn attempt(states: &Arc<Unkept>, call: &Call) -> Report {
    let mut facts = facts();
    facts.attempt.states = StateAccess(Arc::clone(states) as Arc<dyn States>);
    SANDBOX.run(call, facts).await
}

/// What whoever ends a run does with what it wrote.
fn keep(draft: &Draft) -> Result<StateChange, Refusal> {
    let change = draft.book().settle(draft)?;
    draft.book().arrived(&change);
    Ok(change)
}

async fn run(states: &Arc<Unkept>, function: &str, args: Json) -> Json {
    let report = attempt(states, &prepared(function, args, &quick())).await;
    assert_eq!(report.outcome.code, OutcomeCode::Succeeded, "{}", report.outcome.message);
    report.state.iter().for_each(|draft| drop(keep(draft).unwrap()));
    report.outcome.output.unwrap()
}

#[tokio::test]
async fn state_goes_from_run_to_run_with_success_alone() {
    let states = Arc::new(Unkept::default());
    assert_eq!(run(&states, "count", json!({})).await, json!(1));
    let report = attempt(&states, &prepared("count-and-trap", json!({}), &quick())).await;
    assert_eq!((report.outcome.code.as_str(), report.state), ("trap.unreachable", None));
    assert_eq!(run(&states, "count", json!({})).await, json!(2));
    assert_eq!(run(&states, "remove", json!({ "key": "n" })).await, json!(0));
    assert_eq!(run(&states, "count", json!({})).await, json!(1));
}

#[tokio::test]
async fn a_checkpoint_stays_whatever_becomes_of_the_run() {
    let states = Arc::new(Unkept::default());
    let report = attempt(&states, &prepared("checkpoint-and-trap", json!({}), &quick())).await;
    assert_eq!((report.outcome.code.as_str(), report.state), ("trap.unreachable", None));
    assert_eq!(run(&states, "count", json!({})).await, json!(2));
}

#[tokio::test]
async fn two_attempts_do_not_count_the_same_number() {
    let states = Arc::new(Unkept::default());
    let call = prepared("count", json!({}), &quick());
    let (first, second) = (attempt(&states, &call).await, attempt(&states, &call).await);
    assert_eq!(first.outcome.output, second.outcome.output, "neither saw the other");
    assert!(keep(&first.state.unwrap()).is_ok());
    let refused = keep(&second.state.unwrap()).unwrap_err().to_string();
    assert_eq!(
        refused,
        "another run of the job wrote what this attempt had looked at in its state, so that nothing of this attempt's was kept"
    );
}

#[tokio::test]
async fn limits_and_keys_are_errors_that_change_nothing() {
    let states = Arc::new(Unkept::default());
    let put = async |key: &str, n_bytes: u32, limits: &Limits| {
        let call = prepared("put", json!({ "key": key, "n-bytes": n_bytes }), limits);
        let report = attempt(&states, &call).await;
        report.state.iter().for_each(|draft| drop(keep(draft).unwrap()));
        report.outcome.output.unwrap()
    };
    let limits = Limits { state_bytes_max: 1_000, ..quick() };
    assert_eq!(put("k", 999, &limits).await, json!(0));
    assert_eq!(put("k", 1_000, &limits).await, json!(3), "quota");
    assert_eq!(put("l", 0, &limits).await, json!(3), "quota");
    assert_eq!(run(&states, "size", json!({ "key": "k" })).await, json!(999), "nothing is lost");
    assert_eq!(put("", 1, &limits).await, json!(2), "invalid-key");
    assert_eq!(put(&"k".repeat(257), 1, &limits).await, json!(2), "invalid-key");
    assert_eq!(put(&"k".repeat(256), 1, &quick()).await, json!(0));
    assert_eq!(run(&states, "size", json!({ "key": "" })).await, json!(2_000_002), "invalid-key");
    assert_eq!(run(&states, "size", json!({ "key": "none" })).await, json!(1_000_000));
}

#[tokio::test]
async fn a_checkpoint_with_nothing_to_keep_is_none() {
    let states = Arc::new(Unkept::default());
    assert_eq!(run(&states, "keep", json!({})).await, json!(0));
    let report = attempt(&states, &prepared("size", json!({ "key": "n" }), &quick())).await;
    assert_eq!(report.state, None, "who only reads has nothing to keep");
}

#[test]
fn without_the_grant_the_job_is_refused_with_the_key_to_add() {
    let args = Arguments::Named(serde_json::Map::new());
    let problems = Call::prepare(&PLUGIN, Some("count"), &args, &quick(), &Grants::default()).err().unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((problems[0].path.as_str(), problems[0].error.code), ("grants.state", LoadCode::Import));
    assert_eq!(
        problems[0].error.message,
        "the component imports `clockjack:job/state@0.1.0`, which needs the grant `state`"
    );
    assert_eq!(problems[0].error.fix, "add `grants: { state: true }`");
}

#[tokio::test]
async fn without_the_grant_the_interface_is_closed() {
    let mut call = prepared("size", json!({ "key": "n" }), &quick());
    call.grants.state = false;
    let report = attempt(&Arc::new(Unkept::default()), &call).await;
    assert_eq!(report.outcome.output, Some(json!(2_000_001)), "denied");
}
