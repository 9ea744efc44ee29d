//! Arguments that somebody gives for one run.

/// An argument that somebody gave for one run, and that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ArgsMisfit {
    /// `args.days`, `args.list[3].name`
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}
