//! What is wrong with a manifest or a trigger, and where: collected, never thrown at the first fault.
//!
//! A diagnostic is data. Drawing the caret under the source line is the command line's business.

use std::{fmt, sync::Arc};

/// How much a diagnostic weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The manifest cannot be used.
    Error,
    /// The manifest can be used, but something in it is probably not what its author meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One text that was read, with the name to show for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What to call it in messages: a path as the user wrote it, or `--trigger`.
    pub name: Arc<str>,
    /// The whole text; spans are byte offsets into it.
    pub text: Arc<str>,
}

impl Source {
    /// A source from a name and its text.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

/// A place in one of the sources of a manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Index of the source among those that were read together.
    pub source: usize,
    /// First byte.
    pub start: usize,
    /// One past the last byte; never smaller than `start`.
    pub end: usize,
}

impl Span {
    /// Line and column of the first byte, both counted from 1, columns in characters.
    #[must_use]
    pub fn position(&self, sources: &[Source]) -> (usize, usize) {
        sources.get(self.source).map_or((1, 1), |source| line_and_column(&source.text, self.start))
    }
}

/// Line and column (from 1, in characters) of a byte offset; past the end counts as the end.
#[must_use]
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// One finding.
///
/// ```
/// use clockjack_schedule::diagnostic::{Diagnostic, Span};
///
/// let found = Diagnostic::error("manifest.unknown_key", Span::default(), "unknown key `max_instance`")
///     .fix("did you mean `max_instances`?");
/// assert_eq!(found.to_string(), "error[manifest.unknown_key]: unknown key `max_instance`; did you mean `max_instances`?");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable dotted code, such as `manifest.unknown_key`.
    pub code: &'static str,
    /// Where.
    pub span: Span,
    /// What is wrong: a lower-case fragment without a final period.
    pub message: String,
    /// Short text for under the caret; without it the fix stands there.
    pub label: Option<String>,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Diagnostic {
    /// A finding that makes the manifest unusable.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, span, message: message.into(), label: None, fix: None }
    }

    /// A finding that its author should look at.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Adds the short text under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: {}", self.severity, self.code, self.message)?;
        match &self.fix {
            Some(fix) => write!(f, "; {fix}"),
            None => Ok(()),
        }
    }
}

/// Findings in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    found: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds one finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// Adds an error and answers `None`, so that a failed conversion is one expression.
    pub fn reject<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.push(diagnostic);
        None
    }

    /// All findings.
    #[must_use]
    pub fn all(&self) -> &[Diagnostic] {
        &self.found
    }

    /// Whether any finding makes the manifest unusable.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.n_errors() > 0
    }

    /// How many findings make the manifest unusable.
    #[must_use]
    pub fn n_errors(&self) -> usize {
        self.found.iter().filter(|d| d.severity == Severity::Error).count()
    }

    /// Takes over the findings of another collection.
    pub fn append(&mut self, other: Self) {
        self.found.extend(other.found);
    }

    /// Puts the findings into the order of the sources, which is the order in which a reader mends them.
    pub fn sort(&mut self) {
        self.found.sort_by_key(|d| (d.span.source, d.span.start, d.severity));
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, found: I) {
        self.found.extend(found);
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.found.into_iter()
    }
}

/// The candidate that the user most likely meant, if one is near enough.
///
/// ```
/// use clockjack_schedule::diagnostic::did_you_mean;
///
/// assert_eq!(did_you_mean("pluginn", ["plugin", "pool"]), Some("plugin"));
/// assert_eq!(did_you_mean("colour", ["plugin", "pool"]), None);
/// ```
pub fn did_you_mean<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Jaro-Winkler favours a shared beginning, which is how people misspell; 0.8 keeps unrelated short words out.
    const NEAR_ENOUGH: f64 = 0.8;
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&typed.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| NEAR_ENOUGH <= *score)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
