//! Attempts that somebody wants to know of when they go on for long.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{ChannelName, RunId, RunMap},
    run::Run,
};

/// Those that go on.
#[derive(Debug, Default)]
pub(super) struct Watched {
    by_run: RunMap<Attempt>,
}

/// An attempt that goes on for long.
#[derive(Clone, Debug)]
pub(super) struct Long {
    pub(super) run: Arc<Run>,
    pub(super) attempt: u32,
    pub(super) since: DateTime<Utc>,
}

#[derive(Debug)]
struct Attempt {
    it: Long,
    /// For whom, and when by the monotonic clock.
    due: Vec<(Duration, ChannelName)>,
}

impl Watched {
    /// An attempt began, and these want to know of it at these instants. One of the same run before it is over.
    pub(super) fn began(&mut self, it: Long, due: Vec<(Duration, ChannelName)>) {
        if !due.is_empty() {
            self.by_run.insert(it.run.id, Attempt { it, due });
        }
    }

    /// An attempt has ended.
    pub(super) fn ended(&mut self, run: RunId) {
        self.by_run.remove(&run);
    }

    /// Takes those that have gone on for so long by now, and for whom.
    pub(super) fn take_due(&mut self, now: Duration) -> Vec<(ChannelName, Long)> {
        let mut long = Vec::new();
        for attempt in self.by_run.values_mut() {
            let due = attempt.due.extract_if(.., |(at, _)| *at <= now);
            long.extend(due.map(|(_, channel)| (channel, attempt.it.clone())));
        }
        self.by_run.retain(|_, attempt| !attempt.due.is_empty());
        long
    }

    /// How long until there are some.
    pub(super) fn until_next(&self, now: Duration) -> Option<Duration> {
        let due = self.by_run.values().flat_map(|attempt| &attempt.due);
        due.map(|(at, _)| at.saturating_sub(now)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::Notice;
    use clockjack_schedule::run::Cause;

    /// A receiver that drops what it has had already hears of the second attempt, too.
    #[test]
    fn each_attempt_is_told_under_an_id_of_its_own() {
        let since: DateTime<Utc> = "2026-11-22T10:00:00Z".parse().unwrap();
        let job: clockjack_schedule::id::JobId = "report.daily".parse().unwrap();
        let id = RunId::of_slot(&job, since);
        let run = Arc::new(Run { id, job, scheduled_for: since, due_at: since, cause: Cause::Schedule, payload: None });
        let mut watched = Watched::default();
        let mut told = |attempt| {
            let due = vec![(Duration::from_secs(1), "ops".parse().unwrap())];
            watched.began(Long { run: Arc::clone(&run), attempt, since }, due);
            let long = watched.take_due(Duration::from_secs(1)).pop().unwrap().1;
            let notice = Notice::went_on(&long, since, "here");
            assert_eq!(notice.fields["id"], notice.id.as_str());
            notice.id
        };
        assert_eq!([told(1), told(2)], [format!("too_long-{id}-1"), format!("too_long-{id}-2")]);
    }
}
