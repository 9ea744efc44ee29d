//! What templates are filled in with, and what is told of them when they are wrong.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;

use super::*;
use crate::{
    id::{JobId, RunId},
    payload::Payload,
    run::{Cause, Run},
};

fn attempt(payload: Option<Json>) -> Attempt {
    let job: JobId = "a".parse().unwrap();
    let slot = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let payload = payload.map(|json| Payload::new(json).unwrap());
    let cause = Cause::CatchUp(3);
    let run = Run { id: RunId::of_slot(&job, slot), job, scheduled_for: slot, due_at: slot, cause, payload };
    let started_at = slot + TimeDelta::milliseconds(1_500);
    Attempt { number: 2, number_max: 5, ..Attempt::only(Arc::new(run), started_at) }
}

fn filled(text: &str, payload: Json) -> Result<Filled, String> {
    Template::parse(text).unwrap().whole().unwrap().value(&attempt(Some(payload)))
}

fn text(text: &str) -> Result<String, String> {
    Template::parse(text)
        .unwrap()
        .text(&attempt(Some(json!({ "x": { "y": [1, { "z": "deep ${run.id}" }] }, "n": null }))))
}

#[test]
fn values_keep_their_types_and_become_text_among_others() {
    let payload = json!({ "x": { "y": [1, { "z": "deep" }] }, "n": null });
    assert_eq!(filled("${payload}", payload.clone()), Ok(Filled::Json(payload.clone())));
    assert_eq!(filled("${payload.x.y[0]}", payload.clone()), Ok(Filled::Json(json!(1))));
    assert_eq!(filled("${payload.x.y[1].z}", payload.clone()), Ok(Filled::Json(json!("deep"))));
    assert_eq!(filled("${payload.n}", payload.clone()), Ok(Filled::Json(Json::Null)));
    assert_eq!(filled("${payload.m:-7}", payload.clone()), Ok(Filled::Default("7".into())));
    assert_eq!(filled("${payload[1]}", json!([1, 2])), Ok(Filled::Json(json!(2))));
    assert_eq!(filled("${run.attempt}", payload.clone()), Ok(Filled::Json(json!(2))));
    assert_eq!(filled("${run.max_attempts}", payload.clone()), Ok(Filled::Json(json!(5))));
    assert_eq!(filled("${run.last_success}", payload.clone()), Ok(Filled::Json(Json::Null)));
    let slot = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    assert_eq!(filled("${run.scheduled_for}", payload), Ok(Filled::Instant(slot)));

    assert_eq!(
        text("of ${run.scheduled_for}, began ${run.started_at}").unwrap(),
        "of 2027-01-15T08:00:00Z, began 2027-01-15T08:00:01.500Z"
    );
    assert_eq!(text("${run.job}: ${run.cause} ${run.attempt}/${run.max_attempts}").unwrap(), "a: catch-up of 3 2/5");
    assert_eq!(text("<${payload.n}|${run.last_success}|${run.last_success:-never}>").unwrap(), "<||never>");
    assert_eq!(
        text("${payload.x.y} $ {x} $${run.id} $$${run.id}").unwrap(),
        r#"[1,{"z":"deep ${run.id}"}] $ {x} ${run.id} $${run.id}"#
    );
    assert_eq!(text("a ${payload.x.y[1].z}").unwrap(), "a deep ${run.id}", "what a value holds is not looked at again");
}

#[test]
fn what_is_not_there_is_told() {
    for (text, told) in [
        ("${payload.y}", "the payload has no `y`"),
        ("${payload.x.q}", "`x` has no `q`"),
        ("${payload.x.y[7]}", "`y` has no item 7"),
        ("${payload.x.y.z}", "`y` has no `z`"),
        ("${payload[0]}", "the payload has no item 0"),
    ] {
        let error = filled(text, json!({ "x": { "y": [] } })).unwrap_err();
        assert_eq!(error, format!("`{text}` cannot be filled in: {told}"));
    }
    let none = Template::parse("at ${payload.x}").unwrap().text(&attempt(None));
    assert_eq!(none, Err("`${payload.x}` cannot be filled in: the run has no payload".to_owned()));
}

#[test]
fn faults_have_their_place_and_a_hint() {
    for (text, place, message, fix) in [
        ("a ${run.idd} b", 2..12, "`${run.idd}` names nothing", "did you mean `${run.id}`?"),
        ("${run}", 0..6, "`${run}` names nothing", "did you mean `${run.id}`?"),
        ("${x}", 0..4, "`${x}` names nothing", "it may be one of run.id"),
        ("${payloud.x[0]}", 0..15, "`${payloud.x[0]}` names nothing", "did you mean `${payload.x[0]}`?"),
        ("${job.name}", 0..11, "`${job.name}` names nothing", "for the plain characters write `$${`"),
        ("${payload.}", 0..11, "`${payload.}` is no path into the payload", "payload.list[0]"),
        ("${payload.x[a]}", 0..15, "`${payload.x[a]}` is no path into the payload", "payload.list[0]"),
        ("x ${run.id", 2..10, "`${` has no closing `}`", "close it"),
    ] {
        let fault = Template::parse(text).unwrap_err();
        assert_eq!((fault.start..fault.end, &*fault.message), (place, message), "{text}");
        assert!(fault.fix.contains(fix), "{text}: {}", fault.fix);
    }
}

#[test]
fn what_is_escaped_is_plain_text() {
    for plain in ["", "$", "${", "${run.id}", "$${run.id}", "$$${", "a${b"] {
        assert_eq!(Template::parse(&escape(plain)).unwrap().literal(), Some(plain));
    }
    let mut json = json!({ "a": ["${run.id}", 1], "${b}": "c" });
    escape_all(&mut json);
    assert_eq!(json, json!({ "a": ["$${run.id}", 1], "${b}": "c" }));
}

#[test]
fn whole_values_are_filled_in() {
    let json =
        json!({ "at": "${run.scheduled_for}", "n": "${payload.n}", "all": ["x ${payload.n}", 1, null, "$${run.id}"] });
    let filled = fill(&json, &attempt(Some(json!({ "n": 7 })))).unwrap();
    assert_eq!((&filled["n"], &filled["all"]), (&json!(7), &json!(["x 7", 1, null, "${run.id}"])));
    assert!(filled["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{filled}");
    assert!(fill(&json, &attempt(None)).unwrap_err().contains("the run has no payload"));
}

#[test]
fn what_grows_without_bound_is_refused() {
    let large = attempt(Some(json!({ "x": "y".repeat(60_000) })));
    let many = vec!["${payload.x}"; 200];
    assert!(fill(&json!(many), &large).unwrap_err().contains("more than 4MiB"));
    assert!(Template::parse(&many.concat()).unwrap().text(&large).unwrap_err().contains("more than 4MiB"));
    assert!(fill(&json!(many[..50]), &large).is_ok());
}
