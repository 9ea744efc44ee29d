//! Which events a reader wants.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use clockjack_schedule::id::RunId;
use serde_json::Value as Json;

use super::{kind::EventKind, told::Told};

/// Which events a reader wants: all of them, or those that fit everything that is set.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of these kinds; empty means all.
    pub kinds: Vec<KindPattern>,
    /// Of this job.
    pub job: Option<String>,
    /// Of this run.
    pub run: Option<RunId>,
    /// Told at this instant or later.
    pub since: Option<DateTime<Utc>>,
}

/// A kind, or all whose words begin alike: `run.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindPattern(String);

/// No kind is called so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are no events of the type `{0}`")]
pub struct UnknownKind(pub String);

impl KindPattern {
    /// Every pattern that fits anything: all events, the families, and the kinds.
    #[must_use]
    pub fn all() -> Vec<String> {
        let mut all = vec!["*".to_owned()];
        for kind in EventKind::ALL {
            let family = kind.as_str().split('.').next().unwrap_or_default();
            let family = format!("{family}.*");
            if !all.contains(&family) {
                all.push(family);
            }
        }
        all.extend(EventKind::ALL.map(|kind| kind.as_str().to_owned()));
        all
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn fits(&self, kind: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => kind.starts_with(beginning),
            None => self.0 == kind,
        }
    }
}

impl FromStr for KindPattern {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_known = Self::all().iter().any(|known| known == text);
        if is_known { Ok(Self(text.to_owned())) } else { Err(UnknownKind(text.chars().take(64).collect())) }
    }
}

impl EventFilter {
    /// Only of one run.
    #[must_use]
    pub fn of_run(run: RunId) -> Self {
        Self { run: Some(run), ..Self::default() }
    }

    pub(super) fn fits(&self, told: &Told) -> bool {
        let job = self.job.as_ref().is_none_or(|job| told.job.as_ref().is_some_and(|own| own.as_str() == job));
        let run = self.run.is_none_or(|run| told.run == Some(run));
        job && run && self.fits_kind(told.kind.as_str()) && self.since.is_none_or(|since| since <= told.at)
    }

    /// The same for an event that was read back.
    pub(super) fn fits_json(&self, event: &Json) -> bool {
        let job = self.job.as_ref().is_none_or(|job| event["job"] == job.as_str());
        let run = self.run.is_none_or(|run| event["run"] == run.to_string());
        job && run && self.fits_kind(event["type"].as_str().unwrap_or_default()) && self.fits_time(&event["at"])
    }

    fn fits_time(&self, at: &Json) -> bool {
        let at = || at.as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok());
        self.since.is_none_or(|since| at().is_some_and(|at| since <= at))
    }

    fn fits_kind(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|pattern| pattern.fits(kind))
    }
}
