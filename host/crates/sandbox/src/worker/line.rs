//! How a guest in a worker reaches the state of its job: each call goes to the host as a message and waits for its answer.

use std::{fs::File, sync::Arc};

use tokio::sync::mpsc;

use super::{
    frames,
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
