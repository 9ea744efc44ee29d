//! Jobs: what a list says of them, and what is known of one.

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::JobId,
    job,
    ports::{JobRow, RunRow},
    trigger::{Basis, Trigger},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::operate::Pause;
pub use super::settings::Settings;
use crate::{
    cli::rfc3339,
    hot::{JobState, JobView, Origin},
    operate::PauseNote,
};

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its id.
    pub job: String,
    /// How it is.
    pub state: JobPhase,
    /// Whether it is paused.
    pub paused: bool,
    /// It is paused because the whole host is.
    pub paused_with_all: bool,
    /// Why it is paused and until when, where somebody said so.
    pub pause: Option<Pause>,
    /// Its next slot, where that is known.
    #[schema(format = DateTime)]
    pub next: Option<String>,
    /// Its newest run that has ended.
    pub last_run: Option<LastRun>,
    /// How many of its runs go on.
    pub running: usize,
    /// How many of its runs have not ended.
    pub open: usize,
    /// When it runs, in words.
    pub trigger: Option<String>,
    /// Whose function runs.
    pub plugin: Option<String>,
    /// Which function, as written; `null` where the plugin has just one.
    pub call: Option<String>,
    /// Which pool's places its runs take.
    pub pool: Option<String>,
    /// Where its slots and runs are recorded.
    pub store: Option<String>,
    /// When the host first saw it.
    #[schema(format = DateTime)]
    pub first_seen: Option<String>,
    /// When it was removed.
    #[schema(format = DateTime)]
    pub removed_at: Option<String>,
    /// Its time zone, for triggers that name none and for display.
    pub timezone: Option<String>,
    /// Free words for people.
    pub description: Option<String>,
    /// Free words for filters.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub labels: Map<String, Json>,
    /// Where it comes from: `manifest`, `directory`, `api`; `null` where it comes from nowhere any more.
    pub origin: Option<String>,
    /// Where it is written, for people: `clockjack.yaml:7`, `revision 3`.
    pub place: Option<String>,
    /// Changes whenever its definition does.
    pub etag: Option<String>,
    /// What is wrong with it as it stands where it comes from.
    pub fault: Option<Fault>,
}

/// What is wrong with a job as it stands where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// Stable and dotted.
    pub code: String,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub fix: String,
    /// It goes on as it was before; else nothing of it is in force.
    pub kept: bool,
}

/// How a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobPhase {
    /// It runs when it is due.
    Active,
    /// It is paused.
    Paused,
    /// It stands in the manifest and is in force nowhere yet.
    New,
    /// It was removed; its history is still there.
    Removed,
    /// The ledger knows it, and the manifest does not have it.
    NotInTheManifest,
    /// Something is wrong with it as it stands where it comes from, and nothing of it is in force.
    Broken,
}

impl JobPhase {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Active, Self::Paused, Self::New, Self::Removed, Self::NotInTheManifest, Self::Broken];

    /// The word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::New => "new",
            Self::Removed => "removed",
            Self::NotInTheManifest => "not in the manifest",
            Self::Broken => "broken",
        }
    }
}

/// Where a job comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobOrigin {
    /// A manifest.
    Manifest,
    /// A component in a directory of plugins.
    Directory,
    /// The API.
    Api,
}

impl JobOrigin {
    /// All of them with their words.
    pub const ALL: [(&'static str, Self); 3] =
        [("manifest", Self::Manifest), ("directory", Self::Directory), ("api", Self::Api)];

    /// Whether that is where something comes from.
    #[must_use]
    pub fn is_of(self, origin: &Origin) -> bool {
        match origin {
            Origin::Manifest { .. } => self == Self::Manifest,
            Origin::Directory { .. } => self == Self::Directory,
            Origin::Api(_) => self == Self::Api,
        }
    }
}

/// The newest run of a job that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastRun {
    /// Its id.
    #[schema(format = "uuid")]
    pub id: String,
    /// Its slot.
    #[schema(format = DateTime)]
    pub scheduled_for: String,
    /// The code of its outcome.
    #[schema(schema_with = super::runs::outcome)]
    pub outcome: String,
    /// When its last attempt began.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it ended.
    #[schema(format = DateTime)]
    pub finished_at: String,
}

/// A job with all that holds for it, defaults included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobDetail {
    /// What a list says of it.
    #[serde(flatten)]
    pub job: Job,
    /// What its function gets: by name, or in order; `null` for nothing. No secret is in it: a guest gets secrets by their
    /// names when it asks for them, and arguments cannot refer to one. A variable that a manifest fills in with `${NAME}` is
    /// in it as everything else that is written there.
    pub args: Option<Json>,
    /// Whose ends make it run.
    pub after: Vec<After>,
    /// What it is held to; `null` where it is not in force.
    pub settings: Option<Settings>,
}

/// Whose end makes a job run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct After {
    /// The other job.
    pub job: String,
    /// Which ends of it: `success`, `failure`, `always`.
    pub on: String,
}

