//! What people ask of the host that runs: a plan, a reload, an approval, a rollback.

use std::fs;

use serde_json::{Value as Json, json};

use super::{answers, asks, gives, put, replace, scene};
use crate::{
    hosted::{Hosted, ends, list, text, wait},
    program::{Ended, clockjack},
};

/// A command that talks to the host, to its end with this exit code.
#[track_caller]
fn ask(hosted: &Hosted, args: &[&str], code: i32) -> Ended {
    clockjack(args).folder(hosted.scene.folder()).beside_nothing().ends_with(code)
}

#[track_caller]
fn told(hosted: &Hosted, args: &[&str]) -> Json {
    clockjack(args).args(["-o", "json"]).folder(hosted.scene.folder()).beside_nothing().ends_with(0).json()
}

/// What programs are told where something is refused.
#[track_caller]
fn refused(hosted: &Hosted, args: &[&str]) -> Json {
    clockjack(args).args(["-o", "json"]).folder(hosted.scene.folder()).beside_nothing().ends_with(1).json()
}

/// The only plugin.
#[track_caller]
fn plugin(hosted: &Hosted) -> Json {
    told(hosted, &["plugins", "p"])
}

#[test]
fn a_plan_tells_what_a_reload_then_does() {
    let hosted = scene("", "");
    let mut host = hosted.up(&[]).start();
    gives(&mut host, 1);
    let nothing = told(&hosted, &["plan"]);
    let count = |plan: &Json| ["added", "changed", "removed", "plugins"].map(|key| list(&plan[key]).len());
    assert_eq!((count(&nothing), &nothing["untouched"]), ([0, 0, 0, 0], &json!(1)), "{nothing:#}");
    put(&hosted, "", ", timeout: 9s }\n  more: { plugin: p, call: answer, every: 1h");
    replace(&hosted, "p.wasm", &answers(2));
    let plan = told(&hosted, &["plan"]);
    assert_eq!((count(&plan), &plan["refused"]), ([1, 1, 0, 1], &json!(null)), "{plan:#}");
    let (added, changed, code) = (&plan["added"][0], &plan["changed"][0], &plan["plugins"][0]);
    assert_eq!((&added["job"], &added["next_before"]), (&json!("more"), &json!(null)));
    assert!(added["next_after"].is_string() && changed["next_before"].is_string(), "{plan:#}");
    assert_eq!((&changed["job"], &changed["parts"]), (&json!("beat"), &json!(["timeout"])));
    assert_eq!((&code["plugin"], &code["change"]), (&json!("p"), &json!("replaced")));
    assert_eq!((&code["generation_before"], &code["generation_after"]), (&json!(1), &json!(2)));
    let page = ask(&hosted, &["plan"], 0).stdout;
    assert!(page.contains("+ more") && page.contains("~ beat") && page.contains("~ p replaced"), "{page}");
    assert!(page.ends_with("jobs: 1 added, 1 changed, 0 removed, 0 untouched\n"), "{page}");
    // A plan changes nothing.
    assert_eq!(plugin(&hosted)["generation"], 1);
    gives(&mut host, 1);
    let done = told(&hosted, &["reload"]);
    assert_eq!(count(&done), [1, 1, 0, 1], "{done:#}");
    assert_eq!(list(&done["added"])[0]["job"], "more");
    // Its answer comes when all of it is in force.
    let run = told(&hosted, &["run", "more", "--wait"]);
    assert_eq!((&run["output"], &run["generation"]), (&json!(2), &json!(2)), "{run:#}");
    assert_eq!(ask(&hosted, &["reload"], 0).stdout, "nothing has changed: 2 untouched\n");
    // Another manifest is compared with what is in force.
    let other = hosted.scene.read("clockjack.yaml").replace("  more:", "  extra:");
    hosted.scene.put("other.yaml", other);
    let plan = told(&hosted, &["plan", "-f", "other.yaml"]);
    assert_eq!((&plan["added"][0]["job"], &plan["removed"][0]["job"]), (&json!("extra"), &json!("more")), "{plan:#}");
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
}

#[test]
fn a_manifest_that_is_wrong_is_refused_with_its_place() {
    let hosted = scene("", "");
    let mut host = hosted.up(&[]).start();
    gives(&mut host, 1);
    put(&hosted, "", ", evry: 1s");
    for command in ["plan", "reload"] {
        let ended = ask(&hosted, &[command], 1);
        for words in ["error[manifest.unknown_key]", "clockjack.yaml:4:", "^^^^", "refused, and all stays as it is"] {
            assert!(ended.stderr.contains(words), "{command}: no `{words}`: {}", ended.stderr);
        }
        let ended = clockjack([command, "-o", "json"]).folder(hosted.scene.folder()).beside_nothing().ends_with(1);
        let plan = ended.json();
        let finding = &plan["findings"][0];
        assert_eq!((&finding["code"], &finding["line"]), (&json!("manifest.unknown_key"), &json!(4)), "{plan:#}");
        assert!(plan["refused"].is_string(), "{plan:#}");
    }
    gives(&mut host, 1);
    put(&hosted, "", "");
    assert_eq!(ask(&hosted, &["reload"], 0).stdout, "nothing has changed: 1 untouched\n");
}

