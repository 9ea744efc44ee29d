//! Why a plugin cannot be used.

use std::fmt;

/// The code of a load error. Its text form is a contract, like that of outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadCode {
    /// There is no such file, or it cannot be read.
    NotFound,
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
    pub const ALL: [Self; 12] = [
        Self::NotFound,
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

    /// The stable string.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "load.not_found",
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
        Self { code, message: message.into(), fix: fix.into() }
    }
}
