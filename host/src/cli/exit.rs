//! Exit codes: a contract with scripts.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// What the user gave is wrong: a manifest, an argument, a plugin.
    Fault,
    /// The command line itself is wrong. The argument parser ends with it by itself.
    Usage,
    /// The job ran and did not succeed.
    JobFailed,
    /// The host could not do its work.
    HostFailed,
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Fault => 1,
            Self::Usage => 2,
            Self::JobFailed => 3,
            Self::HostFailed => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
