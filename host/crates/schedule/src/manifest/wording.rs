//! Words of users in our messages: short, and without characters that could disturb a terminal.

use crate::diagnostic::{Diagnostic, Source, Span};

/// Longest quoted word of the manifest in a message, in characters.
const QUOTED_MAX: usize = 80;

/// Longest message or fix, in characters; only a pathological manifest gets near.
const MESSAGE_MAX: usize = 1_000;

/// A place as `file:line:column`.
pub(super) fn place(span: Span, sources: &[Source]) -> String {
    let (line, column) = span.position(sources);
    let file = sources.get(span.source).map_or("", |source| &source.name);
    format!("{file}:{line}:{column}")
}

/// Makes the texts of a diagnostic fit to be shown.
pub(super) fn tidy(diagnostic: Diagnostic) -> Diagnostic {
    Diagnostic {
        message: tidy_text(&diagnostic.message),
        label: diagnostic.label.as_deref().map(tidy_text),
        fix: diagnostic.fix.as_deref().map(tidy_text),
        ..diagnostic
    }
}

fn tidy_text(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len().min(4 * MESSAGE_MAX));
    for (index, part) in text.split('`').enumerate() {
        if 0 < index {
            tidy.push('`');
        }
        let quoted = index % 2 == 1;
        let shown = if quoted { QUOTED_MAX } else { MESSAGE_MAX };
        part.chars().take(shown).for_each(|c| push_visible(c, &mut tidy));
        if part.chars().nth(shown).is_some() {
            tidy.push('…');
        }
        if 4 * MESSAGE_MAX < tidy.len() {
            tidy.push('…');
            break;
        }
    }
    tidy
}

fn push_visible(c: char, text: &mut String) {
    let turns_direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if turns_direction || matches!(c, '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{feff}') {
        text.extend(c.escape_unicode());
    } else if c.is_control() && c != '\n' {
        text.extend(c.escape_default());
    } else {
        text.push(c);
    }
}
