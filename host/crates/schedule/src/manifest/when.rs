//! Reading when a job runs: its triggers, in the long or the short form, and the jobs whose ends it follows.

use super::{
    after,
    fields::Fields,
    foreign::{self, Place},
    jobs::JobReader,
    node::{Entry, Node, Value},
    trigger_hash,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Span, did_you_mean},
    job::After,
    trigger::{Trigger, TriggerContext},
    zone::Zone,
};

/// The keys that are a trigger of themselves.
const TRIGGER_KINDS: [&str; 6] = ["cron", "every", "calendar", "at", "any", "all"];

/// The keys that go with a trigger.
const TRIGGER_SIDE_KEYS: [&str; 10] =
    ["start", "end", "except", "jitter", "dst", "anchor", "mode", "overflow", "compat", "day_rule"];

const EXAMPLES: &str =
    "add `every: 1h`, `cron: \"30 2 * * *\"` or `at: 2027-01-01T09:00:00`, or `after: JOB` to follow another job";

/// When a job runs, as far as that could be read.
#[derive(Default)]
pub(super) struct When {
    pub(super) trigger: Option<Trigger>,
    /// 0 where no trigger is written.
    pub(super) trigger_hash: u64,
    pub(super) after: Vec<After>,
}

/// The zone of a job, and where an unknown one stands, about which a trigger need not complain again.
#[derive(Clone, Copy)]
pub(super) struct JobZone<'a> {
    pub(super) zone: &'a Zone,
    pub(super) unknown: Option<Span>,
}

/// Reads the triggers of a job and its `after`; a job has at least one of them.
pub(super) fn read(
    reader: &JobReader<'_>,
    entry: &Entry,
    fields: &mut Fields<'_>,
    zone: JobZone<'_>,
    diagnostics: &mut Diagnostics,
) -> When {
    let before = diagnostics.n_errors();
    let is_written = |node: &&Node| node.value != Value::Null && node.as_list().is_none_or(|items| !items.is_empty());
    let listed = fields.get("triggers").filter(is_written);
    // Never from the defaults: a chain is a matter of two jobs.
    let followed = fields.entry("after").map(|entry| &entry.value).filter(is_written);
    let kinds: Vec<_> = TRIGGER_KINDS.into_iter().filter_map(|kind| Some((kind, fields.own(kind)?.key_span))).collect();
    let has_trigger = listed.is_some() || !kinds.is_empty();
    let mut when = When::default();
    if has_trigger {
        when = read_trigger(reader, &entry.key, fields, (listed, &kinds), zone, diagnostics);
        // Of an unknown zone the job has been told already, or all jobs at once where it stands in the defaults.
        if when.trigger.is_none() && zone.unknown.is_none() && before == diagnostics.n_errors() {
            // A trigger that is refused without a word must not make its job vanish.
            let error = Diagnostic::error("manifest.no_trigger", entry.key_span, "the trigger cannot be read");
            diagnostics.push(error.fix(EXAMPLES));
        }
    } else if followed.is_none() && !reader.options.found.is_program(entry.key_span.source) {
        // A program may have jobs that run only when it asks for them.
        tell_no_trigger(entry, fields, diagnostics);
    }
    for kind in TRIGGER_KINDS {
        fields.entry(kind);
    }
    when.after = followed.map_or_else(Vec::new, |node| after::read(node, reader.jobs, diagnostics));
    when
}

/// Reads the one form in which triggers are written; two of them are an error.
fn read_trigger(
    reader: &JobReader<'_>,
    job: &str,
    fields: &mut Fields<'_>,
    (listed, kinds): (Option<&Node>, &[(&'static str, Span)]),
    zone: JobZone<'_>,
    diagnostics: &mut Diagnostics,
) -> When {
    let context = TriggerContext { zones: reader.options.zones, zone: zone.zone, job, calendars: reader.calendars };
    let mut found = Diagnostics::default();
    let mut two_forms = |span: Span, first: &str, second: &str, fix: String| {
        let message = format!("{} has `{first}` and also `{second}`", fields.subject());
        found.push(Diagnostic::error("manifest.trigger_forms", span, message).fix(fix));
    };
    let (mut trigger, mut trigger_hash) = (None, 0);
    match (listed, kinds) {
        (Some(_), [(kind, span), ..]) => {
            let fix = format!("move `{kind}` into the list under `triggers`: any of them fires the job");
            two_forms(*span, "triggers", kind, fix);
        }
        (None, [(first, _), (second, span), ..]) => {
            let fix = format!("write both as a list: `triggers: [{{ {first}: ... }}, {{ {second}: ... }}]`");
            two_forms(*span, first, second, fix);
        }
        (Some(node), []) => {
            trigger = Trigger::read(node, context, &mut found);
            trigger_hash = trigger_hash::of_node(node, zone.zone, reader.calendar_hashes);
        }
        (None, [(kind, _)]) => {
            let keys = TRIGGER_SIDE_KEYS.into_iter().chain([*kind]);
            let entries: Vec<_> = keys.filter_map(|key| fields.own(key)).collect();
            trigger_hash = trigger_hash::of_entries(entries.into_iter(), zone.zone, reader.calendar_hashes);
            trigger = Trigger::read_fields(fields, context, &mut found);
        }
        (None, []) => {}
    }
    if trigger.is_none() && !kinds.is_empty() {
        // Their keys are known ones, whether or not a reader got as far as asking for them.
        for key in TRIGGER_SIDE_KEYS {
            fields.entry(key);
        }
    }
    for diagnostic in found {
        if zone.unknown != Some(diagnostic.span) {
            diagnostics.push(diagnostic);
        }
    }
    When { trigger, trigger_hash, after: Vec::new() }
}

fn tell_no_trigger(entry: &Entry, fields: &Fields<'_>, diagnostics: &mut Diagnostics) {
    let disguised =
        |key: &str| TRIGGER_KINDS.into_iter().chain(["triggers", "after"]).any(|kind| is_probably(key, kind));
    if fields.unasked().any(|unknown| disguised(&unknown.key)) {
        return;
    }
    let message = format!("{} has no trigger, so it would never run", fields.subject());
    diagnostics.push(Diagnostic::error("manifest.no_trigger", entry.key_span, message).fix(EXAMPLES));
}

/// Whether an unknown key is most likely a known one in disguise, so that the known one is not also called missing.
pub(super) fn is_probably(unknown: &str, known: &'static str) -> bool {
    let translated = foreign::answer(Place::Job, unknown);
    let begins = format!("write `{known}:");
    translated.map_or_else(
        || unknown.len() <= 64 && did_you_mean(unknown, [known]).is_some(),
        |answer| answer.starts_with(&begins),
    )
}
