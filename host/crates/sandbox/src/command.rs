//! What only command jobs have: a command line, standard input, the facts of the attempt as variables, exit codes.

use std::{fs::File, io::Read as _, path::Path};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, SubsecRound as _, TimeDelta, Utc};
use clockjack_schedule::{
    command::{Command, ExitCodes, Stdin},
    manifest::scalar::show_size,
    outcome::json_bytes,
    ports::Attempt,
    template::fill,
};
use serde_json::Value as Json;

use crate::{
    attempt::Facts,
    call::{Call, CallProblem, Part},
    error::LoadCode,
    plugin::Plugin,
    values::templates,
};

/// Largest standard input. The host holds it as long as the job exists; larger data belongs into a granted directory.
pub const STDIN_BYTES_MAX: u64 = 4 << 20;

/// What a command calls itself: the first word of its command line.
pub(crate) const PROGRAM_NAME: &str = "job";

/// What a command reads and what its exit codes mean, checked and read.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommandInput {
    stdin: Input,
    pub(crate) exit_codes: ExitCodes,
}

/// What a command reads.
#[derive(Clone, Debug)]
enum Input {
    /// The same in every attempt.
    Fixed(Bytes),
    /// Text with templates in it.
    Text(String),
    /// A value with templates in it, which the command gets as JSON.
    Json(Json),
}

impl Default for Input {
    fn default() -> Self {
        Self::Fixed(Bytes::new())
    }
}

impl CommandInput {
    /// No input that is the same for all attempts, and this meaning of exit codes.
    pub(crate) fn of(exit_codes: ExitCodes) -> Self {
        Self { stdin: Input::default(), exit_codes }
    }

    /// Checks what a manifest says of a command and reads the file that it names.
    ///
    /// # Errors
    /// When the function is no command and was given standard input, or that cannot be read.
    pub(crate) fn read(plugin: &Plugin, call: Option<&str>, command: &Command) -> Result<Self, Vec<CallProblem>> {
        let function = plugin.find(call).filter(|function| !function.is_command());
        if let (Some(function), true) = (function, command.stdin != Stdin::Empty) {
            let message = format!("`{}` is a function, and only a command reads standard input", function.name);
            let problem = CallProblem::new("stdin", LoadCode::Type, message, "pass it as an argument, under `args:`");
            return Err(vec![CallProblem { part: Part::Key, ..problem }]);
        }
        let stdin = match &command.stdin {
            Stdin::Empty => Ok(Input::default()),
            Stdin::Text(text) => Ok(match templates::literal(text) {
                Some(text) => Input::Fixed(text.into()),
                None => Input::Text(text.to_string()),
            }),
            Stdin::Json(json) if json.to_string().contains("${") => Ok(Input::Json(json.clone())),
            Stdin::Json(json) => Ok(Input::Fixed(line(json))),
            Stdin::File(path) => {
                file(path).map(Input::Fixed).map_err(|(code, message, fix)| ("stdin.file", code, message, fix))
            }
        };
        let stdin = stdin.and_then(|stdin| {
            let n_bytes = match &stdin {
                Input::Fixed(bytes) => bytes.len(),
                Input::Text(text) => text.len(),
                Input::Json(json) => json_bytes(json),
            };
            let n_bytes = u64::try_from(n_bytes).unwrap_or(u64::MAX);
            let (size, max) = (show_size(n_bytes), show_size(STDIN_BYTES_MAX));
            let message = || format!("the standard input has {size}; at most {max} are passed");
            if n_bytes <= STDIN_BYTES_MAX {
                Ok(stdin)
            } else {
                Err(("stdin", LoadCode::TooLarge, message(), INTO_A_DIR))
            }
        });
        match stdin {
            Ok(stdin) => Ok(Self { stdin, exit_codes: command.exit_codes.clone() }),
            Err((path, code, message, fix)) => Err(vec![CallProblem::new(path, code, message, fix)]),
        }
    }

    /// What the command reads in this attempt.
    ///
    /// # Errors
    /// When what a template stands for is not there.
    pub(crate) fn stdin(&self, attempt: &Attempt) -> Result<Bytes, String> {
        let told = |message: String| format!("stdin: {message}");
        match &self.stdin {
            Input::Fixed(bytes) => Ok(bytes.clone()),
            Input::Text(text) => Ok(templates::word(text, attempt).map_err(told)?.into()),
            Input::Json(json) => Ok(line(&fill(json, attempt).map_err(told)?)),
        }
    }
}

/// A value as one line of JSON.
fn line(json: &Json) -> Bytes {
    Bytes::from(format!("{json}\n"))
}

const INTO_A_DIR: &str =
    "put the data into a folder and grant it: `grants: { dirs: [{ host: ./data, guest: /data }] }`";

type Unreadable = (LoadCode, String, &'static str);

/// Reads a file, but not a device or a pipe, which might never end, and no more than may be passed.
fn file(path: &Path) -> Result<Bytes, Unreadable> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        let fix = "check the path; relative paths start at the manifest's folder";
        (LoadCode::NotFound, format!("the file `{shown}` cannot be read: {error}"), fix)
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err((LoadCode::Invalid, format!("`{shown}` is no regular file"), "name a regular file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(STDIN_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if STDIN_BYTES_MAX < u64::try_from(bytes.len()).unwrap_or(u64::MAX) {
        let message =
            format!("the file `{shown}` has more than {}, the most that is passed", show_size(STDIN_BYTES_MAX));
        return Err((LoadCode::TooLarge, message, INTO_A_DIR));
    }
    Ok(bytes.into())
}

/// The facts of the attempt, for commands, which have no other way to ask.
pub(crate) fn environment(call: &Call, facts: &Facts) -> Vec<(String, String)> {
    if !call.function().is_command() {
        return Vec::new();
    }
    let attempt = &facts.attempt;
    let deadline =
        TimeDelta::from_std(call.limits.timeout).ok().and_then(|limit| attempt.started_at.checked_add_signed(limit));
    let cause = if 1 < attempt.number { "retry".to_owned() } else { attempt.run.cause.to_string() };
    let mut variables = vec![
        ("CLOCKJACK_RUN_ID", attempt.run.id.to_string()),
        ("CLOCKJACK_JOB", attempt.run.job.to_string()),
        ("CLOCKJACK_ATTEMPT", attempt.number.to_string()),
        ("CLOCKJACK_MAX_ATTEMPTS", attempt.number_max.to_string()),
        ("CLOCKJACK_CAUSE", cause),
        ("CLOCKJACK_SCHEDULED_FOR", rfc3339(attempt.run.scheduled_for)),
        ("CLOCKJACK_STARTED_AT", rfc3339(attempt.started_at)),
        ("CLOCKJACK_DEADLINE", deadline.map(rfc3339).unwrap_or_default()),
        ("CLOCKJACK_TIME_ZONE", facts.zone.to_string()),
    ];
    // Without a prefix of ours: that is where programs look for it.
    variables.extend(facts.traceparent().map(|told| ("TRACEPARENT", told)));
    variables.extend(attempt.last_success.map(|at| ("CLOCKJACK_LAST_SUCCESS", rfc3339(at))));
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn rfc3339(instant: DateTime<Utc>) -> String {
    instant.trunc_subsecs(6).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
