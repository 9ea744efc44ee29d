//! Reading the counted limits of a job, and the ceilings for them.

use super::{
    fields::{self, Fields},
    node::Node,
    scalar,
};
use crate::{
    counts::{Count, Counts},
    diagnostic::{Diagnostic, Diagnostics},
};

/// The key under which the counts of log lines stand.
const LOGS: &str = "logs";

/// Reads the counts of a job, over its defaults. One above the ceiling is an error.
pub(super) fn read_limits(
    fields: &mut Fields<'_>,
    mut limits: Counts,
    ceilings: &Counts,
    diagnostics: &mut Diagnostics,
) -> Counts {
    let mut ceilings = ceilings.clone();
    each(fields, diagnostics, |count, node, diagnostics| {
        let Some(asked) = value(count, node, diagnostics) else { return };
        let ceiling = *(count.place)(&mut ceilings);
        if ceiling < asked {
            diagnostics.push(above_ceiling(count, node, asked, ceiling));
        }
        *(count.place)(&mut limits) = asked;
    });
    limits
}

/// Reads the ceilings for counts. What is built in may only come down: it protects the host itself.
pub(super) fn read_ceilings(fields: &mut Fields<'_>, built_in: &Counts, diagnostics: &mut Diagnostics) -> Counts {
    let mut ceilings = built_in.clone();
    each(fields, diagnostics, |count, node, diagnostics| {
        let Some(written) = value(count, node, diagnostics) else { return };
        let ceiling = (count.place)(&mut ceilings);
        if *ceiling < written {
            let (key, most) = (count.key, shown(count, *ceiling));
            let message = format!("the ceiling `{key}` of {} is above what is built in, {most}", shown(count, written));
            let error = Diagnostic::error("manifest.ceiling", node.span, message);
            return diagnostics.push(error.fix(format!("write `{most}` or less")));
        }
        *ceiling = written;
    });
    ceilings
}

/// Every count that is written, with its value.
fn each<'n>(
    fields: &mut Fields<'n>,
    diagnostics: &mut Diagnostics,
    mut read: impl FnMut(&Count, &'n Node, &mut Diagnostics),
) {
    let mut logs = fields.open_inner(LOGS, diagnostics);
    for count in &Counts::ALL {
        let node = match count.key.split_once('.') {
            Some((_, key)) => logs.as_mut().and_then(|logs| logs.get(key)),
            None => fields.get(count.key),
        };
        if let Some(node) = node {
            read(count, node, diagnostics);
        }
    }
    if let Some(logs) = logs {
        logs.finish(diagnostics);
    }
}

fn value(count: &Count, node: &Node, diagnostics: &mut Diagnostics) -> Option<u64> {
    if !count.is_size {
        return fields::integer(node, count.min..=u64::MAX, diagnostics);
    }
    scalar::size(node, diagnostics)
}

fn shown(count: &Count, value: u64) -> String {
    if count.is_size { scalar::show_size(value) } else { value.to_string() }
}

fn above_ceiling(count: &Count, node: &Node, asked: u64, ceiling: u64) -> Diagnostic {
    let is_built_in = *(count.place)(&mut Counts::ceilings()) <= ceiling;
    let (key, asked, ceiling) = (count.key, shown(count, asked), shown(count, ceiling));
    let message = format!("`{key}` of {asked} is above the host's ceiling of {ceiling}");
    let error = Diagnostic::error("manifest.ceiling", node.span, message);
    // What is built in cannot be raised.
    let raise = if is_built_in { String::new() } else { format!(", or raise `host.ceilings.{key}`") };
    error.fix(format!("lower it to `{ceiling}` or less{raise}"))
}
