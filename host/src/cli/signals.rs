//! The signals that a host answers to.

use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

/// The signals that the host answers to.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// The number of SIGXFSZ on Linux and the BSDs.
const SIGXFSZ: i32 = 25;

/// From here on a write beyond the file-size limit of the process is an error like a full disk, and not its death. The
/// ledger may meet it while it is opened.
pub(super) fn outlive_file_size_limit(runtime: &Runtime) -> std::io::Result<()> {
    let _entered = runtime.enter();
    // Nobody listens: what was caught once never kills again.
    drop(signal(SignalKind::from_raw(SIGXFSZ))?);
    Ok(())
}

/// From here on a wish for a reload does not end the program: one that comes while plugins are compiled waits until the
/// host runs. Signals that ask for the end still end a start at once.
pub(super) fn caught_early(runtime: &Runtime) -> std::io::Result<Signal> {
    let _entered = runtime.enter();
    signal(SignalKind::hangup())
}

impl Signals {
    pub(super) fn new(hangup: Signal) -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hangup })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::End,
            _ = self.terminate.recv() => Asked::End,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// Waits for a signal that asks for the end.
    pub(super) async fn end(&mut self) {
        while self.next().await == Asked::Reload {}
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    End,
    Reload,
}
