//! From manifest nodes to compiled triggers: the kind, the keys that every trigger may have, and lists of triggers.

use std::sync::Arc;

use super::{
    calendars::Calendars,
    cron::{EARLIEST, RECURRING_FROM},
    dst::{Dst, WrittenDst},
    except::Except,
    fault::shown,
    instant::{MICROS, Written},
    read_kind,
    rule::{All, Jitter, Past, Rule, Trigger},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Span},
    id::fnv1a,
    manifest::{
        fields::{self, Fields},
        node::{Node, Value},
        scalar,
    },
    zone::{Zone, Zones},
};

/// The keys that say what kind of trigger it is. A trigger has exactly one of them.
pub const TRIGGER_KEYS: [&str; 6] = ["cron", "every", "calendar", "at", "any", "all"];

/// Deepest nesting of `any` and `all`: people stay below four.
pub const TRIGGER_DEPTH_MAX: usize = 16;

/// Most triggers inside one trigger: beyond it a search would take milliseconds.
pub const TRIGGER_LEAVES_MAX: u32 = 1_000;

/// What a trigger needs to know about its job while it is read.
#[derive(Clone, Copy, Debug)]
pub struct TriggerContext<'a> {
    /// The rules of all zones.
    pub zones: &'a Zones,
    /// The zone of the job, for triggers that name none.
    pub zone: &'a Zone,
    /// The job's id, from which `H` and jitter are hashed.
    pub job: &'a str,
    /// The named calendars of the manifest, for `except`.
    pub calendars: &'a Calendars,
}

impl<'a> TriggerContext<'a> {
    /// A context without named calendars.
    #[must_use]
    pub fn new(zones: &'a Zones, zone: &'a Zone, job: &'a str) -> Self {
        static NONE: Calendars = Calendars::NONE;
        Self { zones, zone, job, calendars: &NONE }
    }
}

impl Trigger {
    /// Reads one trigger, or a list of which any fires. A trigger that never fires is refused.
    pub fn read(node: &Node, context: TriggerContext<'_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        Reader::new(context, diagnostics).trigger(node)
    }

    /// Reads a trigger from the keys of an open map: the short form that stands directly on a job.
    pub fn read_fields(
        fields: &mut Fields<'_>,
        context: TriggerContext<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        Reader::new(context, diagnostics).fields(fields)
    }
}

/// The state of reading one trigger with all that is inside it.
pub(crate) struct Reader<'r> {
    pub(crate) context: TriggerContext<'r>,
    pub(crate) diagnostics: &'r mut Diagnostics,
    /// What surrounding triggers say, for those that say nothing.
    pub(crate) zone: Zone,
    pub(crate) dst: WrittenDst,
    depth: usize,
    n_leaves: u32,
}

/// The keys that every trigger may have.
struct Common {
    start: i64,
    end: i64,
    except: Option<Arc<Except>>,
    jitter: Option<Jitter>,
}

impl<'r> Reader<'r> {
    pub(crate) fn new(context: TriggerContext<'r>, diagnostics: &'r mut Diagnostics) -> Self {
        Self { context, diagnostics, zone: context.zone.clone(), dst: WrittenDst::default(), depth: 0, n_leaves: 0 }
    }

