//! Leave to begin an attempt, kept until it has ended.

use std::fmt;

/// What an attempt holds of something that all attempts share, such as the memory of the machine. It is given back when
/// this is dropped.
#[derive(Default)]
pub struct Admission {
    _held: Option<Box<dyn Send + Sync>>,
}

impl Admission {
    /// Leave that gives something back at its end.
    #[must_use]
    pub fn holding(held: impl Send + Sync + 'static) -> Self {
        Self { _held: Some(Box::new(held)) }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admission")
    }
}
