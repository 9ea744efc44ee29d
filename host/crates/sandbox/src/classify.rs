//! How an attempt ended, in our vocabulary: the only place that turns traps and errors into outcomes.

use std::time::Duration;

use clockjack_schedule::{
    command::ExitMeaning,
    manifest::scalar::{show_duration, show_size},
    outcome::{Again, Outcome, OutcomeCode, TrapKind, json_bytes},
    ports::Captured,
};
use serde_json::Value as Json;
use wasmtime::{PoolConcurrencyLimitError, Trap, component::Val};
use wasmtime_wasi::I32Exit;

use crate::{call::Call, cpu::CpuSpent, limiter::LimitHit, values::to_json::to_json};

/// Longest message that is kept: guests put text into it.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// Where an attempt was when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Instantiate,
    Call,
}

/// The function returned.
pub(crate) fn returned(result: Option<Val>, call: &Call) -> Outcome {
    match result {
        // WASI 0.2 knows two exit codes: 0 and "another one".
        Some(Val::Result(Ok(_))) if call.function().is_command() => exited(0, call),
        Some(Val::Result(Err(_))) if call.function().is_command() => exited(1, call),
        None if call.function().is_command() => exited(0, call),
        None => Outcome::succeeded(None),
        Some(Val::Result(Ok(value))) => Outcome::succeeded(value.as_deref().map(to_json)),
        Some(Val::Result(Err(value))) => failed(value.as_deref()),
        Some(value) => Outcome::succeeded(Some(to_json(&value))),
    }
}

/// The function returned an error; the case names that wit/types.wit lists say what it means.
fn failed(value: Option<&Val>) -> Outcome {
    let message = match value {
        Some(Val::Variant(case, payload)) if case == "skipped" => payload.as_deref().map(shown),
        // Its own words; the time is said by when the next attempt is due.
        Some(Val::Variant(case, Some(payload))) if case == "retry-after" => retry_reason(payload),
        Some(Val::Variant(case, Some(payload))) => Some(format!("{case}: {}", shown(payload))),
        Some(value) => Some(shown(value)),
        None => None,
    };
    let message = message.unwrap_or_else(|| "the function returned an error without a value".to_owned());
    steered(wish(value), &message, value.map(to_json))
}

/// What a guest that did not succeed wants to happen next; said by the case of an error or by an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// It says nothing, or `retry`: the job's policy decides.
    AsPolicySays,
    /// `retry-after`.
    After(Duration),
    /// `permanent`.
    Never,
    /// `skipped`: there was nothing to do.
    Skipped,
}

/// How an attempt ended whose guest says what is to happen next.
fn steered(wish: Wish, message: &str, output: Option<Json>) -> Outcome {
    let (code, again) = match wish {
        Wish::AsPolicySays => (OutcomeCode::Failed, Again::AsPolicySays),
        Wish::After(time) => (OutcomeCode::Failed, Again::After(time)),
        Wish::Never => (OutcomeCode::Failed, Again::Never),
        Wish::Skipped => (OutcomeCode::Skipped, Again::AsPolicySays),
    };
    Outcome { code, message: cut(message), output, again }
}

/// Why a guest asks for another attempt: the text of `retry-after(tuple<millis, string>)`.
fn retry_reason(payload: &Val) -> Option<String> {
    match payload {
        Val::Tuple(parts) => Some(format!("retry-after: {}", parts.get(1).map(shown).unwrap_or_default())),
        other => Some(format!("retry-after: {}", shown(other))),
    }
}

/// What the case of an error says about what is to happen next.
fn wish(value: Option<&Val>) -> Wish {
    match value {
        Some(Val::Variant(case, _)) if case == "skipped" => Wish::Skipped,
        Some(Val::Variant(case, _)) if case == "permanent" => Wish::Never,
        Some(Val::Enum(case)) if case == "permanent" => Wish::Never,
        Some(Val::Variant(case, Some(payload))) if case == "retry-after" => {
            millis(payload).map_or(Wish::AsPolicySays, |millis| Wish::After(Duration::from_millis(millis)))
        }
        Some(_) | None => Wish::AsPolicySays,
    }
}

/// The milliseconds in a payload: a number, or the first of a tuple.
fn millis(payload: &Val) -> Option<u64> {
    match payload {
        Val::U64(millis) => Some(*millis),
        Val::U32(millis) => Some(u64::from(*millis)),
        Val::Tuple(parts) => millis(parts.first()?),
        _ => None,
    }
}

