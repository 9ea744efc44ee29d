//! What stands in for the host when a job function is called natively, as in `cargo test`. Not there in a component.
//!
//! Each thread has its own stand-in, so tests do not see each other's lines.
//!
//! ```
//! use clockjack_sdk::{log::Level, testing};
//!
//! fn job() -> u32 {
//!     clockjack_sdk::warn!(skipped = 2, "skipped lines");
//!     clockjack_sdk::context().attempt
//! }
//!
//! testing::update_context(|ctx| ctx.attempt = 2);
//! assert_eq!(job(), 2);
//! let lines = testing::take_log();
//! assert_eq!(lines[0].level, Level::Warn);
//! assert_eq!(lines[0].fields, [("skipped".into(), "2".into())]);
//! ```

use std::{
    cell::RefCell,
    time::{Duration, SystemTime},
};

use crate::{Cause, Context, Level};

/// One captured log line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// Its text.
    pub message: String,
    /// Its fields in order.
    pub fields: Vec<(String, String)>,
}

struct Host {
    context: Context,
    cancel_requested: bool,
    lines: Vec<Line>,
    progress: Option<(u64, Option<u64>)>,
    seed: u64,
}

/// Long enough that no test of a job runs out of it by accident.
const TIME_LEFT: Duration = Duration::from_secs(60);

thread_local! {
    static HOST: RefCell<Host> = RefCell::new(Host {
        context: Context {
            run_id: "test-run".to_owned(),
            job: "test".to_owned(),
            attempt: 1,
            max_attempts: 1,
            cause: Cause::Manual,
            scheduled_for: SystemTime::UNIX_EPOCH,
            started_at: SystemTime::UNIX_EPOCH,
            deadline: SystemTime::UNIX_EPOCH + TIME_LEFT,
            last_success: None,
            time_zone: "UTC".to_owned(),
            labels: Vec::new(),
            traceparent: None,
        },
        cancel_requested: false,
        lines: Vec::new(),
        progress: None,
        seed: 0,
    });
}

/// Changes what [`context`](crate::context()) answers on this thread.
///
/// ```
/// clockjack_sdk::testing::update_context(|ctx| ctx.time_zone = "Europe/Berlin".into());
/// assert_eq!(clockjack_sdk::context().time_zone, "Europe/Berlin");
/// ```
pub fn update_context(change: impl FnOnce(&mut Context)) {
    HOST.with_borrow_mut(|host| change(&mut host.context));
}

/// Makes [`cancel_requested`](crate::cancel_requested) answer yes on this thread.
///
/// ```
/// clockjack_sdk::testing::request_cancel();
/// assert!(clockjack_sdk::cancel_requested());
/// ```
pub fn request_cancel() {
    HOST.with_borrow_mut(|host| host.cancel_requested = true);
}

/// The lines that were logged on this thread since the last call.
///
/// ```
/// clockjack_sdk::log::info("hello");
/// assert_eq!(clockjack_sdk::testing::take_log().len(), 1);
/// assert!(clockjack_sdk::testing::take_log().is_empty());
/// ```
#[must_use]
pub fn take_log() -> Vec<Line> {
    HOST.with_borrow_mut(|host| std::mem::take(&mut host.lines))
}

/// The last reported progress on this thread: done and total.
///
/// ```
/// clockjack_sdk::progress(1, Some(2));
/// assert_eq!(clockjack_sdk::testing::last_progress(), Some((1, Some(2))));
/// ```
#[must_use]
pub fn last_progress() -> Option<(u64, Option<u64>)> {
    HOST.with_borrow(|host| host.progress)
}

pub(crate) fn context() -> Context {
    HOST.with_borrow(|host| host.context.clone())
}

pub(crate) fn cancel_requested() -> bool {
    HOST.with_borrow(|host| host.cancel_requested)
}

pub(crate) fn time_left() -> u64 {
    TIME_LEFT.as_millis() as u64
}

pub(crate) fn progress(done: u64, total: Option<u64>, _message: Option<&str>) {
    HOST.with_borrow_mut(|host| host.progress = Some((done, total)));
}

pub(crate) fn heartbeat() {}

/// The same sequence in every test: a test that depends on chance must be repeatable. The step is SplitMix64's.
pub(crate) fn random_seed() -> u64 {
    HOST.with_borrow_mut(|host| {
        host.seed = host.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (host.seed ^ (host.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) >> 11
    })
}

pub(crate) fn log(level: Level, message: &str, fields: &[(&str, String)]) {
    let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    HOST.with_borrow_mut(|host| host.lines.push(Line { level, message: message.to_owned(), fields }));
}
