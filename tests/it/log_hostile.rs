//! What guests say stays a value in the log: it begins no line, ends no record and reaches no terminal.

use std::path::Path;

use crate::{hosted::Hosted, log, program::clockjack};

/// A message that pretends to be two more lines and paints the screen.
const FORGED: &str = "oh\\n{\\\"timestamp\\\":\\\"2026-01-01T00:00:00Z\\\",\\\"level\\\":\\\"ERROR\\\",\\\"message\\\":\\\"forged\\\"}\\n12:00:00.000Z ERROR forged\\e[31m\\r\\0end";

fn manifest() -> String {
    format!(
        "jobs: {{ liar: {{ plugin: hostile, call: fail, args: {{ kind: permanent, message: \"{FORGED}\" }}, every: 1h, run_on_start: true }} }}"
    )
}

#[test]
fn json_logs_have_one_record_a_line_whatever_guests_say() {
    let hosted = Hosted::with(&manifest());
    let ended = hosted.up_for("3s");
    // Each line is read as a record, or the test fails.
    let lines = log::lines(&ended.stderr);
    assert!(!lines.iter().any(|line| line.message == "forged"), "{}", ended.stderr);
    let told = lines.iter().find(|line| line.text("job") == "liar" && line.outcome() == Some("failed"));
    let reason = told.unwrap_or_else(|| panic!("{}", ended.stderr)).text("reason");
    assert!(reason.contains("forged") && reason.contains("end"), "nothing is lost: {reason}");
}

#[test]
fn text_logs_have_one_event_a_line_and_nothing_that_a_terminal_obeys() {
    let hosted = Hosted::with(&manifest());
    let ended = clockjack(["up", "--ledger", "memory:", "--for", "3s"]).folder(hosted.scene.folder()).ends_with(0);
    assert!(ended.stderr.contains("forged"), "it is told: {}", ended.stderr);
    let begins = |line: &str| line.starts_with("12:00:00.000Z ERROR forged") || line.starts_with("{\"timestamp\"");
    assert!(!ended.stderr.lines().any(begins), "{}", ended.stderr);
    assert!(!ended.stderr.chars().any(|c| c.is_control() && c != '\n'), "{:?}", ended.stderr);
}

#[test]
fn a_journal_that_is_not_there_is_no_reason_to_be_silent() {
    let hosted = Hosted::with("jobs: { a: { plugin: typed, call: nothing, every: 1h } }");
    let up = ["up", "--ledger", "memory:", "--for", "1s", "--log-format", "journald"];
    let ended = clockjack(up).folder(hosted.scene.folder()).ends_with(0);
    if Path::new("/run/systemd/journal/socket").exists() {
        assert!(!ended.stderr.contains("job added"), "the journal has it: {}", ended.stderr);
    } else {
        assert!(ended.stderr.contains("the journal cannot be written, so the log goes to stderr"), "{}", ended.stderr);
        assert!(ended.stderr.contains("job added"), "{}", ended.stderr);
    }
}
