//! The journal over a ledger: numbers, replay, gaps, readers that do not read, crashes.

use std::{collections::BTreeSet, time::Duration};

use clockjack_ledger::{
    MemoryLedger,
    faulty::{Fault, FaultyLedger},
};
use clockjack_schedule::{
    id::{JobId, RunId},
    outcome::Outcome,
    ports::{Change, EventBatch, Finish, Report},
    run::{Cause, Run},
};
use serde_json::Value as Json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::writer::JUMP;
use super::*;
use crate::{clock::TestClock, shell::Event};

/// One life of a journal.
struct Life {
    journal: Journal,
    ledger: Arc<dyn Ledger>,
    stop: CancellationToken,
    writer: JoinHandle<()>,
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the writer of a test")]
fn life(ledger: &Arc<dyn Ledger>, at: DateTime<Utc>) -> Life {
    let journal = Journal::new(Arc::new(TestClock::starting_at(at)));
    let stop = CancellationToken::new();
    journal.tell(Told::of(&Event::Started, at).unwrap());
    let writer = Writer::new(journal.clone(), Arc::clone(ledger), stop.clone());
    Life { journal, ledger: Arc::clone(ledger), stop, writer: tokio::spawn(writer.work()) }
}

impl Life {
    fn tell(&self, event: &Event) {
        self.journal.tell(Told::of(event, self.journal.now()).unwrap());
    }

    fn tell_removed(&self, names: impl IntoIterator<Item = String>) {
        names.into_iter().for_each(|name| self.tell(&Event::JobRemoved(name.parse().unwrap())));
    }

    async fn end(self) {
        self.tell(&Event::Stopped);
        self.stop.cancel();
        self.writer.await.unwrap();
    }

