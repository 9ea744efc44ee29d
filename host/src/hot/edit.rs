//! What somebody wants of the jobs and plugins that a host has beside its files, and what comes of it.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use clockjack_schedule::{
    diagnostic::{Diagnostic, Source},
    id::{JobId, PluginName},
    manifest::definitions::SCHEDULE_KEYS,
};
use serde_json::{Map, Value as Json};

use super::{handle::Refusal, jobs::Jobs, view::Plan};

/// Changes of jobs that were made through the API: all of them come in force, or none does.
#[derive(Clone, Debug)]
pub struct Define {
    /// By job; each job once.
    pub edits: BTreeMap<JobId, Edit>,
    /// Who asks.
    pub by: Arc<str>,
    /// Only say what would happen.
    pub is_dry: bool,
}

/// One change.
#[derive(Clone, Debug)]
pub struct Edit {
    /// What.
    pub kind: EditKind,
    /// Only if.
    pub condition: Condition,
}

/// What is to become of a job.
#[derive(Clone, Debug)]
pub enum EditKind {
    /// This, as it would stand under its id in a manifest.
    Put(Json),
    /// What it is, with this JSON merge patch (RFC 7386).
    Merge(Json),
    /// What it is, with these keys in the place of all that say when it fires.
    Reschedule(Map<String, Json>),
    /// Nothing.
    Delete,
}

/// What has to hold, or nothing is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing in particular.
    #[default]
    Any,
    /// Nobody has a job of that id: `job.exists` else.
    New,
    /// Its tag is as a request wants it: `job.changed` else.
    When(When),
}

/// What a request wants of the tag of what it is about, as in RFC 9110, section 13.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// `If-Match`: it is there, and has one of these.
    pub matches: Option<Tags>,
    /// `If-None-Match`: it is not there, or has none of these.
    pub matches_none: Option<Tags>,
}

/// Tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: whichever it has.
    Any,
    /// One of these.
    These(Vec<Tag>),
}

/// A tag that a request names. Those of jobs are strong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// It begins with `W/`.
    pub is_weak: bool,
    /// The rest, quotes included.
    pub text: String,
}

impl Tags {
    fn fit(&self, etag: Option<&str>, fits: fn(&Tag) -> bool) -> bool {
        match (self, etag) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::These(tags), Some(etag)) => tags.iter().any(|tag| fits(tag) && tag.text == etag),
        }
    }
}

impl When {
    /// Whether `If-Match` holds. A weak tag is never the same as another one.
    #[must_use]
    pub fn matches(&self, etag: Option<&str>) -> bool {
        self.matches.as_ref().is_none_or(|tags| tags.fit(etag, |tag| !tag.is_weak))
    }

    /// Whether `If-None-Match` holds. Here a weak tag may be the same.
    #[must_use]
    pub fn matches_none(&self, etag: Option<&str>) -> bool {
        !self.matches_none.as_ref().is_some_and(|tags| tags.fit(etag, |_| true))
    }

    /// Checks it for a job with a tag, or for one that is not there.
    ///
    /// # Errors
    /// When it does not hold: `job.changed`.
    pub fn check(&self, job: &JobId, etag: Option<&str>) -> Result<(), Rejection> {
        let (message, fix) = match (self.matches(etag), etag) {
            (false, None) => (format!("there is no job `{job}`"), "leave `If-Match` out to make it"),
            (false, Some(etag)) => (
                format!("job `{job}` was changed meanwhile: it has the tag {etag}"),
                "read the job anew, make your change to what it is now, and send its tag",
            ),
            (true, Some(etag)) if !self.matches_none(Some(etag)) => (
                format!("there is a job `{job}` already, with the tag {etag}"),
                "leave `If-None-Match` out to change it all the same",
            ),
            (true, _) => return Ok(()),
        };
        let mut rejection = Rejection::new("job.changed", message, fix);
        rejection.etag = etag.map(ToOwned::to_owned);
        Err(rejection)
    }
}

/// What came of changes.
#[derive(Clone, Debug, Default)]
pub struct Defined {
    /// What of it comes in force.
    pub plan: Plan,
    /// What became of each job.
    pub done: Vec<Done>,
    /// The jobs right after it, before anybody else could change one.
    pub jobs: Jobs,
}

