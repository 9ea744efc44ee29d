//! The built program, run in the folder of an example.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use serde_json::Value as Json;

/// The path of the program under test.
pub(crate) const CLOCKJACK: &str = env!("CARGO_BIN_EXE_clockjack");

/// How a command of the program ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The instant of now, for measuring.
#[expect(clippy::disallowed_methods, reason = "tests have no `Clock` port: they look at the program from outside")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Runs the program with nothing of the environment.
pub(crate) fn clockjack(folder: &Path, args: &[&str]) -> Ended {
    let mut command = Command::new(CLOCKJACK);
    command.args(args).current_dir(folder).env_clear().stdin(Stdio::null());
    let output = command.output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// What the program prints as JSON; both streams where that is none.
pub(crate) fn json(folder: &Path, args: &[&str]) -> Result<Json, String> {
    let Ended { code, stdout, stderr } = clockjack(folder, args);
    serde_json::from_str(&stdout)
        .map_err(|error| format!("clockjack {}: exit {code:?}, no JSON: {error}\n{stdout}{stderr}", args.join(" ")))
}
