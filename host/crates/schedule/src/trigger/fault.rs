//! A fault in the text of a trigger, with the bytes that it concerns.

use crate::{diagnostic::Diagnostic, manifest::node::Node};

/// What is wrong, where in the text, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) message: String,
    pub(crate) fix: Option<String>,
}

impl Fault {
    pub(crate) fn new(start: usize, end: usize, message: impl Into<String>) -> Self {
        Self { start, end, message: message.into(), fix: None }
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Moves the place by the bytes that stand before the part that was read.
    pub(crate) fn after(mut self, n_bytes: usize) -> Self {
        self.start += n_bytes;
        self.end += n_bytes;
        self
    }

    /// The fault as a diagnostic on the value that holds the text.
    pub(crate) fn on(self, code: &'static str, node: &Node) -> Diagnostic {
        let error = Diagnostic::error(code, node.span_within(self.start, self.end), self.message);
        match self.fix {
            Some(fix) => error.fix(fix),
            None => error,
        }
    }
}

/// What to show of a piece of text in a message: hostile text is long.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 40;
    let mut chars = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut shown: String = chars.by_ref().take(SHOWN_CHARS_MAX).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}
