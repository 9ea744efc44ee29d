//! Reading what a job may consume, and the host's ceilings above which it may not ask.

use std::time::Duration;

use super::{
    counts,
    fields::{self, Fields},
    foreign::{self, Place},
    node::Node,
    scalar,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    job::{Ceilings, INSTANCES_MAX, Limits, STATE_BYTES_MAX, TABLE_ELEMENTS_MAX},
};

/// Smallest memory limit: one page, below which no module with a memory can start.
const MEMORY_BYTES_MIN: u64 = 64 << 10;

/// Reads `host: {ceilings: …}`.
pub(super) fn read_ceilings(host: &mut Fields<'_>, built_in: &Ceilings, diagnostics: &mut Diagnostics) -> Ceilings {
    let mut ceilings = built_in.clone();
    let Some(mut fields) = host.open_inner("ceilings", diagnostics) else { return ceilings };
    if let Some(timeout) = fields.get("timeout").and_then(|node| scalar::positive_duration(node, diagnostics)) {
        ceilings.timeout = timeout;
    }
    if let Some(cpu_time) = fields.get("cpu_time").and_then(|node| scalar::positive_duration(node, diagnostics)) {
        ceilings.cpu_time = cpu_time;
    }
    if let Some(memory) = fields.get("memory").and_then(|node| memory(node, diagnostics)) {
        ceilings.memory_bytes_max = memory;
    }
    if let Some(output) = fields.get("output").and_then(|node| scalar::size(node, diagnostics)) {
        ceilings.output_bytes_max = output;
    }
    if let Some(startup) = fields.get("startup").and_then(|node| scalar::positive_duration(node, diagnostics)) {
        ceilings.startup = startup;
    }
    ceilings.counts = counts::read_ceilings(&mut fields, &built_in.counts, diagnostics);
    if let Some(time) = fields.get("compile_cpu_time").and_then(|node| scalar::positive_duration(node, diagnostics)) {
        ceilings.compile_cpu_time = Some(time);
    }
    if let Some(memory) = fields.get("compile_memory").and_then(|node| memory(node, diagnostics)) {
        ceilings.compile_memory_bytes = Some(memory);
    }
    fields.finish(diagnostics);
    ceilings
}

/// Reads `timeout` and `limits`. A built-in default above a ceiling comes down to it; a written one is an error.
pub(super) fn read_limits(fields: &mut Fields<'_>, ceilings: &Ceilings, diagnostics: &mut Diagnostics) -> Limits {
    let default = Limits::default();
    let mut limits = Limits {
        timeout: default.timeout.min(ceilings.timeout),
        cpu_time: default.cpu_time.min(ceilings.cpu_time),
        memory_bytes_max: default.memory_bytes_max.min(ceilings.memory_bytes_max),
        output_bytes_max: default.output_bytes_max.min(ceilings.output_bytes_max),
        counts: default.counts.under(&ceilings.counts),
        table_elements_max: default.table_elements_max,
        instances_max: default.instances_max,
        fuel: default.fuel,
        state_bytes_max: default.state_bytes_max,
        startup: default.startup,
    };
    if let Some(node) = fields.get("timeout") {
        limits.timeout = time(node, "timeout", limits.timeout, ceilings.timeout, diagnostics);
    }
    let Some(mut fields) = fields.open_inner("limits", diagnostics) else { return limits };
    if let Some(node) = fields.get("cpu_time") {
        limits.cpu_time = time(node, "cpu_time", limits.cpu_time, ceilings.cpu_time, diagnostics);
    }
    if let Some((node, bytes)) = fields.get("memory").and_then(|node| Some((node, memory(node, diagnostics)?))) {
        limits.memory_bytes_max = bytes;
        check_size(node, "memory", bytes, ceilings.memory_bytes_max, diagnostics);
    }
    if let Some((node, bytes)) = fields.get("output").and_then(|n| Some((n, scalar::size(n, diagnostics)?))) {
        limits.output_bytes_max = bytes;
        check_size(node, "output", bytes, ceilings.output_bytes_max, diagnostics);
    }
    if let Some(node) = fields.get("fuel") {
        limits.fuel = fuel(node, diagnostics);
    }
    if let Some((node, bytes)) = fields.get("state").and_then(|node| Some((node, scalar::size(node, diagnostics)?))) {
        limits.state_bytes_max = bytes;
        check_state(node, bytes, diagnostics);
    }
    let elements = fields.get("table_elements").and_then(|n| fields::integer(n, 0..=TABLE_ELEMENTS_MAX, diagnostics));
    limits.table_elements_max = elements.unwrap_or(limits.table_elements_max);
    let instances = fields.get("instances").and_then(|node| fields::integer(node, 1..=INSTANCES_MAX, diagnostics));
    limits.instances_max = instances.unwrap_or(limits.instances_max);
    if let Some(node) = fields.get("startup") {
        let or = limits.timeout.min(ceilings.startup);
        limits.startup = Some(time(node, "startup", or, ceilings.startup, diagnostics));
    }
    limits.counts = counts::read_limits(&mut fields, limits.counts, &ceilings.counts, diagnostics);
    fields.finish_translated(|key| foreign::answer(Place::Limits, key), diagnostics);
    limits
}

/// `none` takes back a bound from the defaults.
fn fuel(node: &Node, diagnostics: &mut Diagnostics) -> Option<u64> {
    match node.as_text() {
        Some("none") => None,
        Some(_) | None => fields::integer(node, 1..=u64::MAX, diagnostics),
    }
}

pub(super) fn memory(node: &Node, diagnostics: &mut Diagnostics) -> Option<u64> {
    let bytes = scalar::size(node, diagnostics)?;
    if bytes < MEMORY_BYTES_MIN {
        let message = format!("{} is less than one page of memory", scalar::show_size(bytes));
        let error = Diagnostic::error("manifest.range", node.span, message);
        return diagnostics.reject(error.fix("write `64KiB` or more; language runtimes need a few MiB"));
    }
    Some(bytes)
}

fn time(node: &Node, key: &str, or: Duration, ceiling: Duration, diagnostics: &mut Diagnostics) -> Duration {
    let Some(asked) = scalar::positive_duration(node, diagnostics) else { return or };
    if ceiling < asked {
        let (asked, ceiling) = (scalar::show_duration(asked), scalar::show_duration(ceiling));
        diagnostics.push(above_ceiling(node, key, &asked, &ceiling));
    }
    asked
}

fn check_size(node: &Node, key: &str, asked: u64, ceiling: u64, diagnostics: &mut Diagnostics) {
    if ceiling < asked {
        diagnostics.push(above_ceiling(node, key, &scalar::show_size(asked), &scalar::show_size(ceiling)));
    }
}

fn check_state(node: &Node, asked: u64, diagnostics: &mut Diagnostics) {
    if STATE_BYTES_MAX < asked {
        let (asked, most) = (scalar::show_size(asked), scalar::show_size(STATE_BYTES_MAX));
        let message = format!("`state` of {asked} is more than the {most} that a job may remember");
        let fix = format!("lower it to `{most}` or less; keep what is larger in a directory (`grants.dirs`)");
        diagnostics.push(Diagnostic::error("manifest.ceiling", node.span, message).fix(fix));
    }
}

fn above_ceiling(node: &Node, key: &str, asked: &str, ceiling: &str) -> Diagnostic {
    let message = format!("`{key}` of {asked} is above the host's ceiling of {ceiling}");
    Diagnostic::error("manifest.ceiling", node.span, message)
        .fix(format!("lower it to `{ceiling}` or less, or raise `host.ceilings.{key}`"))
}