/// What became of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Which.
    pub job: JobId,
    /// What.
    pub effect: Effect,
    /// Its revision then.
    pub revision: Option<u64>,
}

/// What may become of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is new.
    Created,
    /// It says something else.
    Changed,
    /// It said the same before.
    Unchanged,
    /// It is gone.
    Deleted,
}

impl Effect {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
        }
    }
}

/// A plugin that somebody uploads.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Its name.
    pub plugin: PluginName,
    /// Where its bytes are for now, in the folder of uploads.
    pub file: PathBuf,
    /// Who asks.
    pub by: Arc<str>,
    /// Only say what would happen.
    pub is_dry: bool,
}

/// Why nothing changes, with everything that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub refusal: Box<Refusal>,
    /// What is wrong, each with its place.
    pub findings: Vec<Diagnostic>,
    /// The texts that the findings are about.
    pub sources: Vec<Source>,
    /// The tag of the job as it is, where another one was meant.
    pub etag: Option<String>,
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self { refusal: Box::new(refusal), findings: Vec::new(), sources: Vec::new(), etag: None }
    }
}

impl Rejection {
    pub(super) fn new(code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Refusal { code, message: message.into(), fix: fix.into() }.into()
    }
}

impl EditKind {
    /// What a job says after it; none where there is to be none, or where there is nothing that it could change.
    pub(super) fn apply(self, before: Option<&Json>) -> Option<Json> {
        match self {
            Self::Put(job) => Some(job),
            Self::Delete => None,
            Self::Merge(patch) => {
                let mut job = before?.clone();
                merge(&mut job, patch);
                Some(job)
            }
            Self::Reschedule(keys) => {
                let mut job = before?.clone();
                let entries = job.as_object_mut()?;
                entries.retain(|key, _| !SCHEDULE_KEYS.contains(&key.as_str()));
                entries.extend(keys);
                Some(job)
            }
        }
    }
}

/// JSON merge patch as in RFC 7386.
fn merge(target: &mut Json, patch: Json) {
    let Json::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Json::Object(Map::new());
    }
    let Json::Object(entries) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            entries.remove(&key);
        } else {
            merge(entries.entry(key).or_insert(Json::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_is_that_of_its_standard() {
        // The test cases of RFC 7386, appendix A.
        for (mut target, patch, then) in [
            (json!({ "a": "b" }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "b" }), json!({ "b": "c" }), json!({ "a": "b", "b": "c" })),
            (json!({ "a": "b" }), json!({ "a": null }), json!({})),
            (json!({ "a": "b", "b": "c" }), json!({ "a": null }), json!({ "b": "c" })),
            (json!({ "a": ["b"] }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "c" }), json!({ "a": ["b"] }), json!({ "a": ["b"] })),
            (json!({ "a": { "b": "c" } }), json!({ "a": { "b": "d", "c": null } }), json!({ "a": { "b": "d" } })),
            (json!({ "a": [{ "b": "c" }] }), json!({ "a": [1] }), json!({ "a": [1] })),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({ "a": "b" }), json!(["c"]), json!(["c"])),
            (json!({ "a": "foo" }), json!(null), json!(null)),
            (json!({ "e": null }), json!({ "a": 1 }), json!({ "e": null, "a": 1 })),
            (json!([1, 2]), json!({ "a": "b", "c": null }), json!({ "a": "b" })),
            (json!({}), json!({ "a": { "bb": { "ccc": null } } }), json!({ "a": { "bb": {} } })),
        ] {
            merge(&mut target, patch);
            assert_eq!(target, then);
        }
    }

    #[test]
    fn rescheduling_leaves_nothing_of_the_old_triggers() {
        let before =
            json!({ "plugin": "p", "timezone": "Europe/Berlin", "every": "1h", "anchor": "x", "jitter": "1s" });
        let Json::Object(keys) = json!({ "cron": "0 4 * * *" }) else { unreachable!() };
        let then = EditKind::Reschedule(keys).apply(Some(&before));
        assert_eq!(then, Some(json!({ "plugin": "p", "timezone": "Europe/Berlin", "cron": "0 4 * * *" })));
        assert_eq!(EditKind::Merge(json!({})).apply(None), None);
    }
}
