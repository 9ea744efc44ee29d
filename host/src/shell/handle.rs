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
    Bus,
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

    /// Waits until everything that was put into the inbox before is decided and kept.
    ///
    /// # Errors
    /// When the host stops.
    pub async fn settle(&self) -> Result<(), LedgerError> {
        // A change has a turn of its own, after the commit of the one before; this one changes nothing.
        self.change(Vec::new(), Vec::new(), Vec::new()).await
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

    /// Puts inputs into the inbox, in their order. They are dropped when the host has stopped.
    pub async fn send(&self, inputs: Vec<Input>) {
        drop(self.inbox.send(Message::Inputs(inputs)).await);
    }
}
