//! What is told of what, as a table.

use std::{num::NonZeroU32, time::Duration};

use super::{Happening, Occasion, Occasions, WebUrl, decide, next_failures};
use crate::outcome::OutcomeCode;

fn on(words: &str) -> Occasions {
    let mut on = Occasions::NONE;
    for word in words.split_whitespace() {
        if let Some(number) = word.strip_prefix("failures=") {
            on.failures = number.parse::<NonZeroU32>().ok();
        } else {
            on = on.with(Occasion::ALL.into_iter().find(|occasion| occasion.as_str() == word).unwrap());
        }
    }
    on
}

/// The ends of a job's runs, one letter each: succeeded, failed, cancelled; what is told of each stands in its place.
fn story(on: &Occasions, ends: &str) -> String {
    let mut failures = 0;
    let mut told = Vec::new();
    for end in ends.chars() {
        let code = match end {
            's' => OutcomeCode::Succeeded,
            'k' => OutcomeCode::Skipped,
            'f' => OutcomeCode::Failed,
            't' => OutcomeCode::TimeoutWall,
            'l' => OutcomeCode::Lost,
            _ => OutcomeCode::Cancelled,
        };
        let words: Vec<_> =
            decide(on, Happening::Ended(code), failures).into_iter().map(|occasion| occasion.as_str()).collect();
        told.push(if words.is_empty() { "-".to_owned() } else { words.join("+") });
        failures = next_failures(failures, code);
    }
    told.join(" ")
}

#[test]
fn ends_are_told_as_the_words_say() {
    for (words, ends, told) in [
        ("failure recovery missed", "sfss", "- failure recovery -"),
        ("failure", "fftl", "failure failure failure failure"),
        ("success", "sfs", "success - success"),
        ("success recovery", "fs", "- recovery+success"),
        // A run that found nothing to do went well.
        ("recovery", "fk", "- recovery"),
        // What somebody cancelled neither fails nor recovers.
        ("failure recovery", "fcs", "failure - recovery"),
        ("failure recovery", "cs", "- -"),
        ("failure cancelled", "fcc", "failure cancelled cancelled"),
        // The third in a row, once, and then the end of it; fewer are nothing to tell of, and so is their end.
        ("failures=3 recovery", "ffffs", "- - failure - recovery"),
        ("failures=3 recovery", "ffsfffs", "- - - - - failure recovery"),
        ("failures=3 failure recovery", "ffs", "failure failure recovery"),
        ("failures=1", "ff", "failure -"),
        ("", "fs", "- -"),
    ] {
        assert_eq!(story(&on(words), ends), told, "{words}: {ends}");
    }
}

/// Each start has one end, and each run has one.
#[test]
fn pings_are_one_for_each_end() {
    for (words, ends, told) in [
        ("start success failure", "sfsc", "success failure success cancelled"),
        ("start success failure recovery", "fsc", "failure success cancelled"),
        ("failure recovery", "fsc", "failure recovery -"),
        ("success", "sc", "success -"),
    ] {
        assert_eq!(story(&on(words).as_pings(), ends), told, "{words}: {ends}");
    }
    assert_eq!(Occasions::of_healthchecks(), on("start success failure missed cancelled"));
}

#[test]
fn starts_are_told_and_how_late_they_are() {
    let seconds = |n| Happening::Started { late: Duration::from_secs(n) };
    assert_eq!(decide(&on("start late"), seconds(60), 0), [Occasion::Start]);
    assert_eq!(decide(&on("start late"), seconds(61), 0), [Occasion::Start, Occasion::Late]);
    let mut five_minutes = Occasions::NONE;
    five_minutes.late = Some(Duration::from_secs(300));
    assert_eq!(decide(&five_minutes, seconds(300), 0), []);
    assert_eq!(decide(&five_minutes, seconds(301), 0), [Occasion::Late]);
    assert_eq!(decide(&on("missed"), Happening::Missed, 5), [Occasion::Missed]);
    assert_eq!(decide(&on("too_long"), Happening::WentOn, 0), [Occasion::TooLong]);
    assert_eq!(decide(&on("failure"), Happening::WentOn, 0), []);
}

#[test]
fn urls_are_read_strictly_and_shown_without_what_is_secret() {
    let shown = |text: &str| WebUrl::parse(text).map_or_else(|fault| fault.message, |url| url.to_string());
    for (text, told) in [
        ("https://hc-ping.com/5b1f/", "https://hc-ping.com/…"),
        ("https://HC-ping.com", "https://hc-ping.com/"),
        ("https://a.dev:8443/?k=1", "https://a.dev:8443/…"),
        ("ftp://a.dev", "a channel speaks http and https only"),
        ("a.dev/x", "the URL does not say how it is reached"),
        ("https://user:pw@a.dev", "the URL names a user"),
        ("https://a.dev/#x", "a `#` is for browsers, and is never sent"),
        ("https://a.dev/x y", "a character cannot stand in a URL"),
        ("https://a.dev/\r\nhost: b", "a character cannot stand in a URL"),
        ("https://0x7f.1/", "the host `0x7f.1` is a number, and resolvers differ over what it means"),
    ] {
        assert_eq!(shown(text), told, "{text}");
    }
    let url = WebUrl::parse("https://a.dev/x/?k=1").unwrap();
    assert_eq!(url.with("fail", Some(("rid", "7"))).path_and_query(), "/x/fail?k=1&rid=7");
    assert_eq!(url.with("", None).path_and_query(), "/x/?k=1");
    let check = |text: &str, private| WebUrl::parse(text).unwrap().check(private).is_ok();
    assert!(check("https://a.dev", false) && check("http://a.dev", true) && check("http://127.0.0.1:1", true));
    for text in
        ["http://a.dev", "https://127.0.0.1", "https://localhost/x", "https://[::1]/", "https://169.254.169.254/"]
    {
        assert!(!check(text, false), "{text}");
    }
    assert!(!check("https://255.255.255.255/", true));
}
