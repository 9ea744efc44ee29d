//! A program of this machine that is told: JSON on stdin, the most important facts in its environment.
//!
//! It has a group of processes of its own. What it leaves behind when it ends by itself goes on, as with every program that
//! starts something in the background; where its time is up, all of them are ended.

use std::{
    io,
    path::Path,
    pin::pin,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use clockjack_schedule::notify::LocalProgram;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
};

use tracing::debug;

use super::Notice;

/// Most bytes of stderr that are kept.
const STDERR_BYTES_MAX: usize = 16 << 10;

/// Longest part of it that is told, in characters.
const STDERR_CHARS_MAX: usize = 300;

/// How long is read, once the program has ended, what it wrote before: it lies in the pipe already. A process that it left
/// behind may hold the other end for days.
const LAST_WORDS: Duration = Duration::from_millis(100);

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

/// What the service manager gives the host alone: who has these can speak for it, take its sockets, or read its credentials.
const OF_THE_SERVICE: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "CREDENTIALS_DIRECTORY",
];

/// Runs the command to its end, or until its time is up; then it is killed, with all that it started. Its exit code decides.
///
/// # Errors
/// In words: when it cannot be started, takes too long, or ends with another code than zero.
pub(super) async fn run(program: &LocalProgram, notice: &Notice, timeout: Duration) -> Result<String, String> {
    let name = program.name();
    let mut group = start(program, notice).map_err(|error| format!("`{name}` cannot be started: {error}"))?;
    let mut said = Vec::new();
    let talk = tokio::time::timeout(timeout, group.talk(&notice.body(), &mut said)).await;
    let Ok(status) = talk else {
        group.kill();
        // It is gone by now; whoever waits for it lets the system forget it.
        drop(group.child.wait().await);
        return Err(format!("`{name}` has not ended within {timeout:?} and was killed, with all that it started"));
    };
    let status = status.map_err(|error| format!("`{name}` cannot be waited for: {error}"))?;
    if status.success() {
        return Ok("exit code 0".to_owned());
    }
    let said = words(&said);
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    Err(format!("`{name}` ended with {status}{said}"))
}

fn start(program: &LocalProgram, notice: &Notice) -> io::Result<Group> {
    let folder = if program.folder.as_os_str().is_empty() { Path::new(".") } else { &program.folder };
    // Where a relative path begins is not the same on all systems once the folder is another one.
    let path = program.path().map(std::path::absolute).transpose()?;
    let mut command = path.map_or_else(|| Command::new(program.name()), Command::new);
    for variable in program.secret_variables.iter().map(|name| &**name).chain(OF_THE_SERVICE) {
        command.env_remove(variable);
    }
    let child = command
        .args(program.argv.iter().skip(1))
        .current_dir(folder)
        .envs(VARIABLES.map(|(name, field)| (name, notice.text(field).to_owned())))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    Ok(Group { child })
}

/// The program and what it started. Who lets go of it before the program has ended ends them all.
struct Group {
    child: Child,
}

impl Group {
    /// Gives it the body, and hears it, until it has ended.
    async fn talk(&mut self, body: &str, said: &mut Vec<u8>) -> io::Result<ExitStatus> {
        let (stdin, stderr) = (self.child.stdin.take(), self.child.stderr.take());
        let tell = async {
            if let Some(mut stdin) = stdin {
                // A program that does not read is none the worse for it.
                drop(stdin.write_all(body.as_bytes()).await);
            }
        };
        let mut talk = pin!(async { tokio::join!(tell, hear(stderr, said)) });
        let mut is_talking = true;
        let status = loop {
            tokio::select! {
                status = self.child.wait() => break status,
                _ = &mut talk, if is_talking => is_talking = false,
            }
        };
        if is_talking {
            drop(tokio::time::timeout(LAST_WORDS, talk).await);
        }
        status
    }

