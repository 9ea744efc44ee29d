//! Findings as they come in from many readers, each told once.

use std::collections::HashSet;

use super::{
    node::{Node, Value},
    wording,
};
use crate::diagnostic::{Diagnostic, Diagnostics, Span};

/// Most findings that are collected: whoever has more mends these first.
pub(super) const FINDINGS_MAX: usize = 500;

/// What several jobs have from one anchor or from the defaults is one fault.
#[derive(Default)]
pub(super) struct Findings {
    kept: Diagnostics,
    told: HashSet<(&'static str, usize, usize, usize)>,
    /// Where a variable could not be filled in: that the text is wrong there is no second fault.
    broken: Vec<Span>,
}

impl Findings {
    /// Takes what one reader found. What an earlier reader found at the same place is dropped.
    pub(super) fn take(&mut self, diagnostics: Diagnostics) {
        let key = |d: &Diagnostic| (d.code, d.span.source, d.span.start, d.span.end);
        let mut new: Vec<Diagnostic> = Vec::new();
        let room = FINDINGS_MAX.saturating_sub(self.kept.all().len());
        for diagnostic in diagnostics {
            if new.len() == room {
                break;
            }
            let known = self.told.contains(&key(&diagnostic)) || self.has_broken_text(diagnostic.span);
            if !known && !new.contains(&diagnostic) {
                new.push(diagnostic);
            }
        }
        self.told.extend(new.iter().map(key));
        self.broken.extend(new.iter().filter(|d| d.code == "manifest.variable").map(|d| d.span));
        new.into_iter().for_each(|diagnostic| self.kept.push(wording::tidy(diagnostic)));
    }

    /// Whether a variable within this place could not be filled in.
    fn has_broken_text(&self, span: Span) -> bool {
        let within = |broken: &Span| span.start <= broken.start && broken.end <= span.end;
        self.broken.iter().any(|broken| broken.source == span.source && within(broken))
    }

    /// Whether any value of a tree holds such a variable.
    pub(super) fn has_broken_value(&self, node: &Node) -> bool {
        !self.broken.is_empty()
            && match &node.value {
                Value::Text(_) => self.has_broken_text(node.span),
                Value::List(items) => items.iter().any(|item| self.has_broken_value(item)),
                Value::Map(entries) => entries.iter().any(|entry| self.has_broken_value(&entry.value)),
                Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => false,
            }
    }

    pub(super) fn has_errors(&self) -> bool {
        self.kept.has_errors()
    }

    pub(super) fn is_full(&self) -> bool {
        FINDINGS_MAX <= self.kept.all().len()
    }

    pub(super) fn finish(mut self) -> Diagnostics {
        self.kept.sort();
        let last = self.kept.all().last().map(|d| d.span);
        if let Some(span) = last.filter(|_| self.is_full()) {
            let message = format!("there are {FINDINGS_MAX} findings or more; the rest was not looked at");
            let error = Diagnostic::error("manifest.too_many_findings", span, message);
            self.kept.push(error.fix("mend these first"));
        }
        self.kept
    }
}