/// A page of jobs, by id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Jobs {
    /// The jobs. There may be fewer than asked for, and more on the next page.
    pub items: Vec<Job>,
    /// The `cursor` of the next page; `null` on the last one.
    pub next: Option<String>,
}

/// A job with all that is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'k> {
    /// Which.
    pub id: &'k JobId,
    /// Its definition, where it has one.
    pub job: Option<&'k job::Job>,
    /// What the ledger knows of it.
    pub row: Option<&'k JobRow>,
    /// Its newest run that has ended.
    pub last: Option<&'k RunRow>,
    /// Why it is paused, where somebody said so.
    pub pause: Option<&'k PauseNote>,
    /// How it is.
    pub state: JobPhase,
    /// The time.
    pub now: DateTime<Utc>,
}

impl Known<'_> {
    /// Its next slot. One that counts from the end of the last run is known only when that has ended.
    #[must_use]
    pub fn next(&self) -> Option<DateTime<Utc>> {
        let job = self.job.filter(|_| self.state == JobPhase::Active)?;
        let goes_on = self.row.is_some_and(|row| row.open.iter().any(|open| open.run.scheduled_for <= self.now));
        if goes_on && job.trigger.as_ref().is_some_and(Trigger::waits_for_finish) {
            return None;
        }
        job.next_after(self.now, &self.basis())
    }

    /// What its slots count from.
    #[must_use]
    pub fn basis(&self) -> Basis {
        Basis {
            first_seen: self.row.map_or(self.now, |row| row.state.first_seen),
            last_finished: self.row.and_then(|row| row.last_finished),
        }
    }

    /// Whether it is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let of_manifest = self.job.map(|job| job.policy.paused);
        self.row.map(|row| row.state.paused).or(of_manifest).unwrap_or_default()
    }

    /// How many of its runs go on.
    #[must_use]
    pub fn n_running(&self) -> usize {
        self.row.map_or(0, |row| row.open.iter().filter(|open| open.claimed_at.is_some()).count())
    }
}

impl From<&Known<'_>> for Job {
    fn from(known: &Known<'_>) -> Self {
        let (job, row) = (known.job, known.row);
        let labels = job.map(|job| job.labels.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect());
        Self {
            job: known.id.to_string(),
            state: known.state,
            paused: known.is_paused(),
            paused_with_all: row.is_some_and(|row| row.state.paused_with_all),
            pause: known.pause.map(Into::into),
            next: known.next().map(rfc3339),
            last_run: known.last.and_then(last_run),
            running: known.n_running(),
            open: row.map_or(0, |row| row.open.len()),
            trigger: job.map(job::Job::describe),
            plugin: job.map(|job| job.plugin.to_string()),
            call: job.and_then(|job| job.call.as_deref()).map(ToOwned::to_owned),
            pool: job.map(|job| job.pool.to_string()),
            store: job.map(|job| job.store.to_string()),
            first_seen: row.map(|row| rfc3339(row.state.first_seen)),
            removed_at: row.and_then(|row| row.state.removed_at).map(rfc3339),
            timezone: job.map(|job| job.zone.name().to_owned()),
            description: job.and_then(|job| job.description.as_deref()).map(ToOwned::to_owned),
            labels: labels.unwrap_or_default(),
            origin: None,
            place: None,
            etag: None,
            fault: None,
        }
    }
}

impl Job {
    /// The same with where it comes from.
    #[must_use]
    pub fn from_where(mut self, view: &JobView, etag: String) -> Self {
        (self.origin, self.place) = (Some(view.origin.as_str().to_owned()), Some(view.origin.place()));
        self.etag = Some(etag);
        self.fault = match &view.state {
            JobState::InForce => None,
            JobState::Broken { code, reason, fix, is_kept } => {
                Some(Fault { code: (*code).to_owned(), reason: reason.clone(), fix: fix.clone(), kept: *is_kept })
            }
        };
        self
    }
}

fn last_run(row: &RunRow) -> Option<LastRun> {
    let finish = row.finish()?;
    Some(LastRun {
        id: row.run.id.to_string(),
        scheduled_for: rfc3339(row.run.scheduled_for),
        outcome: finish.report.outcome.code.as_str().to_owned(),
        started_at: finish.started_at.map(rfc3339),
        finished_at: rfc3339(finish.finished_at),
    })
}

impl From<&Known<'_>> for JobDetail {
    fn from(known: &Known<'_>) -> Self {
        let after = |after: &job::After| {
            let on = match after.on {
                job::AfterOn::Success => "success",
                job::AfterOn::Failure => "failure",
                job::AfterOn::Always => "always",
            };
            After { job: after.job.to_string(), on: on.to_owned() }
        };
        let args = known.job.and_then(|job| match &job.args {
            job::Arguments::None => None,
            job::Arguments::Named(values) => Some(Json::Object(values.clone())),
            job::Arguments::Listed(values) => Some(Json::Array(values.clone())),
        });
        Self {
            job: known.into(),
            args,
            after: known.job.map(|job| job.after.iter().map(after).collect()).unwrap_or_default(),
            settings: known.job.map(|job| Settings::from(&*job.setup)),
        }
    }
}