    /// Does nothing once the program has ended: the number of its group may be another's by then.
    fn kill(&self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let killed = pid.map_or(Ok(()), |pid| kill_process_group(pid, Signal::KILL));
        if let Err(error) = killed {
            debug!("a program that is told could not be killed: {error}");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Keeps the beginning of what it writes; the rest is read and dropped, so that the program is not held up.
async fn hear(stderr: Option<impl AsyncRead + Unpin>, said: &mut Vec<u8>) {
    let Some(mut stderr) = stderr else { return };
    let mut bytes = [0; 4_096];
    while let Ok(n @ 1..) = stderr.read(&mut bytes).await {
        let room = STDERR_BYTES_MAX.saturating_sub(said.len());
        said.extend_from_slice(&bytes[..n.min(room)]);
    }
}

/// What it said, on one line.
fn words(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(STDERR_CHARS_MAX).collect();
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, sync::Arc};

    use rustix::process::kill_process;
    use tempfile::TempDir;

    use super::*;

    /// Long enough for a machine that does ten other things.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A script beside a manifest, as the manifest names it.
    fn script(text: &str) -> (TempDir, LocalProgram) {
        let folder = TempDir::with_prefix("clockjack-").unwrap();
        let path = folder.path().join("tell.sh");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let program = LocalProgram {
            argv: Arc::from(["./tell.sh".to_owned()]),
            folder: folder.path().into(),
            secret_variables: BTreeSet::new(),
        };
        (folder, program)
    }

    async fn tell(program: &LocalProgram, timeout: Duration) -> Result<String, String> {
        let notice = Notice::test("desk", "2026-11-22T10:00:00Z".parse().unwrap(), "here");
        run(program, &notice, timeout).await
    }

    async fn until(is_so: impl Fn() -> bool) {
        let wait = async {
            while !is_so() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("it comes to that");
    }

    /// The process whose number a script has written.
    fn started(folder: &TempDir) -> Option<Pid> {
        let text = fs::read_to_string(folder.path().join("pid")).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    /// One that was ended and that nobody has waited for yet is there for a moment.
    fn is_gone(pid: Pid) -> bool {
        let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) else { return true };
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X']))
    }

    #[tokio::test]
    async fn the_exit_decides_and_what_goes_on_in_the_background_holds_nobody_up() {
        for (exit, told) in [
            ("exit 0", Ok("exit code 0")),
            ("echo oh no >&2; exit 3", Err("`./tell.sh` ended with exit status: 3: oh no")),
        ] {
            let (folder, program) = script(&format!("sleep 600 &\necho $! > pid; {exit}"));
            assert_eq!(tell(&program, PATIENCE).await.as_deref().map_err(String::as_str), told);
            let left = started(&folder).unwrap();
            assert!(!is_gone(left), "it is nobody's to end, but of this test");
            kill_process(left, Signal::KILL).unwrap();
        }
    }

    #[tokio::test]
    async fn whose_time_is_up_is_ended() {
        let (_folder, program) = script("exec sleep 600");
        let why = tell(&program, Duration::from_millis(100)).await.unwrap_err();
        assert_eq!(why, "`./tell.sh` has not ended within 100ms and was killed, with all that it started");
    }

    #[tokio::test]
    async fn who_lets_go_of_it_ends_all_that_it_started() {
        let (folder, program) = script("sleep 600 &\necho $! > pid.new; mv pid.new pid; wait");
        let begun = async { until(|| started(&folder).is_some()).await };
        tokio::select! {
            told = tell(&program, PATIENCE) => panic!("it goes on: {told:?}"),
            () = begun => {}
        }
        let left = started(&folder).unwrap();
        until(|| is_gone(left)).await;
    }

    #[tokio::test]
    async fn it_runs_beside_the_manifest_without_what_is_secret() {
        let (folder, mut program) = script("cat > body; pwd -P > folder; env > env");
        // Tests have this one for sure.
        program.secret_variables = BTreeSet::from(["CARGO_MANIFEST_DIR".into()]);
        assert_eq!(tell(&program, PATIENCE).await.as_deref(), Ok("exit code 0"));
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("folder").trim(), folder.path().canonicalize().unwrap().to_str().unwrap());
        assert!(read("body").contains("\"type\":\"test\""));
        let env = read("env");
        assert!(env.contains("CLOCKJACK_TYPE=test") && env.contains("CARGO_PKG_NAME="), "{env}");
        assert!(!env.contains("CARGO_MANIFEST_DIR="), "{env}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_told() {
        let (folder, program) = script("");
        fs::remove_file(folder.path().join("tell.sh")).unwrap();
        let why = tell(&program, PATIENCE).await.unwrap_err();
        assert!(why.starts_with("`./tell.sh` cannot be started: No such file"), "{why}");
    }
}
