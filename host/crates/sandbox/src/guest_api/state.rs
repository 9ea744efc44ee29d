//! `clockjack:job/state`: what a job remembers from run to run.

use clockjack_schedule::{
    ports::{Attempt, KeepError},
    state::{Draft, DraftError, Refusal},
};
use wasmtime::component::{HasSelf, Linker};

use super::bindings::clockjack::job::state::{self, Entry, Error};
use crate::{
    attempt::GuestState,
    worker::{
        line::StateLine,
        wire::{StateAnswer, StateCall, StateFault, StateValue},
    },
};

/// How far an attempt has come with the state of its job.
#[derive(Debug)]
pub(crate) enum StateUse {
    /// It has no grant.
    Denied,
    /// It has not asked for it: nothing was read.
    Closed,
    /// What it has written so far, over what is kept.
    Open(Box<Draft>),
    /// It is another process that has it.
    Elsewhere(StateLine),
}

impl StateUse {
    pub(crate) fn new(is_granted: bool) -> Self {
        if is_granted { Self::Closed } else { Self::Denied }
    }

    /// What is to be kept, where there is anything.
    pub(crate) fn into_draft(self) -> Option<Box<Draft>> {
        match self {
            Self::Denied | Self::Closed | Self::Elsewhere(_) => None,
            Self::Open(draft) => Some(draft).filter(|draft| !draft.is_empty()),
        }
    }

    /// Does what the attempt asks for.
    pub(crate) async fn ask(
        &mut self,
        call: StateCall,
        attempt: &Attempt,
        bytes_max: u64,
    ) -> Result<StateAnswer, StateFault> {
        if let Self::Elsewhere(line) = self {
            return line.ask(call).await;
        }
        let draft = self.draft(attempt, bytes_max).await?;
        match call {
            StateCall::Open => {}
            StateCall::Get { key } => {
                let value = draft.get(&key)?;
                let value = value.map(|entry| StateValue { version: entry.version, value: entry.value.to_vec() });
                return Ok(StateAnswer::Value(value));
            }
            StateCall::Set { key, value } => draft.set(&key, value)?,
            StateCall::CompareAndSet { key, expected, value } => draft.compare_and_set(&key, expected, value)?,
            StateCall::Delete { key } => draft.delete(&key)?,
            StateCall::List { prefix, after, n_max } => {
                return Ok(StateAnswer::Keys(draft.list(&prefix, after.as_deref(), n_max)));
            }
            StateCall::Commit => keep(draft, attempt).await?,
        }
        Ok(StateAnswer::Done)
    }

    /// The draft of this attempt, which is opened when it is first asked for.
    async fn draft(&mut self, attempt: &Attempt, bytes_max: u64) -> Result<&mut Draft, StateFault> {
        if let Self::Closed = self {
            let book = attempt.states.0.open(&attempt.run.job).await.map_err(StateFault::Unavailable)?;
            *self = Self::Open(Box::new(Draft::new(book, bytes_max)));
        }
        match self {
            Self::Open(draft) => Ok(draft),
            Self::Denied | Self::Closed | Self::Elsewhere(_) => Err(StateFault::Denied),
        }
    }
}

/// Keeps what was written so far. What can never be kept is dropped, so that the attempt may begin anew.
async fn keep(draft: &mut Draft, attempt: &Attempt) -> Result<(), StateFault> {
    if draft.is_empty() {
        return Ok(());
    }
    let taken = draft.take();
    match attempt.states.0.keep(&attempt.run.job, taken.clone()).await {
        Ok(()) => Ok(()),
        Err(KeepError::Refused(Refusal::Conflict { version, .. })) => Err(StateFault::Conflict(version)),
        Err(error) => {
            *draft = taken;
            Err(match error {
                KeepError::Refused(Refusal::Quota { bytes_max }) => StateFault::Quota(bytes_max),
                KeepError::Refused(refusal) => StateFault::Unavailable(refusal.to_string()),
                KeepError::Unavailable(why) => StateFault::Unavailable(why),
            })
        }
    }
}

impl From<DraftError> for StateFault {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::Key(n_bytes) => Self::Key(n_bytes),
            DraftError::Quota(bytes_max) => Self::Quota(bytes_max),
            DraftError::Keys => Self::Keys,
            DraftError::Conflict(version) => Self::Conflict(version),
        }
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    state::add_to_linker::<_, HasSelf<_>>(linker, GuestState::counted)
}

impl GuestState {
    /// Asks for something of the state of the job.
    pub(crate) async fn ask_state(&mut self, call: StateCall) -> Result<StateAnswer, StateFault> {
        let Self { state, facts, state_bytes_max, .. } = self;
        state.ask(call, &facts.attempt, *state_bytes_max).await
    }

    /// The value of a key.
    pub(crate) async fn value(&mut self, key: String) -> Result<Option<StateValue>, StateFault> {
        match self.ask_state(StateCall::Get { key }).await? {
            StateAnswer::Value(value) => Ok(value),
            StateAnswer::Done | StateAnswer::Keys(_) => Err(StateFault::mixed_up()),
        }
    }

    /// The keys that begin with `prefix` and come after `after`.
    pub(crate) async fn keys(
        &mut self,
        prefix: String,
        after: Option<String>,
        n_max: usize,
    ) -> Result<Vec<String>, StateFault> {
        match self.ask_state(StateCall::List { prefix, after, n_max }).await? {
            StateAnswer::Keys(keys) => Ok(keys),
            StateAnswer::Done | StateAnswer::Value(_) => Err(StateFault::mixed_up()),
        }
    }
}

impl From<StateFault> for Error {
    fn from(fault: StateFault) -> Self {
        match fault {
            StateFault::Denied => Self::Denied,
            StateFault::Unavailable(why) => Self::Unavailable(why),
            StateFault::Key(_) => Self::InvalidKey(fault.to_string()),
            StateFault::Quota(bytes_max) => Self::Quota(bytes_max),
            StateFault::Keys => Self::Unavailable(fault.to_string()),
            StateFault::Conflict(version) => Self::Conflict(version),
        }
    }
}

impl state::Host for GuestState {
    async fn get(&mut self, key: String) -> Result<Option<Entry>, Error> {
        let value = self.value(key).await?;
        Ok(value.map(|StateValue { version, value }| Entry { value, version }))
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), Error> {
        self.ask_state(StateCall::Set { key, value }).await?;
        Ok(())
    }

    async fn compare_and_set(&mut self, key: String, expected: Option<u64>, value: Vec<u8>) -> Result<(), Error> {
        self.ask_state(StateCall::CompareAndSet { key, expected, value }).await?;
        Ok(())
    }

    async fn delete(&mut self, key: String) -> Result<(), Error> {
        self.ask_state(StateCall::Delete { key }).await?;
        Ok(())
    }

    async fn list(&mut self, prefix: String, after: Option<String>, limit: u32) -> Result<Vec<String>, Error> {
        Ok(self.keys(prefix, after, usize::try_from(limit).unwrap_or(usize::MAX)).await?)
    }

    async fn commit(&mut self) -> Result<(), Error> {
        self.ask_state(StateCall::Commit).await?;
        Ok(())
    }
}
