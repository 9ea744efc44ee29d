//! The hidden commands for programs that have the scheduler inside themselves: they are the children that it starts.

use std::{
    env,
    ffi::OsStr,
    process,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use super::{
    Exit,
    compile::{self, CompileArgs},
    guest_worker, print,
};

/// Whether this program can be its own child.
static IS_CHILD_PROCESS: AtomicBool = AtomicBool::new(false);

/// Lets this program be the child that compiles components, and the worker that runs isolated ones. Belongs to the very
/// beginning of `main`, before any thread and any runtime: a process that was started as such a child does its work here
/// and ends; every other one goes on.
///
/// ```no_run
/// clockjack::child_process();
/// // The program goes on here.
/// ```
pub fn child_process() {
    let args: Vec<_> = env::args_os().take(4).collect();
    let args: Vec<_> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let is_by_host = args.first().is_some_and(|program| OsStr::new(program) == "clockjack");
    let ended = match args.get(1..) {
        Some(["compile-guest", order]) if is_by_host => compile::run(&CompileArgs { order: (*order).to_owned() }),
        Some(["guest-worker"]) if is_by_host => guest_worker::run(),
        Some(_) | None => return IS_CHILD_PROCESS.store(true, Relaxed),
    };
    let exit = ended.unwrap_or_else(|error| {
        print::talk(&format!("error: {error:#}"));
        Exit::HostFailed
    });
    process::exit(i32::from(exit.code()));
}

/// Whether a process that this one starts of its own program is a child of the scheduler.
pub(crate) fn is_child_process() -> bool {
    IS_CHILD_PROCESS.load(Relaxed)
}
