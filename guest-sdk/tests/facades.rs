//! Lines of the facades come to the host's log with their levels and fields. Runs with `--all-features`.
#![cfg(all(feature = "log", feature = "tracing"))]

use clockjack_sdk::{
    Level,
    testing::{capture_facades, take_log},
};

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn every_level_of_log_is_one_of_the_host() {
    capture_facades();
    log::error!("e");
    log::warn!("w");
    log::info!("i");
    log::debug!("d");
    log::trace!("t");
    let levels: Vec<Level> = take_log().iter().map(|line| line.level).collect();
    assert_eq!(levels, [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace]);
}

#[test]
fn key_values_of_log_become_fields() {
    capture_facades();
    log::info!(target: "mail", rows = 3, name = "a"; "sent {}", 3);
    let lines = take_log();
    assert_eq!(lines[0].message, "sent 3");
    assert_eq!(lines[0].fields, fields(&[("target", "mail"), ("rows", "3"), ("name", "a")]));
}

#[test]
fn every_level_of_tracing_is_one_of_the_host() {
    capture_facades();
    tracing::error!("e");
    tracing::warn!("w");
    tracing::info!("i");
    tracing::debug!("d");
    tracing::trace!("t");
    let levels: Vec<Level> = take_log().iter().map(|line| line.level).collect();
    assert_eq!(levels, [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace]);
}

#[test]
fn fields_of_tracing_and_of_the_spans_around_become_fields() {
    capture_facades();
    let outer = tracing::info_span!("file", file = "a.csv", rows = tracing::field::Empty);
    let entered = outer.enter();
    outer.record("rows", 2);
    {
        let _inner = tracing::info_span!("row", row = 7_u32).entered();
        tracing::warn!(target: "import", column = "date", ok = false, what = ?Some(1), "skipped {}", "it");
    }
    tracing::info!(target: "import", "next");
    drop(entered);
    tracing::info!(target: "import", "after");
    let lines = take_log();
    assert_eq!(lines[0].message, "skipped it");
    assert_eq!(
        lines[0].fields,
        fields(&[
            ("target", "import"),
            ("file", "a.csv"),
            ("rows", "2"),
            ("row", "7"),
            ("column", "date"),
            ("ok", "false"),
            ("what", "Some(1)"),
        ])
    );
    assert_eq!(lines[1].fields, fields(&[("target", "import"), ("file", "a.csv"), ("rows", "2")]));
    assert_eq!(lines[2].fields, fields(&[("target", "import")]));
}
