//! The one thread that writes: it takes all batches that wait, keeps them in one transaction, and answers them all.
//!
//! Nobody waits for company: a batch that comes alone is written at once, and what comes meanwhile goes together. The
//! thread is its own, so that neither a busy nor an ending runtime stops a transaction half way.

use std::{
    num::NonZeroU32,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use clockjack_schedule::ports::{Change, Committed, LedgerError};
use tokio::sync::oneshot;

use super::{
    fault::{Fault, Faults},
    open::open_writer,
    owner::Lock,
    transaction::Tables,
};
use crate::{codec::Value, crash::crash_point};

/// How many batches may wait. Each caller waits for its own, so this many callers at once are a fault.
const WAITING_MAX: usize = 1_024;

/// How many changes one transaction takes, which bounds how long the first of them waits: about 50 ms.
const GROUP_CHANGES_MAX: usize = 4_096;

/// What is asked of the writer.
enum Order {
    Commit { changes: Vec<Change>, reply: Reply<Committed> },
    Forget { doomed: Doomed, reply: Reply<()> },
    LimitPages { pages_max: NonZeroU32, reply: Reply<()> },
    Close { reply: Reply<()> },
}

type Reply<T> = oneshot::Sender<Result<T, LedgerError>>;

/// Rows of history that go.
#[derive(Debug, Default)]
pub(super) struct Doomed {
    /// The ids of runs.
    pub(super) runs: Vec<Value>,
    /// The keys of skips, five columns each.
    pub(super) skips: Vec<Value>,
}

/// Asks the writer. Dropping it ends the writer in good order and waits until the file is free.
pub(super) struct Writer {
    orders: Option<mpsc::SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Opens the file and starts the thread. The lock is let go of when the file is closed.
    pub(super) async fn start(
        faults: Arc<Faults>,
        lock: Lock,
        pages_max: Option<NonZeroU32>,
    ) -> Result<Self, LedgerError> {
        let (orders, inbox) = mpsc::sync_channel(WAITING_MAX);
        let (opened, is_open) = oneshot::channel();
        let work = move || block_on(serve(&faults, pages_max, inbox, opened, lock));
        let thread = thread::Builder::new().name("ledger-writer".to_owned()).spawn(work);
        let thread = thread.map_err(|error| LedgerError::Unavailable(format!("no thread for the ledger: {error}")))?;
        let writer = Self { orders: Some(orders), thread: Some(thread) };
        is_open.await.unwrap_or_else(|_gone| Err(gone()))?;
        Ok(writer)
    }

    /// Keeps a batch. It has its place in the order when this returns, before the answer is awaited.
    pub(super) fn commit(&self, changes: Vec<Change>) -> impl Future<Output = Result<Committed, LedgerError>> {
        self.ask(move |reply| Order::Commit { changes, reply })
    }

    /// Removes rows of history.
    pub(super) fn forget(&self, doomed: Doomed) -> impl Future<Output = Result<(), LedgerError>> {
        self.ask(move |reply| Order::Forget { doomed, reply })
    }

    /// Bounds the size of the file.
    pub(super) fn limit_pages(&self, pages_max: NonZeroU32) -> impl Future<Output = Result<(), LedgerError>> {
        self.ask(move |reply| Order::LimitPages { pages_max, reply })
    }

    /// Moves everything into one file and ends.
    pub(super) fn close(&self) -> impl Future<Output = Result<(), LedgerError>> {
        self.ask(move |reply| Order::Close { reply })
    }

    fn ask<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> impl Future<Output = Result<T, LedgerError>> {
        let (reply, answer) = oneshot::channel();
        let sent = match self.orders.as_ref().map(|orders| orders.try_send(order(reply))) {
            Some(Ok(())) => Ok(answer),
            Some(Err(mpsc::TrySendError::Full(_))) => {
                Err(LedgerError::Unavailable(format!("{WAITING_MAX} batches wait already")))
            }
            Some(Err(mpsc::TrySendError::Disconnected(_))) | None => Err(gone()),
        };
        async move { sent?.await.unwrap_or_else(|_gone| Err(gone())) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends with its inbox. It answers to nobody any more, so all that remains is to close the file.
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn gone() -> LedgerError {
    LedgerError::Failed("the ledger is closed".to_owned())
}

/// Runs to the end on this thread.
fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    // Without a reactor and a timer there is nothing that could fail to be made.
    runtime.expect("a runtime without drivers can be built").block_on(work);
}

async fn serve(
    faults: &Faults,
    pages_max: Option<NonZeroU32>,
    inbox: mpsc::Receiver<Order>,
    opened: oneshot::Sender<Result<(), LedgerError>>,
    mut lock: Lock,
) {
    let tables = match open_writer(faults, pages_max).await {
        Ok(connection) => {
            // Without the note an emptied file would be taken for a new one, as it was before there was a note.
            drop(lock.note_kept());
            Tables::new(connection)
        }
        Err(error) => {
            drop(lock);
            let _nobody_waits = opened.send(Err(error));
            return;
        }
    };
    let mut service = Service { faults, inbox, tables, put_off: None };
    let _nobody_waits = opened.send(Ok(()));
    let closing = service.serve().await;
    let closed = service.tables.close().await.map_err(|fault| faults.told(&fault));
    drop(lock);
    if let Some(reply) = closing {
        let _nobody_waits = reply.send(closed);
    }
}

struct Service<'f> {
    faults: &'f Faults,
    inbox: mpsc::Receiver<Order>,
    tables: Tables,
    /// An order that came while a group was gathered and does not belong into one.
    put_off: Option<Order>,
}

impl Service<'_> {
    /// Works until there is nobody left, or until it is to close; then that is who waits for it.
    async fn serve(&mut self) -> Option<Reply<()>> {
        loop {
            let order = match self.put_off.take() {
                Some(order) => order,
                None => self.inbox.recv().ok()?,
            };
            match order {
                Order::Commit { changes, reply } => self.commit(changes, reply).await,
                Order::Forget { doomed, reply } => {
                    let done = match self.faults.check() {
                        Ok(()) => self.tables.forget(doomed).await.map_err(|fault| self.faults.told(&fault)),
                        Err(error) => Err(error),
                    };
                    let _nobody_waits = reply.send(done);
                    self.checkpoint().await;
                }
                Order::LimitPages { pages_max, reply } => {
                    let done = self.tables.limit_pages(pages_max).await;
                    let _nobody_waits = reply.send(done.map_err(|fault| self.faults.told(&fault)));
                }
                Order::Close { reply } => return Some(reply),
            }
        }
    }

    async fn commit(&mut self, changes: Vec<Change>, reply: Reply<Committed>) {
        let mut n_changes = changes.len();
        let (mut batches, mut replies) = (vec![changes], vec![reply]);
        while n_changes < GROUP_CHANGES_MAX {
            match self.inbox.try_recv() {
                Ok(Order::Commit { changes, reply }) => {
                    n_changes += changes.len();
                    batches.push(changes);
                    replies.push(reply);
                }
                Ok(order @ (Order::Forget { .. } | Order::LimitPages { .. } | Order::Close { .. })) => {
                    self.put_off = Some(order);
                    break;
                }
                Err(mpsc::TryRecvError::Empty | mpsc::TryRecvError::Disconnected) => break,
            }
        }
        let done = match self.faults.check() {
            Ok(()) => self.tables.commit(batches).await,
            Err(error) => return answer_all(replies, |_index| Err(copy_of(&error))),
        };
        crash_point!("ledger::before_reply");
        match done {
            Ok(committed) => answer_all(replies, |index| Ok(committed.get(index).cloned().unwrap_or_default())),
            Err(fault) => answer_all(replies, |_index| Err(self.told(&fault))),
        }
        self.checkpoint().await;
    }

    fn told(&self, fault: &Fault) -> LedgerError {
        self.faults.told(fault)
    }

    /// Moves what was committed out of the WAL when that has become long. Nobody waits for the result: a failure that
    /// matters is kept and told from then on.
    async fn checkpoint(&mut self) {
        if let Err(fault) = self.tables.checkpoint_if_due().await {
            let _kept = self.faults.told(&fault);
        }
    }
}

fn answer_all(replies: Vec<Reply<Committed>>, answer: impl Fn(usize) -> Result<Committed, LedgerError>) {
    for (index, reply) in replies.into_iter().enumerate() {
        let _nobody_waits = reply.send(answer(index));
    }
}

fn copy_of(error: &LedgerError) -> LedgerError {
    match error {
        LedgerError::Unavailable(message) => LedgerError::Unavailable(message.clone()),
        LedgerError::Failed(message) => LedgerError::Failed(message.clone()),
        LedgerError::Damaged(message) => LedgerError::Damaged(message.clone()),
        LedgerError::Refused(message) => LedgerError::Refused(message.clone()),
    }
}
