//! What others reach a running host through: its inbox and its bus. It keeps nothing alive: what it is asked after the
//! host has stopped is dropped.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use clockjack_schedule::{
    core::Input,
    id::{JobId, PoolName},
    job::Job,
    ports::LedgerError,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    Bus, Event,
    scheduler::{Change, Message},
};

/// A running host, for others. Clones are the same host.
#[derive(Clone, Debug)]
pub struct HostHandle {
    bus: Bus,
    inbox: mpsc::Sender<Message>,
}

impl HostHandle {
    pub(super) fn new(bus: Bus, inbox: mpsc::Sender<Message>) -> Self {
        Self { bus, inbox }
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

    /// Gives the pools other sizes.
    pub async fn resize(&self, pools: BTreeMap<PoolName, NonZeroU32>) {
        self.send(vec![Input::Pools(pools)]).await;
    }

    /// Where to listen.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
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
