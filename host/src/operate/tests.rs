//! Pauses and backfills over several lives of a host, in paused time: what is kept is read by the next one.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use chrono::TimeDelta;
use clockjack_ledger::MemoryLedger;
use clockjack_schedule::{
    core::ResumeFrom,
    diagnostic::Diagnostics,
    id::{JobId, PoolName, StoreName},
    job::{Arguments, Coalesce, Grants, Job, Keep, Limits, Policy, Setup},
    manifest::parse::parse,
    outcome::Outcome,
    ports::{Attempt, Change, DocumentKind, Executor, PortFuture, Report, RunFilter, SkipFilter},
    run::Cause,
    trigger::{Trigger, TriggerContext},
    zone::{Zone, Zones},
};
use tokio::{runtime::Handle, sync::broadcast::Receiver};

use super::*;
use crate::{
    clock::TestClock,
    shell::{Event, Host, HostParts},
};

/// Every run takes a second.
struct Seconds;

impl Executor for Seconds {
    fn execute(&self, _attempt: Attempt) -> PortFuture<'static, Report> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Report::without_guest(Outcome::succeeded(None))
        })
    }
}

fn start() -> DateTime<Utc> {
    "2027-01-15T08:00:00Z".parse().unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(seconds)
}

fn rel(at: DateTime<Utc>) -> i64 {
    (at - start()).num_seconds()
}

fn job() -> JobId {
    "a".parse().unwrap()
}

/// A job with a slot each five seconds, ever since.
fn definition(policy: Policy) -> Arc<Job> {
    let (zones, zone) = (Zones::bundled(), Zone::utc());
    let context = TriggerContext::new(&zones, &zone, "a");
    let node = parse(0, "{ cron: '*/5 * * * * *' }").0.unwrap();
    let trigger = Trigger::read(&node, context, &mut Diagnostics::default());
    let setup = Setup {
        plugin: "p".parse().unwrap(),
        call: None,
        args: Arguments::None,
        command: None,
        after: Vec::new(),
        pool: PoolName::default(),
        store: StoreName::default(),
        zone,
        policy,
        limits: Limits::default(),
        grants: Grants::default(),
        notify: Arc::default(),
        description: None,
        labels: BTreeMap::new(),
    };
    Arc::new(Job { id: job(), trigger, trigger_hash: 0, setup: Arc::new(setup) })
}

/// One life of a host.
struct Life {
    clock: Arc<TestClock>,
    ledger: Arc<dyn Ledger>,
    host: Host,
    operator: Operator,
    operating: Operating,
    events: Receiver<Event>,
}

impl Life {
    /// Begins at an instant with what is kept by then.
    async fn begin(ledger: &Arc<dyn Ledger>, seconds: i64, policy: Policy) -> Self {
        let clock = Arc::new(TestClock::starting_at(at(seconds)));
        let host = Host::start(HostParts {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ledger: Arc::clone(ledger),
            executor: Arc::new(Seconds),
            guests: Handle::current(),
            pools: [(PoolName::default(), NonZeroU32::new(8).unwrap())].into(),
        });
        let events = host.bus().listen();
        begin(&**ledger, &host.handle(), None).await.unwrap();
        host.take_in(vec![definition(policy)]).await.unwrap();
        let parts = OperateParts {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ledger: Arc::clone(ledger),
            host: host.handle(),
        };
        let (operator, operating) = start_tasks(parts);
        Self { clock, ledger: Arc::clone(ledger), host, operator, operating, events }
    }

    async fn end(self) {
        self.operating.end().await;
        // Its ledger stays open for the next one.
        drop(self.host.drain(Duration::ZERO, std::future::ready(())).await);
    }

    async fn reaches(&self, seconds: i64) {
        let left = at(seconds).signed_duration_since(self.clock.now()).to_std().unwrap();
        // Half a step beyond, so that what is due then has happened.
        tokio::time::sleep(left + Duration::from_millis(500)).await;
    }

