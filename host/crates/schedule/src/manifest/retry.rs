//! Reading `retry`: what happens after an attempt that failed.

use std::{num::NonZeroU32, time::Duration};

use super::{
    fields::{self, Fields},
    foreign::{self, Place},
    node::{Node, Value},
    policy, scalar,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, did_you_mean},
    job::Retry,
    outcome::OutcomeCode,
};

/// Most attempts of one run: whoever needs more wants the next slot.
const ATTEMPTS_MAX: u32 = 100;

/// Longest time between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Takes back a list of outcomes from the defaults.
const EVERY_FAILURE: &str = "all";

/// Reads `retry`.
pub(super) fn read(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Retry {
    let mut retry = Retry::default();
    let Some(mut fields) = policy::open_map(fields, "retry", whole_value_fix, diagnostics) else { return retry };
    if let Some(attempts) = fields.get("attempts").and_then(|node| attempts(node, diagnostics)) {
        retry.attempts_max = attempts;
    }
    read_backoff(&mut fields, &mut retry, diagnostics);
    if let Some(percent) = fields.get("jitter").and_then(|node| jitter(node, diagnostics)) {
        retry.jitter_percent = percent;
    }
    if let Some(node) = fields.get("on") {
        retry.on = outcomes(node, diagnostics);
    }
    fields.finish_translated(|key| foreign::answer(Place::Retry, key), diagnostics);
    retry
}

/// A key that changes nothing because there is only one attempt.
pub(super) fn warn_of_idle_keys(fields: &Fields<'_>, retry: &Retry, diagnostics: &mut Diagnostics) {
    let Some(entry) = fields.own("retry").filter(|_| retry.attempts_max == NonZeroU32::MIN) else { return };
    let written = entry.value.as_map().unwrap_or_default();
    if let Some(idle) = written.iter().find(|entry| entry.key != "attempts" && !entry.key.starts_with("x-")) {
        let message = format!("`retry.{}` changes nothing here: there is only one attempt", idle.key);
        let warning = Diagnostic::warning("manifest.no_effect", idle.key_span, message);
        diagnostics.push(warning.fix("add `attempts: 3`; the first attempt counts"));
    }
}

/// What to write where `retry` is not a map.
fn whole_value_fix(node: &Node) -> String {
    match &node.value {
        Value::Int(n) if (1..i128::from(ATTEMPTS_MAX)).contains(n) => format!(
            "`attempts` counts the first try, too: write `retry: {{ attempts: {} }}` for {n} more after it, or \
             `retry: {{ attempts: {n} }}` for {n} in all",
            n + 1
        ),
        Value::Int(0) | Value::Bool(false) => {
            "write `retry: { attempts: 1 }`: the first try counts, and is the only one".to_owned()
        }
        Value::Text(text) if matches!(text.as_str(), "none" | "never" | "no" | "off") => {
            "write `retry: { attempts: 1 }`: the first try counts, and is the only one".to_owned()
        }
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_) => "write `retry: { attempts: 3, backoff: 2s }`; the first try counts, too".to_owned(),
    }
}

fn attempts(node: &Node, diagnostics: &mut Diagnostics) -> Option<NonZeroU32> {
    if node.value == Value::Int(0) {
        let error =
            Diagnostic::error("manifest.range", node.span, "a run has at least one attempt, which is its first");
        return diagnostics.reject(error.fix("write `attempts: 1` for a run that is not tried again"));
    }
    NonZeroU32::new(fields::integer(node, 1..=ATTEMPTS_MAX, diagnostics)?)
}

/// Where only one of the two times is written, the built-in other one makes way for it.
fn read_backoff(fields: &mut Fields<'_>, retry: &mut Retry, diagnostics: &mut Diagnostics) {
    let (backoff_node, max_node) = (fields.get("backoff"), fields.get("max_backoff"));
    let backoff = backoff_node.map(|node| wait(node, diagnostics));
    let max = max_node.map(|node| wait(node, diagnostics));
    retry.backoff = backoff.flatten().unwrap_or(retry.backoff);
    retry.backoff_max = max.flatten().unwrap_or(retry.backoff_max);
    if retry.backoff <= retry.backoff_max {
        return;
    }
    match (backoff, max) {
        (Some(Some(backoff)), Some(Some(max))) => {
            // Of two keys, one of which comes from the defaults, the job's own one is the one to mend.
            let is_own = |key| fields.own(key).is_some_and(|entry| entry.value.value != Value::Null);
            let to_mend = if is_own("backoff") && !is_own("max_backoff") { backoff_node } else { max_node };
            let Some(node) = to_mend else { return };
            let (backoff, max) = (scalar::show_duration(backoff), scalar::show_duration(max));
            let message = format!("`max_backoff` of {max} is below `backoff` of {backoff}");
            diagnostics.push(Diagnostic::error("manifest.range", node.span, message).fix(format!(
                "raise `max_backoff` to `{backoff}` or more, or lower `backoff`: the first wait is `backoff`, and it \
                 doubles up to `max_backoff`"
            )));
        }
        (_, Some(_)) => retry.backoff = retry.backoff_max,
        (_, None) => retry.backoff_max = retry.backoff,
    }
}

fn wait(node: &Node, diagnostics: &mut Diagnostics) -> Option<Duration> {
    let time = scalar::duration(node, diagnostics)?;
    if BACKOFF_MAX < time {
        let message = format!("{} between two attempts is longer than 24 h", scalar::show_duration(time));
        let error = Diagnostic::error("manifest.range", node.span, message);
        return diagnostics.reject(error.fix("write `24h` or less; for more, let the next slot do it"));
    }
    Some(time)
}

