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

use crate::{
    Cause, Context, Level,
    state::{Bytes, Error},
};

mod books;

pub(crate) use books::{secrets, state};

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
    progress_message: Option<String>,
    n_heartbeats: u64,
    time_left: Duration,
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
        progress_message: None,
        n_heartbeats: 0,
        time_left: TIME_LEFT,
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

/// The words of the last reported progress on this thread.
///
/// ```
/// clockjack_sdk::progress_with(1, Some(2), "first file");
/// assert_eq!(clockjack_sdk::testing::last_progress_message().as_deref(), Some("first file"));
/// ```
#[must_use]
pub fn last_progress_message() -> Option<String> {
    HOST.with_borrow(|host| host.progress_message.clone())
}

/// How often the job said on this thread that it is alive.
///
/// ```
/// clockjack_sdk::heartbeat();
/// assert_eq!(clockjack_sdk::testing::n_heartbeats(), 1);
/// ```
#[must_use]
pub fn n_heartbeats() -> u64 {
    HOST.with_borrow(|host| host.n_heartbeats)
}

/// Changes what [`time_left`](crate::time_left) answers on this thread; at first it is a minute.
///
/// ```
/// # use std::time::Duration;
/// clockjack_sdk::testing::set_time_left(Duration::from_millis(50));
/// assert_eq!(clockjack_sdk::time_left(), Duration::from_millis(50));
/// ```
pub fn set_time_left(time_left: Duration) {
    HOST.with_borrow_mut(|host| host.time_left = time_left);
}

/// Calls a job as the host does: what it writes into its [`state`](crate::state) is kept where it succeeds, and dropped
/// where it fails.
///
/// ```
/// use clockjack_sdk::{state, testing};
///
/// fn job(fail: bool) -> Result<i64, String> {
///     let runs = state::add("runs", 1)?;
///     if fail { Err("as asked".into()) } else { Ok(runs) }
/// }
///
/// assert_eq!(testing::attempt(|| job(false)), Ok(1));
/// assert!(testing::attempt(|| job(true)).is_err());
/// assert_eq!(testing::attempt(|| job(false)), Ok(2));
/// ```
pub fn attempt<T, E>(job: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    books::keep();
    let result = job();
    if result.is_ok() {
        books::keep()
    } else {
        books::drop_writes()
    }
    result
}

/// Puts a value into the state of this thread, as another run of the job would: it is kept, and its version is new.
///
/// ```
/// use clockjack_sdk::{state, testing};
///
/// testing::set_state("mark", 7);
/// assert_eq!(state::parse("mark"), Ok(Some(7_u64)));
/// ```
pub fn set_state(key: &str, value: impl Bytes) {
    books::put(key, &value.to_bytes());
}

/// Bounds the state of this thread to this many bytes of keys and values, as the job's limit `state` does.
///
/// ```
/// use clockjack_sdk::{state, testing};
///
/// testing::set_state_quota(8);
/// assert_eq!(state::set("mark", "a long text"), Err(state::Error::Quota(8)));
/// ```
pub fn set_state_quota(bytes: u64) {
    books::set_quota(bytes);
}

/// Makes every call to [`state`](crate::state) on this thread end with this error, until `None` is given.
///
/// ```
/// use clockjack_sdk::{state, testing};
///
/// testing::fail_state(Some(state::Error::Denied));
/// assert_eq!(state::get("mark"), Err(state::Error::Denied));
/// testing::fail_state(None);
/// assert_eq!(state::get("mark"), Ok(None));
/// ```
pub fn fail_state(error: Option<Error>) {
    books::fail_state(error);
}

/// Grants a secret on this thread.
///
/// ```
/// clockjack_sdk::testing::set_secret("api-key", "s3same");
/// assert_eq!(clockjack_sdk::secrets::get("api-key").unwrap().expose(), "s3same");
/// ```
pub fn set_secret(name: &str, value: &str) {
    books::set_secret(name, Ok(value));
}

/// Grants a secret on this thread whose value cannot be had, and why.
///
/// ```
/// clockjack_sdk::testing::set_secret_unavailable("api-key", "the vault is sealed");
/// let error = clockjack_sdk::secrets::get("api-key").unwrap_err();
/// assert_eq!(error.to_string(), "the secret `api-key` cannot be had now: the vault is sealed");
/// ```
pub fn set_secret_unavailable(name: &str, reason: &str) {
    books::set_secret(name, Err(reason));
}

/// Brings lines of the facades `log` and `tracing` to [`take_log`], as every exported function of a component does before
/// it starts. Does nothing where another logger was installed before.
///
/// ```
/// # #[cfg(feature = "log")] {
/// clockjack_sdk::testing::capture_facades();
/// log::warn!(target: "mail", "the server is slow");
/// let lines = clockjack_sdk::testing::take_log();
/// assert_eq!(lines[0].message, "the server is slow");
/// assert_eq!(lines[0].fields, [("target".into(), "mail".into())]);
/// # }
/// ```
#[cfg(any(feature = "log", feature = "tracing"))]
pub fn capture_facades() {
    crate::facade::install();
}

pub(crate) fn context() -> Context {
    HOST.with_borrow(|host| host.context.clone())
}

pub(crate) fn cancel_requested() -> bool {
    HOST.with_borrow(|host| host.cancel_requested)
}

pub(crate) fn time_left() -> u64 {
    HOST.with_borrow(|host| host.time_left.as_millis() as u64)
}

pub(crate) fn progress(done: u64, total: Option<u64>, message: Option<&str>) {
    HOST.with_borrow_mut(|host| {
        host.progress = Some((done, total));
        host.progress_message = message.map(ToOwned::to_owned);
    });
}

pub(crate) fn heartbeat() {
    HOST.with_borrow_mut(|host| host.n_heartbeats += 1);
}

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
