//! How children end that do not answer.

use std::{fs, path::PathBuf};

use super::*;
use crate::{
    CompileBudget,
    compile::{CompileSettings, Compiler, Effort, Source, Workshop},
    engine::{Allocation, Metering},
};

fn order() -> Order {
    let budget = Budget::of(1, &CompileBudget::default());
    Order { metering: Metering::Plain, allocation: Allocation::OnDemand, effort: Effort::Full, budget }
}

/// A program that does what the shell is told. It is written by a process of its own: what another test starts meanwhile
/// holds no open file of it.
fn program(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("program");
    let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod +x \"$1\"";
    let status = Command::new("sh").args(["-c", write, "sh"]).arg(&path).arg(script).status().unwrap();
    assert!(status.success());
    path
}

#[test]
fn a_child_that_was_killed_says_nothing_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "echo >> \"$0.starts\"; kill -KILL $$");
    let breach = run(&program, &order(), b"x").unwrap_err();
    assert!(matches!(breach, Breach::Killed) && !breach.is_of_the_file(), "{breach:?}");
    let workshop =
        Workshop::new(CompileSettings { compiler: Compiler::Child(program.clone()), ..CompileSettings::default() });
    let (metering, allocation, budget) = (Metering::Plain, Allocation::OnDemand, CompileBudget::default());
    let source = Source { bytes: b"x", digest: "d", metering, allocation, budget };
    for _ in 0..2 {
        let refusal = workshop.compiled(&wasmtime::Engine::default(), source).unwrap_err();
        assert!(refusal.message.contains("was killed"), "{refusal:?}");
    }
    // Neither was it tried with less effort, nor is it remembered.
    let starts = fs::read_to_string(program.with_added_extension("starts")).unwrap();
    assert_eq!(starts.lines().count(), 3);
}

/// Tells the second process that it is the one.
const IS_SECOND: &str = "CLOCKJACK_TEST_SECOND";

#[test]
fn without_threads_the_file_is_refused_and_the_host_goes_on() {
    if std::env::var_os(IS_SECOND).is_none() {
        let test = "compile::parent::tests::without_threads_the_file_is_refused_and_the_host_goes_on";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(IS_SECOND, "yes");
        // No machine has the address space for the stack of one more thread.
        let output = command.env("RUST_MIN_STACK", (1_u64 << 47).to_string()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("1 passed"), "{}\n{told}", output.status);
        return;
    }
    let refused = run(Path::new("/bin/cat"), &order(), b"x");
    let Err(Breach::NotStarted(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("threads"), "{why}");
}

#[test]
fn gaps_of_the_wall_come_before_the_answer() {
    for (whole, gaps, rest) in
        [(&b"files: none\0Rx"[..], "files: none", &b"Rx"[..]), (b"\0C\0", "", b"C\0"), (b"C", "", b"C"), (b"", "", b"")]
    {
        let mut answer = whole.to_vec();
        assert_eq!((missing(&mut answer).as_str(), answer.as_slice()), (gaps, rest));
    }
    // A child that never ends its words has no more than it may have.
    let mut answer = vec![b'x'; MISSING_BYTES_MAX + 9];
    answer[MISSING_BYTES_MAX + 1] = BREAK;
    assert_eq!(missing(&mut answer), "");
}