    fn note(&self, note: &str, until: Option<i64>) -> PauseNote {
        let (note, by) = (Some(note.to_owned()), Some("ann".to_owned()));
        PauseNote { note, until: until.map(at), by, at: self.clock.now() }
    }

    async fn pause(&self, whose: Whose, note: &str, until: Option<i64>) {
        self.operator.pauses.pause(whose, self.note(note, until)).await.unwrap();
    }

    async fn is_paused(&self) -> bool {
        self.ledger.load().await.unwrap().jobs[0].state.paused
    }

    async fn is_noted(&self, whose: &Whose) -> bool {
        Pauses::of(&*self.ledger, whose).await.unwrap().is_some()
    }

    /// The slots of runs that have begun, and those that were skipped as paused.
    async fn told(&self) -> (Vec<i64>, Vec<(i64, i64)>) {
        let mut rows = self.ledger.runs(RunFilter::default()).await.unwrap();
        rows.retain(|row| row.run.scheduled_for <= self.clock.now());
        let mut runs: Vec<_> = rows.iter().map(|row| rel(row.run.scheduled_for)).collect();
        runs.sort_unstable();
        let mut skips = self.ledger.skips(SkipFilter::default()).await.unwrap();
        skips.retain(|skip| skip.reason.as_str() == "paused");
        let mut skips: Vec<_> = skips.iter().map(|skip| (rel(skip.first), rel(skip.last))).collect();
        skips.sort_unstable();
        (runs, skips)
    }

    /// What was told of pauses since it was asked last.
    fn pauses_told(&mut self) -> Vec<String> {
        let told = |asker: crate::shell::Asker| {
            let (note, by) = (asker.note.unwrap_or_default(), asker.by.unwrap_or_default());
            format!("{note} until {:?} by {by}", asker.until.map(rel))
        };
        let by = |by: Option<Arc<str>>| by.unwrap_or_else(|| "nobody".into());
        let events = std::iter::from_fn(|| self.events.try_recv().ok());
        let lines = events.filter_map(|event| match event {
            Event::Paused { asker } => Some(format!("all paused: {}", told(asker))),
            Event::Resumed { by: who } => Some(format!("all resumed by {}", by(who))),
            Event::JobPaused { asker, .. } => Some(format!("paused: {}", told(asker))),
            Event::JobResumed { by: who, .. } => Some(format!("resumed by {}", by(who))),
            _ => None,
        });
        lines.collect()
    }

    fn wanted(&self, from: i64, to: i64) -> Wanted {
        Wanted { job: job(), from: at(from), to: at(to), max: None, at_once: 1, again: false, by: None }
    }

    /// The slots of all runs of backfills.
    async fn made_up(&self) -> Vec<i64> {
        let rows = self.ledger.runs(RunFilter::default()).await.unwrap();
        let rows = rows.iter().filter(|row| row.run.cause == Cause::Backfill);
        let mut slots: Vec<_> = rows.map(|row| rel(row.run.scheduled_for)).collect();
        slots.sort_unstable();
        slots
    }

