//! What an attempt asked for that no grant covers. The guest gets its error, and may go on; where it does not succeed, the
//! first refusal is why, and the outcome says so in place of the guest's own words.

use clockjack_schedule::{
    outcome::{Outcome, OutcomeCode, TrapKind},
    ports::{LogLevel, LogLine},
};

use chrono::{DateTime, Utc};

/// Longest part of what the guest itself said that follows a refusal.
const SAID_CHARS_MAX: usize = 1_000;

/// One thing that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// `fs.denied` or `egress.denied`.
    pub(crate) code: OutcomeCode,
    /// What was asked for, why it was refused, and which key says so.
    pub(crate) message: String,
}

/// What was refused to one attempt.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    first: Option<Refusal>,
    n: u64,
}

impl Refusals {
    /// Remembers a refusal; the words are asked for only where it is the first.
    pub(crate) fn note(&mut self, code: OutcomeCode, message: impl FnOnce() -> String) {
        self.n = self.n.saturating_add(1);
        self.first.get_or_insert_with(|| Refusal { code, message: message() });
    }

    /// The outcome of an attempt that was refused something. One that failed by itself failed for that; what ended it
    /// from outside (a limit, a cancellation) stays what it is.
    pub(crate) fn outcome(&self, outcome: Outcome) -> Outcome {
        let Some(first) = &self.first else { return outcome };
        if !matches!(outcome.code, OutcomeCode::Failed | OutcomeCode::Trap(TrapKind::Unreachable)) {
            return outcome;
        }
        let said: String = outcome.message.chars().take(SAID_CHARS_MAX).collect();
        let said = if said.is_empty() { said } else { format!("; the guest said: {said}") };
        Outcome { code: first.code, message: format!("{}{said}", self.told(first)), ..outcome }
    }

    /// What is told of an attempt that succeeded although something was refused to it.
    pub(crate) fn warning(&self, at: DateTime<Utc>) -> Option<LogLine> {
        let message = self.told(self.first.as_ref()?);
        Some(LogLine { at, level: LogLevel::Warn, message, fields: vec![("by".to_owned(), "host".to_owned())] })
    }

    fn told(&self, first: &Refusal) -> String {
        match self.n {
            0 | 1 => first.message.clone(),
            n => format!("{} (the first of {n} refusals)", first.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(n: usize) -> Refusals {
        let mut refusals = Refusals::default();
        (0..n).for_each(|n| refusals.note(OutcomeCode::FsDenied, || format!("refusal {n}")));
        refusals
    }

    #[test]
    fn the_first_refusal_is_why_a_guest_failed() {
        let failed = || Outcome::ended(OutcomeCode::Failed, "cannot open");
        let outcome = refused(2).outcome(failed());
        assert_eq!(outcome.code, OutcomeCode::FsDenied);
        assert_eq!(outcome.message, "refusal 0 (the first of 2 refusals); the guest said: cannot open");
        assert_eq!(refused(0).outcome(failed()), failed());
        let panicked = refused(1).outcome(Outcome::ended(OutcomeCode::Trap(TrapKind::Unreachable), ""));
        assert_eq!((panicked.code, panicked.message.as_str()), (OutcomeCode::FsDenied, "refusal 0"));
    }

    #[test]
    fn what_ended_otherwise_stays_what_it_is() {
        for code in [OutcomeCode::Succeeded, OutcomeCode::TimeoutWall, OutcomeCode::Cancelled] {
            let outcome = Outcome::ended(code, "as it was");
            assert_eq!(refused(1).outcome(outcome.clone()), outcome);
        }
        let line = refused(3).warning(DateTime::UNIX_EPOCH).unwrap();
        assert_eq!((line.level, line.message.as_str()), (LogLevel::Warn, "refusal 0 (the first of 3 refusals)"));
        assert_eq!(refused(0).warning(DateTime::UNIX_EPOCH), None);
    }
}
