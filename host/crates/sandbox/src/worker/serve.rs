//! What a worker process does: it learns what it is for, gives up everything else, and runs one attempt after another.
//!
//! The main thread runs guests; another one reads what the host says, so that a wish to stop is heard while a guest computes.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::AsFd as _,
    path::PathBuf,
    sync::Arc,
    thread,
};

use clockjack_schedule::{
    id::JobId,
    job::{DirGrant, DirMode},
    stop::Stop,
};
use tokio::{runtime, sync::mpsc};

use super::{
    frames::{self, FROM_HOST_BYTES_MAX},
    inherited,
    line::{Answer, LiveLine, StateLine},
    setup,
    wire::{Begin, Setup, ToHost, ToWorker},
};
use crate::{
    call::Call,
    compile::CompileSettings,
    engine::{Allocation, EngineSettings, Metering, Sandbox},
    folder::Folder,
    guest_api::StateUse,
    lockdown::{self, Access, Lockdown, Network, ProcessLimits},
    plugin::{Form, Plugin},
    scratch::Scratch,
};

/// Room beside memories, tables and code: frames, host calls, the engine itself, stacks of threads.
const ROOM_BYTES: u64 = 1 << 30;

/// Files that may be open beside those that the guest may hold: the granted folders, and what the process itself has.
const OWN_FILES_MAX: u64 = 256;

/// Threads for calls that wait for a disk. One attempt has one such call at a time, but some may never end.
const BLOCKING_THREADS_MAX: usize = 16;

/// What the process may look at of itself: which pages a guest has touched, and which files it has open.
const OWN_FILES: [&str; 2] = ["/proc/self/pagemap", "/proc/self/fd"];

/// Runs the worker until its host closes the line.
///
/// # Errors
/// Why it could not go on.
pub fn serve() -> Result<(), String> {
    inherited::close();
    let mut stdin = io::stdin().lock();
    let setup = match frames::read(&mut stdin, FROM_HOST_BYTES_MAX).map_err(|error| format!("no setup: {error}"))? {
        Some(ToWorker::Setup(setup)) => setup,
        Some(ToWorker::Begin(_) | ToWorker::State(_) | ToWorker::Stop) | None => {
            return Err("this command is for hosts, which start it for pools with `isolation: process`".to_owned());
        }
    };
    let to_host = io::stdout().as_fd().try_clone_to_owned().map_err(|error| format!("stdout: {error}"))?;
    let to_host = Arc::new(File::from(to_host));
    // From here on this process can do nothing but what its job needs; then comes the code, which may be hostile.
    let missing = confine(&setup)?;
    let mut code = vec![0; usize::try_from(setup.n_code_bytes).unwrap_or(usize::MAX)];
    stdin.read_exact(&mut code).map_err(|error| format!("no code: {error}"))?;
    drop(stdin);
    let ready = match Served::new(&setup, &code, Arc::clone(&to_host)) {
        Ok(served) => served,
        Err(why) => {
            let told = frames::write(&mut to_host.as_ref(), &ToHost::Unusable(why));
            return told.map_err(|error| format!("the host does not listen: {error}"));
        }
    };
    drop(code);
    ready.serve(missing).map_err(|error| format!("the line to the host: {error}"))
}

/// Gives up what the job does not need. Answers with what the system could not take.
fn confine(setup: &Setup) -> Result<Vec<String>, String> {
    let limits = setup.call.limits.limits();
    // Room for every table that an attempt may have, in both engines, at 16 bytes for each element.
    let tables = limits.table_elements_max.saturating_mul(1 << 10);
    let data = [
        private_bytes()?,
        // A place that a guest has left keeps its memory until the next one.
        limits.memory_bytes_max.saturating_mul(2),
        tables,
        setup.n_code_bytes.saturating_mul(2),
        limits.output_bytes_max.saturating_mul(16),
        ROOM_BYTES,
    ];
    let data = data.into_iter().fold(0, u64::saturating_add);
    let mut missing = lockdown::limit(&ProcessLimits {
        data: Some(data),
        files: Some(limits.counts.resources_max().saturating_add(OWN_FILES_MAX)),
        ..ProcessLimits::default()
    });
    // Where the host has gone in the meantime, nobody sends the signal that was just asked for.
    inherited::check_parent(setup.host)?;
    let dirs = setup.call.grants()?.dirs;
    missing.extend(inherited::drop_privileges(!dirs.is_empty()).err().map(|error| format!("privileges: {error}")));
    // What is not the folder that was checked is left out; each attempt tells of it.
    let open = |dir: &DirGrant| Some((Folder::open(&dir.host).ok()?, dir.mode));
    let opened: Vec<_> = dirs.iter().filter_map(open).collect();
    let dirs = opened.iter().map(|(folder, mode)| match mode {
        DirMode::Read => (folder.path(), Access::Read),
        DirMode::ReadWrite => (folder.path(), Access::ReadWrite),
    });
    let scratch = setup.scratch.iter().map(|folder| (folder.path(), Access::ReadWrite));
    let own = OWN_FILES.map(|path| (PathBuf::from(path), Access::Read));
    let reach = &setup.call.reach;
    let on_the_way = reach.paths().into_iter().map(|path| (path, Access::Read));
    let paths = dirs.chain(scratch).chain(own).chain(on_the_way).collect();
    let network = if reach.is_open() { Network::Allowed } else { Network::Denied };
    missing.extend(lockdown::lock_down(&Lockdown { paths, network }));
    Ok(missing)
}

