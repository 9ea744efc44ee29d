//! Reading `after`: whose ends make a job run, and that no job comes back to itself that way.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    fields::{self, Fields},
    findings::Findings,
    foreign::{self, Place},
    names::Names,
    node::{Entry, Node, Value},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Span},
    job::{After, AfterOn},
};

/// Most jobs that one job follows: each end of any of them looks at it.
const AFTER_MAX: usize = 100;

const ON: [(&str, AfterOn); 3] =
    [("success", AfterOn::Success), ("failure", AfterOn::Failure), ("always", AfterOn::Always)];

/// What other schedulers, and the outcomes, call the same thing.
const ON_ELSEWHERE: [(&str, &str); 11] = [
    ("succeeded", "success"),
    ("ok", "success"),
    ("failed", "failure"),
    ("error", "failure"),
    ("any", "always"),
    ("all", "always"),
    ("done", "always"),
    ("finished", "always"),
    ("completed", "always"),
    ("complete", "always"),
    ("end", "always"),
];

/// Reads the value of `after`.
pub(super) fn read(node: &Node, jobs: &Names, diagnostics: &mut Diagnostics) -> Vec<After> {
    let items = node.as_one_or_many();
    if AFTER_MAX < items.len() {
        let message = format!("`after` names {} jobs; at most {AFTER_MAX} are followed by one job", items.len());
        let error = Diagnostic::error("manifest.range", node.span, message);
        diagnostics.push(error.fix("put a job between that collects some of them"));
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let mut read = Vec::new();
    for item in items {
        let Some((name, on)) = one(item, diagnostics) else { continue };
        let text = job_name(name).unwrap_or_default();
        if !seen.insert(text) {
            let message = format!("`after` names the job `{text}` twice");
            let error = Diagnostic::error("manifest.duplicate_after", name.span, message);
            diagnostics.push(error.fix("keep one of them: `on: always` stands for success and failure"));
            continue;
        }
        if !jobs.contains(text) {
            let or = "name a job from `jobs:`, of this file or of one that is read with it".to_owned();
            jobs.refuse::<()>(("manifest.unknown_job", "job"), name, text, or, diagnostics);
            continue;
        }
        // A name that breaks the rule was told where the job is defined.
        read.extend(text.parse().ok().map(|job| After { job, on }));
    }
    read
}

fn one<'n>(item: &'n Node, diagnostics: &mut Diagnostics) -> Option<(&'n Node, AfterOn)> {
    match &item.value {
        Value::Text(_) | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            fields::text(item, diagnostics).map(|_| (item, AfterOn::default()))
        }
        Value::Map(_) => {
            let mut fields = Fields::open(item, "`after`", diagnostics)?;
            let name = fields.get("job");
            let on = fields.get("on").map_or(Some(AfterOn::default()), |node| on(node, diagnostics));
            if name.is_none() && fields.unasked().next().is_none() {
                let error = Diagnostic::error("manifest.missing_key", item.span, "`after` names no job");
                diagnostics.push(error.fix("write `after: { job: NAME, on: success }`"));
            }
            fields.finish_translated(|key| foreign::answer(Place::After, key), diagnostics);
            let name = name?;
            if name.as_list().is_some() {
                let error = Diagnostic::error("manifest.type", name.span, "`job` is one job, not a list");
                return diagnostics.reject(error.fix("write a list under `after:`, one map or name for each job"));
            }
            fields::text(name, diagnostics)?;
            Some((name, on?))
        }
        Value::Null | Value::List(_) => {
            let message = format!("`after` holds the name of a job or a map, not {}", item.kind());
            let error = Diagnostic::error("manifest.type", item.span, message);
            diagnostics.reject(error.fix("write `after: NAME`, or `after: { job: NAME, on: failure }`"))
        }
    }
}

/// A name as text, also where a variable gave digits.
fn job_name(node: &Node) -> Option<&str> {
    node.as_text().or(node.text_before.as_deref())
}

fn on(node: &Node, diagnostics: &mut Diagnostics) -> Option<AfterOn> {
    let elsewhere = |text: &str| ON_ELSEWHERE.into_iter().find(|(theirs, _)| *theirs == text.to_lowercase());
    let Some((text, (_, ours))) = node.as_text().and_then(|text| Some((text, elsewhere(text)?))) else {
        return fields::one_of(node, &ON, diagnostics);
    };
    let message = format!("`{text}` is not one of success, failure, always");
    diagnostics.reject(Diagnostic::error("manifest.value", node.span, message).fix(format!("write `on: {ours}`")))
}

