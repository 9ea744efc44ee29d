//! Reading one job, and the defaults that stand in for what jobs leave out.

use std::path::Path;

use super::{
    bounds,
    fields::{self, Fields},
    foreign::{self, Place},
    grants,
    node::{Entry, Node, Value},
    plugins::{self, PluginTable},
    policy,
    resolve::ResolveOptions,
    resolved::BrokenJob,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Span, did_you_mean},
    id::{JobId, PoolName, StoreName},
    job::{Arguments, Ceilings, Grants, Job, Limits, Policy},
    trigger::{Calendars, Trigger, TriggerContext},
    zone::Zone,
};

/// The keys that are a trigger of themselves.
const TRIGGER_KINDS: [&str; 6] = ["cron", "every", "calendar", "at", "any", "all"];

/// The keys that go with a trigger.
const TRIGGER_SIDE_KEYS: [&str; 10] =
    ["start", "end", "except", "jitter", "dst", "anchor", "mode", "overflow", "compat", "day_rule"];

const TRIGGER_EXAMPLES: &str = "add `every: 1h`, `cron: \"30 2 * * *\"` or `at: 2027-01-01T09:00:00`";

/// What all jobs of one source are read with.
pub(super) struct JobReader<'a> {
    pub(super) options: &'a ResolveOptions<'a>,
    pub(super) plugins: &'a PluginTable,
    pub(super) ceilings: &'a Ceilings,
    pub(super) calendars: &'a Calendars,
    pub(super) folder: &'a Path,
}

/// What a job and the defaults have in common.
struct Common {
    policy: Policy,
    limits: Limits,
    grants: Grants,
    labels: std::collections::BTreeMap<String, String>,
    zone: Zone,
    /// Where an unknown zone stands, about which a trigger need not complain again.
    unknown_zone: Option<Span>,
}

