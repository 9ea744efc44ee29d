//! The scheduler as a program holds it.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        self, Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    core::{self, Input},
    id::{JobId, RunId},
    job::Job as Definition,
    payload::Payload,
    ports::{Clock as _, JobRow, RunFilter, SkipFilter},
    run::Cause,
    trigger::{Basis, Trigger},
};
use serde_json::{Map, Value as Json, json};
use tokio::sync::{Mutex, broadcast, oneshot};

use super::{
    Builder, Error, Events, Job, JobInfo, JobState, Run, RunHandle, Schedule,
    native::Functions,
    ring::{Ring, ShutDown},
};
use crate::{
    clock::SystemClock,
    load::Program,
    operate::{PauseNote, Whose},
    shell::{self, Summary},
};

/// What the log names as the cause of a change that the program makes.
const CAUSE: &str = "the program";

/// How many skips are looked through for the reason of one.
const SKIPS_MAX: usize = 100;

/// From where a job goes on that was paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResumeFrom {
    /// The slots of the pause are skipped.
    #[default]
    Now,
    /// The slots of the pause are a backlog, as after a downtime.
    Last,
}

impl From<ResumeFrom> for core::ResumeFrom {
    fn from(from: ResumeFrom) -> Self {
        match from {
            ResumeFrom::Now => Self::Now,
            ResumeFrom::Last => Self::Last,
        }
    }
}

/// What the program itself says.
pub(super) struct Own {
    pub(super) program: Program,
    pub(super) functions: Functions,
    pub(super) folder: PathBuf,
    /// The keys at the top of its manifest.
    pub(super) settings: Map<String, Json>,
}

impl Own {
    /// Says these jobs, so that whoever reads the manifest next reads them, and gives them their functions.
    pub(super) fn say(&self, jobs: &[Job]) {
        let definitions: Map<_, _> = jobs.iter().map(|job| (job.id.clone(), job.definition())).collect();
        let mut manifest = self.settings.clone();
        manifest.insert("version".to_owned(), json!(1));
        manifest.insert("jobs".to_owned(), definitions.into());
        self.functions.put(jobs);
        self.program.say(&Json::Object(manifest).to_string(), &self.folder);
    }
}

struct Shared {
    ring: Ring,
    own: Own,
    /// The jobs of the program. Who changes them has a turn.
    jobs: Mutex<Vec<Job>>,
    /// What was told since before the first job came in, until somebody asks for it.
    since_start: sync::Mutex<Option<broadcast::Receiver<shell::Event>>>,
}

/// How long what was told since the start waits for somebody who reads it.
const SINCE_START_MAX: Duration = Duration::from_secs(60);

impl Shared {
    /// Takes what was told since the start, if it is still there.
    fn not_since_start(&self) -> Option<broadcast::Receiver<shell::Event>> {
        self.since_start.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A scheduler inside this program. Clones are the same; where the last one goes without [`Scheduler::shutdown`], it ends at
/// once, and what goes on then counts as interrupted at the next start.
#[derive(Clone)]
pub struct Scheduler {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scheduler")
    }
}

impl Scheduler {
    /// Says what a scheduler is to be.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(super) fn new(mut ring: Ring, own: Own, jobs: Vec<Job>) -> Self {
        let since_start = sync::Mutex::new(ring.since_start.take());
        let guests = ring.guests.clone();
        let shared = Arc::new(Shared { ring, own, jobs: Mutex::new(jobs), since_start });
        let unasked = Arc::downgrade(&shared);
        // What nobody reads would stay in memory, with all that runs have left.
        guests.spawn(async move {
            tokio::time::sleep(SINCE_START_MAX).await;
            unasked.upgrade().map(|shared| shared.not_since_start());
        });
        Self { shared }
    }

    /// Adds a job. It is in force when this returns.
    ///
    /// # Errors
    /// When there is one of that id, or something is wrong with it; then nothing has changed.
    pub async fn add(&self, job: Job) -> Result<(), Error> {
        self.add_all(vec![job]).await
    }

    /// Adds several jobs, all of them or none.
    ///
    /// # Errors
    /// As [`Scheduler::add`].
    pub async fn add_all(&self, added: Vec<Job>) -> Result<(), Error> {
        self.change(|jobs| {
            for job in added {
                if jobs.iter().any(|known| known.id == job.id) {
                    return Err(Error::Exists(job.id));
                }
                jobs.push(job);
            }
            Ok(())
        })
        .await
    }

