//! Reading the policy of a job: what happens when its slots are late or meet a run that still goes on.
//!
//! Each reader answers a value also after an error; the error itself keeps the job from being built.

use std::{num::NonZeroU32, time::Duration};

use super::{
    fields::{self, Fields},
    node::{Node, Value},
    scalar,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    job::{Coalesce, Overlap, Policy},
};

/// Most slots of a backlog that may run or wait: beyond it a catch-up is a flood.
const BACKLOG_MAX: u32 = 10_000;

/// Most runs of one job at once; more than a host of this size can hold anyway.
const INSTANCES_MAX: u32 = 1_000;

const COALESCE: [(&str, Coalesce); 3] =
    [("latest", Coalesce::Latest), ("earliest", Coalesce::Earliest), ("all", Coalesce::All)];

const OVERLAP: [(&str, Overlap); 4] =
    [("skip", Overlap::Skip), ("queue", Overlap::Queue), ("replace", Overlap::Replace), ("allow", Overlap::Allow)];

/// What other schedulers call the same thing.
const OVERLAP_ELSEWHERE: [(&str, &str); 7] = [
    ("forbid", "skip"),
    ("queue-one", "queue"),
    ("queue_one", "queue"),
    ("buffer", "queue"),
    ("wait", "queue"),
    ("cancel-running", "replace"),
    ("terminate", "replace"),
];

pub(super) fn read(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Policy {
    let mut policy = Policy::default();
    if let Some(node) = fields.get("misfire_grace") {
        policy.misfire_grace = grace(node, diagnostics);
    }
    if let Some(coalesce) = fields.get("coalesce").and_then(|node| coalesce(node, diagnostics)) {
        policy.coalesce = coalesce;
    }
    if let Some(max) = fields.get("max_backlog").and_then(|node| count(node, BACKLOG_MAX, diagnostics)) {
        policy.max_backlog = max;
    }
    if let Some(overlap) = fields.get("overlap").and_then(|node| overlap(node, diagnostics)) {
        policy.overlap = overlap;
    }
    if let Some(max) = fields.get("max_instances").and_then(|node| count(node, INSTANCES_MAX, diagnostics)) {
        policy.max_instances = max;
    }
    if let Some(paused) = fields.get("paused").and_then(|node| fields::boolean(node, diagnostics)) {
        policy.paused = paused;
    }
    if let Some(run_on_start) = fields.get("run_on_start").and_then(|node| fields::boolean(node, diagnostics)) {
        policy.run_on_start = run_on_start;
    }
    policy
}

fn count(node: &Node, max: u32, diagnostics: &mut Diagnostics) -> Option<NonZeroU32> {
    NonZeroU32::new(fields::integer(node, 1..=max, diagnostics)?)
}

/// `none` takes back a grace from the defaults.
fn grace(node: &Node, diagnostics: &mut Diagnostics) -> Option<Duration> {
    match node.as_text() {
        Some("none") => None,
        Some(_) | None => scalar::positive_duration(node, diagnostics),
    }
}

fn coalesce(node: &Node, diagnostics: &mut Diagnostics) -> Option<Coalesce> {
    let Value::Bool(flag) = node.value else { return fields::one_of(node, &COALESCE, diagnostics) };
    let fix = if flag {
        "write `coalesce: latest`: of a backlog only the newest slot runs"
    } else {
        "write `coalesce: all`: each slot of a backlog runs, up to `max_backlog`"
    };
    let message = format!("`coalesce` takes `latest`, `earliest` or `all`, not `{flag}`");
    diagnostics.reject(Diagnostic::error("manifest.value", node.span, message).fix(fix))
}

fn overlap(node: &Node, diagnostics: &mut Diagnostics) -> Option<Overlap> {
    let elsewhere = |text: &str| {
        let lower = text.to_lowercase();
        OVERLAP_ELSEWHERE.into_iter().find(|(theirs, _)| *theirs == lower).map(|(_, ours)| ours)
    };
    let Some((text, ours)) = node.as_text().and_then(|text| Some((text, elsewhere(text)?))) else {
        return fields::one_of(node, &OVERLAP, diagnostics);
    };
    let message = format!("`{text}` is not one of skip, queue, replace, allow");
    diagnostics.reject(
        Diagnostic::error("manifest.value", node.span, message).fix(format!("`overlap: {ours}` means the same")),
    )
}

/// A key that changes nothing is most likely a misunderstanding; those that come from the defaults are not meant.
pub(super) fn warn_of_idle_keys(fields: &Fields<'_>, policy: &Policy, diagnostics: &mut Diagnostics) {
    let mut warn = |key: &str, why: &str| {
        if let Some(entry) = fields.own(key) {
            let message = format!("`{key}` changes nothing here");
            diagnostics.push(Diagnostic::warning("manifest.no_effect", entry.key_span, message).fix(why));
        }
    };
    let queues = match policy.overlap {
        Overlap::Queue => true,
        Overlap::Skip | Overlap::Replace | Overlap::Allow => false,
    };
    let runs_all = match policy.coalesce {
        Coalesce::All => true,
        Coalesce::Latest | Coalesce::Earliest => false,
    };
    if !queues && !runs_all {
        warn("max_backlog", "it counts with `coalesce: all` or `overlap: queue`");
    }
    match policy.overlap {
        Overlap::Allow => warn("max_instances", "with `overlap: allow` any number of runs go on at once"),
        Overlap::Skip | Overlap::Queue | Overlap::Replace => {}
    }
}