    async fn waits_for_backfills(&self) {
        loop {
            let all = Backfills::list(&*self.ledger).await.unwrap();
            if all.iter().all(|backfill| backfill.state == "done") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn start_tasks(parts: OperateParts) -> (Operator, Operating) {
    super::start(parts, Ending::new(Duration::ZERO), &Handle::current())
}

fn ledger() -> Arc<dyn Ledger> {
    Arc::new(MemoryLedger::default())
}

/// What each slot of a backlog gets a run by.
fn all() -> Policy {
    Policy { coalesce: Coalesce::All, max_instances: NonZeroU32::new(9).unwrap(), ..Policy::default() }
}

#[tokio::test(start_paused = true)]
async fn a_slot_at_the_end_of_a_pause_is_not_of_the_pause() {
    for whose in [Whose::Job(job()), Whose::All] {
        let life = Life::begin(&ledger(), 1, all()).await;
        life.reaches(6).await;
        life.pause(whose.clone(), "for a while", Some(20)).await;
        life.reaches(26).await;
        assert_eq!(life.told().await, (vec![5, 20, 25], vec![(10, 15)]), "{whose:?}");
        assert!(!life.is_noted(&whose).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_ended_while_the_host_was_down_ended_then() {
    for whose in [Whose::Job(job()), Whose::All] {
        let ledger = ledger();
        let life = Life::begin(&ledger, 1, all()).await;
        life.reaches(6).await;
        life.pause(whose.clone(), "for a while", Some(17)).await;
        life.end().await;
        let life = Life::begin(&ledger, 28, all()).await;
        life.reaches(31).await;
        assert_eq!(life.told().await, (vec![5, 20, 25, 30], vec![(10, 15)]), "{whose:?}");
        assert!(!life.is_noted(&whose).await);
    }
}

/// Whoever asks at the same time as others: what is so then is what one of the orders gives, as a whole.
#[tokio::test(start_paused = true)]
async fn a_pause_has_its_note_and_what_goes_on_has_none_whoever_else_asks() {
    let life = Life::begin(&ledger(), 1, all()).await;
    for whose in [Whose::Job(job()), Whose::All] {
        for _ in 0..20 {
            let resume = || life.operator.pauses.resume(whose.clone(), ResumeFrom::Now, None);
            let (first, second) = tokio::join!(resume(), async {
                life.pause(whose.clone(), "until then", Some(3_600)).await;
                resume().await?;
                life.operator.pauses.pause(whose.clone(), life.note("and again", Some(3_600))).await
            });
            first.and(second).unwrap();
            assert_eq!(life.is_paused().await, life.is_noted(&whose).await, "{whose:?}");
        }
        life.operator.pauses.resume(whose.clone(), ResumeFrom::Now, None).await.unwrap();
        assert!(!life.is_paused().await && !life.is_noted(&whose).await, "{whose:?}");
    }
}

/// A crash between the two writes of a pause, or between those of its end, leaves a note without a pause.
#[tokio::test(start_paused = true)]
async fn a_note_without_a_pause_is_forgotten_and_that_of_all_is_one() {
    let ledger = ledger();
    let life = Life::begin(&ledger, 1, all()).await;
    let notes = [Whose::Job(job()), Whose::All].map(|whose| {
        let note = life.note("half of it", Some(17)).document(&whose);
        Change::Document(Arc::new(note))
    });
    life.end().await;
    let [of_job, of_all] = notes;
    ledger.commit(vec![of_job]).await.unwrap();
    let life = Life::begin(&ledger, 2, all()).await;
    life.reaches(3).await;
    assert!(!life.is_paused().await);
    assert_eq!(ledger.documents(DocumentKind::Pause).await.unwrap(), []);
    life.end().await;
    ledger.commit(vec![of_all]).await.unwrap();
    let mut life = Life::begin(&ledger, 4, all()).await;
    life.reaches(11).await;
    assert!(life.is_paused().await, "the whole host is paused");
    assert_eq!(life.pauses_told(), ["all paused: half of it until Some(17) by ann"]);
    life.reaches(17).await;
    assert!(!life.is_paused().await, "until then");
}

#[tokio::test(start_paused = true)]
async fn who_paused_is_told_once_and_each_change_of_it() {
    let mut life = Life::begin(&ledger(), 1, all()).await;
    life.reaches(1).await;
    life.pause(Whose::Job(job()), "why", None).await;
    life.pause(Whose::Job(job()), "why", None).await;
    life.pause(Whose::Job(job()), "why", Some(8)).await;
    life.reaches(9).await;
    life.pause(Whose::All, "all", None).await;
    life.pause(Whose::All, "of them", None).await;
    life.operator.pauses.resume(Whose::All, ResumeFrom::Now, Some("bob".to_owned())).await.unwrap();
    let told = life.pauses_told();
    let expected = [
        "paused: why until None by ann",
        "paused: why until Some(8) by ann",
        "resumed by nobody",
        "all paused: all until None by ann",
        "all paused: of them until None by ann",
        "all resumed by bob",
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn two_backfills_of_one_range_make_up_for_each_slot_once() {
    let life = Life::begin(&ledger(), 1, all()).await;
    let begin = |id: &str| life.operator.backfills.begin(id.to_owned(), life.wanted(-50, 0));
    let (first, second) = tokio::join!(begin("1"), begin("2"));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(((first.slots, first.left_out), (second.slots, second.left_out)), ((10, 0), (0, 10)));
    life.waits_for_backfills().await;
    assert_eq!(life.made_up().await, (-10..0).map(|n| 5 * n).collect::<Vec<_>>());
}

/// Of a slot that got a run after it was planned no second one is made.
#[tokio::test(start_paused = true)]
async fn a_backfill_leaves_alone_what_has_got_a_run_meanwhile() {
    let life = Life::begin(&ledger(), 1, all()).await;
    life.operator.backfills.begin("1".to_owned(), life.wanted(-50, 0)).await.unwrap();
    let again = Wanted { again: true, ..life.wanted(-5, 0) };
    life.operator.backfills.begin("2".to_owned(), again).await.unwrap();
    life.waits_for_backfills().await;
    assert_eq!(life.made_up().await, (-10..0).map(|n| 5 * n).collect::<Vec<_>>());
    let all = Backfills::list(&*life.ledger).await.unwrap();
    let first = all.iter().find(|backfill| backfill.id == "1").unwrap();
    assert_eq!((first.succeeded, first.skipped, first.settled), (9, 1, 10));
}

#[tokio::test(start_paused = true)]
async fn a_range_is_made_up_for_in_parts() {
    let life = Life::begin(&ledger(), 1, all()).await;
    for (id, slots) in [("1", [-50, -45]), ("2", [-40, -35]), ("3", [-30, -25])] {
        let part = Wanted { max: Some(2), ..life.wanted(-50, 0) };
        let begun = life.operator.backfills.begin(id.to_owned(), part).await.unwrap();
        assert_eq!(begun.cursor, Some(crate::cli::rfc3339(at(slots[0]))));
        life.waits_for_backfills().await;
        assert!(life.made_up().await.ends_with(&slots), "{id}: {:?}", life.made_up().await);
    }
    // A week of minutes is the most, and what is left out does not count.
    let long = life.operator.backfills.plan(life.wanted(-50_035, 0)).await;
    assert!(matches!(long, Err(BackfillError::Range(RangeError::TooMany))), "{long:?}");
    let left = life.operator.backfills.plan(life.wanted(-50_030, 0)).await.unwrap();
    assert_eq!((left.slots, left.left_out), (10_000, 6));
}

/// What became of the runs of a backfill is known from their rows; so they stay until it has ended, also over a restart.
#[tokio::test(start_paused = true)]
async fn history_that_a_backfill_counts_on_is_not_pruned() {
    let ledger = ledger();
    let policy = || Policy { keep: Keep { n_max: NonZeroU32::MIN, ..Keep::default() }, ..all() };
    let life = Life::begin(&ledger, 1, policy()).await;
    life.operator.backfills.begin("1".to_owned(), life.wanted(-500, 0)).await.unwrap();
    life.reaches(21).await;
    let n_before = life.made_up().await.len();
    assert!(18 <= n_before, "{n_before} runs are kept");
    life.end().await;
    let life = Life::begin(&ledger, 31, policy()).await;
    life.waits_for_backfills().await;
    assert_eq!(life.made_up().await.len(), 100, "each slot once");
    life.reaches(300).await;
    assert!(life.made_up().await.len() <= 1, "it is pruned then");
}