    /// Adds a job, or puts it in the place of the one that the program added under that id. Its pause and its history stay.
    ///
    /// # Errors
    /// When something is wrong with it; then nothing has changed.
    pub async fn put(&self, job: Job) -> Result<(), Error> {
        self.change(|jobs| {
            match jobs.iter_mut().find(|known| known.id == job.id) {
                Some(known) => *known = job,
                None => jobs.push(job),
            }
            Ok(())
        })
        .await
    }

    /// Takes out a job that the program added. Runs that go on finish, and its history stays.
    ///
    /// # Errors
    /// When the program added none of that id.
    pub async fn remove(&self, id: &str) -> Result<(), Error> {
        let is_known = self.row(id).await.is_ok();
        self.change(|jobs| {
            let place = jobs.iter().position(|job| job.id == id).ok_or_else(|| not_own(id, is_known))?;
            jobs.remove(place);
            Ok(())
        })
        .await
    }

    /// Gives a job that the program added other triggers in place of all that it has.
    ///
    /// # Errors
    /// When the program added none of that id, or the triggers are wrong.
    pub async fn reschedule(&self, id: &str, schedule: Schedule) -> Result<(), Error> {
        let is_known = self.row(id).await.is_ok();
        self.change(|jobs| {
            let job = jobs.iter_mut().find(|job| job.id == id).ok_or_else(|| not_own(id, is_known))?;
            job.reschedule(schedule);
            Ok(())
        })
        .await
    }

    /// Starts nothing of a job until it is resumed, also after a restart. Runs that go on finish.
    ///
    /// # Errors
    /// When there is no such job.
    pub async fn pause(&self, id: &str) -> Result<(), Error> {
        let job = self.row(id).await?.state.job;
        self.pause_for(Whose::Job(job)).await
    }

