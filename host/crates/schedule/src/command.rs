//! What only a command job has: what it reads from its standard input, and what its exit codes mean.

use std::{path::PathBuf, sync::Arc};

/// What only a command job has. Most jobs say nothing of it and share the default.
///
/// ```yaml
/// stdin: { days: 30 }
/// exit_codes: { success: [0, 1], retry: [75], permanent: [64, 65], skipped: [3] }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Command {
    /// `exit_codes`: what its exit codes mean.
    pub exit_codes: ExitCodes,
    /// `stdin`: what it reads from its standard input.
    pub stdin: Stdin,
}

/// What a command reads from its standard input.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Stdin {
    /// Nothing: it is at its end at once.
    #[default]
    Empty,
    /// `stdin: text`: this text, as it stands.
    Text(Arc<str>),
    /// `stdin: { file: ./names.csv }`: the bytes that the file had when the manifest was loaded.
    File(PathBuf),
    /// `stdin: { days: 30 }` or a list: one line of JSON.
    Json(serde_json::Value),
}

/// What the exit codes of a command mean. A code stands in one list at the most; one that stands in none is a failure
/// that is tried again as `retry` of the job says.
///
/// ```
/// use clockjack_schedule::command::{ExitCodes, ExitMeaning};
///
/// let codes = ExitCodes::default();
/// assert_eq!(codes.meaning(0), ExitMeaning::Success);
/// assert_eq!(codes.meaning(75), ExitMeaning::Retry);
/// assert_eq!(codes.meaning(1), ExitMeaning::Unlisted);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitCodes {
    /// The job has done its work. Default: 0.
    pub success: Vec<u8>,
    /// Another attempt may help, as `Err` with the variant `retry`. Default: 75, which `sysexits.h` calls a temporary
    /// failure.
    pub retry: Vec<u8>,
    /// Another attempt will not help, as `Err` with the variant `permanent`. Default: none.
    pub permanent: Vec<u8>,
    /// There was nothing to do, as `Err` with the variant `skipped`. Default: none.
    pub skipped: Vec<u8>,
}

/// What one exit code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitMeaning {
    /// It stands in `success`.
    Success,
    /// It stands in `retry`.
    Retry,
    /// It stands in `permanent`.
    Permanent,
    /// It stands in `skipped`.
    Skipped,
    /// It stands nowhere.
    Unlisted,
}

impl Default for ExitCodes {
    fn default() -> Self {
        Self { success: vec![0], retry: vec![75], permanent: Vec::new(), skipped: Vec::new() }
    }
}

impl ExitCodes {
    /// What a code means.
    #[must_use]
    pub fn meaning(&self, code: u8) -> ExitMeaning {
        let lists = [
            (&self.success, ExitMeaning::Success),
            (&self.retry, ExitMeaning::Retry),
            (&self.permanent, ExitMeaning::Permanent),
            (&self.skipped, ExitMeaning::Skipped),
        ];
        let found = lists.into_iter().find(|(codes, _)| codes.contains(&code));
        found.map_or(ExitMeaning::Unlisted, |(_, meaning)| meaning)
    }
}
