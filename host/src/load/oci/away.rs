//! Registries that kept somebody waiting and were not reached. For a while nobody waits for them again: a manifest may name
//! twenty images of one registry, and what is kept of them is to be used at once.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// From which time on it counts as waiting. Who is refused at once can ask again at once.
const WAIT: Duration = Duration::from_secs(2);

/// How long nobody waits again: longer than it takes to load what is kept of a manifest, shorter than a person waits
/// before trying once more.
const REST: Duration = Duration::from_secs(30);

/// The registries, with the times until which nobody asks them.
pub(super) struct Away {
    until: Mutex<BTreeMap<String, Duration>>,
}

impl Away {
    pub(super) const fn new() -> Self {
        Self { until: Mutex::new(BTreeMap::new()) }
    }

    /// Whether a registry is not to be asked now.
    pub(super) fn has(&self, registry: &str, now: Duration) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(registry).is_some_and(|until| now < *until)
    }

    /// Notes that a registry was asked from then until now, and was not reached.
    pub(super) fn note(&self, registry: &str, began: Duration, now: Duration) {
        if now.saturating_sub(began) < WAIT {
            return;
        }
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.retain(|_, until| now < *until);
        until.insert(registry.to_owned(), now.saturating_add(REST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_kept_somebody_waiting_is_left_alone_and_not_for_ever() {
        let (away, second) = (Away::new(), Duration::from_secs);
        away.note("quick", second(10), second(11));
        assert!(!away.has("quick", second(11)));
        away.note("slow", second(10), second(20));
        assert!(away.has("slow", second(20)) && away.has("slow", second(49)));
        assert!(!away.has("slow", second(50)) && !away.has("other", second(20)));
    }
}