    /// Starts nothing of any job until all are resumed, also of jobs that come meanwhile, and after a restart.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn pause_all(&self) -> Result<(), Error> {
        self.pause_for(Whose::All).await
    }

    /// Lets all jobs go on but those that are paused by themselves.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn resume_all(&self, from: ResumeFrom) -> Result<(), Error> {
        self.resume_for(Whose::All, from).await
    }

    /// Lets a paused job go on.
    ///
    /// # Errors
    /// When there is no such job.
    pub async fn resume(&self, id: &str, from: ResumeFrom) -> Result<(), Error> {
        let job = self.row(id).await?.state.job;
        self.resume_for(Whose::Job(job), from).await
    }

    /// Runs a job now, whatever its triggers say.
    ///
    /// # Errors
    /// When there is no such job, or its policies let it not run now.
    pub async fn run(&self, id: &str) -> Result<RunHandle, Error> {
        let job = self.row(id).await?.state.job;
        let (at, number) = (SystemClock.now(), next_number());
        self.fire(RunId::of_request(&job, at, number), job, None).await
    }

    /// Runs a job now with a value for it: a function finds it in its context, a component where its arguments say
    /// `${payload.…}`. Asking again under the same key asks for the same run.
    ///
    /// # Errors
    /// As [`Scheduler::run`], and when the value is too large.
    pub async fn run_with(&self, id: &str, payload: Json, key: Option<&str>) -> Result<RunHandle, Error> {
        let job = self.row(id).await?.state.job;
        let payload = Payload::new(payload).map_err(|error| Error::Payload(error.to_string()))?;
        let run = match key {
            Some(key) => RunId::of_key(&job, key),
            None => RunId::of_request(&job, SystemClock.now(), next_number()),
        };
        self.fire(run, job, Some(payload)).await
    }

    /// Asks a run to end before its time. It has a quarter of a second to do so by itself.
    ///
    /// # Errors
    /// When there is no such run.
    pub async fn cancel(&self, run: RunId) -> Result<(), Error> {
        self.run_info(run).await?;
        self.tell(Input::Cancel(run)).await
    }

    /// The jobs that are in force, and those that were and are not any more.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn jobs(&self) -> Result<Vec<JobInfo>, Error> {
        let own: BTreeSet<String> = self.shared.jobs.lock().await.iter().map(|job| job.id.clone()).collect();
        let rows = self.shared.ring.ledger.load().await?.jobs;
        let (jobs, now) = (self.shared.ring.reloader.jobs(), SystemClock.now());
        let info = |row: &JobRow| {
            let job = jobs.get(&row.state.job).and_then(|view| view.job);
            info(
                row,
                job.filter(|_| row.state.removed_at.is_none()).as_deref(),
                own.contains(row.state.job.as_str()),
                now,
            )
        };
        Ok(rows.iter().map(info).collect())
    }

    /// The next slots of a job, at most so many.
    ///
    /// # Errors
    /// When there is no such job, or the ledger cannot be read.
    pub async fn next(&self, id: &str, n_max: usize) -> Result<Vec<DateTime<Utc>>, Error> {
        let row = self.row(id).await?;
        let view = self.shared.ring.reloader.jobs().get(&row.state.job);
        let job = view.and_then(|view| view.job).ok_or_else(|| Error::UnknownJob(id.to_owned()))?;
        let basis = basis(&row);
        let slots =
            std::iter::successors(job.next_after(SystemClock.now(), &basis), |slot| job.next_after(*slot, &basis));
        Ok(slots.take(n_max).collect())
    }

    /// The newest runs of a job, or of all; the newest slot first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn runs(&self, job: Option<&str>, n_max: usize) -> Result<Vec<Run>, Error> {
        let job = job.map(|id| id.parse().map_err(|_no_id| Error::UnknownJob(id.to_owned()))).transpose()?;
        let filter = RunFilter { job, n_max: n_max.max(1), ..RunFilter::default() };
        Ok(self.shared.ring.ledger.runs(filter).await?.iter().map(Run::of).collect())
    }

    /// All that is kept of one run.
    ///
    /// # Errors
    /// When there is none, or the ledger cannot be read.
    pub async fn run_info(&self, run: RunId) -> Result<Run, Error> {
        let story = self.shared.ring.ledger.run(run).await?;
        story.map(|story| Run::of(&story.row)).ok_or_else(|| Error::UnknownRun(run.to_string()))
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        self.shared.not_since_start();
        Events::new(self.shared.ring.host.bus().listen_to_all(), self.shared.ring.failure.clone())
    }

    /// What happened since before the first job came in, so that nothing is missed: not what happened in the first instant,
    /// and not the ends of runs that a crash or a stop of an earlier scheduler cut, up to 4,096 events. Whoever asks first gets
    /// it; there is none for those who ask later, after [`Scheduler::events`], or more than a minute after the start. Runs that
    /// wait for their places are told from here on only.
    #[must_use]
    pub fn events_since_start(&self) -> Option<Events> {
        let events = self.shared.not_since_start()?;
        drop(self.shared.ring.host.bus().listen_to_all());
        Some(Events::new(events, self.shared.ring.failure.clone()))
    }

    /// Looks at all manifests and plugins now. Where files are watched that happens by itself.
    ///
    /// # Errors
    /// When something is wrong with them; what is in force stays.
    pub async fn reload(&self) -> Result<(), Error> {
        let plan = self.shared.ring.reloader.reload(CAUSE).await.map_err(|_stopping| Error::Stopped)?;
        match plan.refused {
            Some(why) => Err(Error::refused(Some(&why), &plan.findings)),
            None => Ok(()),
        }
    }

    /// Ends the scheduler: nothing new starts, runs may go on for so long, what goes on then is asked to end, and the ledger
    /// is closed. A second call does not wait for runs. Tells how many runs there were.
    ///
    /// # Errors
    /// When it has ended before, or the last rows could not be written.
    pub async fn shutdown(&self, grace: Duration) -> Result<Summary, Error> {
        let (answer, ended) = oneshot::channel();
        let wish = ShutDown { grace, answer };
        self.shared.ring.ends.send(wish).await.map_err(|_closed| Error::Stopped)?;
        ended.await.map_err(|_closed| Error::Stopped)?
    }

    /// Waits until the scheduler has ended.
    ///
    /// # Errors
    /// When it ended because it could not go on: the ledger could not be written for good.
    pub async fn ended(&self) -> Result<(), Error> {
        let mut failure = self.shared.ring.failure.clone();
        while failure.changed().await.is_ok() {}
        let why = failure.borrow().clone();
        why.map_or(Ok(()), |why| Err(Error::Ledger(why)))
    }

    /// Changes the jobs of the program: all of it is in force then, or nothing.
    async fn change(&self, edit: impl FnOnce(&mut Vec<Job>) -> Result<(), Error>) -> Result<(), Error> {
        let mut jobs = self.shared.jobs.lock().await;
        let before = jobs.clone();
        let mut after = before.clone();
        edit(&mut after)?;
        // In force from here on, also where nobody waits any more.
        *jobs = after;
        self.shared.own.say(&jobs);
        let changed = self.reload().await;
        if changed.is_err() {
            *jobs = before;
            self.shared.own.say(&jobs);
            // What was refused is read away again; what else is wrong has been told.
            drop(self.reload().await);
        }
        changed
    }

    async fn fire(&self, run: RunId, job: JobId, payload: Option<Payload>) -> Result<RunHandle, Error> {
        let ring = &self.shared.ring;
        let (events, ledger) = (ring.host.bus().listen(), Arc::clone(&ring.ledger));
        let handle = RunHandle { id: run, ledger, events };
        if ring.ledger.run(run).await?.is_some() {
            return Ok(handle);
        }
        self.tell(Input::Fire { job: job.clone(), run, cause: Cause::Api, payload, scheduled_for: None }).await?;
        if ring.ledger.run(run).await?.is_some() {
            return Ok(handle);
        }
        let filter = SkipFilter { job: Some(job.clone()), n_max: SKIPS_MAX, ..SkipFilter::default() };
        let skip = ring.ledger.skips(filter).await?.into_iter().find(|skip| skip.run == Some(run));
        let reason = skip.map_or("removed", |skip| skip.reason.as_str()).to_owned();
        Err(Error::Skipped { job: job.to_string(), reason })
    }

    async fn pause_for(&self, whose: Whose) -> Result<(), Error> {
        let note = PauseNote { note: None, until: None, by: Some(CAUSE.to_owned()), at: SystemClock.now() };
        Ok(self.shared.ring.operator.pauses.pause(whose, note).await?)
    }

    async fn resume_for(&self, whose: Whose, from: ResumeFrom) -> Result<(), Error> {
        let pauses = &self.shared.ring.operator.pauses;
        Ok(pauses.resume(whose, from.into(), Some(CAUSE.to_owned())).await?)
    }

    pub(super) fn ring(&self) -> &Ring {
        &self.shared.ring
    }

    /// Gives the core an input, and waits until what it decides is kept.
    async fn tell(&self, input: Input) -> Result<(), Error> {
        self.shared.ring.host.send(vec![input]).await;
        Ok(self.shared.ring.host.settle().await?)
    }

    /// A job that is in force.
    async fn row(&self, id: &str) -> Result<JobRow, Error> {
        let is_it = |row: &JobRow| row.state.job.as_str() == id && row.state.removed_at.is_none();
        let row = self.shared.ring.ledger.load().await?.jobs.into_iter().find(is_it);
        row.ok_or_else(|| Error::UnknownJob(id.to_owned()))
    }
}

