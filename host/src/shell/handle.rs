//! What others reach a running host through: its inbox and its bus. It keeps nothing alive: what it is asked after the
//! host has stopped is dropped.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    core::Input,
    id::{JobId, PoolName},
    job::Job,
    ports::LedgerError,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    Asker, Bus, Event, History, InForce,
    scheduler::{Change, Message, NewCodes},
};

/// Other code for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeChange {
    /// Which job.
    pub job: JobId,
    /// The generation of its plugin that it runs from now on.
    pub generation: u32,
}

/// A wish that something is paused or goes on.
#[derive(Debug)]
pub struct Pausing {
    /// What is wished for: the pause of a job or of all, or its end.
    pub input: Input,
    /// Who wishes it, and why.
    pub asker: Asker,
    /// It is told also where the core finds nothing to change: the note or the end of the pause is another one.
    pub is_news: bool,
}

/// What the core knows of a job.
#[derive(Clone, Debug)]
pub struct Definition {
    /// How it is defined.
    pub job: Arc<Job>,
    /// When it was first seen: its triggers count from here.
    pub first_seen: DateTime<Utc>,
    /// Whether it is paused.
    pub is_paused: bool,
}

/// A running host, for others. Clones are the same host.
#[derive(Clone, Debug)]
pub struct HostHandle {
    bus: Bus,
    inbox: mpsc::Sender<Message>,
    in_force: InForce,
    history: History,
}

impl HostHandle {
    pub(super) fn new(bus: Bus, inbox: mpsc::Sender<Message>, in_force: InForce, history: History) -> Self {
        Self { bus, inbox, in_force, history }
    }

    /// Changes the set of jobs while the host runs. Jobs that came back get what the ledger knows of them.
    ///
    /// # Errors
    /// When the ledger cannot be read; then nothing changes.
    pub async fn change(
        &self,
        added: Vec<Arc<Job>>,
        changed: Vec<Arc<Job>>,
        removed: Vec<JobId>,
    ) -> Result<(), LedgerError> {
        let (done, answer) = oneshot::channel();
        let change = Change { added, changed, removed, done };
        drop(self.inbox.send(Message::Change(change)).await);
        answer.await.unwrap_or_else(|_closed| Err(LedgerError::Unavailable("the host stops".to_owned())))
    }

    /// Waits until everything that was put into the inbox before is decided and kept.
    ///
    /// # Errors
    /// When the host stops.
    pub async fn settle(&self) -> Result<(), LedgerError> {
        // A change has a turn of its own, after the commit of the one before; this one changes nothing.
        self.change(Vec::new(), Vec::new(), Vec::new()).await
    }

    /// A job as the core has it now. None where it has none of that name, and where the host has stopped.
    pub async fn definition(&self, job: &JobId) -> Option<Definition> {
        let (answer, told) = oneshot::channel();
        drop(self.inbox.send(Message::Define { job: job.clone(), answer }).await);
        told.await.ok().flatten()
    }

    /// Whether the host takes no inputs any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.inbox.is_closed()
    }

    /// Gives the pools other sizes.
    pub async fn resize(&self, pools: BTreeMap<PoolName, NonZeroU32>) {
        self.send(vec![Input::Pools(pools)]).await;
    }

    /// Says that the executor has other code for jobs: their attempts that go on and run another generation end, or may go
    /// on, as `on_reload` of each says. Answers when that is settled, so that what is put in force after it is not mistaken
    /// for what was in force before.
    pub async fn code_changed(&self, generations: Vec<CodeChange>) {
        let (done, answer) = oneshot::channel();
        drop(self.inbox.send(Message::Code(NewCodes { generations, done })).await);
        // A host that stops ends its attempts by itself.
        drop(answer.await);
    }

    /// The jobs that are in force.
    #[must_use]
    pub fn jobs(&self) -> &InForce {
        &self.in_force
    }

    /// Whose history is not pruned.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Where to listen.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Pauses something or lets it go on, and waits until that is decided and kept. The event says who wished for it.
    ///
    /// # Errors
    /// When the host stops.
    pub async fn pauses(&self, wish: Pausing) -> Result<(), LedgerError> {
        drop(self.inbox.send(Message::Pausing(Box::new(wish))).await);
        self.settle().await
    }

    /// Tells whoever listens.
    pub fn publish(&self, event: Event) {
        self.bus.publish(event);
    }

    /// Puts inputs into the inbox, in their order. They are dropped when the host has stopped.
    pub async fn send(&self, inputs: Vec<Input>) {
        drop(self.inbox.send(Message::Inputs(inputs)).await);
    }
}
