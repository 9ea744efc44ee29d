//! The epoch ticker: an operating-system thread, so that no guest and no busy runtime can hold it up.

use std::{
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

/// How often the epoch moves. A guest that computes yields this often; a budget is overshot by at most this much.
pub(crate) const TICK: Duration = Duration::from_millis(2);

/// Moves the epoch of its engines until it is dropped.
pub(crate) struct Ticker {
    /// Nothing is ever sent; dropping it ends the thread.
    _alive: Sender<()>,
}

impl Ticker {
    /// Starts the thread. A machine that cannot start one thread cannot run guests either.
    pub(crate) fn start(engines: Vec<wasmtime::Engine>) -> std::io::Result<Self> {
        let (alive, gone) = channel::<()>();
        thread::Builder::new().name("epoch".to_owned()).spawn(move || {
            while gone.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                engines.iter().for_each(wasmtime::Engine::increment_epoch);
            }
        })?;
        Ok(Self { _alive: alive })
    }
}
