//! Triggers: pure rules from an instant to the next nominal instant.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    diagnostic::Diagnostics,
    manifest::{fields::Fields, node::Node, scalar},
    zone::{Zone, Zones},
};

/// What a trigger needs to know about its job while it is read.
#[derive(Clone, Copy, Debug)]
pub struct TriggerContext<'a> {
    /// The rules of all zones.
    pub zones: &'a Zones,
    /// The zone of the job, for triggers that name none.
    pub zone: &'a Zone,
    /// The job's id, from which `H` and jitter are hashed.
    pub job: &'a str,
}

/// What a trigger needs to know about its job's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// When the job was first seen: the anchor of `every` where none is written.
    pub first_seen: DateTime<Utc>,
    /// When the last run ended, for `mode: fixed_delay`.
    pub last_finished: Option<DateTime<Utc>>,
}

/// A compiled trigger.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    every: Duration,
}

impl Trigger {
    /// Reads one trigger, or a list of which any fires.
    pub fn read(node: &Node, context: TriggerContext<'_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::open(node, "a trigger", diagnostics)?;
        let trigger = Self::read_fields(&mut fields, context, diagnostics);
        fields.finish(diagnostics);
        trigger
    }

    /// Reads a trigger from the keys of an open map: the short form that stands directly on a job.
    pub fn read_fields(fields: &mut Fields<'_>, _: TriggerContext<'_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        scalar::positive_duration(fields.get("every")?, diagnostics).map(|every| Self { every })
    }

    /// The first slot strictly after an instant.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>, _: &Basis) -> Option<DateTime<Utc>> {
        after.checked_add_signed(TimeDelta::from_std(self.every).ok()?)
    }

    /// How long after its slot a run starts: the jitter, a hash of job and slot.
    #[must_use]
    pub fn start_delay(&self, _: DateTime<Utc>, _: &Basis) -> Duration {
        Duration::ZERO
    }

    /// The trigger in plain English.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("every {}", scalar::show_duration(self.every))
    }
}
