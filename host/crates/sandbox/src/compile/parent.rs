//! The parent's end: it starts the child, feeds it, and takes an answer or notes how the child ended.

use std::{
    io::{self, Read, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{RecvTimeoutError, channel},
    },
    thread::{self, Scope, ScopedJoinHandle},
};

use rustix::process::Signal;

use super::{
    Compiled,
    budget::Budget,
    child::{BREAK, CODE, MISSING_BYTES_MAX, REFUSAL},
    order::Order,
};
use crate::error::{LoadCode, LoadError};

/// The word that the program knows a compiling child by.
const COMMAND: &str = "compile-guest";

/// Makes the program's allocator ask for memory when it is used, and not for a gigabyte beforehand: else the budget would
/// begin behind that.
const NO_MEMORY_BEFOREHAND: (&str, &str) = ("MIMALLOC_ARENA_EAGER_COMMIT", "0");

/// What is kept of the child's last words.
const WORDS_BYTES_MAX: usize = 4_096;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Breach {
    /// It used up its processor time.
    Processor,
    /// It needed more memory than it may have.
    Memory,
    /// It would have become more code than it may.
    Code,
    /// It took too long by the clock.
    Clock,
    /// Somebody killed it, or the system did because memory was short.
    Killed,
    /// The compiler broke down.
    BrokeDown(String),
    /// There was no child.
    NotStarted(String),
}

impl Breach {
    /// Whether it would come to the same the next time.
    pub(crate) fn is_of_the_file(&self) -> bool {
        match self {
            Self::Processor | Self::Memory | Self::Code => true,
            Self::Clock | Self::Killed | Self::BrokeDown(_) | Self::NotStarted(_) => false,
        }
    }

    /// The same as a refusal of the file.
    pub(crate) fn into_refusal(self, budget: &Budget) -> LoadError {
        let (time, memory) = (budget.shown_time(), budget.shown_memory());
        let key = if budget.is_lowered { " (`host.ceilings`)" } else { "" };
        let what = match self {
            Self::Processor => {
                format!("more than its budget of {time} of processor time{key}, also without optimisations")
            }
            Self::Memory => format!("more than its budget of {memory} of memory{key}, also without optimisations"),
            Self::Code => format!("more than {} of code", budget.shown_code()),
            Self::Clock => format!("longer than {} by the clock, its budget being {time}{key}", {
                clockjack_schedule::manifest::scalar::show_duration(budget.wall())
            }),
            Self::Killed => {
                let message = "the process that compiled the file was killed (SIGKILL): by somebody, or by the system, which \
                               does that where the machine or the host's control group is short of memory";
                let fix = "see whether there is memory left, and load the file again; it is not refused for good";
                return LoadError::new(LoadCode::Budget, message, fix);
            }
            Self::BrokeDown(words) => {
                let message = format!("the compiler broke down over the file: {words}");
                let fix = "build the plugin again with a current toolchain; no valid file does that";
                return LoadError::new(LoadCode::Invalid, message, fix);
            }
            Self::NotStarted(problem) => {
                let message = format!("the process that compiles plugins could not be started: {problem}");
                let fix = "see whether the host may start processes, and whether the machine has memory left";
                return LoadError::new(LoadCode::Budget, message, fix);
            }
        };
        let fix = if budget.is_lowered {
            "raise `host.ceilings.compile_cpu_time` or `compile_memory`, or make its largest functions smaller"
        } else {
            "make its largest functions smaller, or build it for size (`opt-level = \"s\"`); no key raises the budget"
        };
        LoadError::new(LoadCode::Budget, format!("compiling the file takes {what}"), fix)
    }
}

/// Compiles in a child. The inner error is the child's own refusal.
pub(crate) fn run(program: &Path, order: &Order, bytes: &[u8]) -> Result<Result<Compiled, LoadError>, Breach> {
    let mut child = start(program, order).map_err(|error| Breach::NotStarted(error.to_string()))?;
    let talk = converse(&mut child, order, bytes);
    let status = child.wait().map_err(|error| Breach::NotStarted(error.to_string()))?;
    let Talk { mut answer, words } = talk?;
    let missing = missing(&mut answer);
    if order.budget.code_bytes < u64::try_from(answer.len()).unwrap_or(u64::MAX) {
        return Err(Breach::Code);
    }
    if !status.success() {
        return Err(end(status, &words));
    }
    tell(&missing);
    read(answer).ok_or_else(|| end(status, &words))
}

fn start(program: &Path, order: &Order) -> io::Result<Child> {
    Command::new(program)
        .arg0("clockjack")
        .args([COMMAND, &order.of_host(std::process::id())])
        .env_clear()
        .env(NO_MEMORY_BEFOREHAND.0, NO_MEMORY_BEFOREHAND.1)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // What a person types to end the host is for the host.
        .process_group(0)
        .spawn()
}

