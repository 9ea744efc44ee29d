//! The guests of a simulated host: how long they take and how they end is chance, and they write down what they saw.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use clockjack_checker::{Said, Witness};
use clockjack_schedule::{
    outcome::{Outcome, OutcomeCode},
    ports::{Attempt, CodePin, Executor, PortFuture, Report},
    run::Cause,
    stop::Stop,
};

use crate::{chance::Chance, clock::SimClock};

/// What guests wrote down, in all lives.
pub(crate) type Notes = Arc<Mutex<Vec<Witness>>>;

pub(crate) struct SimExecutor {
    pub(crate) seed: u64,
    pub(crate) life: usize,
    pub(crate) clock: SimClock,
    pub(crate) notes: Notes,
    /// The generation of the code that all jobs run.
    pub(crate) generation: Arc<AtomicU32>,
}

impl Executor for SimExecutor {
    fn execute(&self, attempt: Attempt) -> PortFuture<'static, Report> {
        let earlier = attempt.code.as_ref().and_then(CodePin::code::<u32>);
        let code = earlier.unwrap_or_else(|| Arc::new(self.generation.load(SeqCst)));
        let generation = *attempt.generation.get_or_init(|| *code);
        let run = Arc::clone(&attempt.run);
        let number = u64::try_from(run.id.as_u128() & u128::from(u64::MAX)).unwrap() ^ u64::from(attempt.number);
        let mut chance = Chance::of(self.seed, run.job.as_str(), number);
        let took = how_long(&mut chance);
        let fails = chance.percent(15);
        let note = Witness {
            run: run.id.to_string(),
            job: run.job.to_string(),
            slot: run.scheduled_for.timestamp_micros(),
            attempt: attempt.number,
            host: self.life,
            start: self.clock.truth(),
            end: None,
            said: if fails { Said::Failed } else { Said::Succeeded },
            cause: Some(word(&run.cause).to_owned()),
        };
        let place = {
            let mut notes = self.notes.lock().unwrap();
            notes.push(note);
            notes.len() - 1
        };
        let (clock, notes) = (self.clock.clone(), Arc::clone(&self.notes));
        Box::pin(async move {
            let is_stopped = tokio::select! {
                () = tokio::time::sleep(took) => false,
                () = stopped(attempt.stop) => true,
            };
            if is_stopped {
                return Report::without_guest(Outcome::ended(OutcomeCode::Cancelled, "the run was cancelled"));
            }
            notes.lock().unwrap()[place].end = Some(clock.truth());
            let failed = Outcome::ended(OutcomeCode::Failed, "chance");
            let outcome = if fails { failed } else { Outcome::succeeded(None) };
            Report { generation, code: Some(CodePin::keeping(code)), ..Report::without_guest(outcome) }
        })
    }
}

/// Most guests are short, some take minutes.
fn how_long(chance: &mut Chance) -> Duration {
    let millis = match chance.between(1, 10) {
        1..=6 => chance.between(1, 500),
        7..=9 => chance.between(500, 30_000),
        _ => chance.between(30_000, 20 * 60_000),
    };
    Duration::from_millis(u64::try_from(millis).unwrap())
}

async fn stopped(stop: Stop) {
    std::future::poll_fn(|context| {
        stop.wake(context.waker());
        if stop.is_requested() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// The word of the checker for a cause.
pub(crate) fn word(cause: &Cause) -> &'static str {
    match cause {
        Cause::Schedule => "schedule",
        Cause::CatchUp(_) => "catch-up",
        Cause::Manual | Cause::Api => "manual",
        Cause::Backfill => "backfill",
        Cause::Upstream(_) => "upstream",
        Cause::Start => "start",
    }
}