/// A circle of jobs that follow each other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Circle<'n> {
    /// The jobs in the order in which they would run, each once.
    pub(super) jobs: Vec<&'n str>,
    /// The job in whose `after` the circle closes.
    pub(super) closing: &'n str,
    /// Where it closes.
    pub(super) span: Span,
}

impl Circle<'_> {
    fn diagnostic(&self) -> Diagnostic {
        const SHOWN_MAX: usize = 8;
        if let [job] = self.jobs[..] {
            let message = format!("job `{job}` runs after itself, so its first end would never be its last");
            return Diagnostic::error("manifest.cycle", self.span, message)
                .fix("name another job, or give it a trigger such as `every: 1h`");
        }
        let mut shown: Vec<String> = self.jobs.iter().take(SHOWN_MAX).map(|job| format!("`{job}`")).collect();
        if SHOWN_MAX < self.jobs.len() {
            shown.push(format!("… ({} jobs)", self.jobs.len()));
        }
        shown.extend(self.jobs.first().map(|job| format!("`{job}`")));
        let message = format!("jobs run after each other in a circle: {}", shown.join(" -> "));
        Diagnostic::error("manifest.cycle", self.span, message).fix("take one of them out of the other's `after`")
    }
}

/// Tells every circle, and answers the jobs in which one closes.
pub(super) fn check_circles<'n>(jobs: &BTreeMap<&'n str, &'n Entry>, findings: &mut Findings) -> Vec<&'n str> {
    let mut closing = Vec::new();
    for circle in circles(jobs) {
        if findings.is_full() {
            break;
        }
        let mut diagnostics = Diagnostics::default();
        diagnostics.push(circle.diagnostic());
        closing.push(circle.closing);
        findings.take(diagnostics);
    }
    closing
}

/// Whom a job names under `after`, whatever else is wrong with it.
fn upstream(entry: &Entry) -> impl Iterator<Item = (&str, Span)> {
    let items = entry.value.get("after").map_or(&[][..], Node::as_one_or_many).iter().take(AFTER_MAX);
    items.filter_map(|item| {
        let name = item.get("job").unwrap_or(item);
        Some((job_name(name)?, name.span))
    })
}

/// Where a walk along `after` is.
enum Visit {
    /// Somewhere behind this job; the circle closes where the walk comes back to it.
    Open,
    /// Everything behind it was looked at.
    Done,
}

/// Where a circle is told: in the last of the sources that it goes through, so that whoever came later is at fault. Each job
/// of the walk names the next one, and the last one the first.
fn latest_link<'n>(walk: &[&'n str], entries: &BTreeMap<&'n str, &'n Entry>) -> Option<(&'n str, Span)> {
    let links = walk.iter().zip(walk.iter().cycle().skip(1)).filter_map(|(job, next)| {
        let (_, span) = upstream(entries.get(job)?).find(|(name, _)| name == next)?;
        Some((*job, span))
    });
    links.max_by_key(|(_, span)| span.source)
}

/// One circle for each `after` that closes one. A walk with a stack of its own: a chain may have as many links as there
/// are jobs.
fn circles<'n>(entries: &BTreeMap<&'n str, &'n Entry>) -> Vec<Circle<'n>> {
    let mut found = Vec::new();
    let mut visits: BTreeMap<&str, Visit> = BTreeMap::new();
    for (start, entry) in entries {
        if visits.contains_key(start) {
            continue;
        }
        visits.insert(start, Visit::Open);
        let mut stack = vec![(*start, upstream(entry))];
        while let Some((job, rest)) = stack.last_mut() {
            let job = *job;
            let Some((next, span)) = rest.next() else {
                visits.insert(job, Visit::Done);
                stack.pop();
                continue;
            };
            match visits.get(next) {
                Some(Visit::Done) => {}
                Some(Visit::Open) if found.len() < super::findings::FINDINGS_MAX => {
                    let walked = stack.iter().map(|(job, _)| *job).skip_while(|job| *job != next);
                    let mut jobs: Vec<_> = walked.collect();
                    let (closing, span) = latest_link(&jobs, entries).unwrap_or((job, span));
                    // The walk goes from a job to the ones before it; runs go the other way.
                    if let [_, rest @ ..] = &mut jobs[..] {
                        rest.reverse();
                    }
                    found.push(Circle { jobs, closing, span });
                }
                Some(Visit::Open) => {}
                None => {
                    let Some((name, entry)) = entries.get_key_value(next) else { continue };
                    visits.insert(name, Visit::Open);
                    stack.push((name, upstream(entry)));
                }
            }
        }
    }
    found
}
