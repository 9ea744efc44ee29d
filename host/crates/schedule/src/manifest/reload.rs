//! Reading what other code means: to the attempts of a job that go on, to its retries, and how a plugin tries it out.

use std::time::Duration;

use super::{
    fields::{self, Fields},
    foreign::{self, Place},
    node::{Node, Value},
    policy,
    resolved::Canary,
    scalar,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    job::{DRAIN_DEADLINE_MAX, OnReload, RetryOn},
};

/// How many generations of a plugin are kept where nothing is said: what runs, and two to go back to.
pub(super) const KEEP: u32 = 3;

/// Most generations of a plugin that are kept; each holds its compiled code in memory.
pub(super) const KEEP_MAX: u32 = 20;

/// Most runs that a trial of a new generation may count: after more of them it is no trial.
pub(super) const CANARY_RUNS_MAX: u32 = 1_000;

const MODES: [(&str, OnReload); 3] =
    [("drain", OnReload::Drain { deadline: None }), ("cancel", OnReload::Cancel), ("replace", OnReload::Replace)];

/// What others call the same thing.
const MODES_ELSEWHERE: [(&str, &str); 10] = [
    ("finish", "drain"),
    ("graceful", "drain"),
    ("keep", "drain"),
    ("wait", "drain"),
    ("abort", "cancel"),
    ("kill", "cancel"),
    ("stop", "cancel"),
    ("recreate", "replace"),
    ("restart", "replace"),
    ("retry", "replace"),
];

const RETRY_ON: [(&str, RetryOn); 2] = [("latest", RetryOn::Latest), ("same", RetryOn::Same)];

/// Reads `on_reload`: a word, or a map of `mode` and `deadline`.
pub(super) fn on_reload(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> OnReload {
    let Some(node) = fields.get("on_reload") else { return OnReload::default() };
    if node.as_map().is_none() {
        return mode(node, diagnostics).unwrap_or_default();
    }
    let Some(mut fields) = fields.open_inner("on_reload", diagnostics) else { return OnReload::default() };
    let mode = fields.get("mode").and_then(|node| mode(node, diagnostics)).unwrap_or_default();
    let deadline = fields.get("deadline").and_then(|node| deadline(node, diagnostics));
    let read = match mode {
        OnReload::Drain { .. } => OnReload::Drain { deadline },
        OnReload::Cancel | OnReload::Replace => {
            // One that comes from the defaults is meant for those that drain.
            if let Some(entry) = fields.own("deadline").filter(|entry| entry.value.value != Value::Null) {
                let message =
                    "only attempts that drain have a `deadline`; with `cancel` and `replace` they end at once";
                let error = Diagnostic::error("manifest.value", entry.key_span, message);
                diagnostics.push(error.fix("remove `deadline`, or write `mode: drain`"));
            }
            mode
        }
    };
    fields.finish_translated(|key| foreign::answer(Place::OnReload, key), diagnostics);
    read
}

fn mode(node: &Node, diagnostics: &mut Diagnostics) -> Option<OnReload> {
    let Some(text) = node.as_text() else {
        let message = format!("`on_reload` is `drain`, `cancel` or `replace`, not {}", node.kind());
        let error = Diagnostic::error("manifest.type", node.span, message);
        return diagnostics
            .reject(error.fix("write `on_reload: drain`, or `on_reload: { mode: drain, deadline: 5m }`"));
    };
    let lower = text.to_lowercase();
    let Some((_, ours)) = MODES_ELSEWHERE.into_iter().find(|(theirs, _)| *theirs == lower) else {
        return fields::one_of(node, &MODES, diagnostics);
    };
    let message = format!("`{text}` is not one of drain, cancel, replace");
    diagnostics.reject(Diagnostic::error("manifest.value", node.span, message).fix(format!("`{ours}` means the same")))
}

/// `none` takes back a deadline from the defaults.
fn deadline(node: &Node, diagnostics: &mut Diagnostics) -> Option<Duration> {
    if node.as_text() == Some("none") {
        return None;
    }
    let deadline = scalar::positive_duration(node, diagnostics)?;
    if deadline <= DRAIN_DEADLINE_MAX {
        return Some(deadline);
    }
    let (shown, max) = (scalar::show_duration(deadline), scalar::show_duration(DRAIN_DEADLINE_MAX));
    let message = format!("`deadline` of {shown} is out of range: it is at most {max}");
    let fix = "write a shorter one, or none: the timeout of the attempt bounds it then";
    diagnostics.reject(Diagnostic::error("manifest.range", node.span, message).fix(fix))
}

/// Reads `retry_on`.
pub(super) fn retry_on(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> RetryOn {
    let Some(node) = fields.get("retry_on") else { return RetryOn::default() };
    if node.as_text().is_some_and(|text| RETRY_ON.iter().any(|(word, _)| *word == text)) {
        return fields::one_of(node, &RETRY_ON, diagnostics).unwrap_or_default();
    }
    let shown = node.as_text().map_or_else(|| node.kind().to_owned(), |text| format!("`{text}`"));
    let message = format!("`retry_on` says on which code a run is tried again, `latest` or `same`, not {shown}");
    let error = Diagnostic::error("manifest.value", node.span, message);
    diagnostics.push(
        error.fix("write `retry_on: latest`; which outcomes are tried again stands in `retry: { on: [failed] }`"),
    );
    RetryOn::default()
}

/// Reads `keep` of a plugin: how many generations are kept.
pub(super) fn kept(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> u32 {
    fields.get("keep").and_then(|node| fields::integer(node, 1..=KEEP_MAX, diagnostics)).unwrap_or(KEEP)
}

/// Reads `canary` of a plugin: when a new generation is taken back by itself.
pub(super) fn canary(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Canary> {
    const EXAMPLE: &str = "write `canary: { runs: 5, failures: 3 }`: back after 3 failures among the first 5 runs";
    let mut fields = policy::open_map(fields, "canary", |_| EXAMPLE.to_owned(), diagnostics)?;
    let before = diagnostics.n_errors();
    let runs = fields.get("runs").map(|node| fields::integer(node, 1..=CANARY_RUNS_MAX, diagnostics));
    let runs_max = runs.flatten().unwrap_or(CANARY_RUNS_MAX);
    let failures = fields.get("failures").map(|node| fields::integer(node, 1..=runs_max, diagnostics));
    for (key, is_missing) in [("runs", runs.is_none()), ("failures", failures.is_none())] {
        if is_missing && fields.unasked().next().is_none() {
            let message = format!("{} has no `{key}`", fields.subject());
            diagnostics.push(Diagnostic::error("manifest.missing_key", fields.span(), message).fix(EXAMPLE));
        }
    }
    fields.finish_translated(|key| foreign::answer(Place::Canary, key), diagnostics);
    let (Some(Some(n_runs)), Some(Some(n_failures_max))) = (runs, failures) else { return None };
    (before == diagnostics.n_errors()).then_some(Canary { n_runs, n_failures_max })
}
