//! `clockjack:job/state`: what a job remembers from run to run.

use clockjack_schedule::{
    ports::KeepError,
    state::{Draft, DraftError, Refusal},
};
use wasmtime::component::{HasSelf, Linker};

use super::bindings::clockjack::job::state::{self, Entry, Error};
use crate::attempt::GuestState;

/// How far an attempt has come with the state of its job.
#[derive(Debug)]
pub(crate) enum StateUse {
    /// It has no grant.
    Denied,
    /// It has not asked for it: nothing was read.
    Closed,
    /// What it has written so far, over what is kept.
    Open(Box<Draft>),
}

impl StateUse {
    pub(crate) fn new(is_granted: bool) -> Self {
        if is_granted { Self::Closed } else { Self::Denied }
    }

    /// What is to be kept, where there is anything.
    pub(crate) fn into_draft(self) -> Option<Box<Draft>> {
        match self {
            Self::Denied | Self::Closed => None,
            Self::Open(draft) => Some(draft).filter(|draft| !draft.is_empty()),
        }
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    state::add_to_linker::<_, HasSelf<_>>(linker, GuestState::counted)
}

/// Why a draft could not even be opened.
pub(crate) enum Closed {
    /// There is no grant.
    Denied,
    /// The ledger cannot be read.
    Unavailable(String),
}

impl From<Closed> for Error {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Denied => Self::Denied,
            Closed::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl GuestState {
    /// The draft of this attempt, which is opened when it is first asked for.
    pub(crate) async fn draft(&mut self) -> Result<&mut Draft, Closed> {
        if let StateUse::Closed = self.state {
            let attempt = &self.facts.attempt;
            let book = attempt.states.0.open(&attempt.run.job).await.map_err(Closed::Unavailable)?;
            self.state = StateUse::Open(Box::new(Draft::new(book, self.state_bytes_max)));
        }
        match &mut self.state {
            StateUse::Open(draft) => Ok(draft),
            StateUse::Denied | StateUse::Closed => Err(Closed::Denied),
        }
    }

    /// Keeps what was written so far. What can never be kept is dropped, so that the attempt may begin anew.
    async fn keep_draft(&mut self) -> Result<(), Error> {
        let (states, job) = (self.facts.attempt.states.clone(), self.facts.attempt.run.job.clone());
        let draft = self.draft().await?;
        if draft.is_empty() {
            return Ok(());
        }
        let taken = draft.take();
        match states.0.keep(&job, taken.clone()).await {
            Ok(()) => Ok(()),
            Err(KeepError::Refused(Refusal::Conflict { version, .. })) => Err(Error::Conflict(version)),
            Err(error) => {
                *draft = taken;
                Err(match error {
                    KeepError::Refused(Refusal::Quota { bytes_max }) => Error::Quota(bytes_max),
                    KeepError::Refused(refusal) => Error::Unavailable(refusal.to_string()),
                    KeepError::Unavailable(why) => Error::Unavailable(why),
                })
            }
        }
    }
}

impl From<DraftError> for Error {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::Key(_) => Self::InvalidKey(error.to_string()),
            DraftError::Quota(bytes_max) => Self::Quota(bytes_max),
            DraftError::Keys => Self::Unavailable(error.to_string()),
            DraftError::Conflict(version) => Self::Conflict(version),
        }
    }
}

impl state::Host for GuestState {
    async fn get(&mut self, key: String) -> Result<Option<Entry>, Error> {
        let entry = self.draft().await?.get(&key)?;
        Ok(entry.map(|entry| Entry { value: entry.value.to_vec(), version: entry.version }))
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), Error> {
        Ok(self.draft().await?.set(&key, value)?)
    }

    async fn compare_and_set(&mut self, key: String, expected: Option<u64>, value: Vec<u8>) -> Result<(), Error> {
        Ok(self.draft().await?.compare_and_set(&key, expected, value)?)
    }

    async fn delete(&mut self, key: String) -> Result<(), Error> {
        Ok(self.draft().await?.delete(&key)?)
    }

    async fn list(&mut self, prefix: String, after: Option<String>, limit: u32) -> Result<Vec<String>, Error> {
        let n_max = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.draft().await?.list(&prefix, after.as_deref(), n_max))
    }

    async fn commit(&mut self) -> Result<(), Error> {
        self.keep_draft().await
    }
}