#[test]
fn a_person_approves_what_is_held_and_goes_back_from_it() {
    let hosted = scene("", "");
    let mut host = hosted.up(&[]).start();
    gives(&mut host, 1);
    let first = plugin(&hosted);
    assert_eq!((&first["state"], &first["generation"]), (&json!("active"), &json!(1)), "{first:#}");
    let error = ask(&hosted, &["plugins", "approve", "p"], 1).stderr;
    assert!(error.contains("no file of plugin `p` waits for approval"), "{error}");
    for (args, code) in [
        (["plugins", "approve", "p"].as_slice(), "plugin.not_held"),
        (&["plugins", "rollback", "p"], "plugin.no_such_generation"),
        (&["plugins", "q"], "plugin.unknown"),
        (&["pause", "beet"], "job.unknown"),
    ] {
        let error = refused(&hosted, args)["error"].clone();
        assert_eq!(error["code"], code, "{error:#}");
        assert!(["message", "fix"].iter().all(|key| !text(&error, key).is_empty()), "{error:#}");
    }
    replace(&hosted, "p.wasm", &asks(2));
    ask(&hosted, &["reload"], 1);
    let held = plugin(&hosted);
    assert_eq!((&held["state"], &held["generation"]), (&json!("held"), &json!(1)), "{held:#}");
    let (digest, difference) = (text(&held["candidate"], "digest"), &held["candidate"]["difference"]);
    assert!(list(&difference["imports_added"]).iter().any(|name| name == "clockjack:job/state@0.1.0"), "{held:#}");
    let page = ask(&hosted, &["plugins", "p"], 0).stdout;
    let command = format!("clockjack plugins approve p --digest {}", &digest[..12]);
    assert!(page.contains(&command) && page.contains("+ imports clockjack:job/state"), "{page}");
    let table = ask(&hosted, &["plugins"], 0).stdout;
    assert!(table.contains("PLUGIN") && table.contains("held"), "{table}");
    // Only what was looked at is approved.
    ask(&hosted, &["plugins", "approve", "p", "--digest", "123456"], 1);
    let approved = told(&hosted, &["plugins", "approve", "p", "--digest", &digest[..12]]);
    assert_eq!((&approved["state"], &approved["generation"]), (&json!("active"), &json!(2)), "{approved:#}");
    gives(&mut host, 2);
    let unknown = ask(&hosted, &["plugins", "rollback", "p", "--to", "9"], 1).stderr;
    assert!(unknown.contains("no generation 9 that is kept"), "{unknown}");
    let back = ask(&hosted, &["plugins", "rollback", "p"], 0).stdout;
    assert!(back.starts_with("p runs generation 1 ("), "{back}");
    gives(&mut host, 1);
    // The file that is there was left, and stays so.
    let left = told(&hosted, &["plugins"])[0].clone();
    assert_eq!((&left["state"], &left["digest"]), (&json!("rolled_back"), &first["digest"]), "{left:#}");
    assert_eq!(left["candidate"]["digest"], digest);
    ask(&hosted, &["reload"], 1);
    assert_eq!(plugin(&hosted)["generation"], 1);
    wait(&mut host, "beat", ends("beat"));
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
}

/// A host that keeps its ledger where its manifest says, beside a secret in a file.
#[test]
fn the_manifest_in_force_changes_nothing_however_it_is_named() {
    let hosted = scene("", "");
    hosted.scene.put("token", "abc");
    let rest = "stores: { default: \"sqlite:state.db\" }\nsecrets: { token: { file: token } }\n";
    let manifest = format!("{}{rest}", hosted.scene.read("clockjack.yaml"));
    let manifest = manifest.replace("every: 100ms", "every: 100ms, grants: { secrets: [token] }");
    hosted.scene.put("clockjack.yaml", &manifest);
    hosted.scene.put("other.yaml", &manifest);
    let more = "jobs:\n  more: { plugin: p, call: answer, every: 1h }\n";
    fs::create_dir(hosted.scene.path("k2")).expect("a folder");
    hosted.scene.put("k2/next.yaml", manifest.replace("jobs:\n", more).replace("file: token", "file: ../token"));
    let mut host = clockjack(["up", "--log-format", "json", "--no-watch"]).folder(hosted.scene.folder()).start();
    wait(&mut host, "beat", ends("beat"));
    let whole = hosted.scene.arg("clockjack.yaml");
    for args in [
        ["plan"].as_slice(),
        &["plan", "-f", "clockjack.yaml"],
        &["plan", "-f", "./clockjack.yaml"],
        &["plan", "-f", &whole],
        &["plan", "-f", "other.yaml"],
        &["plan", "-f", "k2/../other.yaml", "--of", "clockjack.yaml"],
    ] {
        assert_eq!(ask(&hosted, args, 0).stdout, "nothing would change: 1 untouched\n", "{args:?}");
    }
    let below = |args: &[&str]| clockjack(args).folder(&hosted.scene.path("k2")).beside_nothing();
    let same = below(&["plan", "-f", "../clockjack.yaml"]).ends_with(0).stdout;
    assert_eq!(same, "nothing would change: 1 untouched\n");
    // Another folder is another place: what is named from there is elsewhere.
    let lost = below(&["plan", "-f", "next.yaml", "--of", "../clockjack.yaml", "-o", "json"]).ends_with(1).json();
    assert_eq!(lost["findings"][0]["code"], "load.not_found", "{lost:#}");
    let mended = hosted.scene.read("k2/next.yaml").replace("./p.wasm", "../p.wasm");
    hosted.scene.put("k2/next.yaml", mended.replace("sqlite:state.db", "sqlite:../state.db"));
    let plan = below(&["plan", "-f", "next.yaml", "--of", "../clockjack.yaml", "-o", "json"]).ends_with(1).json();
    assert_eq!((&plan["added"][0]["job"], &plan["plugins"]), (&json!("more"), &json!([])), "{plan:#}");
    assert!(text(&plan, "refused").contains("`stores` has changed"), "{plan:#}");
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
}

