//! `clockjack next`: slots of a trigger on the command line or of a manifest's job, exact to the character in JSON.

use crate::{
    program::{Ended, clockjack},
    scene::{Scene, root},
};

const FROM: &str = "2026-01-01T00:00:00Z";

fn next(trigger: &str, args: &[&str]) -> Ended {
    clockjack(["next", "--trigger", trigger]).args(args).end()
}

/// The JSON output, to the character; there is nothing on stderr.
#[track_caller]
fn slots(trigger: &str, args: &[&str], expected: &str) {
    let ended = next(trigger, &[args, &["-o", "json"]].concat());
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{trigger}");
    assert_eq!(ended.stdout, format!("{expected}\n"), "{trigger}");
}

/// A trigger that is refused: exit code 1, a diagnostic on stderr, nothing on stdout, whatever the format.
#[track_caller]
fn refused(trigger: &str, words: &[&str]) {
    for format in ["json", "table"] {
        let ended = next(trigger, &["-o", format]);
        ended.is_no_crash();
        assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{trigger}: {}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{trigger}: `{word}` in:\n{}", ended.stderr);
        }
    }
}

#[test]
fn yaml_and_json_are_the_same() {
    let expected = r#"["2026-01-01T09:00:00Z","2026-01-02T09:00:00Z","2026-01-05T09:00:00Z"]"#;
    for trigger in [
        r#"cron: "0 9 * * mon-fri""#,
        "cron: 0 9 * * mon-fri\n",
        r#"{"cron": "0 9 * * mon-fri"}"#,
        r#"{"cron":"0 9 * * 1-5","timezone":"UTC"}"#,
        "{cron: {day_of_week: mon-fri, hour: 9}}",
    ] {
        slots(trigger, &["--from", FROM, "-n", "3"], expected);
    }
}