fn not_own(id: &str, is_known: bool) -> Error {
    if is_known { Error::NotOfProgram(id.to_owned()) } else { Error::UnknownJob(id.to_owned()) }
}

fn info(row: &JobRow, job: Option<&Definition>, is_of_program: bool, now: DateTime<Utc>) -> JobInfo {
    let state = match (row.state.removed_at, row.state.paused) {
        (Some(_), _) => JobState::Removed,
        (None, true) => JobState::Paused,
        (None, false) => JobState::Active,
    };
    let n_running = row.open.iter().filter(|open| open.claimed_at.is_some()).count();
    let waits = |job: &Definition| 0 < n_running && job.trigger.as_ref().is_some_and(Trigger::waits_for_finish);
    let next =
        job.filter(|job| state == JobState::Active && !waits(job)).and_then(|job| job.next_after(now, &basis(row)));
    JobInfo {
        id: row.state.job.clone(),
        state,
        is_of_program,
        is_native: job.is_some_and(|job| job.plugin.is_native()),
        trigger: job.map(Definition::describe),
        next,
        n_running,
        last_finished: row.last_finished,
        last_success: row.last_success,
    }
}

/// What the slots of a job count from.
fn basis(row: &JobRow) -> Basis {
    Basis { first_seen: row.state.first_seen, last_finished: row.last_finished }
}

/// Tells two requests of one instant apart.
fn next_number() -> u64 {
    static N_REQUESTS: AtomicU64 = AtomicU64::new(0);
    N_REQUESTS.fetch_add(1, Ordering::Relaxed)
}
