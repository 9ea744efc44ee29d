//! The port to what jobs remember, as attempts see it.

use std::{fmt, sync::Arc};

use super::PortFuture;
use crate::{
    id::JobId,
    state::{Draft, Refusal, SharedBook},
};

/// What jobs remember.
///
/// All attempts of a job that go on at the same time have the same book. It is read from the ledger when the first of
/// them asks for it, and goes from memory with the last one.
pub trait States: Send + Sync {
    /// The book of a job. Fails with words for a person when the ledger cannot be read.
    fn open(&self, job: &JobId) -> PortFuture<'static, Result<SharedBook, String>>;

    /// Keeps a draft now, whatever becomes of the run. After `Ok` it is durable; after an error nothing of it is kept.
    /// Where the future is dropped, it may or may not be.
    fn keep(&self, job: &JobId, draft: Draft) -> PortFuture<'static, Result<(), KeepError>>;
}

/// Why a draft was not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// It does not fit what others have kept.
    #[error("{0}")]
    Refused(Refusal),
    /// The ledger cannot be written now.
    #[error("{0}")]
    Unavailable(String),
}

/// How an attempt reaches the state of its job.
#[derive(Clone)]
pub struct StateAccess(pub Arc<dyn States>);

impl fmt::Debug for StateAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateAccess")
    }
}