impl JobReader<'_> {
    /// Checks the defaults on their own, so that their faults are told once and not with each job.
    pub(super) fn check_defaults(&self, node: &Node, diagnostics: &mut Diagnostics) {
        let Some(mut fields) = Fields::open(node, "`defaults`", diagnostics) else { return };
        self.read_common(&mut fields, diagnostics);
        fields.finish_translated(|key| foreign::answer(Place::Defaults, key), diagnostics);
    }

    /// Reads one job. It is built only if nothing in it is wrong; of a broken one, `broken` gets what it calls, so that
    /// faults of the call can be told together with its others.
    pub(super) fn read(
        &self,
        entry: &Entry,
        defaults: Option<&Node>,
        broken: &mut Vec<BrokenJob>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Job> {
        let before = diagnostics.n_errors();
        let subject = format!("job `{}`", entry.key);
        let id = job_id(entry, diagnostics);
        if entry.value.value == Value::Null {
            let error = Diagnostic::error("manifest.missing_key", entry.key_span, format!("{subject} is empty"));
            return diagnostics
                .reject(error.fix(format!("write `{}: {{ plugin: ./file.wasm, every: 1h }}`", entry.key)));
        }
        if let Some(text) = entry.value.as_text() {
            let is_path =
                plugins::is_path(text) && !text.contains(|c: char| c.is_whitespace() || matches!(c, '{' | '['));
            let plugin = if is_path { text } else { "./file.wasm" };
            let message = format!("{subject} is a map of keys and values, not text");
            let error = Diagnostic::error("manifest.type", entry.value.span, message);
            return diagnostics.reject(error.fix(format!("write `{}: {{ plugin: {plugin}, every: 1h }}`", entry.key)));
        }
        let mut fields = Fields::open_over(&entry.value, defaults, subject, diagnostics)?;
        let plugin_node = fields.entry("plugin").map(|entry| &entry.value).filter(|node| node.value != Value::Null);
        let plugin = plugin_node.and_then(|node| self.plugins.find(node, self.folder, diagnostics));
        let before_call = diagnostics.n_errors();
        let call = fields.get("call").and_then(|node| call(node, diagnostics));
        let args = fields.get("args").map_or(Arguments::None, |node| arguments(node, diagnostics));
        let is_callable = before_call == diagnostics.n_errors();
        let description = fields.get("description").and_then(|node| fields::text(node, diagnostics));
        let common = self.read_common(&mut fields, diagnostics);
        let trigger = self.read_trigger(entry, &mut fields, &common, diagnostics);
        if plugin_node.is_none() && !fields.unasked().any(|unknown| is_probably(&unknown.key, "plugin")) {
            let message = format!("{} names no plugin", fields.subject());
            let error = Diagnostic::error("manifest.missing_key", entry.key_span, message);
            diagnostics.push(error.fix("add `plugin:` with a name from `plugins:` or a path such as `./file.wasm`"));
        }
        if before == diagnostics.n_errors() {
            policy::warn_of_idle_keys(&fields, &common.policy, diagnostics);
        }
        fields.finish_translated(|key| foreign::answer(Place::Job, key), diagnostics);
        if before < diagnostics.n_errors() {
            if let (true, Some(id), Some(plugin)) = (is_callable, id, plugin) {
                let call = call.map(Into::into);
                broken.push(BrokenJob { id, plugin, call, args, limits: common.limits, grants: common.grants });
            }
            return None;
        }
        if trigger.is_none() {
            // A trigger that is refused without a word must not make its job vanish.
            let error = Diagnostic::error("manifest.no_trigger", entry.key_span, "the trigger cannot be read");
            return diagnostics.reject(error.fix(TRIGGER_EXAMPLES));
        }
        Some(Job {
            id: id?,
            plugin: plugin?,
            call: call.map(Into::into),
            args,
            trigger: Some(trigger?),
            trigger_hash: 0,
            after: Vec::new(),
            pool: PoolName::default(),
            store: StoreName::default(),
            zone: common.zone,
            policy: common.policy,
            limits: common.limits,
            grants: common.grants,
            description: description.map(Into::into),
            labels: common.labels,
        })
    }

    fn read_common(&self, fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Common {
        let mut unknown_zone = None;
        let mut zone = Zone::utc();
        if let Some((node, name)) = fields.get("timezone").and_then(|n| Some((n, fields::text(n, diagnostics)?))) {
            match self.options.zones.get(name) {
                Ok(found) => zone = found,
                Err(problem) => {
                    unknown_zone = Some(node.span);
                    diagnostics.push(Diagnostic::error("manifest.timezone", node.span, problem));
                }
            }
        }
        Common {
            policy: policy::read(fields, diagnostics),
            limits: bounds::read_limits(fields, self.ceilings, diagnostics),
            grants: grants::read(fields, self.folder, diagnostics),
            labels: grants::read_labels(fields, diagnostics),
            zone,
            unknown_zone,
        }
    }

    fn read_trigger(
        &self,
        entry: &Entry,
        fields: &mut Fields<'_>,
        common: &Common,
        diagnostics: &mut Diagnostics,
    ) -> Option<Trigger> {
        let listed = fields.get("triggers").filter(|node| node.as_list().is_none_or(|items| !items.is_empty()));
        let kinds: Vec<_> =
            TRIGGER_KINDS.into_iter().filter_map(|kind| Some((kind, fields.own(kind)?.key_span))).collect();
        let context = TriggerContext {
            zones: self.options.zones,
            zone: &common.zone,
            job: &entry.key,
            calendars: self.calendars,
        };
        let mut found = Diagnostics::default();
        let trigger = match (listed, kinds.as_slice()) {
            (Some(node), []) => Trigger::read(node, context, &mut found),
            (None, [_]) => Trigger::read_fields(fields, context, &mut found),
            (Some(_), [(kind, span), ..]) => {
                let message = format!("{} has `triggers` and also `{kind}`", fields.subject());
                let error = Diagnostic::error("manifest.trigger_forms", *span, message);
                found.push(
                    error.fix(format!("move `{kind}` into the list under `triggers`: any of them fires the job")),
                );
                None
            }
            (None, [(first, _), (second, span), ..]) => {
                let message = format!("{} has `{first}` and also `{second}`", fields.subject());
                let error = Diagnostic::error("manifest.trigger_forms", *span, message);
                found.push(
                    error.fix(format!("write both as a list: `triggers: [{{ {first}: ... }}, {{ {second}: ... }}]`")),
                );
                None
            }
            (None, []) => {
                self.tell_no_trigger(entry, fields, &mut found);
                None
            }
        };
        for kind in TRIGGER_KINDS {
            fields.entry(kind);
        }
        if trigger.is_none() && !kinds.is_empty() {
            // Their keys are known ones, whether or not a reader got as far as asking for them.
            for key in TRIGGER_SIDE_KEYS {
                fields.entry(key);
            }
        }
        for diagnostic in found {
            if common.unknown_zone != Some(diagnostic.span) {
                diagnostics.push(diagnostic);
            }
        }
        trigger
    }

    fn tell_no_trigger(&self, entry: &Entry, fields: &Fields<'_>, diagnostics: &mut Diagnostics) {
        let disguised = |key: &str| {
            key == "after" || TRIGGER_KINDS.into_iter().chain(["triggers"]).any(|kind| is_probably(key, kind))
        };
        if fields.unasked().any(|unknown| disguised(&unknown.key)) {
            return;
        }
        let message = format!("{} has no trigger, so it would never run", fields.subject());
        diagnostics.push(Diagnostic::error("manifest.no_trigger", entry.key_span, message).fix(TRIGGER_EXAMPLES));
    }
}

/// Whether an unknown key is most likely a known one in disguise, so that the known one is not also called missing.
fn is_probably(unknown: &str, known: &'static str) -> bool {
    let translated = foreign::answer(Place::Job, unknown);
    let begins = format!("write `{known}:");
    translated.map_or_else(
        || unknown.len() <= 64 && did_you_mean(unknown, [known]).is_some(),
        |answer| answer.starts_with(&begins),
    )
}

fn job_id(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<JobId> {
    match entry.key.parse() {
        Ok(id) => Some(id),
        Err(error) => {
            let message = format!("job `{}`: {error}", entry.key);
            diagnostics.reject(Diagnostic::error("manifest.name", entry.key_span, message).fix("rename the job"))
        }
    }
}

fn call<'n>(node: &'n Node, diagnostics: &mut Diagnostics) -> Option<&'n str> {
    let text = fields::text(node, diagnostics)?;
    if text.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        let message = format!("`{text}` is not the name of a function");
        let error = Diagnostic::error("manifest.value", node.span, message);
        return diagnostics.reject(error.fix(
            "write the name alone, such as `purge`, or `acme:ops/cleanup#purge` for a function in an interface; \
             arguments go under `args:`",
        ));
    }
    Some(text)
}

fn arguments(node: &Node, diagnostics: &mut Diagnostics) -> Arguments {
    match &node.value {
        Value::Map(entries) => {
            Arguments::Named(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
        }
        Value::List(items) => Arguments::Listed(items.iter().map(Node::to_json).collect()),
        Value::Null => Arguments::None,
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {
            let message = format!("`args` is a map of parameters or a list, not {}", node.kind());
            diagnostics.push(
                Diagnostic::error("manifest.type", node.span, message)
                    .fix("write `args: { name: value }`, or `args: [value]` by position"),
            );
            Arguments::None
        }
    }
}
