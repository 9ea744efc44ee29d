//! Building an example with its own script.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use crate::{Example, host};

/// With this a script says that a tool is missing.
const MISSING: i32 = 77;

/// What came of a build.
pub(crate) enum Built {
    /// A component lies in the folder.
    Done(Duration),
    /// Which tool is missing, and the package that has it.
    Missing(String),
    /// Everything that the script printed.
    Failed(String),
}

/// Runs `build.sh` in the folder of an example, with the environment of whoever runs the tests: toolchains want it.
pub(crate) fn build(example: &Example) -> Built {
    let began = host::now();
    let mut command = Command::new("bash");
    let output = command.arg("./build.sh").current_dir(&example.folder).stdin(Stdio::null()).output();
    let output = output.expect("bash starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => Built::Done(host::now().duration_since(began)),
        Some(MISSING) => {
            let why = stderr.lines().last().unwrap_or("its build.sh does not say why");
            Built::Missing(why.to_owned())
        }
        _ => Built::Failed(format!("build.sh ended with {}\n{stdout}{stderr}", output.status)),
    }
}