    /// The writer has written everything.
    async fn settle(&self) {
        let newest = self.journal.opened().await;
        loop {
            let last = self.ledger.event_marks().await.unwrap().last().map_or(0, |mark| mark.last);
            if newest <= last {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn reader(&self, after: u64) -> Reader {
        self.journal.reader(Arc::clone(&self.ledger), EventFilter::default(), after)
    }
}

async fn kept(mut reader: Reader) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Some(next) = reader.kept().await.unwrap() {
        seen.push(next);
    }
    seen
}

fn words(seen: &[Seen]) -> Vec<String> {
    let word = |seen: &Seen| match seen {
        Seen::Event(line) => {
            let json: Json = serde_json::from_str(&line.text).unwrap();
            assert_eq!((json["id"].as_u64(), json["type"].as_str()), (Some(line.id), Some(&*line.kind)));
            format!("{} {} {}", line.id, line.kind, json["job"].as_str().unwrap_or("-"))
        }
        Seen::Gap { first } => format!("gap {first}"),
        Seen::Ended => "ended".to_owned(),
        Seen::Dropped => "dropped".to_owned(),
    };
    seen.iter().map(word).collect()
}

fn run(job: &str, seconds: i64) -> Arc<Run> {
    let job: JobId = job.parse().unwrap();
    let at = start() + chrono::TimeDelta::seconds(seconds);
    Arc::new(Run {
        id: RunId::of_slot(&job, at),
        job,
        scheduled_for: at,
        due_at: at,
        cause: Cause::Schedule,
        payload: None,
    })
}

fn finish(run: &Run) -> Arc<Finish> {
    Arc::new(Finish {
        run: run.id,
        job: run.job.clone(),
        started_at: Some(run.due_at),
        finished_at: run.due_at,
        duration: Duration::from_millis(5),
        n_attempts: 1,
        report: Report::without_guest(Outcome::succeeded(None)),
        state: None,
    })
}

fn memory() -> Arc<dyn Ledger> {
    Arc::new(MemoryLedger::default())
}

#[tokio::test(start_paused = true)]
async fn numbers_go_on_over_a_restart_and_nothing_is_read_twice() {
    let ledger = memory();
    let first = life(&ledger, start());
    first.tell_removed(["a".to_owned(), "b".to_owned()]);
    first.end().await;
    let second = life(&ledger, start());
    second.tell_removed(["c".to_owned()]);
    let expected = [
        "1 scheduler.started -",
        "2 job.removed a",
        "3 job.removed b",
        "4 scheduler.stopped -",
        "5 scheduler.started -",
        "6 job.removed c",
    ];
    assert_eq!(words(&kept(second.reader(0)).await), expected);
    second.settle().await;
    assert_eq!(words(&kept(second.reader(2)).await), expected[2..]);
    let of_b = EventFilter { job: Some("b".to_owned()), ..EventFilter::default() };
    let of_b = second.journal.reader(Arc::clone(&ledger), of_b, 0);
    assert_eq!(words(&kept(of_b).await), ["3 job.removed b"]);
    let kinds = EventFilter { kinds: vec!["scheduler.*".parse().unwrap()], ..EventFilter::default() };
    let of_host = second.journal.reader(Arc::clone(&ledger), kinds, 1);
    assert_eq!(words(&kept(of_host).await), ["4 scheduler.stopped -", "5 scheduler.started -"]);
}

/// From the ledger through what is on its way there to what is in the ring, and on with what comes.
#[tokio::test(start_paused = true)]
async fn a_reader_from_far_back_misses_nothing_and_goes_on_live() {
    let ledger = memory();
    let life = life(&ledger, start());
    life.journal.opened().await;
    let n_events = 2 * RING_MAX;
    for part in 0..8 {
        life.tell_removed((0..n_events / 8).map(|n| format!("j{part}-{n}")));
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let mut reader = life.reader(0);
    let mut ids = Vec::new();
    for _ in 0..=n_events {
        let Some(Seen::Event(line)) = reader.next().await.unwrap() else { panic!("after {:?}", ids.last()) };
        ids.push(line.id);
    }
    let expected: Vec<_> = (1..).take(n_events + 1).collect();
    assert_eq!(ids, expected);
    let waiting = tokio::time::timeout(Duration::from_secs(1), reader.next()).await;
    assert!(waiting.is_err(), "{waiting:?}");
    life.tell_removed(["new".to_owned()]);
    assert!(matches!(reader.next().await, Ok(Some(Seen::Event(line))) if line.text.contains("\"new\"")));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_is_dropped() {
    let ledger = memory();
    let life = life(&ledger, start());
    let newest = life.journal.opened().await;
    let mut reader = life.reader(newest);
    assert!(tokio::time::timeout(Duration::from_millis(10), reader.next()).await.is_err());
    life.tell_removed((0..RING_MAX + 1).map(|n| format!("j{n}")));
    assert_eq!(reader.next().await.unwrap(), Some(Seen::Dropped));
    assert_eq!(reader.next().await.unwrap(), None);
    assert_eq!(reader.after(), newest, "it may come back with the last number that it has");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kept_any_more_is_told_as_a_gap() {
    let ledger = memory();
    let first = life(&ledger, start());
    first.tell_removed(["a".to_owned(), "b".to_owned()]);
    first.settle().await;
    first.end().await;
    ledger.commit(vec![Change::EventsGone { until: 3 }]).await.unwrap();
    let second = life(&ledger, start());
    let expected = ["gap 4", "4 scheduler.stopped -", "5 scheduler.started -"];
    assert_eq!(words(&kept(second.reader(1)).await), expected);
    assert_eq!(words(&kept(second.reader(0)).await), expected[1..], "who wants all that there is misses nothing");
    assert_eq!(words(&kept(second.reader(3)).await), expected[1..]);
    assert_eq!(words(&kept(second.reader(99)).await), expected, "a number of another ledger");
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_kept_from_being_told_the_next_life_tells_once() {
    let ledger = memory();
    let runs = [run("told", 0), run("untold", 1), run("long-ago", -3_600)];
    for run in &runs {
        ledger.commit(vec![Change::Plan(Arc::clone(run)), Change::Finish(finish(run))]).await.unwrap();
    }
    let first = life(&ledger, start() + chrono::TimeDelta::seconds(1));
    first.tell(&Event::RunFinished { run: Arc::clone(&runs[0]), finish: finish(&runs[0]) });
    first.settle().await;
    first.writer.abort();
    let second = life(&ledger, start() + chrono::TimeDelta::seconds(60));
    second.settle().await;
    let seen = kept(second.reader(0)).await;
    let finished: Vec<_> = words(&seen).into_iter().filter(|word| word.contains("run.finished")).collect();
    let number = JUMP + 4;
    assert_eq!(finished, ["2 run.finished told".to_owned(), format!("{number} run.finished untold")]);
    let Some(Seen::Event(line)) = seen.last() else { panic!("{seen:?}") };
    assert!(line.text.contains("\"replayed\":true"), "{}", line.text);
    // A number that the life before may have given to somebody and not written leads on all the same.
    assert_eq!(words(&kept(second.reader(3)).await)[0], format!("{} scheduler.started -", JUMP + 3));
    second.end().await;
    let third = life(&ledger, start() + chrono::TimeDelta::seconds(120));
    third.settle().await;
    let ids: BTreeSet<_> =
        words(&kept(third.reader(0)).await).into_iter().filter(|word| word.contains("finished")).collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_ledger_could_not_take_is_counted_and_told() {
    let faulty = FaultyLedger::new(Arc::new(MemoryLedger::default()), [(1, Fault::Unavailable { n_commits: 2 })]);
    let ledger: Arc<dyn Ledger> = Arc::new(faulty);
    // From this commit on the ledger takes nothing, until the next two.
    drop(ledger.commit(vec![Change::Watermark(start())]).await);
    let life = life(&ledger, start());
    life.journal.opened().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    life.tell_removed((0..2 * RING_MAX).map(|n| format!("j{n}")));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(ledger.event_marks().await.unwrap().is_empty());
    drop(ledger.commit(vec![Change::Watermark(start())]).await);
    ledger.commit(vec![Change::Watermark(start())]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let filter = EventFilter { kinds: vec!["events.lost".parse().unwrap()], ..EventFilter::default() };
    let lost = kept(life.journal.reader(Arc::clone(&ledger), filter, 0)).await;
    let [Seen::Event(line)] = lost.as_slice() else { panic!("{lost:?}") };
    let json: Json = serde_json::from_str(&line.text).unwrap();
    // What the ring has no room for any more was not taken in time.
    let (first, last) = (json["first"].as_u64().unwrap(), json["last"].as_u64().unwrap());
    assert_eq!((first, last), (2, u64::try_from(RING_MAX).unwrap() + 1));
}

/// Under load the journal keeps what became of runs and not that they waited and began; live readers see both.
#[tokio::test(start_paused = true)]
async fn under_load_only_ends_are_kept() {
    let ledger = memory();
    let life = life(&ledger, start());
    life.settle().await;
    let mut live = life.reader(1);
    for n in 0..1_000 {
        let run = run("busy", n);
        life.journal.tell(Told::queued(&run, 1, life.journal.now()));
        life.tell(&Event::RunStarted { run: Arc::clone(&run), attempt: 1, generation: Some(1) });
        life.tell(&Event::RunFinished { finish: finish(&run), run });
    }
    for kind in ["run.queued", "run.started", "run.finished"] {
        assert!(matches!(live.next().await, Ok(Some(Seen::Event(line))) if &*line.kind == kind), "{kind}");
    }
    life.settle().await;
    let kept: Vec<EventBatch> = ledger.events(1, 0).await.unwrap();
    let lines: Vec<_> = kept.iter().flat_map(|batch| batch.text.lines()).collect();
    assert_eq!(lines.len(), 1_000);
    assert!(
        lines.iter().all(|line| line.contains("\"type\":\"run.finished\"") && line.contains("\"generation\":null"))
    );
}

/// What begins after a pause is told in full, however much there was before it.
#[tokio::test(start_paused = true)]
async fn a_pause_ends_the_load() {
    let ledger = memory();
    let life = life(&ledger, start());
    life.settle().await;
    assert!(life.journal.wants_starts(1) && !life.journal.wants_starts(1_000));
    for n in 0..1_000 {
        let run = run("busy", n);
        life.tell(&Event::RunFinished { finish: finish(&run), run });
    }
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(!life.journal.wants_starts(1), "it is busy");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(life.journal.wants_starts(1), "it was");
}

#[tokio::test(start_paused = true)]
async fn what_is_old_goes_and_the_newest_stays() {
    let ledger = memory();
    let first = life(&ledger, start());
    first.tell_removed(["a".to_owned()]);
    first.end().await;
    let later = start() + chrono::TimeDelta::days(8);
    let second = life(&ledger, later);
    second.settle().await;
    let expected = ["4 scheduler.started -"];
    assert_eq!(words(&kept(second.reader(0)).await), expected);
    second.end().await;
}

#[test]
fn there_are_so_many_seats() {
    let journal = Journal::new(Arc::new(TestClock::starting_at(start())));
    let mut seats: Vec<_> = (0..READERS_MAX).map(|_| journal.seat().unwrap()).collect();
    assert!(journal.seat().is_none());
    seats.pop();
    assert!(journal.seat().is_some());
}

/// The ends of some jobs in two lives, between which a crash lets numbers jump, with many other events between them.
#[tokio::test(start_paused = true)]
async fn the_last_events_that_fit_are_found_however_far_back_they_are() {
    let ledger = memory();
    let first = life(&ledger, start());
    for part in 0..4 {
        first.tell_removed([format!("rare{part}")]);
        first.tell_removed((0..500).map(|n| format!("often{n}")));
        first.settle().await;
    }
    // It ends in no order.
    first.stop.cancel();
    let second = life(&ledger, start() + chrono::TimeDelta::hours(1));
    second.journal.opened().await;
    second.tell_removed(["rare4".to_owned()]);
    second.settle().await;
    let read = async |filter: EventFilter, n: u64, bytes_max: u64| {
        let beginning = second.journal.look_back(&*ledger, &filter, n, bytes_max).await.unwrap();
        (beginning, words(&kept(second.journal.reader(Arc::clone(&ledger), filter, beginning.after)).await))
    };
    let of = |job: &str| EventFilter { job: Some(job.to_owned()), ..EventFilter::default() };
    let (beginning, found) = read(of("rare1"), 1, u64::MAX).await;
    assert_eq!((found.as_slice(), beginning.looked_back_to), (&["503 job.removed rare1".to_owned()][..], None));
    let (beginning, found) = read(of("rare1"), 2, u64::MAX).await;
    assert_eq!((found.len(), beginning.looked_back_to), (1, None), "there is no more, and that is known");
    let (beginning, found) = read(of("nobody"), 1, u64::MAX).await;
    assert_eq!((found.len(), beginning.after), (0, second.journal.newest().unwrap()));
    // Numbers that were left out count for nothing.
    let (_, found) = read(EventFilter::default(), 3, u64::MAX).await;
    let ends: Vec<_> = found.iter().map(|words| words.split(' ').skip(1).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(ends, ["job.removed often499", "scheduler.started -", "job.removed rare4"]);
    let since = EventFilter { since: Some(start() + chrono::TimeDelta::minutes(1)), ..EventFilter::default() };
    assert_eq!(read(since.clone(), 9, u64::MAX).await.1, found[1..]);
    assert_eq!(second.journal.since(&*ledger, since.since.unwrap()).await.unwrap(), 2005);
    // Where it would cost too much, it gives up and says so.
    let (beginning, found) = read(of("rare0"), 1, 1).await;
    assert!(found.is_empty() && beginning.looked_back_to.is_some_and(|first| 2 < first), "{beginning:?}");
}
