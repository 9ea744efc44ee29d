//! The program as a child process: started with a clean environment, read line by line, and killed when a bound passes.

use std::{
    cell::Cell,
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value as Json;

/// Longest time that any child process of these tests may take: far more than each needs on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The path of the program under test.
pub(crate) const CLOCKJACK: &str = env!("CARGO_BIN_EXE_clockjack");

/// Held for reading by every child process, for writing by tests that measure time and have to be alone.
static MACHINE: RwLock<()> = RwLock::new(());

/// A share of the machine, of which a test takes one however many child processes it has at once: a second one would wait
/// for those who wait for the first.
struct Share {
    _machine: RwLockReadGuard<'static, ()>,
}

thread_local! {
    static HAS_SHARE: Cell<bool> = const { Cell::new(false) };
}

impl Share {
    fn take() -> Option<Self> {
        if HAS_SHARE.get() {
            return None;
        }
        let machine = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
        HAS_SHARE.set(true);
        Some(Self { _machine: machine })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        HAS_SHARE.set(false);
    }
}

/// Waits until no child process of another test goes on, and keeps new ones from starting.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// A command line of the program.
pub(crate) struct Clockjack {
    command: Command,
    stdin: Vec<u8>,
    stdout_bytes_max: u64,
    shares_machine: bool,
}

/// How a child process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A child process that goes on. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    /// The lines of stderr so far.
    pub(crate) log: Vec<String>,
    stdout: Receiver<String>,
    _machine: Option<Share>,
}

/// The instant of now, for bounds.
#[expect(clippy::disallowed_methods, reason = "tests have no `Clock` port: they look at the program from outside")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Where ledgers are that no test names: a folder of this very test process, so that each begins with nothing.
fn state_home() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("state-{}", std::process::id()))
}

/// Where compiled code is kept that no test looks for.
fn cache_home() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cache-{}", std::process::id()))
}

/// The program with arguments.
pub(crate) fn clockjack<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Clockjack {
    Clockjack::of(CLOCKJACK).args(args)
}

impl Clockjack {
    /// Another program, which may call the one under test.
    pub(crate) fn of(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").stdin(Stdio::null());
        command
            .env("XDG_STATE_HOME", state_home())
            .env("XDG_CACHE_HOME", cache_home())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self { command, stdin: Vec::new(), stdout_bytes_max: u64::MAX, shares_machine: true }
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn stdin(mut self, bytes: &[u8]) -> Self {
        self.command.stdin(Stdio::piped());
        bytes.clone_into(&mut self.stdin);
        self
    }

    /// Closes stdout after so many bytes, as `head` does.
    pub(crate) fn reads_only(mut self, bytes: u64) -> Self {
        self.stdout_bytes_max = bytes;
        self
    }

    /// For a test that holds `alone`, or that has another child process already: the lock is not to be taken twice.
    pub(crate) fn beside_nothing(mut self) -> Self {
        self.shares_machine = false;
        self
    }

    /// Starts it.
    pub(crate) fn start(mut self) -> Running {
        let machine = if self.shares_machine { Share::take() } else { None };
        let mut child = self.command.spawn().expect("the program starts");
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not read its input may be gone already.
            thread::spawn(move || drop(stdin.write_all(&self.stdin)));
        }
        let lines = read_lines(child.stderr.take().expect("stderr is piped"));
        let stdout = read_all(child.stdout.take().expect("stdout is piped").take(self.stdout_bytes_max));
        Running { child, lines, log: Vec::new(), stdout, _machine: machine }
    }

    /// Runs it to its end.
    pub(crate) fn end(self) -> Ended {
        self.start().end()
    }

    /// Runs it to its end, which must be this exit code.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Ended {
        let shown = format!("{:?}", self.command.get_args().collect::<Vec<_>>());
        let ended = self.end();
        assert_eq!(ended.code, Some(code), "{shown}\nstdout: {}\nstderr: {}", cut(&ended.stdout), cut(&ended.stderr));
        ended
    }
}

impl Ended {
    /// What was printed, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        let parsed = serde_json::from_str(&self.stdout);
        parsed
            .unwrap_or_else(|error| panic!("stdout is no JSON: {error}\n{}\n{}", cut(&self.stdout), cut(&self.stderr)))
    }

    /// That nothing of the host itself went wrong.
    #[track_caller]
    pub(crate) fn is_no_crash(&self) {
        let Self { code, stderr, .. } = self;
        assert!(code.is_some_and(|code| (0..=3).contains(&code)), "exit {code:?}\n{}", cut(stderr));
        // A guest may panic, and its words may be shown.
        let panicked = stderr.lines().any(|line| line.contains("panicked at host/") || line.contains("panicked at /"));
        assert!(!panicked, "the host panicked:\n{}", cut(stderr));
    }
}

impl Running {
    /// Waits for a line of stderr that fits.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let deadline = now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(now())) {
                Ok(line) => {
                    self.log.push(line.clone());
                    if fits(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {what} within {PATIENCE:?}:\n{}", self.log.join("\n")),
                Err(RecvTimeoutError::Disconnected) => panic!("ended before {what}:\n{}", self.log.join("\n")),
            }
        }
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended by itself yet.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.child.try_wait().expect("the program is our child").is_none()
    }

    /// Waits for the end by itself, and says how many bytes of memory it had at the most, as far as was seen.
    pub(crate) fn memory_peak(&mut self) -> u64 {
        let mut peak = 0;
        while self.goes_on() {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            peak = peak.max(kibibytes.unwrap_or(0) << 10);
            thread::yield_now();
        }
        peak
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.is_ok_and(|status| status.success()), "{kill}");
    }

    /// Waits for the end by itself.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let deadline = now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(now())) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("no end within {PATIENCE:?}:\n{}", self.log.join("\n")),
            }
        }
        let stdout = self.stdout.recv_timeout(deadline.saturating_duration_since(now())).expect("stdout is closed too");
        let status = self.status(deadline);
        Ended { code: status.code(), stdout, stderr: self.log.join("\n") }
    }
}

impl Running {
    /// Both streams are closed, so it is about to be gone.
    fn status(&mut self, deadline: Instant) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().expect("the program is our child") {
                return status;
            }
            assert!(now() < deadline, "it closed its streams, but does not end");
            thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read_lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (tx, rx) = channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n_bytes| 0 < n_bytes) {
            let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned();
            if tx.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    rx
}

fn read_all(mut stream: impl Read + Send + 'static) -> Receiver<String> {
    let (tx, rx) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(stream.read_to_end(&mut bytes));
        drop(tx.send(String::from_utf8_lossy(&bytes).into_owned()));
    });
    rx
}

/// The beginning of a text, for messages of failed tests.
fn cut(text: &str) -> String {
    text.chars().take(4_000).collect()
}