    pub(crate) fn reject<T>(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> Option<T> {
        self.diagnostics.reject(Diagnostic::error(code, span, message))
    }

    pub(crate) fn reject_with<T>(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Option<T> {
        self.diagnostics.reject(Diagnostic::error(code, span, message).fix(fix))
    }

    /// One trigger, or a list of which any fires.
    pub(crate) fn trigger(&mut self, node: &Node) -> Option<Trigger> {
        match &node.value {
            Value::Map(_) => {
                let mut fields = Fields::open(node, "a trigger", self.diagnostics)?;
                let n_errors = self.diagnostics.n_errors();
                let trigger = self.fields(&mut fields);
                fields.finish(self.diagnostics);
                trigger.filter(|_| n_errors == self.diagnostics.n_errors())
            }
            Value::List(items) => self.any_of(items, node.span),
            Value::Text(text) => {
                let kind =
                    if text.split_ascii_whitespace().count() < 5 && !text.starts_with('@') { "every" } else { "cron" };
                let fix = format!("write `{kind}: \"{}\"`", shown(text));
                self.reject_with("trigger.kind", node.span, "a trigger is a map that says of which kind it is", fix)
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                let message = format!("a trigger is a map, not {}", node.kind());
                self.reject_with("trigger.kind", node.span, message, "write `cron: \"30 2 * * *\"` or `every: 5m`")
            }
        }
    }

    fn any_of(&mut self, items: &[Node], span: Span) -> Option<Trigger> {
        let mut children = self.children(items, span)?;
        if children.len() == 1 {
            return children.pop();
        }
        Some(self.finished(Rule::Any(children.into()), Common::none()))
    }

    /// The triggers of a list, none where any of them could not be read.
    pub(crate) fn children(&mut self, items: &[Node], span: Span) -> Option<Vec<Trigger>> {
        if items.is_empty() {
            return self.reject_with("trigger.value", span, "the list of triggers is empty", "write at least one");
        }
        if self.depth == TRIGGER_DEPTH_MAX {
            let message = format!("triggers are nested deeper than {TRIGGER_DEPTH_MAX} levels");
            return self.reject_with("trigger.value", span, message, "flatten them: `any` inside `any` adds nothing");
        }
        self.depth += 1;
        let children: Vec<_> = items.iter().map(|item| self.trigger(item)).collect();
        self.depth -= 1;
        let children: Vec<Trigger> = children.into_iter().collect::<Option<_>>()?;
        if 1 < children.len() && children.iter().any(Trigger::waits_for_finish) {
            // The other children's slots would have to wait for the end of a run, too.
            let message = "`mode: fixed_delay` stands alone: it counts from the end of the last run";
            let fix = "give the job that trigger only, or leave `mode` out for a fixed grid";
            return self.reject_with("trigger.value", span, message, fix);
        }
        Some(children)
    }

    /// A trigger from the keys of an open map.
    fn fields(&mut self, fields: &mut Fields<'_>) -> Option<Trigger> {
        let n_errors = self.diagnostics.n_errors();
        let outer = (self.zone.clone(), self.dst);
        let trigger = self.kind_and_common(fields);
        (self.zone, self.dst) = outer;
        let trigger = trigger?;
        if n_errors < self.diagnostics.n_errors() {
            return None;
        }
        if never_fires(&trigger) {
            // On a job, the map around the trigger says other things, too: point at the trigger's own value.
            let kind = TRIGGER_KEYS.into_iter().find_map(|key| fields.get(key));
            return self.never(&trigger, kind.map_or(fields.span(), |node| node.span));
        }
        Some(trigger)
    }

    fn kind_and_common(&mut self, fields: &mut Fields<'_>) -> Option<Trigger> {
        let written: Vec<(&'static str, &Node)> =
            TRIGGER_KEYS.into_iter().filter_map(|key| Some((key, fields.get(key)?))).collect();
        self.scope(fields);
        let common = self.common(fields);
        let (key, node) = match written[..] {
            [one] => one,
            [] => {
                let message = format!("{} says no time at which to run", fields.subject());
                let fix = format!("write one of the keys {}", TRIGGER_KEYS.join(", "));
                return self.reject_with("trigger.kind", fields.span(), message, fix);
            }
            [(first, _), (second, node), ..] => {
                let message = format!("a trigger has one kind, here are `{first}` and `{second}`");
                let fix = "write a list of triggers, one per kind, of which any fires";
                return self.reject_with("trigger.kind", node.span, message, fix);
            }
        };
        let rule = match key {
            "cron" => read_kind::cron(self, fields, node).map(|cron| Rule::Cron(Box::new(cron))),
            "every" => {
                let start = common.as_ref().map_or(i64::MIN, |common| common.start);
                read_kind::every(self, fields, node, (start != i64::MIN).then_some(start)).map(Rule::Every)
            }
            "calendar" => {
                let start = common.as_ref().map_or(i64::MIN, |common| common.start);
                read_kind::calendar(self, node, (start != i64::MIN).then_some(start))
                    .map(|calendar| Rule::Calendar(Box::new(calendar)))
            }
            "at" => read_kind::at(self, node).map(|instants| Rule::At(instants.into())),
            _ => {
                let items = node.as_list();
                let Some(items) = items else {
                    let message = format!("`{key}` holds a list of triggers, not {}", node.kind());
                    return self.reject("trigger.value", node.span, message);
                };
                let children = self.children(items, node.span)?;
                Some(if key == "any" { Rule::Any(children.into()) } else { Rule::All(Arc::new(All::new(children))) })
            }
        };
        if !matches!(key, "any" | "all") {
            self.leaf(node.span)?;
        }
        Some(self.finished(rule?, common?))
    }

    /// Counts a leaf, and refuses the one that is too many.
    fn leaf(&mut self, span: Span) -> Option<()> {
        self.n_leaves += 1;
        if self.n_leaves == TRIGGER_LEAVES_MAX + 1 {
            let message = format!("more than {TRIGGER_LEAVES_MAX} triggers inside one");
            return self.reject_with("trigger.value", span, message, "split the job, or use lists inside one `cron`");
        }
        (self.n_leaves <= TRIGGER_LEAVES_MAX).then_some(())
    }

    /// Reads what holds for this trigger and all inside it.
    fn scope(&mut self, fields: &mut Fields<'_>) {
        if let Some(node) = fields.get("timezone")
            && let Some(name) = fields::text(node, self.diagnostics)
        {
            match self.context.zones.get(name) {
                Ok(zone) => self.zone = zone,
                Err(problem) => self.diagnostics.push(Diagnostic::error("trigger.zone", node.span, problem)),
            }
        }
        if let Some(node) = fields.get("dst")
            && let Some(dst) = WrittenDst::read(node, self.diagnostics)
        {
            self.dst = WrittenDst { gap: dst.gap.or(self.dst.gap), fold: dst.fold.or(self.dst.fold) };
        }
    }

    fn common(&mut self, fields: &mut Fields<'_>) -> Option<Common> {
        let start = fields.get("start").map(|node| self.instant(node));
        let end_node = fields.get("end");
        let end = end_node.map(|node| self.instant(node));
        let jitter = fields.get("jitter").map(|node| scalar::duration(node, self.diagnostics));
        let except = fields.get("except").map(|node| super::calendars::read_except(self, node));
        let start = start.unwrap_or(Some(i64::MIN))?;
        let end = end.unwrap_or(Some(i64::MAX))?;
        if let Some(node) = end_node
            && end < start
        {
            return self.reject_with(
                "trigger.never",
                node.span,
                "the trigger ends before it starts",
                "swap `start` and `end`",
            );
        }
        let jitter = match jitter {
            None => None,
            Some(jitter) => i64::try_from(jitter?.as_micros()).ok().filter(|micros| *micros != 0),
        };
        let seed = fnv1a(self.context.job.as_bytes(), 0);
        let except = match except {
            None => None,
            Some(except) => Some(except?).filter(|except| !except.is_empty()).map(Arc::new),
        };
        Some(Common { start, end, except, jitter: jitter.map(|max_micros| Jitter { max_micros, seed }) })
    }

    /// One instant in microseconds, local times in the zone at hand.
    pub(crate) fn instant(&mut self, node: &Node) -> Option<i64> {
        self.instants(node, Dst::FIXED_TIME)?.first().copied()
    }

    pub(crate) fn instants(&mut self, node: &Node, dst: Dst) -> Option<Vec<i64>> {
        let Some(text) = node.as_text() else {
            let message = format!("expected a date and time in quotes, found {}", node.kind());
            return self.reject_with("trigger.value", node.span, message, "write \"2026-12-24T18:00\"");
        };
        let instants = Written::parse(text).and_then(|written| written.instants(&self.zone, dst, self.context.zones));
        match instants {
            Ok(instants) => Some(instants),
            Err(fault) => self.diagnostics.reject(fault.on("trigger.syntax", node)),
        }
    }

    fn finished(&self, rule: Rule, common: Common) -> Trigger {
        let n_inside = match &rule {
            Rule::Any(children) => children.iter().map(|child| child.n_leaves).sum(),
            Rule::All(all) => all.children.iter().map(|child| child.n_leaves).sum(),
            Rule::Cron(_) | Rule::Every(_) | Rule::Calendar(_) | Rule::At(_) => 1,
        };
        let n_excepted: u32 =
            common.except.iter().flat_map(|except| &except.triggers).map(|child| child.n_leaves).sum();
        Trigger {
            rule,
            start: common.start,
            end: common.end,
            except: common.except,
            jitter: common.jitter,
            zone: self.zone.clone(),
            n_leaves: n_inside + n_excepted,
        }
    }

    fn never(&mut self, trigger: &Trigger, span: Span) -> Option<Trigger> {
        let (message, fix) = super::check::why_never(trigger, SINCE_EVER);
        self.reject_with("trigger.never", span, message, fix)
    }
}

impl Common {
    fn none() -> Self {
        Self { start: i64::MIN, end: i64::MAX, except: None, jitter: None }
    }
}

/// The past of a job that was seen when slots begin.
const SINCE_EVER: Past = Past { first_seen: 0, last_finished: None };

/// Whether a trigger has no slot at all, whatever the job's past. Where the answer hangs on when the job was first seen
/// it is left to [`Trigger::warnings`].
fn never_fires(trigger: &Trigger) -> bool {
    // Where exceptions leave out the beginning, a search from 1970 can run out of steps before the first slot: then
    // from 2026, and from when every zone has come to its last rule.
    const STARTS: [i64; 3] = [EARLIEST, 1_767_225_600, RECURRING_FROM];
    if trigger.depends_on_past() {
        return false;
    }
    for start in STARTS {
        let mut search = trigger.search(SINCE_EVER);
        if trigger.next(start * MICROS, &mut search).is_some() {
            return false;
        }
        if !search.is_spent() {
            return true;
        }
    }
    true
}
