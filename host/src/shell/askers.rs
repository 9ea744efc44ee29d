//! Who asks for a pause, or for its end: noted by whoever passes the wish on, and taken by what tells of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use clockjack_schedule::id::JobId;

use super::{Asker, Event};

/// How many are noted. A wish that changes nothing is never told, so that what it noted is forgotten here.
const ASKERS_MAX: usize = 1_024;

/// Those who asked and of whom nothing was told yet, by job; without one of the whole host. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Askers(Arc<Mutex<HashMap<Option<JobId>, Asker>>>);

impl Askers {
    fn noted(&self) -> MutexGuard<'_, HashMap<Option<JobId>, Asker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, job: Option<JobId>, asker: Asker) {
        let mut noted = self.noted();
        if ASKERS_MAX <= noted.len() {
            noted.clear();
        }
        noted.insert(job, asker);
    }

    /// The same event with who asked for it.
    pub(super) fn named(&self, event: Event) -> Event {
        let take = |job: Option<&JobId>| self.noted().remove(&job.cloned()).unwrap_or_default();
        match event {
            Event::Paused { .. } => Event::Paused { asker: take(None) },
            Event::Resumed { .. } => Event::Resumed { by: take(None).by },
            Event::JobPaused { job, .. } => Event::JobPaused { asker: take(Some(&job)), job },
            Event::JobResumed { job, .. } => Event::JobResumed { by: take(Some(&job)).by, job },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_is_told_once() {
        let (askers, job): (Askers, JobId) = (Askers::default(), "a".parse().unwrap());
        let asker = |by: &str| Asker { note: Some("why".into()), until: None, by: Some(by.into()) };
        askers.note(Some(job.clone()), asker("ann"));
        askers.note(None, asker("bob"));
        let paused = |job: &JobId| Event::JobPaused { job: job.clone(), asker: Asker::default() };
        let told =
            [paused(&"b".parse().unwrap()), paused(&job), paused(&job), Event::Resumed { by: None }].map(|event| {
                match askers.named(event) {
                    Event::JobPaused { asker, .. } => asker.by,
                    Event::Resumed { by } => by,
                    other => panic!("{other:?}"),
                }
            });
        assert_eq!(told, [None, Some("ann".into()), None, Some("bob".into())]);
        (0..3 * ASKERS_MAX).for_each(|n| askers.note(Some(format!("j{n}").parse().unwrap()), asker("x")));
        assert!(askers.noted().len() <= ASKERS_MAX);
    }
}
