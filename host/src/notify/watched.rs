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

#[derive(Debug)]
struct Attempt {
    run: Arc<Run>,
    since: DateTime<Utc>,
    /// For whom, and when by the monotonic clock.
    due: Vec<(Duration, ChannelName)>,
}

impl Watched {
    /// An attempt began, and these want to know of it at these instants. One of the same run before it is over.
    pub(super) fn began(&mut self, run: &Arc<Run>, since: DateTime<Utc>, due: Vec<(Duration, ChannelName)>) {
        if !due.is_empty() {
            self.by_run.insert(run.id, Attempt { run: Arc::clone(run), since, due });
        }
    }

    /// An attempt has ended.
    pub(super) fn ended(&mut self, run: RunId) {
        self.by_run.remove(&run);
    }

    /// Takes those that have gone on for so long by now: for whom, which run, and since when.
    pub(super) fn take_due(&mut self, now: Duration) -> Vec<(ChannelName, Arc<Run>, DateTime<Utc>)> {
        let mut long = Vec::new();
        for attempt in self.by_run.values_mut() {
            let due = attempt.due.extract_if(.., |(at, _)| *at <= now);
            long.extend(due.map(|(_, channel)| (channel, Arc::clone(&attempt.run), attempt.since)));
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
