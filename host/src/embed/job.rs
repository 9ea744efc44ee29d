//! A job as a program writes it: what a manifest would say of it, and the function where it is one.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use clockjack_schedule::{id::PluginName, manifest::scalar::show_duration};
use serde_json::{Map, Value as Json, json};

use super::native::{Context, Function, JobResult};

/// When a job runs: any of its triggers.
///
/// ```
/// use std::time::Duration;
/// use clockjack::Schedule;
///
/// let schedule = Schedule::cron("30 2 * * mon-fri").or(Schedule::every(Duration::from_secs(6 * 3_600)));
/// # drop(schedule);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    triggers: Vec<Json>,
}

impl Schedule {
    /// A cron expression of 5, 6 or 7 fields, or a word such as `@daily`, as a manifest has it under `cron:`.
    #[must_use]
    pub fn cron(expression: &str) -> Self {
        Self::trigger(json!({ "cron": expression }))
    }

    /// Elapsed time on a fixed grid, at least a second.
    #[must_use]
    pub fn every(period: Duration) -> Self {
        Self::trigger(json!({ "every": show_duration(period) }))
    }

    /// Once.
    #[must_use]
    pub fn at(instant: DateTime<Utc>) -> Self {
        Self::trigger(json!({ "at": crate::cli::rfc3339(instant) }))
    }

    /// Any trigger, as an entry of `triggers:` in a manifest: `json!({ "calendar": { "months": 1, "at": "09:00" } })`.
    #[must_use]
    pub fn trigger(trigger: Json) -> Self {
        Self { triggers: vec![trigger] }
    }

    /// This one and another.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.triggers.extend(other.triggers);
        self
    }
}

/// A job that a program adds. What is wrong with it is told when it is added.
///
/// Every key of a job in a manifest can be said with [`Job::with`]; the commonest have methods of their own. What a job says
/// is taken as it is: no `${…}` in it is filled in.
#[derive(Clone)]
pub struct Job {
    pub(super) id: String,
    pub(super) keys: Map<String, Json>,
    pub(super) triggers: Vec<Json>,
    pub(super) function: Option<Function>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, keys, triggers, function } = self;
        let is_native = function.is_some();
        f.debug_struct("Job")
            .field("id", id)
            .field("keys", keys)
            .field("triggers", triggers)
            .field("is_native", &is_native)
            .finish()
    }
}

impl Job {
    /// A function of the program. It is called on the runtime on which the scheduler was started, once for each attempt.
    ///
    /// What it returns is the run's output; an `Err` is a failure, which `retry` may try again; a panic is a failure too.
    /// After the job's `timeout` (one minute where nothing is said) its future is dropped. A function that blocks moves its
    /// work to `tokio::task::spawn_blocking` and looks at [`Context::is_cancelled`].
    #[must_use]
    pub fn native<F, R>(id: impl Into<String>, function: F) -> Self
    where
        F: Fn(Context) -> R + Send + Sync + 'static,
        R: Future<Output = JobResult> + Send + 'static,
    {
        let function: Function = Arc::new(move |context| Box::pin(function(context)));
        Self::of_plugin(id.into(), PluginName::NATIVE, Some(function))
    }

    /// A function of a component, or a command: a path such as `./report.wasm`, a reference such as `oci://…`, or the name of
    /// a plugin of the manifest. It runs in the sandbox, with what it is granted and nothing else.
    #[must_use]
    pub fn component(id: impl Into<String>, plugin: &str) -> Self {
        Self::of_plugin(id.into(), plugin, None)
    }

    fn of_plugin(id: String, plugin: &str, function: Option<Function>) -> Self {
        let keys = Map::from_iter([("plugin".to_owned(), json!(plugin))]);
        Self { id, keys, triggers: Vec::new(), function }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Which function of the component.
    #[must_use]
    pub fn call(self, function: &str) -> Self {
        self.with("call", function)
    }

    /// An argument by its name.
    #[must_use]
    pub fn arg(mut self, name: &str, value: impl Into<Json>) -> Self {
        let args = self.keys.entry("args").or_insert_with(|| json!({}));
        if !args.is_object() {
            *args = json!({});
        }
        args[name] = value.into();
        self
    }

    /// All arguments: a map by name, or a list by position.
    #[must_use]
    pub fn args(self, args: impl Into<Json>) -> Self {
        self.with("args", args)
    }

    /// When it runs, beside what was said before.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.triggers.extend(schedule.triggers);
        self
    }

    /// Runs by a cron expression.
    #[must_use]
    pub fn cron(self, expression: &str) -> Self {
        self.schedule(Schedule::cron(expression))
    }

    /// Runs again and again after this time.
    #[must_use]
    pub fn every(self, period: Duration) -> Self {
        self.schedule(Schedule::every(period))
    }

    /// Runs once.
    #[must_use]
    pub fn at(self, instant: DateTime<Utc>) -> Self {
        self.schedule(Schedule::at(instant))
    }

    /// Runs after each success of another job.
    #[must_use]
    pub fn after(self, job: &str) -> Self {
        self.with("after", job)
    }

    /// Its time zone.
    #[must_use]
    pub fn timezone(self, name: &str) -> Self {
        self.with("timezone", name)
    }

    /// The wall-clock time of an attempt; default one minute.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with("timeout", show_duration(timeout))
    }

    /// How many attempts a run has in all, with a growing time between them.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        self.with("retry", json!({ "attempts": attempts }))
    }

    /// Any key of a job in a manifest: `with("overlap", "queue")`, `with("misfire_grace", "1h")`,
    /// `with("grants", json!({ "state": true }))`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Json>) -> Self {
        self.keys.insert(key.to_owned(), value.into());
        self
    }

    /// Other triggers in place of all that it has.
    pub(super) fn reschedule(&mut self, schedule: Schedule) {
        self.triggers = schedule.triggers;
        // Triggers may have been said as keys of their own too.
        for key in ["cron", "every", "calendar", "at", "any", "all", "triggers"] {
            self.keys.remove(key);
        }
    }

    /// As it would stand in a manifest.
    pub(super) fn definition(&self) -> Json {
        let mut keys = self.keys.clone();
        for key in ["args", "stdin"] {
            keys.entry(key).and_modify(literal);
        }
        keys.retain(|_, value| !value.is_null());
        if !self.triggers.is_empty() {
            let said = keys.remove("triggers").unwrap_or_else(|| json!([]));
            let said = said.as_array().cloned().unwrap_or_default();
            keys.insert("triggers".to_owned(), said.into_iter().chain(self.triggers.iter().cloned()).collect());
        }
        Json::Object(keys)
    }
}

/// Writes texts so that nothing in them counts as a template.
fn literal(json: &mut Json) {
    match json {
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
        Json::String(text) => *text = text.replace("${", "$${"),
        Json::Array(items) => items.iter_mut().for_each(literal),
        Json::Object(entries) => entries.values_mut().for_each(literal),
    }
}
