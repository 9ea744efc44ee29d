//! A program of this machine that is told: JSON on stdin, the most important facts in its environment.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use super::Notice;

/// Most bytes of stderr that are read.
const STDERR_BYTES_MAX: u64 = 16 << 10;

/// Longest part of it that is told, in characters.
const STDERR_CHARS_MAX: usize = 300;

/// The facts that a command finds in its environment, with the fields that they come from.
const VARIABLES: [(&str, &str); 7] = [
    ("CLOCKJACK_TYPE", "type"),
    ("CLOCKJACK_NOTICE", "id"),
    ("CLOCKJACK_JOB", "job"),
    ("CLOCKJACK_RUN", "run"),
    ("CLOCKJACK_OUTCOME", "outcome"),
    ("CLOCKJACK_ERROR", "error"),
    ("CLOCKJACK_SCHEDULED_FOR", "scheduled_for"),
];

/// Runs the command to its end, or until its time is up; then it is killed.
///
/// # Errors
/// In words: when it cannot be started, takes too long, or ends with another code than zero.
pub(super) async fn run(argv: &[String], notice: &Notice, timeout: Duration) -> Result<String, String> {
    let (program, args) = argv.split_first().ok_or("there is no program")?;
    let variables = VARIABLES.map(|(name, field)| (name, notice.text(field).to_owned()));
    let mut child = Command::new(program)
        .args(args)
        .envs(variables)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let body = notice.body();
    let told = async {
        let write = async {
            if let Some(mut stdin) = stdin {
                // A program that does not read is none the worse for it.
                drop(stdin.write_all(body.as_bytes()).await);
            }
        };
        let ((), stderr) = tokio::join!(write, read(stderr));
        (child.wait().await, stderr)
    };
    let Ok((status, stderr)) = tokio::time::timeout(timeout, told).await else {
        return Err(format!("`{program}` has not ended within {timeout:?} and was killed"));
    };
    let status = status.map_err(|error| format!("`{program}` cannot be waited for: {error}"))?;
    if status.success() {
        return Ok("exit code 0".to_owned());
    }
    let said = if stderr.is_empty() { String::new() } else { format!(": {stderr}") };
    Err(format!("`{program}` ended with {status}{said}"))
}

/// The beginning of what it writes, on one line; the rest is read and dropped, so that the program is not held up.
async fn read(stderr: Option<impl AsyncRead + Unpin>) -> String {
    let Some(stderr) = stderr else { return String::new() };
    let mut bytes = Vec::new();
    let mut first = stderr.take(STDERR_BYTES_MAX);
    drop(first.read_to_end(&mut bytes).await);
    drop(tokio::io::copy(&mut first.into_inner(), &mut tokio::io::sink()).await);
    let text = String::from_utf8_lossy(&bytes);
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(STDERR_CHARS_MAX).collect();
    plain.trim().to_owned()
}