#[test]
fn every_kind_of_trigger() {
    let from = ["--from", FROM, "-n", "2"];
    slots("cron: '30 * * * * *'", &from, r#"["2026-01-01T00:00:30Z","2026-01-01T00:01:30Z"]"#);
    slots("cron: '@daily'", &from, r#"["2026-01-01T00:00:00Z","2026-01-02T00:00:00Z"]"#);
    slots("cron: '0 12 L * *'", &from, r#"["2026-01-31T12:00:00Z","2026-02-28T12:00:00Z"]"#);
    slots("{every: 90s, anchor: 2026-01-01T00:00:00Z}", &from, r#"["2026-01-01T00:00:00Z","2026-01-01T00:01:30Z"]"#);
    slots("{every: 500ms, anchor: 2025-12-31}", &from, r#"["2026-01-01T00:00:00Z","2026-01-01T00:00:00.500Z"]"#);
    slots("at: 2026-12-24T18:00:00", &from, r#"["2026-12-24T18:00:00Z"]"#);
    slots("at: [2026-12-24T18:00:00, 2026-02-01]", &from, r#"["2026-02-01T00:00:00Z","2026-12-24T18:00:00Z"]"#);
    slots(
        "any: [{cron: '0 6 * * *'}, {cron: '0 7 * * *'}]",
        &from,
        r#"["2026-01-01T06:00:00Z","2026-01-01T07:00:00Z"]"#,
    );
    slots(
        "all: [{cron: '0 0 1 * *'}, {cron: '0 0 * * sun'}]",
        &from,
        r#"["2026-02-01T00:00:00Z","2026-03-01T00:00:00Z"]"#,
    );
}

#[test]
fn from_is_inclusive_and_until_is_not() {
    let trigger = "cron: '* * * * *'";
    slots(trigger, &["--from", FROM, "-n", "1"], r#"["2026-01-01T00:00:00Z"]"#);
    slots(trigger, &["--from", "2026-01-01T00:00:00.001Z", "-n", "1"], r#"["2026-01-01T00:01:00Z"]"#);
    let until = |until: &'static str| ["--from", FROM, "--until", until];
    slots(trigger, &until("2026-01-01T00:02:00Z"), r#"["2026-01-01T00:00:00Z","2026-01-01T00:01:00Z"]"#);
    slots(trigger, &until("2026-01-01T00:00:00Z"), "[]");
    slots(trigger, &until("2020-01-01T00:00:00Z"), "[]");
    slots("at: 2020-01-01T00:00:00Z", &["--from", FROM], "[]");
}

#[test]
fn ten_slots_are_the_default() {
    let ended = next("cron: '* * * * *'", &["-o", "json"]);
    assert_eq!(ended.json().as_array().map(Vec::len), Some(10));
    let ended = next("cron: '* * * * *'", &["-o", "json", "-n", "1000", "--from", FROM]);
    assert_eq!(ended.json().as_array().map(Vec::len), Some(1000));
}

#[test]
fn zones_and_their_clock_changes() {
    let trigger = "cron: '30 2 * * *'";
    // In Berlin there is no 02:30 on 29 March, and there are two on 25 October.
    let berlin = ["--timezone", "Europe/Berlin", "-n", "3", "--from"];
    let from = |from: &'static str| [&berlin[..], &[from]].concat();
    slots(
        trigger,
        &from("2026-03-28T00:00:00+01:00"),
        r#"["2026-03-28T01:30:00Z","2026-03-29T01:00:00Z","2026-03-30T00:30:00Z"]"#,
    );
    // An instant without an offset is of that zone.
    slots(
        trigger,
        &from("2026-10-24T00:00:00"),
        r#"["2026-10-24T00:30:00Z","2026-10-25T00:30:00Z","2026-10-26T01:30:00Z"]"#,
    );
    // The trigger's own zone wins over that of the command line.
    slots(
        "{cron: '0 0 * * *', timezone: Asia/Kolkata}",
        &["-z", "Europe/Berlin", "-n", "1", "--from", FROM],
        r#"["2026-01-01T18:30:00Z"]"#,
    );
}

#[test]
fn people_see_both_times() {
    let ended = next("cron: '0 9 * * mon'", &["-z", "Europe/Berlin", "--from", FROM, "-n", "1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for word in ["EUROPE/BERLIN", "Mon 2026-01-05 09:00:00 +01:00", "2026-01-05T08:00:00Z"] {
        assert!(ended.stdout.contains(word), "{word}:\n{}", ended.stdout);
    }
    let ended = next("at: 2020-01-01", &["--from", FROM]);
    assert!(ended.code == Some(0) && ended.stdout.contains("no slot"), "{ended:?}");
}

#[test]
fn a_refused_trigger_is_told_with_its_place() {
    refused("cron: '61 * * * *'", &["error[trigger.syntax]", "--trigger:1:8", "^^", "0 to 59"]);
    refused("cron: '* * * *'", &["error[trigger.syntax]"]);
    refused("cron: '* * * foo *'", &["foo", "^^^"]);
    refused("cron: '0 0 31 2 *'", &["error[trigger.never]", "never fires"]);
    refused("{every: 1h, start: 2026-01-02, end: 2026-01-01}", &["error["]);
    refused("every: 0s", &["longer than zero"]);
    refused("every: -5s", &["negative"]);
    refused("every: 5", &["write `5s`"]);
    refused("{every: 1h, timezone: Mars/Olympus}", &["unknown time zone `Mars/Olympus`"]);
    refused("{every: 1h, evry: 2h}", &["error[manifest.unknown_key]", "`evry`"]);
    refused("{every: 1h, cron: '* * * * *'}", &["`cron` and `every`"]);
    refused("", &["write `cron:"]);
    refused("[1, 2]", &["a trigger is a map"]);
    refused("{cron: ", &["error[manifest.syntax]"]);
    refused("just text", &["a trigger is a map"]);
}

#[test]
fn faults_beside_the_trigger_are_told_too() {
    let refused = |args: &[&str], words: &str| {
        let ended = next("every: 1h", args);
        assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{args:?}");
        assert!(ended.stderr.contains(words), "{args:?}: {}", ended.stderr);
    };
    refused(&["--timezone", "Mars/Olympus"], "--timezone: unknown time zone `Mars/Olympus`");
    refused(&["--timezone", "Europe/Berln"], "Europe/Berlin");
    refused(&["--from", "yesterday"], "--from: ");
    refused(&["--until", "2026-13-01"], "--until: ");
}

#[test]
fn coming_slots_of_a_job() {
    let manifest = root().join("examples/quickstart/clockjack.yaml").display().to_string();
    let next = |job: &str| clockjack(["next", job, "-f", &manifest, "-o", "json", "-n", "2", "--from", FROM]).end();
    let ended = next("summary");
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    assert_eq!(ended.stdout, "[\"2026-01-01T00:00:05Z\",\"2026-01-01T00:00:10Z\"]\n");
    let ended = next("sumary");
    assert_eq!((ended.code, &*ended.stderr), (Some(1), ""));
    assert_eq!(ended.json()["error"]["fix"], "did you mean `summary`?", "{}", ended.stdout);
}

#[test]
fn a_job_is_looked_up_in_its_own_zone_and_among_broken_ones() {
    let manifest = "
version: 1
jobs:
  early: { plugin: ./absent.wasm, cron: '0 6 * * *', timezone: Asia/Tokyo }
  broken: { plugin: ./absent.wasm, cron: '99 * * * *' }
";
    let scene = Scene::with(manifest, &[]);
    let next =
        |job: &str| clockjack(["next", job, "-o", "json", "-n", "1", "--from", FROM]).folder(scene.folder()).end();
    let ended = next("early");
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "[\"2026-01-01T21:00:00Z\"]\n"), "{}", ended.stderr);
    let ended = next("broken");
    assert_eq!((ended.code, &*ended.stderr), (Some(1), ""));
    assert_eq!(ended.json()["error"]["code"], "trigger.syntax", "{}", ended.stdout);
}
