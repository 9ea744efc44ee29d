//! Structured log lines, kept with the run.
//!
//! ```
//! use clockjack_sdk::{info, log, warn};
//!
//! log::info("starting");
//! let (name, skipped) = ("access.log", 3);
//! info!("reading {name}");
//! warn!(skipped = skipped, file = name, "{skipped} malformed lines");
//! ```
//!
//! # Other crates
//!
//! Libraries log through the facades `log` and `tracing`. With the feature of the same name their lines come to the host
//! too: `clockjack-sdk = { version = "0.1", features = ["log"] }`. In a component that is all, since every exported
//! function installs the logger first; in a native test [`testing::capture_facades`](crate::testing::capture_facades)
//! does it. Key-values and fields become fields of the line, those of the spans around a line as well, and `target` says
//! which module wrote it.

use std::fmt;

use crate::rt::imports;

/// How much a line matters.
///
/// ```
/// use clockjack_sdk::log::Level;
///
/// assert!(Level::Debug < Level::Warn);
/// assert_eq!(Level::Warn.to_string(), "warn");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every step.
    Trace,
    /// For the author of the job.
    Debug,
    /// For whoever reads the run.
    Info,
    /// Something was left out or done in another way.
    Warn,
    /// The job could not do a part of its work.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        })
    }
}

/// Writes one line with fields. The macros are easier to read.
///
/// ```
/// use clockjack_sdk::log::{Level, log};
///
/// log(Level::Info, "uploaded", &[("bytes", 512.to_string())]);
/// ```
pub fn log(level: Level, message: &str, fields: &[(&str, String)]) {
    imports::log(level, message, fields);
}

/// Writes a line for following every step.
pub fn trace(message: &str) {
    log(Level::Trace, message, &[]);
}

/// Writes a line for the author of the job.
pub fn debug(message: &str) {
    log(Level::Debug, message, &[]);
}

/// Writes a line for whoever reads the run.
pub fn info(message: &str) {
    log(Level::Info, message, &[]);
}

/// Writes a line about something that was left out or done in another way.
pub fn warn(message: &str) {
    log(Level::Warn, message, &[]);
}

/// Writes a line about a part of the work that could not be done.
pub fn error(message: &str) {
    log(Level::Error, message, &[]);
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $($key:ident = $value:expr,)* $format:literal $($args:tt)*) => {
        $crate::log::log(
            $crate::log::Level::$level,
            &::std::format!($format $($args)*),
            &[$((::core::stringify!($key), ::std::string::ToString::to_string(&$value))),*],
        )
    };
}

/// Writes a line at level `trace`: fields first, then a format string as in `println!`.
///
/// ```
/// clockjack_sdk::trace!(line = 7, "read {} bytes", 80);
/// ```
#[macro_export]
macro_rules! trace { ($($args:tt)+) => { $crate::__log!(Trace, $($args)+) } }

/// Writes a line at level `debug`: fields first, then a format string as in `println!`.
///
/// ```
/// clockjack_sdk::debug!("cache is {}", "cold");
/// ```
#[macro_export]
macro_rules! debug { ($($args:tt)+) => { $crate::__log!(Debug, $($args)+) } }

/// Writes a line at level `info`: fields first, then a format string as in `println!`.
///
/// ```
/// let rows = 12;
/// clockjack_sdk::info!(rows = rows, table = "visits", "imported {rows} rows");
/// ```
#[macro_export]
macro_rules! info { ($($args:tt)+) => { $crate::__log!(Info, $($args)+) } }

/// Writes a line at level `warn`: fields first, then a format string as in `println!`.
///
/// ```
/// clockjack_sdk::warn!(skipped = 3, "skipped malformed lines");
/// ```
#[macro_export]
macro_rules! warn { ($($args:tt)+) => { $crate::__log!(Warn, $($args)+) } }

/// Writes a line at level `error`: fields first, then a format string as in `println!`.
///
/// ```
/// clockjack_sdk::error!(file = "a.csv", "cannot read: {}", "no such file");
/// ```
#[macro_export]
macro_rules! error { ($($args:tt)+) => { $crate::__log!(Error, $($args)+) } }
