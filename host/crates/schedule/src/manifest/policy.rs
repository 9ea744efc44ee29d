//! Reading the policy of a job: what happens when its slots are late, meet a run that still goes on, or fail.
//!
//! Each reader answers a value also after an error; the error itself keeps the job from being built.

use std::{num::NonZeroU32, time::Duration};

use super::{
    fields::{self, Fields},
    foreign::{self, Place},
    node::{Node, Value},
    reload, retry, scalar,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    job::{Coalesce, Delivery, Keep, Overlap, Policy},
};

/// Most slots of a backlog that may run or wait: beyond it a catch-up is a flood.
const BACKLOG_MAX: u32 = 10_000;

/// Most runs of one job at once; more than a host of this size can hold anyway.
const INSTANCES_MAX: u32 = 1_000;

/// How far from 0 a priority may be: enough for any order that people keep in mind.
const PRIORITY_MAX: i32 = 1_000;

/// Shortest and longest age up to which history is kept. Ten years outlast the machine.
const KEEP_AGE_MIN: Duration = Duration::from_secs(60);
const KEEP_AGE_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Most runs of a job that are kept: no file holds more.
const KEEP_RUNS_MAX: u32 = 1_000_000_000;

const DELIVERY: [(&str, Delivery); 2] =
    [("at_least_once", Delivery::AtLeastOnce), ("at_most_once", Delivery::AtMostOnce)];

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
    policy.retry = retry::read(fields, diagnostics);
    if let Some(delivery) = fields.get("delivery").and_then(|node| delivery(node, diagnostics)) {
        policy.delivery = delivery;
    }
    let priorities = -PRIORITY_MAX..=PRIORITY_MAX;
    if let Some(priority) = fields.get("priority").and_then(|node| fields::integer(node, priorities, diagnostics)) {
        policy.priority = priority;
    }
    policy.keep = keep(fields, diagnostics);
    policy.on_reload = reload::on_reload(fields, diagnostics);
    policy.retry_on = reload::retry_on(fields, diagnostics);
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

fn delivery(node: &Node, diagnostics: &mut Diagnostics) -> Option<Delivery> {
    let plain = node.as_text().map(|text| text.to_lowercase().replace(['-', ' '], "_"));
    let fix = match plain.as_deref() {
        Some("exactly_once" | "once") => {
            "nobody can promise exactly once for what a job does outside: write `at_least_once` for a job that may be \
             started again after a crash, `at_most_once` for one that may not"
        }
        Some(word @ ("at_least_once" | "at_most_once")) if node.as_text() != Some(word) => {
            if word == "at_least_once" {
                "write `at_least_once`"
            } else {
                "write `at_most_once`"
            }
        }
        Some(_) | None => return fields::one_of(node, &DELIVERY, diagnostics),
    };
    let message = format!("`{}` is not one of at_least_once, at_most_once", node.as_text().unwrap_or_default());
    diagnostics.reject(Diagnostic::error("manifest.value", node.span, message).fix(fix))
}

/// Reads `keep`.
fn keep(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Keep {
    let mut keep = Keep::default();
    let fix = |node: &Node| match (&node.value, node.as_text()) {
        (Value::Int(n), _) if 0 < *n => format!("write `keep: {{ count: {n} }}`"),
        (_, Some(text)) if scalar::parse_duration(text).is_ok() => format!("write `keep: {{ age: {text} }}`"),
        (_, _) => "write `keep: { age: 30d, count: 1000 }`".to_owned(),
    };
    let Some(mut fields) = open_map(fields, "keep", fix, diagnostics) else { return keep };
    if let Some(age) = fields.get("age").and_then(|node| keep_age(node, diagnostics)) {
        keep.age_max = age;
    }
    if let Some(n_max) = fields.get("count").and_then(|node| count(node, KEEP_RUNS_MAX, diagnostics)) {
        keep.n_max = n_max;
    }
    fields.finish_translated(|key| foreign::answer(Place::Keep, key), diagnostics);
    keep
}

fn keep_age(node: &Node, diagnostics: &mut Diagnostics) -> Option<Duration> {
    let age = scalar::duration(node, diagnostics)?;
    if (KEEP_AGE_MIN..=KEEP_AGE_MAX).contains(&age) {
        return Some(age);
    }
    let message = format!("`age` of {} is out of range: history is kept from 1m to 3660d", scalar::show_duration(age));
    let fix =
        if age < KEEP_AGE_MIN { "write `1m` or more, or bound it with `count:`" } else { "write `3660d` or less" };
    diagnostics.reject(Diagnostic::error("manifest.range", node.span, message).fix(fix))
}

/// Opens the map under a key, and says what to write where something else stands there.
pub(super) fn open_map<'n>(
    fields: &mut Fields<'n>,
    key: &'static str,
    fix: impl Fn(&Node) -> String,
    diagnostics: &mut Diagnostics,
) -> Option<Fields<'n>> {
    let own = fields.own(key).map(|entry| &entry.value).filter(|node| node.value != Value::Null);
    let Some(node) = own.filter(|node| node.as_map().is_none()) else { return fields.open_inner(key, diagnostics) };
    fields.entry(key);
    let message = format!("`{key}` is a map of keys and values, not {}", node.kind());
    diagnostics.reject(Diagnostic::error("manifest.type", node.span, message).fix(fix(node)))
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
    retry::warn_of_idle_keys(fields, &policy.retry, diagnostics);
}
