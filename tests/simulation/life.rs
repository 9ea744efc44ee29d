//! The lives of a simulated host: from its start to a stop, a crash or the end of the story.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use chrono::DateTime;
use clockjack::shell::{CodeChange, Host, HostParts};
use clockjack_checker::{Ending, Facts, Micros, Pause, Pool, Reload, Request, Resume, SECOND, Span, Step, Up};
use clockjack_schedule::{
    core::{Input, POOL_SIZE, ResumeFrom},
    id::{JobId, PoolName, RunId},
    ports::Ledger as _,
    run::Cause,
};

use crate::{
    clock::SimClock,
    executor::{Notes, SimExecutor},
    faults::{Fault, Kind},
    jobs::{SMALL, SimJob},
    ledger::{SimLedger, Trouble},
};

/// What a seed consists of, and what came of it.
pub(crate) struct Story {
    pub(crate) seed: u64,
    pub(crate) jobs: Vec<SimJob>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) ledger: Arc<SimLedger>,
    pub(crate) notes: Notes,
    pub(crate) facts: Facts,
    offset: Arc<AtomicI64>,
    generation: Arc<AtomicU32>,
    n_told: usize,
    is_all_paused: bool,
    /// The slots of the past that somebody wants made up for, each with its run.
    wanted: Vec<(JobId, RunId, Micros)>,
}

/// How a life ended.
struct Death {
    at: Micros,
    ending: Ending,
    down: Micros,
}

impl Story {
    pub(crate) fn new(seed: u64, jobs: Vec<SimJob>, faults: Vec<Fault>, until: Micros) -> Self {
        let pools = [("default", POOL_SIZE), SMALL]
            .map(|(name, size)| Pool { name: name.to_owned(), size: usize::try_from(size).unwrap() });
        let facts = Facts { until, pools: pools.into(), ..Facts::default() };
        let (ledger, notes) = (Arc::default(), Arc::new(Mutex::default()));
        Self {
            seed,
            jobs,
            faults,
            ledger,
            notes,
            facts,
            offset: Arc::default(),
            generation: Arc::default(),
            n_told: 0,
            is_all_paused: false,
            wanted: Vec::new(),
        }
    }

    /// Lets the host live, die and live again until the end of the story.
    pub(crate) fn tell(&mut self, from: Micros) {
        let mut begin = from;
        while begin < self.facts.until {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
            let death = runtime.block_on(self.live(begin));
            // With the runtime everything of the host is gone at once, as with a process.
            drop(runtime);
            self.facts.up.push(Up { span: Span::new(begin, death.at), ending: death.ending });
            begin = death.at + death.down;
        }
    }

    async fn live(&mut self, begin: Micros) -> Death {
        let clock = SimClock::new(begin, Arc::clone(&self.offset));
        self.ledger.trouble(Trouble::None);
        let executor = SimExecutor {
            seed: self.seed,
            life: self.facts.up.len(),
            clock: clock.clone(),
            notes: Arc::clone(&self.notes),
            generation: Arc::clone(&self.generation),
        };
        let size = |size| std::num::NonZeroU32::new(size).unwrap();
        let mut host = Host::start(HostParts {
            clock: Arc::new(clock.clone()),
            ledger: Arc::clone(&self.ledger) as _,
            executor: Arc::new(executor),
            guests: tokio::runtime::Handle::current(),
            pools: [(PoolName::default(), size(POOL_SIZE)), (SMALL.0.parse().unwrap(), size(SMALL.1))].into(),
        });
        if self.is_all_paused {
            host.handle().send(vec![Input::PauseAll]).await;
        }
        host.take_in(self.jobs.iter().map(|job| Arc::clone(&job.job)).collect()).await.unwrap();
        self.make_up(&host).await;
        let mut down = 0;
        loop {
            let next = self.faults.get(self.n_told).map_or(self.facts.until, |fault| fault.at);
            tokio::select! {
                biased;
                () = self.ledger.crash.notified() => {
                    return Death { at: clock.truth(), ending: Ending::Killed, down };
                }
                failure = host.failed() => panic!("seed {}: the host failed: {failure}", self.seed),
                () = tokio::time::sleep_until(clock.instant(next)) => {}
            }
            let Some(fault) = self.faults.get(self.n_told).cloned() else {
                return Death { at: self.facts.until, ending: Ending::StillUp, down: SECOND };
            };
            self.n_told += 1;
            match fault.kind {
                Kind::Kill { down } => return Death { at: clock.truth(), ending: Ending::Killed, down },
                Kind::Stop { grace, down } => {
                    let (grace, at) = (Duration::from_micros(grace.unsigned_abs()), clock.truth());
                    host.shut_down(grace, std::future::pending()).await.unwrap();
                    // While it stops it starts nothing.
                    self.facts.saturated.push(Span::new(at, clock.truth()));
                    return Death { at: clock.truth(), ending: Ending::Stopped, down };
                }
                Kind::CrashAtCommit { n_left, is_kept, down: time } => {
                    self.ledger.trouble(Trouble::Crash { n_left, is_kept });
                    down = time;
                }
                other => self.happen(other, &clock, &host).await,
            }
        }
    }

