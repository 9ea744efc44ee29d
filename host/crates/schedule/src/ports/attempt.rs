//! One try of a run.

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};

use super::{CodePin, Live, StateAccess};
use crate::{run::Run, state::Unkept, stop::Stop};

/// One try of a run.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The run.
    pub run: Arc<Run>,
    /// Which try, counted from 1.
    pub number: u32,
    /// After this try there is no other.
    pub number_max: u32,
    /// When it begins.
    pub started_at: DateTime<Utc>,
    /// The slot of the last run of the job that succeeded.
    pub last_success: Option<DateTime<Utc>>,
    /// Asks the attempt to end; it then reports `cancelled` with what it had written so far.
    pub stop: Stop,
    /// How it reaches the state of its job.
    pub states: StateAccess,
    /// The code of the attempt before it, where it is to run the same; else it runs what is in force.
    pub code: Option<CodePin>,
    /// Which generation of its plugin it runs; the executor says so at the moment at which it chooses the code.
    pub generation: Arc<OnceLock<u32>>,
    /// Who listens to what it says while it goes on.
    pub live: Live,
}

impl Attempt {
    /// The only attempt of a run, outside of a host: nobody keeps its state.
    #[must_use]
    pub fn only(run: Arc<Run>, started_at: DateTime<Utc>) -> Self {
        Self {
            run,
            number: 1,
            number_max: 1,
            started_at,
            last_success: None,
            stop: Stop::default(),
            states: StateAccess(Arc::new(Unkept::default())),
            code: None,
            generation: Arc::default(),
            live: Live::default(),
        }
    }
}
