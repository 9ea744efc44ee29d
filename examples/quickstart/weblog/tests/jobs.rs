//! The jobs as plain functions: no WASM, no host. The SDK's stand-ins catch what they log.

use std::{env, fs, path::PathBuf};

use clockjack_sdk::{log::Level, testing};
use weblog::jobs;

fn access_log() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../data/access.log").to_owned()
}

fn temporary(name: &str) -> PathBuf {
    env::temp_dir().join(format!("weblog-{}-{name}", std::process::id()))
}

#[test]
fn summarize_writes_a_report_and_warns_about_malformed_lines() {
    let report = temporary("report.md");
    let summary = jobs::summarize(access_log(), report.display().to_string(), 2).unwrap();
    assert_eq!((summary.requests, summary.malformed), (3981, 19));
    assert_eq!((summary.top_paths.len(), summary.top_paths[0].name.as_str()), (2, "/"));
    let text = fs::read_to_string(&report).unwrap();
    fs::remove_file(&report).unwrap();
    assert!(text.contains("- requests: 3981"), "{text}");
    let log = testing::take_log();
    assert_eq!((log[0].level, log[0].message.as_str()), (Level::Warn, "skipped 19 malformed lines"));
    assert_eq!(testing::last_progress(), Some((3, Some(3))));
}

#[test]
fn check_errors_names_rate_and_bound() {
    let error = jobs::check_errors(access_log(), 0.02).unwrap_err();
    assert_eq!(error, "177 of 3981 answers (4.4 %) are server errors; the bound is 2.0 %");
    assert_eq!(jobs::check_errors(access_log(), 0.5).unwrap().errors, 177);
    assert!(jobs::check_errors(access_log(), 2.0).unwrap_err().contains("0 to 1"));
    assert!(jobs::check_errors(access_log(), f64::NAN).is_err());
}

#[test]
fn a_missing_log_is_named() {
    let error = jobs::summarize("/nowhere/access.log".into(), "report.md".into(), 1).unwrap_err();
    assert!(error.starts_with("cannot read `/nowhere/access.log`"), "{error}");
}

#[test]
fn purge_is_dry_by_default() {
    let purged = jobs::purge(30, None).unwrap();
    assert_eq!((purged.entries, purged.dry_run), (13_400, true));
    assert!(jobs::purge(0, None).is_err());
}