#[test]
fn a_plan_puts_aside_what_a_reload_does() {
    let hosted = scene("", "");
    fs::create_dir(hosted.scene.path("plugins.d")).expect("a folder");
    hosted.scene.put("q.wasm", answers(7));
    let manifest = |plugins: &str, jobs: &str| {
        let beat = "  beat: { plugin: p, call: answer, every: 100ms }\n";
        let text = format!("version: 1\nplugins: {{ p: ./p.wasm{plugins} }}\njobs:\n{beat}{jobs}");
        replace(&hosted, "clockjack.yaml", text.as_bytes());
    };
    let of_q = "  other: { plugin: q, call: answer, every: 1h }\n";
    manifest(", q: ./q.wasm", of_q);
    let mut host = hosted.up(&[]).start();
    gives(&mut host, 1);
    replace(&hosted, "q.wasm", &answers(8));
    ask(&hosted, &["reload"], 0);
    manifest("", "");
    ask(&hosted, &["reload"], 0);
    // A plugin that comes back goes on as what it was.
    manifest(", q: ./q.wasm", of_q);
    let plan = told(&hosted, &["plan"]);
    let back = &plan["plugins"][0];
    assert_eq!((&back["change"], &back["generation_after"]), (&json!("added"), &json!(2)), "{plan:#}");
    // Units that are wrong are told, and the others are planned.
    manifest(", dropped: { directory: ./plugins.d }", "");
    let job = "version: 1\njobs: { KEY: { call: answer, every: 1h } }\n";
    hosted.scene.put("plugins.d/good.wasm", answers(3));
    hosted.scene.put("plugins.d/good.yaml", job.replace("KEY", "good"));
    hosted.scene.put("plugins.d/junk.wasm", "junk");
    hosted.scene.put("plugins.d/typo.wasm", answers(4));
    hosted.scene.put("plugins.d/typo.yaml", job.replace("KEY", "typo").replace("every", "evry"));
    let plan = told(&hosted, &["plan"]);
    let changes = |plan: &Json| -> Vec<String> {
        let change = |change: &Json| format!("{} {}", text(change, "plugin"), text(change, "change"));
        list(&plan["plugins"]).iter().map(change).collect()
    };
    let mut shown = changes(&plan);
    shown.sort();
    assert_eq!(shown, ["good added", "junk refused", "typo refused"], "{plan:#}");
    assert_eq!((&plan["refused"], &plan["added"][0]["job"]), (&json!(null), &json!("good")), "{plan:#}");
    let reasons: String = list(&plan["plugins"]).iter().map(|change| text(change, "reason")).collect();
    assert!(reasons.contains("load.invalid") && reasons.contains("manifest.unknown_key"), "{reasons}");
    ask(&hosted, &["reload"], 1);
    assert_eq!(told(&hosted, &["run", "good", "--wait"])["output"], 3);
    // Of a manifest that is refused nothing comes and nothing goes.
    let text = hosted.scene.read("clockjack.yaml").replace("call: answer", "call: nobody");
    replace(&hosted, "clockjack.yaml", text.as_bytes());
    let plan = refused(&hosted, &["plan"]);
    assert!(plan["refused"].is_string(), "{plan:#}");
    assert!(!changes(&plan).iter().any(|change| change.ends_with("removed")), "{plan:#}");
    // No host has what stands in a manifest that it refuses.
    let text = hosted.scene.read("clockjack.yaml") + "  late: { plugin: p, call: answer, every: 1h }\n";
    replace(&hosted, "clockjack.yaml", text.as_bytes());
    let late = hosted.job("late");
    assert_eq!((&late["state"], &late["next"]), (&json!("new"), &json!(null)), "{late:#}");
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
}
