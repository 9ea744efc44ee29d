//! New code on trial.

use super::{answers, gives, replace, scene, told, traps};
use crate::hosted::{Hosted, ends, wait_next};

const CANARY: &str = ", canary: { runs: 5, failures: 3 }";

fn trial() -> Hosted {
    scene(CANARY, "")
}

#[test]
fn code_that_fails_its_trial_is_taken_back_and_stays_away() {
    let hosted = trial();
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    replace(&hosted, "p.wasm", &traps(2));
    told(&mut host, "plugin.replaced");
    let line = told(&mut host, "plugin.rolled_back");
    assert_eq!((line.number("before"), line.number("generation")), (Some(2.0), Some(1.0)), "{line:?}");
    assert!(line.message.contains("3 of its first 3 runs failed"), "{line:?}");
    gives(&mut host, 1);
    // The same bytes again are the same file, in this life of the host and in the next one.
    replace(&hosted, "p.wasm", &traps(2));
    gives(&mut host, 1);
    host.signal("HUP");
    told(&mut host, "manifest.reloaded");
    gives(&mut host, 1);
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    assert!(!host.log.iter().any(|line| line.contains("trap.")), "{}", host.log.join("\n"));
    // What is mended is the next generation.
    replace(&hosted, "p.wasm", &answers(3));
    assert_eq!(told(&mut host, "plugin.replaced").number("generation"), Some(3.0));
    gives(&mut host, 3);
    let passed = told(&mut host, "plugin.passed");
    assert_eq!(passed.number("generation"), Some(3.0), "{passed:?}");
}

/// Without a trial, what fails stays: nobody has asked for more.
#[test]
fn without_a_canary_nothing_is_taken_back() {
    let hosted = scene("", "");
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    replace(&hosted, "p.wasm", &traps(2));
    told(&mut host, "plugin.replaced");
    for _ in 0..8 {
        let line = wait_next(&mut host, "a failure", ends("beat"));
        assert!(line.outcome().is_some(), "{line:?}");
    }
    assert!(!host.log.iter().any(|line| line.contains("rolled_back")), "{}", host.log.join("\n"));
}

/// A trial that another file cuts short says nothing; what failed then goes back to what is known to be good.
#[test]
fn a_trial_goes_back_beyond_code_that_was_never_proven() {
    let hosted = scene(", canary: { runs: 50, failures: 3 }", "");
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    replace(&hosted, "p.wasm", &answers(2));
    told(&mut host, "plugin.replaced");
    replace(&hosted, "p.wasm", &traps(3));
    told(&mut host, "plugin.replaced");
    let line = told(&mut host, "plugin.rolled_back");
    assert_eq!((line.number("before"), line.number("generation")), (Some(3.0), Some(1.0)), "{line:?}");
    gives(&mut host, 1);
}

/// A pin of code that was taken back does not speak against what runs in its place, nor against other plugins.
#[test]
fn a_pin_of_what_was_rolled_back_holds_up_nothing() {
    use sha2::{Digest as _, Sha256};
    let digest = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let manifest = |pin: &[u8]| {
        format!(
            "version: 1\nplugins:\n  p: {{ source: ./p.wasm, sha256: {}{CANARY} }}\n  q: ./q.wasm\njobs:\n  beat: {{ plugin: p, call: \
             answer, every: 100ms }}\n  other: {{ plugin: q, call: answer, every: 100ms }}\n",
            digest(pin)
        )
    };
    let hosted = trial();
    hosted.scene.put("q.wasm", answers(1));
    replace(&hosted, "clockjack.yaml", manifest(&answers(1)).as_bytes());
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    replace(&hosted, "p.wasm", &traps(2));
    replace(&hosted, "clockjack.yaml", manifest(&traps(2)).as_bytes());
    told(&mut host, "plugin.rolled_back");
    gives(&mut host, 1);
    replace(&hosted, "q.wasm", &answers(7));
    wait_next(&mut host, "the other one", |line| ends("other")(line) && line.text("output") == "7");
    host.signal("HUP");
    told(&mut host, "manifest.reloaded");
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
}
