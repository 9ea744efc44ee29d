//! Coming slots, of a job or of a trigger that somebody thinks of.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;

/// Coming slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Slots {
    /// When it comes due, in words.
    pub trigger: String,
    /// The zone of `local`.
    pub timezone: String,
    /// The slots, in order.
    pub items: Vec<Slot>,
    /// What is to be said of the trigger, such as that it hardly ever fires.
    pub findings: Vec<Finding>,
}

/// A coming slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Slot {
    /// The slot, in UTC.
    #[schema(format = DateTime)]
    pub at: String,
    /// The same as the clocks of the zone show it, with their offset.
    #[schema(format = DateTime)]
    pub local: String,
    /// What a person wonders about it: that its local time does not exist, or is there twice.
    pub note: Option<String>,
}

/// Something that is to be said of what somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// `error` or `warning`.
    pub severity: String,
    /// Stable and dotted, such as `trigger.value`.
    pub code: String,
    /// What is the matter.
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
    /// Where, as a JSON pointer into the body.
    pub path: String,
}

/// Ask when a trigger would come due.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PreviewAsked {
    /// One trigger, with the keys that it has in a manifest.
    #[schema(value_type = Option<Object>, example = json!({ "cron": "30 2 * * mon-fri" }))]
    pub trigger: Option<Json>,
    /// Several triggers, any of them; instead of one.
    #[schema(value_type = Option<Vec<Object>>)]
    pub triggers: Option<Vec<Json>>,
    /// The zone for triggers that name none, and for `local`; default UTC.
    pub timezone: Option<String>,
    /// The first slot is at or after this instant; default now.
    #[schema(format = DateTime)]
    pub from: Option<String>,
    /// The last slot is before this instant.
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// How many slots; default 10.
    #[serde(deserialize_with = "super::whole")]
    #[schema(minimum = 1, maximum = 1000, default = 10)]
    pub n: Option<u16>,
}
