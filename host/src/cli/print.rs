//! Printing: the only two functions that write to the streams of the process.

use std::io::{self, ErrorKind, Write as _};

use anyhow::Context as _;

use clockjack_schedule::diagnostic::{Diagnostic, Source};

use super::diagnostics;
use crate::settings;

/// Prints data. A reader that has gone away (a closed pipe) is no fault; data that is lost otherwise is.
///
/// # Errors
/// When the data could not be written, on a full disk for instance.
pub(super) fn data(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("failed to write to stdout"),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints a line of something that goes on; answers whether anybody still reads it.
///
/// # Errors
/// As `data`.
pub(super) fn line(text: &str) -> anyhow::Result<bool> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("failed to write to stdout"),
    }
}

/// Prints talk.
pub(super) fn talk(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Prints findings as talk; without any, nothing.
pub(super) fn findings(found: &[Diagnostic], sources: &[Source]) {
    if found.is_empty() {
        return;
    }
    let drawn = diagnostics::render(found, sources, settings::look(&io::stderr()));
    talk(drawn.trim_end());
}

/// A table with its columns aligned; the last column is not padded.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([header[column].len()]).max().unwrap_or_default()
        })
        .collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let header: Vec<_> = header.iter().map(|name| name.to_uppercase()).collect();
    let lines = std::iter::once(line(&header)).chain(rows.iter().map(|row| line(row)));
    lines.collect::<Vec<_>>().join("\n")
}

/// An instant for programs: RFC 3339 in UTC.
pub(crate) fn rfc3339(instant: chrono::DateTime<chrono::Utc>) -> String {
    chrono::SubsecRound::trunc_subsecs(instant, 6).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// What a guest wrote, made harmless for a terminal: control characters but newline and tab are shown, not sent.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// A duration with the precision that a person can use.
pub(super) fn rounded(duration: std::time::Duration) -> std::time::Duration {
    let micros = duration.as_micros();
    let step = match micros {
        0..1_000 => 1,
        1_000..10_000 => 10,
        10_000..1_000_000 => 1_000,
        _ => 10_000,
    };
    std::time::Duration::from_micros(u64::try_from(micros / step * step).unwrap_or(u64::MAX))
}

/// A duration for programs: milliseconds, to the microsecond.
pub(crate) fn millis(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
