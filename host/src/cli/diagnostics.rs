//! Drawing diagnostics: the place, the line, a caret under the words in question and what to do about them.
//!
//! Only the line in question goes to the drawing library, shortened where it is long: a manifest may be one line
//! of 256 KiB. Nothing here decides what is wrong; that is the business of whoever made the diagnostic.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use clockjack_schedule::diagnostic::{Diagnostic, Severity, Source, Span};

/// Longest part of a line that is shown, in characters; the words in question are always within it.
const LINE_CHARS_MAX: usize = 120;

/// How many characters of a shortened line stand before the words in question.
const BEFORE_CHARS: usize = 40;

/// Longest text that stands under the caret; a longer one gets a line of its own.
const LABEL_CHARS_MAX: usize = 72;

/// Stands where a part of a line is left out.
const CUT: char = '…';

/// Whether the drawing may hold terminal colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Bare text, for files, pipes and `NO_COLOR`.
    Plain,
    /// With colours, for terminals.
    Coloured,
}

/// Draws all findings, each followed by an empty line.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], sources: &[Source], look: Look) -> String {
    let renderer = match look {
        Look::Plain => Renderer::plain(),
        Look::Coloured => Renderer::styled(),
    };
    let indexes: Vec<_> = sources.iter().map(LineIndex::new).collect();
    let drawn = diagnostics.iter().map(|diagnostic| {
        let shown = indexes.get(diagnostic.span.source).map(|index| index.excerpt(diagnostic.span));
        renderer.render(&[group(diagnostic, shown.as_ref())]) + "\n\n"
    });
    drawn.collect()
}

/// How many findings there are, such as `2 errors, 1 warning`.
#[must_use]
pub fn summary(diagnostics: &[Diagnostic]) -> String {
    let count = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => "no errors".to_owned(),
        (errors, 0) => plural(errors, "error"),
        (0, warnings) => plural(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    }
}

/// All findings for programs: a list of objects with `file`, `line`, `column`, `end_line`, `end_column`, `severity`,
/// `code`, `message` and `fix`. Lines and columns count from 1, columns in characters; the end is one past the last.
#[must_use]
pub fn to_json(diagnostics: &[Diagnostic], sources: &[Source]) -> serde_json::Value {
    let indexes: Vec<_> = sources.iter().map(LineIndex::new).collect();
    let view = |diagnostic: &Diagnostic| {
        let index = indexes.get(diagnostic.span.source);
        let (line, column) = index.map_or((1, 1), |index| index.position(diagnostic.span.start));
        let (end_line, end_column) =
            index.map_or((1, 1), |index| index.position(diagnostic.span.end.max(diagnostic.span.start)));
        serde_json::json!({
            "file": index.map(|index| index.source.name.as_ref()),
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
            "severity": diagnostic.severity.to_string(),
            "code": diagnostic.code,
            "message": diagnostic.message,
            "fix": diagnostic.fix,
        })
    };
    diagnostics.iter().map(view).collect()
}

fn group<'a>(diagnostic: &'a Diagnostic, excerpt: Option<&'a Excerpt<'a>>) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let fits = |text: &&str| !text.contains('\n') && text.chars().count() <= LABEL_CHARS_MAX;
    let fix = diagnostic.fix.as_deref();
    let under_caret = diagnostic.label.as_deref().or(fix).filter(fits).filter(|_| excerpt.is_some());
    let notes = [diagnostic.label.as_deref(), fix].into_iter().flatten().filter(|text| under_caret != Some(*text));
    let mut group = Group::with_title(title);
    if let Some(excerpt) = excerpt {
        let annotation = AnnotationKind::Primary.span(excerpt.marked.clone()).label(under_caret);
        let snippet = Snippet::source(excerpt.text.as_str()).line_start(excerpt.line).annotation(annotation);
        if excerpt.text.starts_with(CUT) {
            // The library would count columns from the cut.
            let origin = Origin::path(excerpt.file).line(excerpt.line).char_column(excerpt.column);
            group = group.element(origin).element(snippet);
        } else {
            group = group.element(snippet.path(excerpt.file));
        }
    }
    notes.fold(group, |group, note| group.element(Level::HELP.message(note)))
}

/// Where the lines of a source begin, so that thousands of findings need not count them thousands of times.
struct LineIndex<'s> {
    source: &'s Source,
    starts: Vec<usize>,
}

/// What is shown of one line.
struct Excerpt<'s> {
    file: &'s str,
    line: usize,
    column: usize,
    text: String,
    marked: Range<usize>,
}

impl<'s> LineIndex<'s> {
    fn new(source: &'s Source) -> Self {
        let after_newlines = source.text.match_indices('\n').map(|(at, _)| at + 1);
        Self { source, starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    /// The nearest place at or before an offset where a character begins.
    fn boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.source.text.len());
        while !self.source.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    /// Index and range of the line of an offset, its line break left out.
    fn line(&self, offset: usize) -> (usize, Range<usize>) {
        let index = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts.get(index).copied().unwrap_or_default();
        let next = self.starts.get(index + 1).map_or(self.source.text.len(), |next| next - 1);
        let line = self.source.text[start..next.max(start)].trim_end_matches('\r');
        (index, start..start + line.len())
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.boundary(offset);
        let (index, line) = self.line(offset);
        (index + 1, self.source.text[line.start..offset].chars().count() + 1)
    }

    /// The first line of a span; of a long line the part around the span.
    fn excerpt(&self, span: Span) -> Excerpt<'s> {
        let start = self.boundary(span.start);
        let (index, line) = self.line(start);
        let start = start.min(line.end);
        let end = self.boundary(span.end).clamp(start, line.end);
        let (before, marked, after) =
            (&self.source.text[line.start..start], &self.source.text[start..end], &self.source.text[end..line.end]);
        let column = before.chars().count() + 1;
        let mut excerpt =
            Excerpt { file: &self.source.name, line: index + 1, column, text: String::new(), marked: 0..0 };
        let is_long = LINE_CHARS_MAX < column - 1 + marked.chars().count() + after.chars().count();
        let (before_max, mut room) =
            if is_long { (BEFORE_CHARS, LINE_CHARS_MAX - BEFORE_CHARS) } else { (usize::MAX, usize::MAX) };
        let cut = before.char_indices().rev().nth(before_max.saturating_sub(1)).map_or(0, |(at, _)| at);
        if 0 < cut {
            excerpt.text.push(CUT);
        }
        excerpt.text.push_str(&before[cut..]);
        let from = excerpt.text.len();
        push_some(&mut excerpt.text, marked, &mut room);
        excerpt.marked = from..excerpt.text.len();
        push_some(&mut excerpt.text, after, &mut room);
        excerpt
    }
}

/// Adds as much of a part as there is room for, with a mark where it is cut.
fn push_some(text: &mut String, part: &str, room: &mut usize) {
    let cut = part.char_indices().nth(*room).map_or(part.len(), |(at, _)| at);
    text.push_str(&part[..cut]);
    if cut < part.len() && 0 < *room {
        text.push(CUT);
    }
    *room = room.saturating_sub(part[..cut].chars().count());
}

#[cfg(test)]
mod tests;
