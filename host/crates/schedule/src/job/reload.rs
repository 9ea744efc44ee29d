//! What other code for a job means to its runs that go on, and to those that are tried again.

use std::time::Duration;

/// What happens to attempts that go on when other code is put in force for the job. Default `drain`.
///
/// ```yaml
/// on_reload: replace
/// on_reload: { mode: drain, deadline: 5m }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnReload {
    /// They finish on the code with which they began.
    Drain {
        /// How long they may take for that, at most 24 h; after it they end as `cancelled`. Absent means that only the
        /// attempt's own timeout bounds it.
        deadline: Option<Duration>,
    },
    /// They end as `cancelled`.
    Cancel,
    /// They end as `interrupted` and are tried again at once on the new code, which does not count against `retry.attempts`.
    Replace,
}

impl Default for OnReload {
    fn default() -> Self {
        Self::Drain { deadline: None }
    }
}

/// Longest deadline of `on_reload: { mode: drain, deadline: … }`: the longest timeout that an attempt can have.
pub const DRAIN_DEADLINE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Which code a further attempt of a run takes. Default `latest`.
///
/// ```yaml
/// retry_on: same
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetryOn {
    /// What is in force when it begins.
    #[default]
    Latest,
    /// That of the attempt before it, as long as it fits the job; after a restart of the host, what is in force.
    Same,
}
