//! Reading one job, and the defaults that stand in for what jobs leave out.

use std::{cell::RefCell, collections::VecDeque, path::Path, sync::Arc};

use super::{
    bounds, command, definitions,
    fields::{self, Fields},
    foreign::{self, Place},
    grants,
    names::Names,
    node::{Entry, Node, Value},
    notifications::ChannelTable,
    plugins::{self, PluginTable},
    policy,
    pools::PoolTable,
    resolve::ResolveOptions,
    resolved::BrokenJob,
    secrets::SecretTable,
    stores::StoreTable,
    trigger_hash::CalendarHashes,
    when::{self, JobZone},
};
use crate::{
    command::ExitCodes,
    diagnostic::{Diagnostic, Diagnostics, Span},
    egress::EgressRule,
    id::{JobId, PluginName, PoolName, StoreName},
    job::{Arguments, Ceilings, Grants, Job, Limits, Policy, Setup},
    notify::Notify,
    template::Template,
    trigger::Calendars,
    zone::Zone,
};

/// What all jobs of one source are read with.
pub(super) struct JobReader<'a> {
    pub(super) options: &'a ResolveOptions<'a>,
    pub(super) plugins: &'a PluginTable,
    pub(super) pools: &'a PoolTable,
    pub(super) stores: &'a StoreTable,
    pub(super) secrets: &'a SecretTable,
    pub(super) channels: &'a ChannelTable,
    /// Every job of every source.
    pub(super) jobs: &'a Names,
    pub(super) ceilings: &'a Ceilings,
    /// What the host lets jobs have; absent means whatever they ask for.
    pub(super) egress: Option<&'a [EgressRule]>,
    pub(super) calendars: &'a Calendars,
    pub(super) calendar_hashes: &'a CalendarHashes,
    pub(super) folder: &'a Path,
    /// The plugin of jobs that name none: the component beside their sidecar.
    pub(super) own_plugin: Option<&'a PluginName>,
    /// The last setups that were read, for jobs that share one.
    pub(super) setups: RefCell<VecDeque<Arc<Setup>>>,
}

/// Among how many of the last setups an equal one is looked for.
const SETUPS_MAX: usize = 8;