/// What a child said.
struct Talk {
    answer: Vec<u8>,
    words: String,
}

fn converse(child: &mut Child, order: &Order, bytes: &[u8]) -> Result<Talk, Breach> {
    let lost = || Breach::NotStarted("it has no streams".to_owned());
    let (mut stdin, stdout, stderr) = (
        child.stdin.take().ok_or_else(lost)?,
        child.stdout.take().ok_or_else(lost)?,
        child.stderr.take().ok_or_else(lost)?,
    );
    let missing_max = u64::try_from(MISSING_BYTES_MAX).unwrap_or(u64::MAX);
    let answer_max = order.budget.code_bytes.saturating_add(missing_max).saturating_add(2);
    thread::scope(|scope| {
        let (done, is_done) = channel();
        // A child that is gone takes no more; how it ended says why.
        let threads = begin(scope, move || drop(stdin.write_all(bytes))).and_then(|_fed| {
            begin(scope, move || {
                let mut answer = Vec::new();
                let read = stdout.take(answer_max).read_to_end(&mut answer);
                drop(done.send(read.map(|_| answer)));
            })?;
            begin(scope, move || words(stderr))
        });
        let words = match threads {
            Ok(words) => words,
            Err(error) => {
                // Its end is also that of the threads that there are.
                drop(child.kill());
                return Err(Breach::NotStarted(format!("its streams need threads, and {error}")));
            }
        };
        let answer = is_done.recv_timeout(order.budget.wall());
        // An honest child closes its stream by ending; any other one is ended.
        drop(child.kill());
        let words = words.join().unwrap_or_default();
        match answer {
            Ok(Ok(answer)) => Ok(Talk { answer, words }),
            Ok(Err(error)) => Err(Breach::NotStarted(error.to_string())),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(Breach::Clock),
        }
    })
}

/// A thread for a stream; where the system has none left, that is no end of the host.
fn begin<'s, T: Send + 's>(
    scope: &'s Scope<'s, '_>,
    work: impl FnOnce() -> T + Send + 's,
) -> io::Result<ScopedJoinHandle<'s, T>> {
    thread::Builder::new().name("compiler".to_owned()).spawn_scoped(scope, work)
}

/// The beginning of what is said; the rest is read and dropped, so that nobody waits.
fn words(mut stream: impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4_096];
    while let Ok(n_bytes) = stream.read(&mut buffer) {
        if n_bytes == 0 {
            break;
        }
        let room = WORDS_BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..n_bytes.min(room)]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Takes off the answer what the system could not take from the child.
fn missing(answer: &mut Vec<u8>) -> String {
    let end = answer.iter().take(MISSING_BYTES_MAX + 1).position(|byte| *byte == BREAK);
    let missing: Vec<u8> = answer.drain(..end.map_or(0, |end| end + 1)).collect();
    String::from_utf8_lossy(&missing[..end.unwrap_or(0)]).into_owned()
}

/// Says once which parts of the wall the system does not have.
fn tell(missing: &str) {
    static HAS_TOLD: AtomicBool = AtomicBool::new(false);
    if !missing.is_empty() && !HAS_TOLD.swap(true, Relaxed) {
        tracing::warn!(missing, "plugins are compiled behind a wall with gaps: this system lacks a part of it");
    }
}

fn end(status: ExitStatus, words: &str) -> Breach {
    const SHOWN_CHARS: usize = 300;
    let no_memory = ["memory allocation of", "Cannot allocate memory", "os error 12", "out of memory", "OutOfMemory"];
    if no_memory.iter().any(|text| words.contains(text)) {
        return Breach::Memory;
    }
    let is = |signal: Signal| status.signal() == Some(signal.as_raw());
    match () {
        () if is(Signal::XCPU) => Breach::Processor,
        // What it is bounded by ends it in other ways, so this says nothing of the file.
        () if is(Signal::KILL) => Breach::Killed,
        () => {
            let words: String = words.lines().next().unwrap_or_default().chars().take(SHOWN_CHARS).collect();
            let words = if words.is_empty() { status.to_string() } else { format!("{status}, {words}") };
            Breach::BrokeDown(words)
        }
    }
}

fn read(mut answer: Vec<u8>) -> Option<Result<Compiled, LoadError>> {
    match *answer.first()? {
        CODE => {
            answer.remove(0);
            Compiled::from_bytes(answer).map(Ok)
        }
        REFUSAL => {
            let mut parts = answer[1..].split(|byte| *byte == BREAK).map(String::from_utf8_lossy);
            let (code, message, fix) = (parts.next()?, parts.next()?, parts.next()?);
            Some(Err(LoadError::new(LoadCode::parse(&code)?, message, fix)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
