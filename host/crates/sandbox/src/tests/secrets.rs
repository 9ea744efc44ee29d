//! Secrets: given by name alone, and not found in anything that an attempt leaves behind.

use clockjack_schedule::{
    ports::Vault,
    secret::{SecretGrants, SecretSource, SecretText},
};
use serde_json::{Value as Json, json};

use super::*;
use crate::LoadCode;

const REVEAL: &str = include_str!("../../../../../tests/guests/reveal.wat");

/// A value that no other text holds.
const VALUE: &str = "s3cr3t-\"value\"-of-the-test";

/// Has one variable.
struct TestVault;

impl Vault for TestVault {
    fn read(&self, source: &SecretSource) -> Result<SecretText, String> {
        match source {
            SecretSource::Env(name) if &**name == "KEY" => Ok(VALUE.to_owned().into()),
            other => Err(format!("{other} is not there")),
        }
    }
}

fn grants() -> Grants {
    let source = |variable: &str| SecretSource::Env(variable.into());
    let by_name = [("api-key", "KEY"), ("lost", "NOTHING")].map(|(name, at)| (name.parse().unwrap(), source(at)));
    Grants { secrets: SecretGrants { by_name: by_name.into(), ..SecretGrants::default() }, ..Grants::default() }
}

async fn run(function: &str, name: &str) -> Report {
    let plugin = load(REVEAL, false).unwrap();
    let args = Arguments::Named(serde_json::Map::from_iter([("name".to_owned(), Json::from(name))]));
    let call = Call::prepare(&plugin, Some(function), &args, &quick(), &grants())
        .map_err(|problems| format!("{problems:?}"))
        .unwrap();
    SANDBOX.clone().with_vault(Arc::new(TestVault)).run(&call, facts()).await
}

#[tokio::test]
async fn a_secret_is_given_by_its_granted_name() {
    assert_eq!(run("length", "api-key").await.outcome.output, Some(json!(VALUE.len())));
    assert_eq!(run("tell", "other").await.outcome.output, Some(json!("denied")));
    assert_eq!(run("tell", "").await.outcome.output, Some(json!("denied")));
    let lost = run("tell", "lost").await.outcome.output;
    assert_eq!(lost, Some(json!("the environment variable `NOTHING` is not there")));
}

#[tokio::test]
async fn nothing_that_is_left_behind_holds_the_value() {
    let told = run("tell", "api-key").await;
    assert_eq!(told.outcome.output, Some(json!("[secret api-key]")));
    let slipped = run("slip", "api-key").await;
    assert_eq!(slipped.outcome.code, OutcomeCode::Failed);
    assert_eq!(slipped.outcome.message, "[secret api-key]");
    assert_eq!(slipped.outcome.output, Some(json!("[secret api-key]")));
    assert_eq!(slipped.progress.as_deref(), Some("1: [secret api-key]"));
    assert_eq!(slipped.logs[0].message, "[secret api-key]");
    assert_eq!(slipped.logs[0].fields, [("[secret api-key]".to_owned(), "[secret api-key]".to_owned())]);
    assert!(!format!("{told:?} {slipped:?} {:?}", grants()).contains("s3cr3t"));
}

#[test]
fn without_any_secret_the_job_is_refused_with_the_key_to_add() {
    let plugin = load(REVEAL, false).unwrap();
    let args = Arguments::Named(serde_json::Map::from_iter([("name".to_owned(), Json::from("api-key"))]));
    let problems = Call::prepare(&plugin, Some("tell"), &args, &quick(), &Grants::default()).err().unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((problems[0].path.as_str(), problems[0].error.code), ("grants.secrets", LoadCode::Import));
    assert!(problems[0].error.fix.starts_with("add `grants: { secrets: [NAME] }`"), "{}", problems[0].error.fix);
}

#[tokio::test]
async fn a_variable_that_cannot_be_set_fails_the_attempt() {
    let plugin = load(REVEAL, false).unwrap();
    let mut grants = grants();
    let lost = ("lost".parse().unwrap(), SecretSource::Env("NOTHING".into()));
    grants.secrets.by_variable = [("TOKEN".to_owned(), lost)].into();
    let args = Arguments::Named(serde_json::Map::from_iter([("name".to_owned(), Json::from("api-key"))]));
    let call = Call::prepare(&plugin, Some("tell"), &args, &quick(), &grants).ok().unwrap();
    let report = SANDBOX.clone().with_vault(Arc::new(TestVault)).run(&call, facts()).await;
    assert_eq!(report.outcome.code, OutcomeCode::Failed);
    let said = "the secret `lost` (`grants.env.TOKEN`) cannot be had: the environment variable `NOTHING` is not there";
    assert_eq!(report.outcome.message, said);
}
