//! The program as a child process that is not spared.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant, SystemTime},
};

use clockjack_checker::Micros;

/// The program under test.
const CLOCKJACK: &str = env!("CARGO_BIN_EXE_clockjack");

/// Longest time that anything here may take, on however busy a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a process that was aborted is told to have died of.
const SIGABRT: i32 = 6;

/// Microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the harness has a clock of its own, beside those of host and guest")]
pub(crate) fn now() -> Micros {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
    Micros::try_from(since_1970.as_micros()).expect("an instant of this era")
}

#[expect(clippy::disallowed_methods, reason = "bounds of waiting")]
fn deadline(time: Duration) -> Instant {
    Instant::now() + time
}

#[expect(clippy::disallowed_methods, reason = "bounds of waiting")]
fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

#[expect(clippy::disallowed_methods, reason = "the harness lets the host live for a while")]
pub(crate) fn sleep(time: Duration) {
    thread::sleep(time);
}

/// A host that goes on. It is killed when this is dropped.
pub(crate) struct Host {
    child: Child,
    lines: Receiver<String>,
    /// What it said so far.
    pub(crate) log: Vec<String>,
    /// From before the start of the process.
    pub(crate) began: Micros,
}

/// How a host ended.
pub(crate) struct End {
    pub(crate) status: ExitStatus,
    /// When it was gone.
    pub(crate) at: Micros,
    pub(crate) log: String,
}

impl End {
    pub(crate) fn is_abort(&self) -> bool {
        self.status.signal() == Some(SIGABRT)
    }
}

/// A command line of the program, in a folder, with nothing from the environment but what is said.
fn command(program: &str, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.env("XDG_STATE_HOME", folder).stdin(Stdio::null());
    command
}

/// A question to the program that has not been answered yet.
pub(crate) struct Question(Child);

/// Asks the program something.
pub(crate) fn ask(folder: &Path, args: &[&str]) -> Question {
    let mut command = command(CLOCKJACK, folder, args);
    Question(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts"))
}

impl Question {
    /// Waits for what it prints. It must know the answer.
    pub(crate) fn answer(self) -> Vec<u8> {
        let Output { status, stdout, stderr } = self.0.wait_with_output().expect("the program is our child");
        assert!(status.success(), "a question without an answer: {}", String::from_utf8_lossy(&stderr));
        stdout
    }

    /// Waits until it has read.
    pub(crate) fn must_succeed(self) {
        drop(self.answer());
    }
}

/// What a host is started with beside its manifest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    pub(crate) env: Vec<(&'static str, String)>,
    /// Largest file that it may write, in blocks of 512 bytes.
    pub(crate) file_blocks_max: Option<u32>,
}

impl Host {
    pub(crate) fn start(folder: &Path, args: &[&str], setup: &Setup) -> Self {
        let mut command = match setup.file_blocks_max {
            None => command(CLOCKJACK, folder, args),
            Some(blocks) => {
                let script = format!("ulimit -S -f {blocks}; exec \"$0\" \"$@\"");
                let mut command = command("sh", folder, &["-c", &script, CLOCKJACK]);
                command.args(args);
                command
            }
        };
        command.envs(setup.env.iter().map(|(name, value)| (name, value))).stdout(Stdio::null()).stderr(Stdio::piped());
        let began = now();
        let mut child = command.spawn().expect("the program starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (tx, lines) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tx.send(line)));
        Self { child, lines, log: Vec::new(), began }
    }

    /// Waits for a line that holds a word. Whether it came in time, before the end of the process.
    pub(crate) fn says(&mut self, word: &str, time: Duration) -> bool {
        self.says_both(word, "", time)
    }

    /// The same for a line that holds two words.
    pub(crate) fn says_both(&mut self, word: &str, other: &str, time: Duration) -> bool {
        let deadline = deadline(time);
        while let Ok(line) = self.lines.recv_timeout(until(deadline)) {
            let is_it = line.contains(word) && line.contains(other);
            self.log.push(line);
            if is_it {
                return true;
            }
        }
        false
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, without a word before. It is gone when this returns.
    pub(crate) fn kill(mut self) -> End {
        self.child.kill().expect("a process that can be killed");
        self.end()
    }

    /// Sends a signal such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{name}");
    }

    /// Takes back the largest size of its files.
    pub(crate) fn lift_file_limit(&self) {
        let pid = self.child.id().to_string();
        let status = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
        assert!(status.is_ok_and(|status| status.success()), "prlimit, which is part of util-linux");
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> End {
        let deadline = deadline(PATIENCE);
        let mut is_late = false;
        loop {
            match self.lines.recv_timeout(until(deadline)) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    is_late = true;
                    drop(self.child.kill());
                    break;
                }
            }
        }
        let status = self.child.wait().expect("the program is our child");
        let end = End { status, at: now(), log: self.log.join("\n") };
        assert!(!is_late, "it does not end:\n{}", end.log);
        end
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
