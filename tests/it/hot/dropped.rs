//! Components that are dropped into a directory, each with its jobs beside it.

use std::fs;

use serde_json::json;

use super::{EVERY, answers, pass, replace, told};
use crate::{
    hosted::{Hosted, assert_no_gap, ends, wait_next},
    loading::loops,
    program::{Running, clockjack},
};

const JOB: &str = "version: 1\njobs: { KEY: { call: answer, every: 100ms } }\n";

/// A host with a job of its own and a directory with one component in it.
fn scene() -> Hosted {
    let hosted = Hosted::with("");
    fs::create_dir(hosted.scene.path("plugins.d")).expect("a folder");
    hosted.scene.put("p.wasm", answers(1));
    let plugins = "plugins: { p: ./p.wasm, dropped: { directory: ./plugins.d } }";
    let jobs = "jobs: { beat: { plugin: p, call: answer, every: 100ms } }";
    hosted.scene.put("clockjack.yaml", format!("version: 1\n{plugins}\n{jobs}\n"));
    put(&hosted, "first", "first", 11);
    hosted
}

fn put(hosted: &Hosted, name: &str, job: &str, number: u32) {
    replace(hosted, &format!("plugins.d/{name}.wasm"), &answers(number));
    replace(hosted, &format!("plugins.d/{name}.yaml"), JOB.replace("KEY", job).as_bytes());
}

#[track_caller]
fn runs(host: &mut Running, job: &str, output: u32) {
    let output = output.to_string();
    wait_next(host, job, |line| ends(job)(line) && line.text("output") == output);
}

#[test]
fn two_files_deploy_jobs_and_their_removal_undeploys_them() {
    let hosted = scene();
    let mut host = hosted.up_watching(&[]).start();
    runs(&mut host, "first", 11);
    put(&hosted, "billing", "bill", 21);
    runs(&mut host, "bill", 21);
    // Its code and its jobs change like all others.
    replace(&hosted, "plugins.d/billing.wasm", &answers(22));
    runs(&mut host, "bill", 22);
    replace(&hosted, "plugins.d/billing.yaml", JOB.replace("KEY", "charge").as_bytes());
    runs(&mut host, "charge", 22);
    assert_eq!(hosted.job("bill")["state"], "removed");
    for name in ["billing.wasm", "billing.yaml"] {
        fs::remove_file(hosted.scene.path(&format!("plugins.d/{name}"))).expect("it is there");
    }
    wait_next(&mut host, "the removal", |line| line.text("job") == "charge" && line.message.contains("removed"));
    runs(&mut host, "first", 11);
    runs(&mut host, "beat", 1);
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    for job in ["beat", "first"] {
        assert_no_gap(&hosted.slots(job, EVERY), EVERY);
    }
}

#[test]
fn what_is_wrong_with_one_is_told_of_that_one() {
    let hosted = scene();
    let mut host = hosted.up_watching(&[]).start();
    runs(&mut host, "first", 11);
    // A sidecar with a mistake, a component that is none, an id that is taken.
    put(&hosted, "typo", "typo", 31);
    replace(&hosted, "plugins.d/typo.yaml", JOB.replace("every", "evry").as_bytes());
    let line = told(&mut host, "plugin.left_out");
    assert!(line.text("plugin") == "typo" && line.message.contains("manifest.unknown_key"), "{line:?}");
    put(&hosted, "taken", "beat", 32);
    let line = told(&mut host, "plugin.left_out");
    assert!(line.text("plugin") == "taken" && line.message.contains("manifest.duplicate_job"), "{line:?}");
    replace(&hosted, "plugins.d/junk.wasm", b"junk");
    let line = told(&mut host, "plugin.left_out");
    assert!(line.text("plugin") == "junk" && line.message.contains("load.invalid"), "{line:?}");
    // What was right before stays as it was.
    replace(
        &hosted,
        "plugins.d/first.yaml",
        JOB.replace("call: answer", "call: nobody").replace("KEY", "first").as_bytes(),
    );
    let line = told(&mut host, "plugin.refused");
    assert!(line.text("plugin") == "first" && line.message.contains("load.type"), "{line:?}");
    runs(&mut host, "first", 11);
    // Mended, each is there.
    replace(&hosted, "plugins.d/typo.yaml", JOB.replace("KEY", "typo").as_bytes());
    runs(&mut host, "typo", 31);
    let asked = clockjack(["plugins", "-o", "json"]).folder(hosted.scene.folder()).beside_nothing();
    let states = asked.ends_with(0).json();
    let states: Vec<_> =
        states.as_array().expect("a list").iter().map(|it| (it["plugin"].clone(), it["state"].clone())).collect();
    let state = |name: &str| states.iter().find(|(known, _)| known == name).map(|(_, state)| state.clone());
    assert_eq!(state("junk"), Some(json!("left_out")), "{states:?}");
    assert_eq!(state("taken"), Some(json!("left_out")), "{states:?}");
    assert_eq!(state("first"), Some(json!("refused")), "{states:?}");
    assert_eq!(state("typo"), Some(json!("active")), "{states:?}");
}

/// Files that would keep a compiler busy for minutes keep nobody waiting.
#[test]
fn a_pile_of_bombs_holds_up_nobody() {
    let hosted = scene();
    let mut host = hosted.up_watching(&[]).start();
    runs(&mut host, "first", 11);
    for n in 0..200 {
        hosted.scene.put(&format!("plugins.d/bomb-{n}.wasm"), loops(400 + n, 400));
    }
    pass(500);
    // The manifest changes beside them, and so does a component that runs.
    let manifest = hosted.scene.read("clockjack.yaml");
    let more = manifest.replace("jobs: {", "jobs: { more: { plugin: p, call: answer, every: 100ms },");
    replace(&hosted, "clockjack.yaml", more.as_bytes());
    runs(&mut host, "more", 1);
    replace(&hosted, "p.wasm", &answers(2));
    runs(&mut host, "beat", 2);
    replace(&hosted, "plugins.d/first.wasm", &answers(12));
    runs(&mut host, "first", 12);
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    for job in ["beat", "first"] {
        assert_no_gap(&hosted.slots(job, EVERY), EVERY);
    }
}

/// Who writes in place, slowly or with a mistake first, needs nothing but to mend it.
#[test]
fn what_was_left_out_is_looked_at_again_when_it_is_mended_in_place() {
    let hosted = scene();
    let mut host = hosted.up_watching(&[]).start();
    runs(&mut host, "first", 11);
    let whole = answers(41);
    hosted.scene.put("plugins.d/slow.yaml", JOB.replace("KEY", "slow"));
    hosted.scene.put("plugins.d/slow.wasm", &whole[..whole.len() / 2]);
    let line = told(&mut host, "plugin.left_out");
    assert!(line.text("plugin") == "slow", "{line:?}");
    hosted.scene.put("plugins.d/slow.wasm", &whole);
    runs(&mut host, "slow", 41);
    // The jobs first, then the code that fits them.
    hosted.scene.put("plugins.d/first.yaml", JOB.replace("KEY", "first").replace("answer", "reply"));
    let line = told(&mut host, "plugin.refused");
    assert!(line.text("plugin") == "first", "{line:?}");
    runs(&mut host, "first", 11);
    hosted.scene.put("plugins.d/first.wasm", replies(51));
    runs(&mut host, "first", 51);
}

/// A component whose function is called otherwise.
fn replies(number: u32) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m (func (export "reply") (result i32) i32.const {number}))
            (core instance $i (instantiate $m))
            (func (export "reply") (result u32) (canon lift (core func $i "reply"))))"#
    );
    wat::parse_str(text).expect("a component")
}
