//! The outbox: what waits to be delivered, by channel. Pure: it is told the time, and says what is to be done.
//!
//! A channel's notices go out in order and one at a time; a receiver that cannot be reached holds up its own channel and no
//! other. What is not delivered within a day is given up, and of too many the oldest go.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::id::ChannelName;

use super::{Notice, Undelivered};

/// Most notices that wait for one channel.
pub(super) const WAITING_MAX: usize = 1_000;

/// Most deliveries at once.
pub(super) const GOING_MAX: usize = 8;

/// How long after the first failure the next attempt comes; it doubles with each.
const BACKOFF_FIRST: Duration = Duration::from_secs(2);

/// Longest time between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(3_600);

/// How old a notice may become.
const AGE_MAX: TimeDelta = TimeDelta::hours(24);

/// A notice for one channel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parcel {
    /// Its name in the ledger.
    pub(super) key: Arc<str>,
    pub(super) channel: ChannelName,
    pub(super) notice: Arc<Notice>,
    /// When it was put in.
    pub(super) at: DateTime<Utc>,
}

/// What waits for one channel.
#[derive(Debug, Default)]
struct Line {
    parcels: VecDeque<Parcel>,
    /// The first of them is under way.
    is_going: bool,
    /// How often the first one has failed.
    n_failures: u32,
    /// By the monotonic clock.
    not_before: Duration,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    lines: BTreeMap<ChannelName, Line>,
    n_going: usize,
}

/// What follows from a delivery that failed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// It is tried again after this time.
    Later(Duration),
    /// It is not.
    GivenUp(Parcel),
}

impl Outbox {
    /// Puts a notice in. Gives back one that has to go for it.
    pub(super) fn push(&mut self, parcel: Parcel) -> Option<Parcel> {
        let line = self.lines.entry(parcel.channel.clone()).or_default();
        line.parcels.push_back(parcel);
        // The one that is under way stays.
        let oldest = usize::from(line.is_going);
        if WAITING_MAX < line.parcels.len() { line.parcels.remove(oldest) } else { None }
    }

    /// Takes the next one that can go now.
    pub(super) fn next(&mut self, now: Duration) -> Option<Parcel> {
        if GOING_MAX <= self.n_going {
            return None;
        }
        let ready = |line: &&mut Line| !line.is_going && line.not_before <= now && !line.parcels.is_empty();
        let line = self.lines.values_mut().find(ready)?;
        line.is_going = true;
        self.n_going += 1;
        line.parcels.front().cloned()
    }

    /// How long until one can go that cannot go now; none where nothing waits for a time.
    pub(super) fn until_next(&self, now: Duration) -> Option<Duration> {
        let waits = self.lines.values().filter(|line| !line.is_going && !line.parcels.is_empty());
        waits.map(|line| line.not_before.saturating_sub(now)).min().filter(|_| self.n_going < GOING_MAX)
    }

    /// One has arrived.
    pub(super) fn arrived(&mut self, channel: &ChannelName) -> Option<Parcel> {
        let line = self.end(channel)?;
        (line.n_failures, line.not_before) = (0, Duration::ZERO);
        line.parcels.pop_front()
    }

    /// One has not arrived.
    pub(super) fn failed(
        &mut self,
        channel: &ChannelName,
        (wall, monotonic): (DateTime<Utc>, Duration),
        undelivered: &Undelivered,
    ) -> Option<Verdict> {
        let line = self.end(channel)?;
        let parcel = line.parcels.front()?;
        line.n_failures = line.n_failures.saturating_add(1);
        let pause = pause(line.n_failures, &parcel.key, undelivered.retry_after);
        let age = wall.signed_duration_since(parcel.at);
        let is_too_old = TimeDelta::from_std(pause).is_ok_and(|pause| AGE_MAX < age + pause);
        if undelivered.is_final {
            (line.n_failures, line.not_before) = (0, Duration::ZERO);
            return line.parcels.pop_front().map(Verdict::GivenUp);
        }
        line.not_before = monotonic.saturating_add(pause);
        if is_too_old { line.parcels.pop_front().map(Verdict::GivenUp) } else { Some(Verdict::Later(pause)) }
    }

