//! Pings of Healthchecks: which path, which run, and what is said along with it.

use clockjack_schedule::notify::{Occasion, WebUrl};

use super::Notice;

/// The URL of a ping and its body. The run's id goes along as `rid`, so that its start and its end are one.
pub(super) fn ping(url: &WebUrl, notice: &Notice) -> (WebUrl, String) {
    let step = match notice.occasion {
        Some(Occasion::Start) => "start",
        // The URL itself is the success. It is also what ends a start that led to nothing: whoever cancelled the run knows.
        Some(Occasion::Success | Occasion::Recovery | Occasion::Cancelled) => "",
        Some(Occasion::Failure | Occasion::Missed) => "fail",
        // These change nothing of whether the check is up.
        Some(Occasion::Late | Occasion::TooLong) | None => "log",
    };
    let run = notice.run.map(|run| run.to_string());
    let url = url.with(step, run.as_deref().map(|run| ("rid", run)));
    let says_all = matches!(notice.occasion, Some(Occasion::Start | Occasion::Success | Occasion::Recovery));
    let body = if says_all { String::new() } else { notice.words() };
    (url, body)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use clockjack_schedule::{
        id::RunId,
        run::{Cause, Run},
    };

    use super::*;

    #[test]
    fn each_occasion_has_its_path() {
        let at: DateTime<Utc> = "2026-11-22T10:00:00Z".parse().unwrap();
        let job = "report".parse().unwrap();
        let id = RunId::of_slot(&job, at);
        let run = Run { id, job, scheduled_for: at, due_at: at, cause: Cause::Schedule, payload: None };
        let url = WebUrl::parse("https://hc-ping.com/5b1f/").unwrap();
        for (occasion, step) in [
            (Occasion::Start, "/start"),
            (Occasion::Success, "/"),
            (Occasion::Recovery, "/"),
            (Occasion::Cancelled, "/"),
            (Occasion::Failure, "/fail"),
            (Occasion::Missed, "/fail"),
            (Occasion::Late, "/log"),
            (Occasion::TooLong, "/log"),
        ] {
            let (url, body) = ping(&url, &Notice::started(occasion, &run, at, "here"));
            assert_eq!(url.path_and_query(), format!("/5b1f{step}?rid={id}"), "{occasion:?}");
            let is_said = occasion == Occasion::Cancelled || !matches!(step, "/start" | "/");
            assert_eq!(!body.is_empty(), is_said, "{occasion:?}: {body}");
        }
        let (url, _) = ping(&url, &Notice::test("hc", at, "here"));
        assert_eq!(url.path_and_query(), "/5b1f/log");
    }
}