/// How much private memory the process has already: the allocator takes some in advance.
fn private_bytes() -> Result<u64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| format!("/proc/self/status: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib.saturating_mul(1 << 10)).ok_or_else(|| "/proc/self/status tells no VmData".to_owned())
}

/// What a worker serves.
struct Served {
    sandbox: Sandbox,
    call: Call,
    job: JobId,
    to_host: Arc<File>,
}

/// An attempt with its lines to the host.
struct Begun {
    begin: Box<Begin>,
    stop: Stop,
    answers: mpsc::Receiver<Answer>,
}

impl Served {
    fn new(setup: &Setup, code: &[u8], to_host: Arc<File>) -> Result<Self, String> {
        let call = &setup.call;
        let limits = call.limits.limits();
        let settings = EngineSettings {
            n_slots: 1,
            memory_bytes_max: call.memory_bytes_max,
            table_elements_max: limits.table_elements_max,
            scratch: PathBuf::new(),
            compile: CompileSettings::default(),
        };
        let allocation = if call.is_pooled { Allocation::Pooling } else { Allocation::OnDemand };
        let metering = if call.is_metered { Metering::Fuel } else { Metering::Plain };
        let form = if call.is_program { Form::Program } else { Form::Component };
        let sandbox = Sandbox::with_allocation(settings, allocation).map_err(|error| error.to_string())?;
        let plugin =
            Plugin::from_code(&sandbox, code, form, metering, &call.digest).map_err(|error| error.to_string())?;
        let job = call.job.parse().map_err(|error| format!("the job: {error}"))?;
        let call = Call::received(Arc::new(plugin), call.function, call.exit_codes(), limits, call.grants()?);
        Ok(Self { sandbox, call, job, to_host })
    }

    fn serve(self, missing: Vec<String>) -> io::Result<()> {
        let runtime =
            runtime::Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).build()?;
        let (begun, mut attempts) = mpsc::channel(1);
        self.tell(&ToHost::Ready(missing))?;
        thread::Builder::new().name("host".to_owned()).spawn(move || listen(&begun))?;
        runtime.block_on(async {
            while let Some(begun) = attempts.recv().await {
                let ended = self.attempt(begun).await.map_err(io::Error::other)?;
                self.tell(&ended)?;
            }
            Ok(())
        })
    }

    async fn attempt(&self, begun: Begun) -> Result<ToHost, String> {
        let Begun { mut begin, stop, answers } = begun;
        let facts = begin.facts(&self.job, stop, Arc::new(LiveLine(Arc::clone(&self.to_host))))?;
        let inputs = begin.inputs()?;
        let scratch = begin.scratch.as_ref().map(|folder| Scratch::of_another(folder.path()));
        let line = StateLine::new(Arc::clone(&self.to_host), answers);
        let state = if begin.has_state { StateUse::Elsewhere(line) } else { StateUse::Denied };
        let report = self.sandbox.conduct(&self.call, facts, inputs, state, scratch.as_ref()).await;
        Ok(ToHost::Ended(Box::new(setup::of_report(report))))
    }

    fn tell(&self, message: &ToHost) -> io::Result<()> {
        frames::write(&mut self.to_host.as_ref(), message)
    }
}

/// Hears what the host says, and ends the process when it says no more.
fn listen(begun: &mpsc::Sender<Begun>) {
    let mut going: Option<(Stop, mpsc::Sender<Answer>)> = None;
    let mut stdin = io::stdin().lock();
    while let Ok(Some(message)) = frames::read(&mut stdin, FROM_HOST_BYTES_MAX) {
        match message {
            ToWorker::Begin(begin) => {
                // One question at a time is asked.
                let (answered, answers) = mpsc::channel(1);
                let stop = Stop::default();
                going = Some((stop.clone(), answered));
                if begun.blocking_send(Begun { begin, stop, answers }).is_err() {
                    break;
                }
            }
            ToWorker::State(answer) => {
                // An answer that nobody waits for belongs to an attempt that was cut.
                let waiting = going.as_ref().map(|(_, answered)| answered.try_send(answer));
                drop(waiting);
            }
            ToWorker::Stop => going.iter().for_each(|(stop, _)| stop.request()),
            ToWorker::Setup(_) => break,
        }
    }
    // A guest may be computing, and nobody waits for what comes of it.
    std::process::exit(0);
}