/// A share in whole percent: `20%`, or `0.2`.
fn jitter(node: &Node, diagnostics: &mut Diagnostics) -> Option<u8> {
    let refuse = |message: String, fix: String| Diagnostic::error("manifest.value", node.span, message).fix(fix);
    let as_written = |percent: f64| {
        let whole = (0..=100_u8).find(|whole| (f64::from(*whole) - percent).abs() < 1e-9);
        whole.ok_or_else(|| {
            let fix = "write a whole number of percent from `0%` to `100%`".to_owned();
            refuse(format!("`jitter` of {percent} % is not a whole number from 0 to 100"), fix)
        })
    };
    let read = match &node.value {
        Value::Int(n @ 0..=1) => Ok(if *n == 0 { 0 } else { 100 }),
        Value::Int(n @ 2..=100) => {
            Err(refuse(format!("`jitter` of {n} is more than the whole"), format!("write `{n}%`")))
        }
        Value::Float(share) if (0.0..=1.0).contains(share) => as_written(share * 100.0),
        Value::Text(text) => match text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok()) {
            Some(percent) => as_written(percent),
            None => {
                let message = format!("`{text}` is not a share of the wait");
                Err(refuse(
                    message,
                    "write a percentage such as `20%`: the wait is that much shorter at most".to_owned(),
                ))
            }
        },
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => Err(refuse(
            format!("`jitter` of `retry` is a share of the wait, not {}", shown(node)),
            "write a percentage such as `20%`: the wait is that much shorter at most".to_owned(),
        )),
    };
    match read {
        Ok(percent) => Some(percent),
        Err(error) => diagnostics.reject(error),
    }
}

fn shown(node: &Node) -> String {
    match &node.value {
        Value::Int(n) => n.to_string(),
        Value::Float(x) => x.to_string(),
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => node.kind().to_owned(),
    }
}

/// Why an outcome is never tried again because of `retry`, if it is not.
fn why_not(code: OutcomeCode) -> Option<&'static str> {
    match code {
        OutcomeCode::Succeeded | OutcomeCode::Skipped => Some("it is a success"),
        OutcomeCode::Cancelled => Some("somebody wanted the run to end"),
        OutcomeCode::Lost => Some("it is what `delivery: at_most_once` gives instead of a second start"),
        OutcomeCode::Interrupted => {
            Some("a run that a stop of the host cut goes by `delivery`, and its attempt does not count")
        }
        OutcomeCode::Failed
        | OutcomeCode::TimeoutWall
        | OutcomeCode::TimeoutCpu
        | OutcomeCode::Fuel
        | OutcomeCode::MemoryLimit
        | OutcomeCode::TableLimit
        | OutcomeCode::InstanceLimit
        | OutcomeCode::StackOverflow
        | OutcomeCode::HostcallLimit
        | OutcomeCode::HandlesLimit
        | OutcomeCode::EgressDenied
        | OutcomeCode::FsDenied
        | OutcomeCode::Trap(_) => None,
    }
}

/// The outcomes of a list, each once and in the order of the documentation; empty for all.
fn outcomes(node: &Node, diagnostics: &mut Diagnostics) -> Vec<OutcomeCode> {
    let items = node.as_one_or_many();
    if items.is_empty() {
        let error = Diagnostic::error("manifest.value", node.span, "`on` lists no outcome");
        diagnostics.push(error.fix("write `on: all` for every failure, or `attempts: 1` for none"));
    }
    if matches!(items, [only] if only.as_text() == Some(EVERY_FAILURE)) {
        return Vec::new();
    }
    let mut codes: Vec<_> = items.iter().flat_map(|item| codes_of(item, diagnostics)).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// The codes that one word stands for: a code itself, or the class before its dot.
fn codes_of(node: &Node, diagnostics: &mut Diagnostics) -> Vec<OutcomeCode> {
    let Some(text) = fields::text(node, diagnostics) else { return Vec::new() };
    let belongs = |code: &OutcomeCode| {
        let (code, class) = (code.as_str(), code.as_str().split_once('.').map(|(class, _)| class));
        code == text || class == Some(text)
    };
    let named: Vec<_> = OutcomeCode::ALL.into_iter().filter(belongs).collect();
    if let [code] = named[..]
        && let Some(why) = why_not(code)
    {
        let error = Diagnostic::error("manifest.value", node.span, format!("`{text}` is not tried again: {why}"));
        diagnostics.push(error.fix(format!("remove `{text}`")));
    } else if named.is_empty() {
        diagnostics.push(unknown_outcome(node, text));
    }
    named
}

fn unknown_outcome(node: &Node, text: &str) -> Diagnostic {
    let known = OutcomeCode::ALL.into_iter().filter(|code| why_not(*code).is_none()).map(OutcomeCode::as_str);
    // Of the traps the class stands in the list: ten kinds would hide the rest.
    let words: Vec<_> =
        ["timeout", "trap"].into_iter().chain(known.clone().filter(|c| !c.starts_with("trap."))).collect();
    let near = if text.len() <= 64 { did_you_mean(text, words.iter().copied().chain(known)) } else { None };
    let fix = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}, and kinds of traps such as trap.unreachable", words.join(", ")),
    };
    Diagnostic::error("manifest.value", node.span, format!("`{text}` is not an outcome")).fix(fix)
}
