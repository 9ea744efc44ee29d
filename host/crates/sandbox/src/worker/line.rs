//! How a guest in a worker reaches the state of its job: each call goes to the host as a message and waits for its answer.
//! What it says while it goes on goes the same way, and waits for nothing but room in the pipe.

use std::{fs::File, sync::Arc};

use clockjack_schedule::{
    ports::{Listen, Said},
    run::Run,
};
use tokio::sync::mpsc;

use super::{
    frames, setup,
    wire::{StateAnswer, StateCall, StateFault, ToHost},
};

/// What the host said of the state.
pub(super) type Answer = Result<StateAnswer, StateFault>;

/// The line of one attempt to the state of its job.
#[derive(Debug)]
pub(crate) struct StateLine {
    to_host: Arc<File>,
    answers: mpsc::Receiver<Answer>,
}

impl StateLine {
    pub(super) fn new(to_host: Arc<File>, answers: mpsc::Receiver<Answer>) -> Self {
        Self { to_host, answers }
    }

    /// Asks the host and waits for its answer. Whoever drops the future cannot ask again: the next answer would be that to
    /// the question before. Workers end after an attempt that was cut.
    pub(crate) async fn ask(&mut self, call: StateCall) -> Answer {
        let unavailable = |why: String| Err(StateFault::Unavailable(why));
        if let Err(error) = frames::write(&mut self.to_host.as_ref(), &ToHost::State(call)) {
            return unavailable(format!("the host cannot be asked: {error}"));
        }
        self.answers.recv().await.unwrap_or_else(|| unavailable("the host does not answer".to_owned()))
    }
}

/// Passes on to the host what the guest says. Guests run on the thread that writes all frames, so that none is cut by
/// another.
pub(super) struct LiveLine(pub(super) Arc<File>);

impl Listen for LiveLine {
    fn hear(&self, _run: &Arc<Run>, _attempt: u32, said: Said) {
        // A host that is gone ends this process by itself.
        drop(frames::write(&mut self.0.as_ref(), &ToHost::Live(setup::of_said(said))));
    }
}
