//! What `clockjack new` writes is built and tested as its README says, in each language.

use std::{
    env, fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::{Verdict, host};

/// The languages of `clockjack new`.
pub(crate) const LANGUAGES: [&str; 6] = ["rust", "js", "ts", "python", "go", "c"];

/// What the scripts of a project say where its tools are not there.
const MISSING: [&str; 3] = ["is missing: ", "no C compiler for WASI", "no standard library for wasm32-wasip2"];

/// Begins a project and runs its own test script, which builds it, checks its manifest and runs its job.
pub(crate) fn try_out(lang: &str) -> Verdict {
    let began = host::now();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = format!("nightly-{lang}");
    let made = Command::new(host::CLOCKJACK).args(["new", "--lang", lang, &name]).current_dir(folder.path()).output();
    let made = made.expect("the program starts");
    if !made.status.success() {
        return Verdict::Wrong(shown(&made));
    }
    let test = test(&folder.path().join(&name));
    let told = shown(&test);
    if test.status.success() {
        return Verdict::Fine(format!("built and tested in {:.1} s", host::now().duration_since(began).as_secs_f64()));
    }
    match told.lines().find(|line| MISSING.iter().any(|missing| line.contains(missing))) {
        Some(missing) => Verdict::Skipped(missing.to_owned()),
        None => Verdict::Wrong(told),
    }
}

/// Runs `test.sh` with the program under test and the tools of the examples first in the path.
fn test(project: &Path) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |target| root.join(target));
    let tools = fs::canonicalize(target).unwrap_or_default().join("tools");
    let program = Path::new(host::CLOCKJACK).parent().expect("a folder").to_path_buf();
    let first = [program, tools.join("node_modules/.bin"), tools.join("venv/bin"), tools.join("bin")];
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(first.into_iter().chain(env::split_paths(&path))).expect("folders without a colon");
    let mut command = Command::new("bash");
    // Its own target folder would be the one of this very test.
    command.arg("./test.sh").current_dir(project).env("PATH", path).env_remove("CARGO_TARGET_DIR");
    command.stdin(Stdio::null()).output().expect("bash starts")
}

fn shown(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("ended with {}\n{stdout}{stderr}", output.status)
}