    fn end(&mut self, channel: &ChannelName) -> Option<&mut Line> {
        let line = self.lines.get_mut(channel).filter(|line| line.is_going)?;
        line.is_going = false;
        self.n_going -= 1;
        Some(line)
    }

    /// Drops what waits for channels that are gone. What is under way ends by itself.
    pub(super) fn retain(&mut self, is_there: impl Fn(&ChannelName) -> bool) -> Vec<Parcel> {
        let mut dropped = Vec::new();
        for (channel, line) in &mut self.lines {
            if !is_there(channel) {
                let first = usize::from(line.is_going).min(line.parcels.len());
                dropped.extend(line.parcels.drain(first..));
            }
        }
        self.lines.retain(|channel, line| is_there(channel) || line.is_going || !line.parcels.is_empty());
        dropped
    }

    /// Whether nothing waits that has not failed yet.
    pub(super) fn is_fresh_empty(&self) -> bool {
        self.lines.values().all(|line| line.parcels.is_empty() || 0 < line.n_failures)
    }

    /// How many wait, by channel.
    pub(super) fn waiting(&self) -> BTreeMap<Arc<str>, u64> {
        let waiting = |line: &Line| u64::try_from(line.parcels.len()).unwrap_or(u64::MAX);
        self.lines.iter().map(|(channel, line)| (channel.as_str().into(), waiting(line))).collect()
    }
}

