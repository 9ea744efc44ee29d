//! Why a plugin cannot be used.

use std::fmt;

/// The code of a load error. Its text form is a contract, like that of outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadCode {
    /// There is no such file, or it cannot be read.
    NotFound,
    /// A registry cannot be asked: it is not reached, does not answer, or does not let this host in.
    Unreachable,
    /// The file is larger than is read.
    TooLarge,
    /// The file is no component.
    Invalid,
    /// Compiling it would cost too much.
    Budget,
    /// It uses a feature of WebAssembly that is off.
    Feature,
    /// It imports what the host does not have.
    Import,
    /// A function or a type is not as asked for.
    Type,
    /// Its digest is another one than the manifest says.
    Digest,
    /// No trusted key has signed these bytes.
    Signature,
    /// It declares more memory than it may have.
    MemoryLimit,
    /// It declares larger tables than it may have.
    TableLimit,
    /// It declares more core instances, memories or tables than it may have.
    InstanceLimit,
}

impl LoadCode {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::NotFound,
        Self::Unreachable,
        Self::TooLarge,
        Self::Invalid,
        Self::Budget,
        Self::Feature,
        Self::Import,
        Self::Type,
        Self::Digest,
        Self::Signature,
        Self::MemoryLimit,
        Self::TableLimit,
        Self::InstanceLimit,
    ];

    /// Reads what `as_str` gave.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// The stable string.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "load.not_found",
            Self::Unreachable => "load.unreachable",
            Self::TooLarge => "load.too_large",
            Self::Invalid => "load.invalid",
            Self::Budget => "load.budget",
            Self::Feature => "load.feature",
            Self::Import => "load.import",
            Self::Type => "load.type",
            Self::Digest => "load.digest",
            Self::Signature => "load.signature",
            Self::MemoryLimit => "memory.limit",
            Self::TableLimit => "table.limit",
            Self::InstanceLimit => "instance.limit",
        }
    }
}

impl fmt::Display for LoadCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a plugin cannot be used, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// The code.
    pub code: LoadCode,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub fix: String,
}

impl LoadError {
    pub(crate) fn new(code: LoadCode, message: impl Into<String>, fix: impl Into<String>) -> Self {
        // Whatever of a stranger's words got into it does no harm where it is shown.
        let told = |text: String| cut(&text, TEXT_CHARS_MAX);
        Self { code, message: told(message.into()), fix: told(fix.into()) }
    }
}

/// Characters that are shown of a name that a stranger chose, of a foreign message, and of a refusal altogether.
const NAME_CHARS_MAX: usize = 256;
const MESSAGE_CHARS_MAX: usize = 1_000;
const TEXT_CHARS_MAX: usize = 4_000;

/// A name that a stranger chose, for a message: cut, and without what would steer a terminal or turn the text around.
#[must_use]
pub fn shown(name: &str) -> String {
    cut(name, NAME_CHARS_MAX)
}

/// Foreign words that may hold such names.
pub(crate) fn shown_message(message: &str) -> String {
    cut(message, MESSAGE_CHARS_MAX)
}

fn cut(text: &str, chars_max: usize) -> String {
    let mut kept: String = text.chars().take(chars_max).map(harmless).collect();
    if chars_max < text.chars().count() {
        kept.push('\u{2026}');
    }
    kept
}

/// Control characters, and those that change the direction of text or cannot be seen.
fn harmless(c: char) -> char {
    let hidden = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    if hidden || c.is_control() && c != '\n' { '\u{fffd}' } else { c }
}
