//! What a host knows of its plugins when it comes back.

use serde_json::{Value as Json, json};

use super::{answers, asks, gives, put, replace, scene, told, traps};
use crate::{
    hosted::{Hosted, each, list, wait_next},
    program::{Running, clockjack},
};

/// One that does not end while a test goes on.
const TRIAL: &str = ", canary: { runs: 1000, failures: 3 }";

/// What a command that talks to the host gives to programs.
#[track_caller]
fn ask(hosted: &Hosted, args: &[&str]) -> Json {
    clockjack(args).args(["-o", "json"]).folder(hosted.scene.folder()).beside_nothing().ends_with(0).json()
}

/// A command that the host refuses, with its reason.
#[track_caller]
fn refused(hosted: &Hosted, args: &[&str]) -> String {
    clockjack(args).folder(hosted.scene.folder()).beside_nothing().ends_with(1).stderr
}

#[track_caller]
fn end(host: Running) {
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
}

/// The numbers of the generations that can be gone back to.
fn kept(plugin: &Json) -> Vec<u64> {
    list(&plugin["kept"]).iter().map(|kept| kept["generation"].as_u64().expect("a number")).collect()
}

#[test]
fn a_host_comes_back_with_what_it_ran_where_the_file_is_no_use() {
    let hosted = scene("", "");
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    replace(&hosted, "p.wasm", b"junk");
    told(&mut host, "plugin.refused");
    end(host);
    let mut host = hosted.up_watching(&[]).start();
    let line = wait_next(&mut host, "a warning", |line| line.text("state") == "refused");
    assert_eq!((line.text("plugin"), line.text("code"), line.number("generation")), ("p", "load.invalid", Some(1.0)));
    gives(&mut host, 1);
    let plugin = ask(&hosted, &["plugins", "p"]);
    assert_eq!((&plugin["state"], &plugin["generation"]), (&json!("refused"), &json!(1)), "{plugin:#}");
    end(host);
    // Without the bytes of what ran there is nothing to come back with.
    let ended = hosted.up(&[]).env("CLOCKJACK_CACHE", "off").ends_with(1);
    assert!(ended.stderr.contains("not started") && ended.stderr.contains("load.invalid"), "{}", ended.stderr);
    // The file may be mended while the host runs.
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    replace(&hosted, "p.wasm", &answers(2));
    assert_eq!(told(&mut host, "plugin.replaced").number("generation"), Some(2.0));
    gives(&mut host, 2);
    end(host);
}

#[test]
fn what_asks_for_more_is_held_at_a_start_too() {
    let hosted = scene("", "");
    let mut host = hosted.up(&[]).start();
    gives(&mut host, 1);
    end(host);
    replace(&hosted, "p.wasm", &asks(2));
    let mut host = hosted.up(&[]).start();
    gives(&mut host, 1);
    assert_eq!(ask(&hosted, &["plugins", "p"])["state"], "held");
    let approved = ask(&hosted, &["plugins", "approve", "p"]);
    assert_eq!(approved["generation"], 2, "{approved:#}");
    gives(&mut host, 2);
    end(host);
}

#[test]
fn what_is_kept_is_known_after_a_restart_and_a_rollback_goes_back_only() {
    let hosted = scene("", "");
    let mut host = hosted.up_watching(&[]).start();
    for number in 1..=3 {
        replace(&hosted, "p.wasm", &answers(number));
        gives(&mut host, number);
    }
    end(host);
    let mut host = hosted.up(&[]).start();
    gives(&mut host, 3);
    assert_eq!(kept(&ask(&hosted, &["plugins", "p"])), [2, 1]);
    let back = ask(&hosted, &["plugins", "rollback", "p", "--to", "1"]);
    assert_eq!((&back["generation"], kept(&back)), (&json!(1), vec![2]), "{back:#}");
    gives(&mut host, 1);
    // What is kept came later.
    let why = refused(&hosted, &["plugins", "rollback", "p"]);
    assert!(why.contains("no earlier generation that is kept and known to be good"), "{why}");
    let why = refused(&hosted, &["plugins", "rollback", "p", "--to", "3"]);
    assert!(why.contains("no generation 3 that is kept"), "{why}");
    end(host);
    // As many as are to be kept, and not one more.
    put(&hosted, ", keep: 1", "");
    let mut host = hosted.up(&[]).start();
    gives(&mut host, 1);
    assert_eq!(kept(&ask(&hosted, &["plugins", "p"])), [0; 0]);
    refused(&hosted, &["plugins", "rollback", "p", "--to", "2"]);
    end(host);
}