/// How long after the n-th failure the next attempt comes. A fifth of it is left to chance, so that many hosts do not come
/// back at once; chance is a hash, so that it can be repeated.
fn pause(n_failures: u32, key: &str, retry_after: Option<Duration>) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1_u32.checked_shl(n_failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let pause = doubled.min(BACKOFF_MAX);
    let hash = key
        .bytes()
        .chain(n_failures.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let percent = u32::try_from((hash >> 33) % 41).unwrap_or_default() + 80;
    let jittered = pause / 100 * percent;
    jittered.max(retry_after.unwrap_or_default().min(BACKOFF_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(channel: &str, n: usize) -> Parcel {
        let at = "2026-11-22T10:00:00Z".parse().unwrap();
        let notice = Arc::new(Notice::test(channel, at, "here"));
        Parcel { key: format!("{channel}-{n}").into(), channel: channel.parse().unwrap(), notice, at }
    }

    fn undelivered(is_final: bool) -> Undelivered {
        Undelivered { why: "no".to_owned(), is_final, retry_after: None }
    }

    fn at(hours: i64) -> (DateTime<Utc>, Duration) {
        let hour = u64::try_from(hours).unwrap() * 3_600;
        (parcel("a", 0).at + TimeDelta::hours(hours), Duration::from_secs(hour))
    }

    fn key(parcel: Option<Parcel>) -> String {
        parcel.map_or_else(|| "-".to_owned(), |parcel| parcel.key.to_string())
    }

    #[test]
    fn a_channel_delivers_in_order_and_one_at_a_time() {
        let mut outbox = Outbox::default();
        for n in 0..2 {
            assert_eq!(outbox.push(parcel("a", n)), None);
        }
        outbox.push(parcel("b", 0));
        let now = Duration::ZERO;
        assert_eq!([key(outbox.next(now)), key(outbox.next(now)), key(outbox.next(now))], ["a-0", "b-0", "-"]);
        let a = "a".parse().unwrap();
        assert_eq!(key(outbox.arrived(&a)), "a-0");
        assert_eq!(key(outbox.arrived(&a)), "-", "nothing of it is under way");
        assert_eq!([key(outbox.next(now)), key(outbox.next(now))], ["a-1", "-"]);
    }

    #[test]
    fn what_fails_waits_longer_each_time_and_holds_up_no_other_channel() {
        let mut outbox = Outbox::default();
        let (a, wall) = ("a".parse().unwrap(), parcel("a", 0).at);
        outbox.push(parcel("a", 0));
        outbox.push(parcel("a", 1));
        let (mut now, mut pauses) = (Duration::ZERO, Vec::new());
        for _ in 0..14 {
            assert_eq!(key(outbox.next(now)), "a-0");
            let Some(Verdict::Later(pause)) = outbox.failed(&a, (wall, now), &undelivered(false)) else {
                panic!("it is tried again")
            };
            assert_eq!(key(outbox.next(now)), "-", "not before its time");
            assert_eq!(outbox.until_next(now), Some(pause));
            outbox.push(parcel("b", 0));
            assert_eq!(key(outbox.next(now)), "b-0");
            outbox.arrived(&"b".parse().unwrap());
            (now, pauses) = (now + pause, [pauses, vec![pause.as_secs_f64()]].concat());
        }
        for (n, pause) in pauses.iter().enumerate() {
            let middle = (2.0 * 2_f64.powi(i32::try_from(n).unwrap())).min(3_600.0);
            assert!((0.79..=1.21).contains(&(pause / middle)), "{pauses:?}");
        }
        assert!(pauses.iter().any(|pause| pause.fract() != 0.0), "chance has its part: {pauses:?}");
    }

    #[test]
    fn what_is_refused_for_good_or_a_day_old_is_given_up_and_the_next_one_goes() {
        let mut outbox = Outbox::default();
        let a = "a".parse().unwrap();
        for n in 0..3 {
            outbox.push(parcel("a", n));
        }
        outbox.next(at(0).1);
        assert!(
            matches!(outbox.failed(&a, at(0), &undelivered(true)), Some(Verdict::GivenUp(gone)) if *gone.key == *"a-0")
        );
        assert_eq!(key(outbox.next(at(0).1)), "a-1", "at once");
        assert!(matches!(outbox.failed(&a, at(23), &undelivered(false)), Some(Verdict::Later(_))));
        outbox.next(at(24).1);
        assert!(
            matches!(outbox.failed(&a, at(24), &undelivered(false)), Some(Verdict::GivenUp(gone)) if *gone.key == *"a-1")
        );
    }

    #[test]
    fn of_too_many_the_oldest_go_but_not_the_one_under_way() {
        let mut outbox = Outbox::default();
        for n in 0..WAITING_MAX {
            assert_eq!(outbox.push(parcel("a", n)), None);
        }
        assert_eq!(key(outbox.push(parcel("a", WAITING_MAX))), "a-0");
        assert_eq!(key(outbox.next(Duration::ZERO)), "a-1");
        assert_eq!(key(outbox.push(parcel("a", WAITING_MAX + 1))), "a-2");
        assert_eq!(outbox.waiting().into_values().collect::<Vec<_>>(), [1_000]);
        // Of a channel that goes, what is under way may end.
        assert_eq!(outbox.retain(|_| false).len(), WAITING_MAX - 1);
        assert_eq!(key(outbox.arrived(&"a".parse().unwrap())), "a-1");
    }

    #[test]
    fn few_go_at_once() {
        let mut outbox = Outbox::default();
        for n in 0..GOING_MAX + 1 {
            outbox.push(parcel(&format!("c{n}"), 0));
        }
        let going = std::iter::from_fn(|| outbox.next(Duration::ZERO)).count();
        assert_eq!(going, GOING_MAX);
        assert_eq!(outbox.until_next(Duration::ZERO), None, "only an end makes room");
    }

    #[test]
    fn a_receiver_may_ask_for_patience_but_not_for_ever() {
        assert_eq!(pause(1, "a", Some(Duration::from_secs(90))), Duration::from_secs(90));
        assert_eq!(pause(1, "a", Some(Duration::from_secs(1 << 40))), BACKOFF_MAX);
        assert!(pause(u32::MAX, "a", None) <= BACKOFF_MAX / 100 * 120);
    }
}