    /// What does not end the life.
    async fn happen(&mut self, kind: Kind, clock: &SimClock, host: &Host) {
        let at = clock.truth();
        match kind {
            Kind::Refuse { time, is_kept } => {
                self.ledger.trouble(Trouble::Refused { until: clock.instant(at + time), is_kept });
                self.facts.unreachable.push(Span::new(at, at + time));
            }
            Kind::Slow { time, each } => {
                let slow = Duration::from_micros(each.unsigned_abs());
                self.ledger.trouble(Trouble::Slow { until: clock.instant(at + time), each: slow });
                // A commit that began in time may end late, and the next one waits for it.
                self.facts.saturated.push(Span::new(at, at + time + 3 * each));
            }
            Kind::Step { by } => {
                let offset = clock.step(by);
                self.facts.clock.steps.push(Step { at, offset });
            }
            Kind::Pause { job, time, resume } => {
                host.handle().send(vec![Input::Pause(job.parse().unwrap())]).await;
                self.facts.pauses.push(Pause { job, span: Span::new(at, at + time), resume });
            }
            Kind::Resume { job, resume } => {
                let from = from(resume);
                host.handle().send(vec![Input::Resume { job: job.parse().unwrap(), from }]).await;
                self.make_up(host).await;
            }
            Kind::PauseAll { time, resume } => {
                self.is_all_paused = true;
                host.handle().send(vec![Input::PauseAll]).await;
                let span = Span::new(at, at + time);
                let pauses = self.jobs.iter().map(|job| Pause { job: job.job.id.to_string(), span, resume });
                self.facts.pauses.extend(pauses);
            }
            Kind::ResumeAll { resume } => {
                self.is_all_paused = false;
                host.handle().send(vec![Input::ResumeAll { from: from(resume) }]).await;
                self.make_up(host).await;
            }
            Kind::Backfill { job, slots, key } => {
                let id: JobId = job.parse().unwrap();
                for slot in slots {
                    let key = format!("{key}:{slot}");
                    let run = RunId::of_key(&id, &key);
                    self.wanted.push((id.clone(), run, slot));
                    let (job, run) = (job.clone(), Some(run.to_string()));
                    self.facts.requests.push(Request { job, at, key: Some(key), run, acknowledged: true });
                }
                self.make_up(host).await;
            }
            Kind::Fire { job, key } => {
                let id: JobId = job.parse().unwrap();
                let run = RunId::of_key(&id, &key);
                let fire =
                    || Input::Fire { job: id.clone(), run, cause: Cause::Manual, payload: None, scheduled_for: None };
                host.handle().send(vec![fire()]).await;
                host.handle().send(vec![fire()]).await;
                let (key, run) = (Some(key), Some(run.to_string()));
                self.facts.requests.push(Request { job, at, key, run, acknowledged: true });
            }
            Kind::Reload { job } => {
                let generation = self.generation.fetch_add(1, SeqCst) + 1;
                let is_meant = |id: &JobId| job.as_ref().is_none_or(|job| id.as_str() == job);
                let ids = self.jobs.iter().map(|job| job.job.id.clone()).filter(is_meant);
                let changes = ids.map(|job| CodeChange { job, generation }).collect();
                // While the ledger is held up nobody answers, and this story goes on.
                let handle = host.handle();
                tokio::spawn(async move { handle.code_changed(changes).await });
                self.facts.reloads.push(Reload { job, at });
            }
            Kind::Kill { .. } | Kind::Stop { .. } | Kind::CrashAtCommit { .. } => unreachable!("these end the life"),
        }
    }

    /// Asks for the runs of the past of which nothing is known, as whoever looks after backfills does.
    async fn make_up(&self, host: &Host) {
        for (job, run, slot) in self.wanted.clone() {
            if self.ledger.run(run).await.is_ok_and(|known| known.is_none()) {
                let scheduled_for = DateTime::from_timestamp_micros(slot);
                let fire = Input::Fire { job, run, cause: Cause::Backfill, payload: None, scheduled_for };
                host.handle().send(vec![fire]).await;
            }
        }
    }
}

fn from(resume: Resume) -> ResumeFrom {
    match resume {
        Resume::Now => ResumeFrom::Now,
        Resume::Last => ResumeFrom::Last,
    }
}
