//! What a process can still do that gave up everything: this test starts itself once more, because there is no way back.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixDatagram, UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use rustix::process::{Resource, Rlimit, Signal};

use crate::lockdown::{Access, Lockdown, Network, ProcessLimits, limit, lock_down};

/// Tells the second process what to do.
const FOLDER: &str = "CLOCKJACK_TEST_FOLDER";

/// Runs one test of this binary in a process of its own.
fn in_a_process(test: &str, folder: &Path) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("tests::lockdown::{test}"), "--nocapture", "--test-threads=1"]);
    let output = command.env(FOLDER, folder).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{}\n{told}", output.status);
}

fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

#[test]
fn a_locked_process_can_only_compute_and_use_what_is_open() {
    let Some(folder) = folder() else {
        let folder = tempfile::tempdir().unwrap();
        for name in ["read", "write", "closed"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("file"), name).unwrap();
        }
        return in_a_process("a_locked_process_can_only_compute_and_use_what_is_open", folder.path());
    };
    let limits = ProcessLimits { files: Some(64), file_bytes: Some(1 << 20), ..ProcessLimits::default() };
    assert_eq!(limit(&limits), Vec::<String>::new());
    let mut open = fs::File::open(folder.join("closed/file")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let paths = vec![(folder.join("read"), Access::Read), (folder.join("write"), Access::ReadWrite)];
    let missing = lock_down(&Lockdown { paths, network: Network::Denied });
    // The kernel may be older than Landlock; system calls are always closed.
    let has_landlock = missing.is_empty();
    assert!(missing.iter().all(|problem| problem.starts_with("files: ")), "{missing:?}");

    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert_eq!(text, "closed", "what is open can be read");
    assert_eq!(fs::read_to_string(folder.join("read/file")).unwrap(), "read");
    fs::write(folder.join("write/new"), "new").unwrap();
    if has_landlock {
        assert!(fs::read(folder.join("closed/file")).is_err());
        assert!(fs::write(folder.join("read/new"), "x").is_err());
        assert!(fs::read("/etc/passwd").is_err());
    }
    let (mut here, mut there) = UnixStream::pair().unwrap();
    here.write_all(b"x").unwrap();
    there.read_exact(&mut [0]).unwrap();
    assert!(UnixDatagram::pair().is_err());
    assert!(TcpStream::connect(address).is_err(), "a connection");
    assert!(listener.accept().is_err());
    assert!(TcpListener::bind("127.0.0.1:0").is_err());
    assert!(Command::new("/bin/true").spawn().is_err(), "a program");
    let parent = rustix::process::getppid().unwrap();
    assert!(rustix::process::kill_process(parent, Signal::URG).is_err(), "a signal");
    assert!(rustix::process::setpriority_process(Some(parent), 19).is_err(), "a priority");
    let processors = rustix::thread::sched_getaffinity(None).unwrap();
    assert!(rustix::thread::sched_setaffinity(Some(parent), &processors).is_err(), "processors of another");
    rustix::thread::sched_setaffinity(None, &processors).unwrap();
    let more = Rlimit { current: Some(1_024), maximum: Some(1_024) };
    assert!(rustix::process::setrlimit(Resource::Nofile, more).is_err(), "a higher limit");
    assert_eq!(rustix::process::getrlimit(Resource::Nofile).current, Some(64));
    assert_eq!(thread::spawn(|| 42).join().unwrap(), 42, "threads go on");
}

#[test]
fn a_locked_process_may_keep_the_network() {
    if folder().is_none() {
        let folder = tempfile::tempdir().unwrap();
        return in_a_process("a_locked_process_may_keep_the_network", folder.path());
    }
    let folder = folder().unwrap();
    let local = UnixListener::bind(folder.join("socket")).unwrap();
    UnixStream::connect(folder.join("socket")).unwrap();
    drop(lock_down(&Lockdown { paths: vec![(folder.clone(), Access::ReadWrite)], network: Network::Allowed }));
    assert!(UnixStream::connect(folder.join("socket")).is_err(), "a service of the machine");
    assert!(UnixDatagram::unbound().is_err());
    drop(local);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = TcpStream::connect(listener.local_addr().unwrap());
    assert!(connection.is_ok(), "{connection:?}");
    assert!(Command::new("/bin/true").spawn().is_err());
}
