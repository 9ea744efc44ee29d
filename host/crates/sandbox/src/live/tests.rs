//! What is passed on of what a guest says, and what is left out.

use std::sync::Mutex;

use chrono::DateTime;
use clockjack_schedule::{
    id::RunId,
    ports::{Live, LogLevel},
    run::Cause,
    secret::{SecretName, SecretText},
};

use super::*;

#[derive(Default)]
struct Heard(Mutex<Vec<Said>>);

impl Listen for Heard {
    fn hear(&self, _run: &Arc<Run>, attempt: u32, said: Said) {
        assert_eq!(attempt, 1);
        self.0.lock().unwrap().push(said);
    }
}

impl Heard {
    fn take(&self) -> Vec<Said> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn live(secrets: &[(&str, &str)]) -> (Arc<Heard>, LiveOut) {
    let at = DateTime::UNIX_EPOCH;
    let run = Run {
        id: RunId::from_u128(1),
        job: "talks".parse().unwrap(),
        scheduled_for: at,
        due_at: at,
        cause: Cause::Manual,
        payload: None,
    };
    let heard = Arc::new(Heard::default());
    let attempt = Attempt { live: Live(Some(heard.clone())), ..Attempt::only(Arc::new(run), at) };
    let secrets: Vec<(SecretName, SecretText)> =
        secrets.iter().map(|(name, value)| (name.parse().unwrap(), (*value).to_owned().into())).collect();
    let redactor = Redactor::new(secrets.iter().map(|(name, value)| (name, value)));
    (heard, LiveOut::new(&attempt, redactor))
}

fn wrote(is_stderr: bool, text: &str) -> Said {
    Said::Wrote { is_stderr, text: text.to_owned() }
}

#[tokio::test]
async fn lines_are_passed_on_when_they_end() {
    let (heard, live) = live(&[]);
    live.write(false, b"one\ntw");
    live.write(true, b"other\n");
    assert_eq!(heard.take(), [wrote(false, "one"), wrote(true, "other")]);
    live.write(false, b"o\r\n\nthr");
    assert_eq!(heard.take(), [wrote(false, "two"), wrote(false, "")]);
    live.finish();
    assert_eq!(heard.take(), [wrote(false, "thr")]);
}

#[tokio::test]
async fn a_line_without_an_end_is_cut_and_a_secret_across_the_cut_is_not_told() {
    let (heard, live) = live(&[("key", "hunter2-and-more")]);
    let mut text = "x".repeat(LINE_BYTES_MAX - 8);
    text.push_str("hunter2-and-more rest\n");
    live.write(false, text.as_bytes());
    let said: Vec<_> = heard.take();
    let [Said::Wrote { text: first, .. }, Said::Wrote { text: rest, .. }] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert!(first.ends_with("x[secret key]"), "{first}");
    assert_eq!(rest, "[secret key] rest");
    live.log(&LogLine {
        at: DateTime::UNIX_EPOCH,
        level: LogLevel::Info,
        message: "it is hunter2-and-more".to_owned(),
        fields: vec![("value".to_owned(), "hunter2-and-more".to_owned())],
    });
    live.progress(1, None, "at hunter2-and-more");
    assert!(!format!("{:?}", heard.take()).contains("hunter2"));
}

/// Line by line nobody finds a value that stands in several of them.
#[tokio::test]
async fn output_waits_for_its_end_where_a_secret_has_several_lines() {
    let (heard, live) = live(&[("pem", "first\nsecond")]);
    live.write(false, b"first\nsecond\n");
    live.finish();
    assert_eq!(heard.take(), []);
    live.progress(1, Some(2), "half");
    assert_eq!(heard.take(), [Said::Progress { done: 1, total: Some(2), message: "half".to_owned() }]);
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_talks_too_much_is_told_in_part() {
    let (heard, live) = live(&[]);
    let n_lines = 2 * LINES_MAX;
    (0..n_lines).for_each(|_| live.write(false, b"again\n"));
    assert_eq!(heard.take().len(), LINES_MAX as usize);
    tokio::time::advance(std::time::Duration::from_millis(10)).await;
    live.write(false, b"later\n");
    assert_eq!(heard.take(), [Said::LeftOut(u64::from(LINES_MAX)), wrote(false, "later")]);
}
