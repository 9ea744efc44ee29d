//! The clocks of a guest in steps (`grants.clock.resolution`), so that it cannot measure what lasts less.

use std::time::Duration;

use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtxBuilder,
    clocks::{monotonic_clock, wall_clock},
};

/// Gives a guest clocks that go in steps.
pub(crate) fn in_steps(wasi: &mut WasiCtxBuilder, step: Duration) {
    let step = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX).max(1);
    wasi.wall_clock(Wall { clock: wall_clock(), step }).monotonic_clock(Monotonic { clock: monotonic_clock(), step });
}

struct Wall {
    clock: Box<dyn HostWallClock + Send>,
    step: u64,
}

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        self.clock.resolution().max(Duration::from_nanos(self.step))
    }

    fn now(&self) -> Duration {
        let now = u64::try_from(self.clock.now().as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(floor(now, self.step))
    }
}

struct Monotonic {
    clock: Box<dyn HostMonotonicClock + Send>,
    step: u64,
}

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        self.clock.resolution().max(self.step)
    }

    fn now(&self) -> u64 {
        floor(self.clock.now(), self.step)
    }
}

fn floor(now: u64, step: u64) -> u64 {
    now - now % step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_go_in_steps_and_never_back() {
        let step = 1_000_000;
        let monotonic = Monotonic { clock: monotonic_clock(), step };
        let wall = Wall { clock: wall_clock(), step };
        assert_eq!(monotonic.resolution(), step);
        assert_eq!(wall.resolution(), Duration::from_millis(1));
        let mut last = (monotonic.now(), wall.now());
        for _ in 0..10_000 {
            let now = (monotonic.now(), wall.now());
            assert!(last.0 <= now.0, "{last:?} {now:?}");
            assert_eq!((now.0 % step, now.1.subsec_nanos() % 1_000_000), (0, 0));
            last = now;
        }
        assert_eq!([floor(0, 7), floor(6, 7), floor(7, 7), floor(13, 7)], [0, 0, 7, 7]);
    }
}