/// What a job and the defaults have in common.
struct Common {
    policy: Policy,
    pool: PoolName,
    store: StoreName,
    limits: Limits,
    grants: Grants,
    exit_codes: ExitCodes,
    labels: std::collections::BTreeMap<String, String>,
    notify: Arc<[Notify]>,
    zone: Zone,
    /// Where an unknown zone stands.
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
        if let Some(error) = empty_or_text(entry, &subject) {
            return diagnostics.reject(error);
        }
        let mut fields = Fields::open_over(&entry.value, defaults, subject, diagnostics)?;
        let plugin_node = fields.entry("plugin").map(|entry| &entry.value).filter(|node| node.value != Value::Null);
        let plugin = match plugin_node {
            Some(node) => self.find_plugin(node, entry.key_span.source, diagnostics),
            None => self.own_plugin.cloned(),
        };
        let before_call = diagnostics.n_errors();
        let call = fields.get("call").and_then(|node| call(node, diagnostics));
        let args = fields.get("args").map_or(Arguments::None, |node| arguments(node, diagnostics));
        let is_callable = before_call == diagnostics.n_errors();
        let stdin = command::read_stdin(&mut fields, self.folder, diagnostics);
        let description = fields.get("description").and_then(|node| fields::text(node, diagnostics));
        let common = self.read_common(&mut fields, diagnostics);
        let command = command::unless_default(common.exit_codes, stdin);
        let zone = JobZone { zone: &common.zone, unknown: common.unknown_zone };
        let when = when::read(self, entry, &mut fields, zone, diagnostics);
        let has_plugin = plugin_node.is_some() || self.own_plugin.is_some();
        if !has_plugin && !fields.unasked().any(|unknown| when::is_probably(&unknown.key, "plugin")) {
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
                broken.push(BrokenJob {
                    id,
                    plugin,
                    call,
                    args,
                    command,
                    limits: common.limits,
                    grants: common.grants,
                });
            }
            return None;
        }
        let setup = Setup {
            plugin: plugin?,
            call: call.map(Into::into),
            args,
            command,
            after: when.after,
            pool: common.pool,
            store: common.store,
            zone: common.zone,
            policy: common.policy,
            limits: common.limits,
            grants: common.grants,
            description: description.map(Into::into),
            labels: common.labels,
            notify: common.notify,
        };
        let setup = self.shared(setup);
        Some(Job { id: id?, trigger: when.trigger, trigger_hash: when.trigger_hash, setup })
    }

    /// The plugin that a job of a source names.
    fn find_plugin(&self, node: &Node, source: usize, diagnostics: &mut Diagnostics) -> Option<PluginName> {
        if self.is_native(node) {
            return Some(PluginName::native());
        }
        let is_definition = self.options.found.definition(source).is_some();
        let not_named = if is_definition { definitions::not_named } else { plugins::not_beside };
        self.plugins.find(node, self.folder, not_named, diagnostics)
    }

    /// Whether a job is a function of the program that the host is a part of, which only that program can say.
    fn is_native(&self, plugin: &Node) -> bool {
        let is_program = self.options.found.is_program(plugin.span.source);
        is_program && plugin.as_text() == Some(PluginName::NATIVE)
    }

    /// A setup that equals this one, if one of the last jobs had it.
    fn shared(&self, setup: Setup) -> Arc<Setup> {
        let mut recent = self.setups.borrow_mut();
        if let Some(known) = recent.iter().find(|known| ***known == setup) {
            return Arc::clone(known);
        }
        if recent.len() == SETUPS_MAX {
            recent.pop_front();
        }
        let setup = Arc::new(setup);
        recent.push_back(Arc::clone(&setup));
        setup
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
            pool: fields.get("pool").and_then(|node| self.pools.find(node, diagnostics)).unwrap_or_default(),
            store: fields.get("store").and_then(|node| self.stores.find(node, diagnostics)).unwrap_or_default(),
            limits: bounds::read_limits(fields, self.ceilings, diagnostics),
            grants: grants::read(fields, self, diagnostics),
            exit_codes: command::read_exit_codes(fields, diagnostics),
            labels: grants::read_labels(fields, diagnostics),
            notify: fields.get("notify").map_or_else(Arc::default, |node| self.channels.read_notify(node, diagnostics)),
            zone,
            unknown_zone,
        }
    }
}

/// What to say of a job that is no map, where we know better words than those.
fn empty_or_text(entry: &Entry, subject: &str) -> Option<Diagnostic> {
    if entry.value.value == Value::Null {
        let error = Diagnostic::error("manifest.missing_key", entry.key_span, format!("{subject} is empty"));
        return Some(error.fix(format!("write `{}: {{ plugin: ./file.wasm, every: 1h }}`", entry.key)));
    }
    let text = entry.value.as_text()?;
    let is_path = plugins::is_path(text) && !text.contains(|c: char| c.is_whitespace() || matches!(c, '{' | '['));
    let plugin = if is_path { text } else { "./file.wasm" };
    let message = format!("{subject} is a map of keys and values, not text");
    let error = Diagnostic::error("manifest.type", entry.value.span, message);
    Some(error.fix(format!("write `{}: {{ plugin: {plugin}, every: 1h }}`", entry.key)))
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

/// Tells which templates in a value name nothing.
pub(super) fn check_templates(node: &Node, diagnostics: &mut Diagnostics) {
    match &node.value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
        Value::List(items) => items.iter().for_each(|item| check_templates(item, diagnostics)),
        Value::Map(entries) => entries.iter().for_each(|entry| check_templates(&entry.value, diagnostics)),
        Value::Text(text) => {
            if let Err(fault) = Template::parse(text) {
                let span = node.span_within(fault.start, fault.end);
                diagnostics.push(Diagnostic::error("manifest.template", span, fault.message).fix(fault.fix));
            }
        }
    }
}

fn arguments(node: &Node, diagnostics: &mut Diagnostics) -> Arguments {
    check_templates(node, diagnostics);
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
