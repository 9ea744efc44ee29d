//! SIGKILL at random moments, again and again.

use std::time::Duration;

use clockjack_checker::{Ending, Span};

use crate::{
    fleet::Fleet,
    process::{Host, Setup, now, sleep},
    story::{Story, Verdict},
};

/// Random numbers, the same for the same seed: xorshift64*.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // Near seeds begin alike.
        for _ in 0..8 {
            chance.next();
        }
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A time between two numbers of milliseconds.
    fn millis(&mut self, from: u64, until: u64) -> Duration {
        Duration::from_micros(from * 1_000 + self.next() % ((until - from) * 1_000))
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// One ledger whose host is killed so many times.
pub(crate) fn story(seed: u64, n_kills: usize) -> Verdict {
    let mut chance = Chance::new(seed);
    let mut story = Story::new(&format!("{n_kills} kills, seed {seed}"), Fleet::mixed(now()));
    let first = story.up_and_settled();
    kill(&mut story, first, "SIGKILL after a long life");
    while story.n_killed() < n_kills {
        // Mostly it is back at once, sometimes late enough for slots to be past their grace.
        sleep(if chance.percent(75) { chance.millis(0, 60) } else { chance.millis(60, 1_500) });
        live(&mut story, &mut chance);
        if chance.percent(10) {
            // What a dead host left behind can be read, and reading leaves it as it is.
            story.reader().must_succeed();
        }
    }
    story.conclude()
}

/// One life, from the start to the kill.
fn live(story: &mut Story, chance: &mut Chance) {
    let mut host = story.up(&Setup::default());
    if chance.percent(30) {
        sleep(chance.millis(20, 700));
        return kill(story, host, "SIGKILL from the start of the process on");
    }
    story.must_run(&mut host);
    sleep(chance.millis(0, 1_300));
    if chance.percent(15) {
        let asked = now();
        host.signal("TERM");
        sleep(chance.millis(0, 300));
        story.facts.saturated.push(Span::new(asked, now()));
        return kill(story, host, "SIGTERM, then SIGKILL");
    }
    if chance.percent(15) {
        // It is killed while somebody reads.
        let reader = story.reader();
        sleep(chance.millis(0, 200));
        kill(story, host, "SIGKILL beside a reader");
        return reader.must_succeed();
    }
    kill(story, host, "SIGKILL");
}

fn kill(story: &mut Story, host: Host, how: &str) {
    let began = host.began;
    let end = host.kill();
    assert!(!end.log.contains("panicked at "), "{}", end.log);
    // One that was told to stop may have been faster.
    let ending = if end.status.code() == Some(0) { Ending::Stopped } else { Ending::Killed };
    story.note(began, &end, ending, how);
}