/// Drops a result that is larger than the job's output may be. The run stays what it is.
pub(crate) fn bounded(outcome: Outcome, call: &Call) -> Outcome {
    let n_bytes = outcome.output.as_ref().map_or(0, json_bytes);
    let n_bytes = u64::try_from(n_bytes).unwrap_or(u64::MAX);
    if n_bytes <= call.limits.output_bytes_max {
        return outcome;
    }
    let (size, limit) = (show_size(n_bytes), show_size(call.limits.output_bytes_max));
    let dropped = format!("the result of {size} was not kept; its limit is {limit} (`limits.output`)");
    // What the guest said comes last: where it was cut, the end is looked at for a part of a secret.
    let message = if outcome.message.is_empty() { dropped } else { format!("{dropped}; {}", outcome.message) };
    Outcome { output: None, message, ..outcome }
}

/// Text as it is, anything else as JSON.
fn shown(value: &Val) -> String {
    match to_json(value) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

/// The wall-clock limit passed.
pub(crate) fn timed_out(call: &Call) -> Outcome {
    let limit = show_duration(call.limits.timeout);
    Outcome::ended(OutcomeCode::TimeoutWall, format!("the attempt took longer than its timeout of {limit} (`timeout`)"))
}

/// The guest was stopped: by itself, by a bound, or by the rules of the component model.
pub(crate) fn trapped(error: &wasmtime::Error, phase: Phase, call: &Call, stderr: &Captured) -> Outcome {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return exited(exit.0, call);
    }
    let (code, message) = reason(error, call, stderr);
    let message = match phase {
        Phase::Instantiate => format!("while it was being instantiated: {message}"),
        Phase::Call => message,
    };
    Outcome::ended(code, cut(&message))
}

/// A command ended by itself. Every way to end has its code in eight bits, as Unix keeps it.
fn exited(code: i32, call: &Call) -> Outcome {
    let output = Some(serde_json::json!({ "exit_code": code }));
    let meaning = u8::try_from(code).map_or(ExitMeaning::Unlisted, |code| call.command.exit_codes.meaning(code));
    let (wish, list) = match meaning {
        ExitMeaning::Success => return Outcome::succeeded(output),
        ExitMeaning::Retry => (Wish::AsPolicySays, " (`exit_codes.retry`)"),
        ExitMeaning::Permanent => (Wish::Never, " (`exit_codes.permanent`)"),
        ExitMeaning::Skipped => (Wish::Skipped, " (`exit_codes.skipped`)"),
        ExitMeaning::Unlisted => (Wish::AsPolicySays, ""),
    };
    steered(wish, &format!("the command ended with exit code {code}{list}"), output)
}

/// The outcome of a command that ended by itself, with what it left in `/out/result.json`. A success whose result
/// cannot be kept is none; a failure stays what it is.
pub(crate) fn with_result(outcome: Outcome, result: Result<Option<Json>, String>) -> Outcome {
    match result {
        Ok(None) => outcome,
        Ok(result) => Outcome { output: result, ..outcome },
        Err(problem) if outcome.code == OutcomeCode::Succeeded => {
            let message = format!("`/out/result.json` {problem}");
            Outcome { output: outcome.output, ..Outcome::ended(OutcomeCode::Failed, cut(&message)) }
        }
        Err(problem) => {
            Outcome { message: cut(&format!("`/out/result.json` {problem}; {}", outcome.message)), ..outcome }
        }
    }
}

fn reason(error: &wasmtime::Error, call: &Call, stderr: &Captured) -> (OutcomeCode, String) {
    if let Some(hit) = error.downcast_ref::<LimitHit>() {
        let code = match hit {
            LimitHit::Memory { .. } => OutcomeCode::MemoryLimit,
            LimitHit::Tables { .. } => OutcomeCode::TableLimit,
            LimitHit::HostCalls { .. } => OutcomeCode::HostcallLimit,
            LimitHit::Startup { .. } => OutcomeCode::TimeoutWall,
            LimitHit::FileBytes { .. } | LimitHit::Files { .. } => OutcomeCode::FsDenied,
        };
        return (code, hit.to_string());
    }
    if let Some(spent) = error.downcast_ref::<CpuSpent>() {
        return (OutcomeCode::TimeoutCpu, spent.to_string());
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return trap_reason(*trap, error, call, stderr);
    }
    if let Some(full) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return (
            OutcomeCode::Interrupted,
            format!("the host had no place for another instance: {full}; please report it"),
        );
    }
    // The root cause only: what stands above it names functions of the guest.
    text_reason(&error.root_cause().to_string(), call)
}

