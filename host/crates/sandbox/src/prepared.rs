//! What runs when a job runs: its call, of one generation of its plugin, with what the guest may be told.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use clockjack_schedule::job::Job;

use crate::{
    call::{Call, CallProblem},
    recipe::Recipe,
    worker::IsolatedPool,
};

/// What runs when a job runs.
pub struct Prepared {
    /// The definition.
    pub job: Arc<Job>,
    /// Where relative paths of files in its arguments start.
    pub folder: Arc<Path>,
    /// What it runs.
    pub call: Arc<Call>,
    /// Which generation of its plugin that is.
    pub generation: u32,
    /// The pool that it is in, where its attempts have processes of their own.
    pub isolated: Option<IsolatedPool>,
    pub(crate) zone: Arc<str>,
    pub(crate) labels: Arc<BTreeMap<String, String>>,
}

impl Prepared {
    /// A job with a call that was prepared from it.
    #[must_use]
    pub fn new(
        job: Arc<Job>,
        folder: Arc<Path>,
        call: Arc<Call>,
        generation: u32,
        isolated: Option<IsolatedPool>,
    ) -> Self {
        let (zone, labels) = (job.zone.name().into(), Arc::new(job.labels.clone()));
        Self { job, folder, call, generation, isolated, zone, labels }
    }

    /// SHA-256 of its plugin's file, in hex.
    #[must_use]
    pub fn digest(&self) -> &Arc<str> {
        &self.call.plugin().digest
    }

    /// The job as it is here, with the code of another time. What was approved then is approved.
    ///
    /// # Errors
    /// Where the two do not fit.
    pub(crate) fn with_code_of(&self, earlier: &Self) -> Result<Self, Vec<CallProblem>> {
        let call = Recipe::of(&self.job, &self.folder).prepare(earlier.call.plugin(), earlier.call.imports)?;
        Ok(Self {
            job: Arc::clone(&self.job),
            folder: Arc::clone(&self.folder),
            call: Arc::new(call),
            generation: earlier.generation,
            isolated: self.isolated.clone(),
            zone: Arc::clone(&self.zone),
            labels: Arc::clone(&self.labels),
        })
    }
}