#[test]
fn what_never_passed_its_trial_is_not_gone_back_to_after_a_restart_either() {
    let hosted = scene(TRIAL, "");
    let mut host = hosted.up_watching(&[]).start();
    for number in 1..=3 {
        replace(&hosted, "p.wasm", &answers(number));
        gives(&mut host, number);
    }
    end(host);
    let mut host = hosted.up(&[]).start();
    gives(&mut host, 3);
    let plugin = ask(&hosted, &["plugins", "p"]);
    assert_eq!((kept(&plugin), &plugin["canary"]["runs"]), (vec![1], &json!(1000)), "{plugin:#}");
    assert_eq!(ask(&hosted, &["plugins", "rollback", "p"])["generation"], 1);
    gives(&mut host, 1);
    end(host);
}

#[test]
fn what_is_new_at_a_start_is_on_trial() {
    let hosted = scene(", canary: { runs: 5, failures: 3 }", "");
    let mut host = hosted.up(&[]).start();
    gives(&mut host, 1);
    end(host);
    replace(&hosted, "p.wasm", &traps(2));
    let mut host = hosted.up(&[]).start();
    let line = told(&mut host, "plugin.rolled_back");
    assert_eq!((line.number("before"), line.number("generation")), (Some(2.0), Some(1.0)), "{line:?}");
    gives(&mut host, 1);
    end(host);
    // A trial that goes on when the host ends begins anew.
    put(&hosted, TRIAL, "");
    replace(&hosted, "p.wasm", &answers(3));
    let canary = || ask(&hosted, &["plugins", "p"])["canary"].clone();
    for _ in 0..2 {
        let mut host = hosted.up(&[]).start();
        gives(&mut host, 3);
        assert!(canary().is_object());
        end(host);
    }
    put(&hosted, ", canary: { runs: 2, failures: 1 }", "");
    let mut host = hosted.up(&[]).start();
    assert_eq!(told(&mut host, "plugin.passed").number("generation"), Some(3.0));
    end(host);
    let mut host = hosted.up(&[]).start();
    gives(&mut host, 3);
    assert_eq!(canary(), Json::Null);
    end(host);
}

#[test]
fn a_trial_goes_by_the_manifest_that_is_in_force() {
    let hosted = scene(TRIAL, "");
    let mut host = hosted.up(&[]).start();
    gives(&mut host, 1);
    replace(&hosted, "p.wasm", &answers(2));
    ask(&hosted, &["reload"]);
    let runs = || ask(&hosted, &["plugins", "p"])["canary"]["runs"].clone();
    assert_eq!(runs(), 1000);
    put(&hosted, ", canary: { runs: 900, failures: 3 }", "");
    ask(&hosted, &["reload"]);
    assert_eq!(runs(), 900, "other rules");
    put(&hosted, "", "");
    ask(&hosted, &["reload"]);
    assert_eq!(runs(), Json::Null, "none");
    // What fails now stays, for nobody tries it.
    replace(&hosted, "p.wasm", &traps(3));
    let plan = ask(&hosted, &["reload"]);
    assert_eq!(each(&list(&plan["plugins"]), "change"), ["replaced"], "{plan:#}");
    assert_eq!(runs(), Json::Null);
    end(host);
}