fn trap_reason(trap: Trap, error: &wasmtime::Error, call: &Call, stderr: &Captured) -> (OutcomeCode, String) {
    let kind = match trap {
        Trap::StackOverflow => {
            return (
                OutcomeCode::StackOverflow,
                "the guest's call stack was exhausted; it has 512KiB, and no key changes that".to_owned(),
            );
        }
        Trap::OutOfFuel => {
            let fuel = call.limits.fuel.unwrap_or_default();
            return (OutcomeCode::Fuel, format!("the guest used up its fuel of {fuel} instructions (`limits.fuel`)"));
        }
        Trap::UnreachableCodeReached => TrapKind::Unreachable,
        Trap::MemoryOutOfBounds => TrapKind::MemoryOutOfBounds,
        Trap::TableOutOfBounds => TrapKind::TableOutOfBounds,
        Trap::IndirectCallToNull => TrapKind::IndirectCallToNull,
        Trap::BadSignature => TrapKind::BadSignature,
        Trap::IntegerOverflow => TrapKind::IntegerOverflow,
        Trap::IntegerDivisionByZero => TrapKind::DivisionByZero,
        Trap::BadConversionToInteger => TrapKind::BadConversion,
        Trap::InvalidChar | Trap::CannotLeaveComponent | Trap::CannotEnterComponent => TrapKind::Abi,
        _ => TrapKind::Other,
    };
    let place = first_frame(error).map_or_else(String::new, |frame| format!(" in {frame}"));
    // A panic says more on stderr than the trap that follows it.
    let said = last_words(stderr).map_or_else(String::new, |words| format!(": {words}"));
    (OutcomeCode::Trap(kind), format!("{trap}{place}{said}"))
}

/// wasmtime tells some ends only as text.
fn text_reason(text: &str, call: &Call) -> (OutcomeCode, String) {
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if any(&["fuel allocated for hostcalls has been exhausted", "too much data"]) {
        let element = size_of::<Val>();
        let message = format!(
            "the values of one call between guest and host were larger than 16MiB as the host holds them ({element} bytes \
             for each element of a list), and no key changes that"
        );
        return (OutcomeCode::HostcallLimit, message);
    }
    if text.starts_with("requested len") && text.contains("exceeds limit") {
        return (
            OutcomeCode::HostcallLimit,
            "the guest asked for more than 64KiB of random bytes in one call, and no key changes that".to_owned(),
        );
    }
    if any(&["handle limit exceeded", "too many active lends", "resource table has no free keys", "table has no free"])
    {
        let (handles, resources) = (call.limits.counts.handles_max, call.limits.counts.resources_max());
        return (
            OutcomeCode::HandlesLimit,
            format!(
                "the guest holds more than {handles} handles, or more than {resources} open files, streams and timers (`limits.handles`)"
            ),
        );
    }
    if text.contains("resource limit exceeded") || text.contains("count too high") {
        let limit = call.limits.instances_max;
        return (
            OutcomeCode::InstanceLimit,
            format!(
                "the component has more parts than a job may have: {limit} core instances (`limits.instances`), 16 memories, 32 tables"
            ),
        );
    }
    (OutcomeCode::Trap(TrapKind::Abi), text.to_owned())
}

fn first_frame(error: &wasmtime::Error) -> Option<String> {
    let backtrace = error.downcast_ref::<wasmtime::WasmBacktrace>()?;
    let name = backtrace.frames().iter().find_map(|frame| frame.func_name())?;
    Some(format!("`{}`", clean(name, 120)))
}

fn last_words(stderr: &Captured) -> Option<String> {
    const SHOWN_CHARS_MAX: usize = 300;
    let panicked = stderr.text.lines().rev().position(|line| line.contains("panicked at"));
    let lines: Vec<_> = match panicked {
        Some(back) => stderr.text.lines().rev().take(back + 1).collect::<Vec<_>>().into_iter().rev().take(2).collect(),
        None => stderr.text.lines().rev().find(|line| !line.trim().is_empty()).into_iter().collect(),
    };
    let words = clean(&lines.join(" "), SHOWN_CHARS_MAX);
    (!words.is_empty()).then_some(words)
}

/// Names and words of a guest end up in terminals and pages: no control characters, and not too many.
fn clean(text: &str, n_chars_max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(n_chars_max).collect::<String>().trim().to_owned()
}

fn cut(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS_MAX).collect()
}
