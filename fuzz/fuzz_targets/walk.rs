//! What every target does with a trigger: read it, walk some slots, and check what must hold for all triggers.

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    diagnostic::{Diagnostics, Span},
    manifest::parse::parse,
    trigger::{Basis, Trigger, TriggerContext},
    zone::{Zone, Zones},
};

/// Reads a trigger and walks along its slots.
pub fn read_and_walk(text: &str) {
    static ZONES: std::sync::LazyLock<Zones> = std::sync::LazyLock::new(Zones::bundled);
    let (Some(node), mut diagnostics) = parse(0, text) else { return };
    let utc = Zone::utc();
    let Some(trigger) = Trigger::read(&node, TriggerContext::new(&ZONES, &utc, "fuzz"), &mut diagnostics) else {
        assert!(diagnostics.has_errors(), "refused without a word: {text}");
        return;
    };
    let start: DateTime<Utc> = DateTime::from_timestamp(1_795_000_000, 0).expect("a date in 2026");
    let basis = Basis { first_seen: start, last_finished: None };
    let mut after = start;
    for _ in 0..20 {
        let Some(slot) = trigger.next_after(after, &basis) else { break };
        assert!(after < slot, "{text}: {slot} is not after {after}");
        assert_eq!(trigger.next_from(slot, &basis), Some(slot), "{text}: no slot at its slot");
        let _ = trigger.note(slot, &basis);
        let delay = trigger.start_delay(slot, &basis);
        if let Some(next) = trigger.next_after(slot, &basis) {
            assert!(delay < (next - slot).to_std().expect("slots increase"), "{text}: the delay reaches the next slot");
        }
        after = slot;
    }
    let _ = trigger.describe_from(start, &basis);
    let _ = trigger.backlog(start, after, &basis, 1_000);
    trigger.warnings(start, &basis, Span::default(), &mut Diagnostics::default());
}
