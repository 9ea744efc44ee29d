//! Pauses, the end of a host and backfills in JSON.

use crate::{cli::rfc3339, operate::PauseNote};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{
        Type,
        schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat},
    },
};

use super::whole;

/// Start nothing until it is resumed.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PauseAsked {
    /// Why, in words for whoever looks: at most 1,024 characters.
    #[schema(max_length = 1024)]
    pub note: Option<String>,
    /// When it goes on by itself, as RFC 3339; else when somebody resumes it. It lies ahead.
    #[schema(format = DateTime)]
    pub until: Option<String>,
}

/// Go on.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResumeAsked {
    /// From where: `now` (the default) skips the slots of the pause; `last` treats them as after a downtime; an instant as
    /// RFC 3339 skips those before it, and treats those from it on as after a downtime.
    #[schema(schema_with = resume_from)]
    pub from: Option<String>,
}

fn resume_from() -> Schema {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let instant = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    let from = AnyOfBuilder::new().item(text().enum_values(Some(["now", "last"]))).item(instant);
    Schema::AnyOf(from.item(ObjectBuilder::new().schema_type(Type::Null)).build())
}

/// Whether a job goes on.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct JobState {
    /// Which job.
    pub job: String,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it is paused only because the whole host is.
    pub paused_with_all: bool,
    /// Why it is paused, in the words of who paused it.
    pub pause: Option<Pause>,
}

/// Whether the whole host is paused.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SchedulerState {
    /// Whether nothing of any job starts.
    pub paused: bool,
    /// Why it is paused, in the words of who paused it.
    pub pause: Option<Pause>,
}

/// What is kept of a pause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Pause {
    /// Why.
    pub note: Option<String>,
    /// When it ends by itself.
    pub until: Option<String>,
    /// Who asked for it, where that is known.
    pub by: Option<String>,
    /// Since when.
    pub at: String,
}

impl From<&PauseNote> for Pause {
    fn from(note: &PauseNote) -> Self {
        let PauseNote { note, until, by, at } = note.clone();
        Self { note, until: until.map(rfc3339), by, at: rfc3339(at) }
    }
}

/// End the host.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShutdownAsked {
    /// Whether runs that go on get time to end; `false` ends them at once. Without it they get it.
    pub wait: Option<bool>,
    /// How long they get at the most, such as `30s`; without it what `clockjack up --grace` says.
    pub deadline: Option<String>,
}

/// A host that ends.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Stopping {
    /// Nothing new starts any more.
    pub stopping: bool,
    /// How long runs that go on may still go on.
    pub deadline: String,
}

/// Make up for slots of the past.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackfillAsked {
    /// The first instant of the range, as RFC 3339.
    #[schema(format = DateTime, required = true)]
    pub from: String,
    /// The end of the range, which is not part of it any more and does not lie ahead.
    #[schema(format = DateTime, required = true)]
    pub to: String,
    /// Only so many slots, the oldest ones that are not left out; without it there may be 10,000.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub max: Option<u32>,
    /// How many of its runs go on at once: 1 where nothing is said.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 64)]
    pub at_once: Option<u32>,
    /// Also slots that have a run already, or are to get one from a backfill that goes on.
    pub again: bool,
    /// Only say what it would do.
    pub dry_run: bool,
}

/// What a backfill would do.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct BackfillPlan {
    /// Of which job.
    pub job: String,
    /// How many runs there would be.
    pub slots: u64,
    /// How many slots are left out: they have a run already, or get one from a backfill that goes on. With `max` only those
    /// before the last of its slots are counted.
    pub left_out: u64,
    /// The first slot.
    pub first: Option<String>,
    /// The last slot.
    pub last: Option<String>,
    /// Some of the slots, the oldest ones.
    pub sample: Vec<String>,
}

/// How a backfill goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Backfill {
    /// Its id.
    pub id: String,
    /// Of which job.
    pub job: String,
    /// `running`, `done`, or `cancelled`.
    pub state: String,
    /// The first instant of its range.
    pub from: String,
    /// The end of its range.
    pub to: String,
    /// How many of its runs go on at once.
    pub at_once: u32,
    /// Whether it makes up for slots also where they have a run.
    pub again: bool,
    /// Since when it has been there.
    pub created_at: String,
    /// Who asked for it, where that is known.
    pub by: Option<String>,
    /// When it was done or cancelled.
    pub finished_at: Option<String>,
    /// How many slots it makes up for.
    pub slots: u64,
    /// How many slots were left out: they had a run already, or another backfill went on for them.
    pub left_out: u64,
    /// For how many slots, from the oldest one on, all is decided.
    pub settled: u64,
    /// How many of them succeeded.
    pub succeeded: u64,
    /// How many of them failed, or ended otherwise without success.
    pub failed: u64,
    /// How many of them began no run after all: somebody cancelled it before, or the slot got a run in another way.
    pub skipped: u64,
    /// The oldest slot for which not all is decided.
    pub cursor: Option<String>,
    /// Why it does not go on, where it is cancelled.
    pub reason: Option<String>,
}

/// Backfills.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct BackfillList {
    /// Those that go on, and those that ended last.
    pub items: Vec<Backfill>,
}
