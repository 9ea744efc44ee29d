//! Books over ledgers that fail: what an attempt is told, and what is kept.

use clockjack_ledger::{
    MemoryLedger, contract,
    faulty::{Fault, FaultyLedger},
};
use clockjack_schedule::state::{Kept, Refusal};

use super::*;

struct World {
    ledger: Arc<dyn Ledger>,
    books: Books,
    flushes: mpsc::Receiver<Flush>,
    n_held: Arc<AtomicUsize>,
}

fn world(script: impl IntoIterator<Item = (u64, Fault)>) -> World {
    let ledger: Arc<dyn Ledger> = Arc::new(FaultyLedger::new(Arc::new(MemoryLedger::default()), script));
    let (tx, flushes) = mpsc::channel(FLUSHES_MAX);
    let n_held = Arc::default();
    World { books: Books::new(Arc::clone(&ledger), tx, Arc::clone(&n_held)), ledger, flushes, n_held }
}

fn job() -> JobId {
    "job".parse().unwrap()
}

impl World {
    async fn draft(&self) -> Draft {
        Draft::new(self.books.open(&job()).await.unwrap(), 1_000)
    }

    async fn kept(&self) -> Kept {
        self.ledger.state(&job()).await.unwrap()
    }

    /// Keeps drafts at the same time, with the recorder's part in one batch.
    async fn keep(&mut self, drafts: &[&Draft]) -> Vec<Result<(), KeepError>> {
        let waiting: Vec<_> = drafts.iter().map(|draft| self.books.keep(&job(), Draft::clone(draft))).collect();
        let mut flushes = Vec::new();
        self.flushes.recv_many(&mut flushes, FLUSHES_MAX).await;
        keep(&*self.ledger, flushes).await.unwrap();
        let mut answers = Vec::new();
        for waiting in waiting {
            answers.push(waiting.await);
        }
        answers
    }
}

fn set(draft: &mut Draft, key: &str) {
    let version = draft.get(key).unwrap().map(|entry| entry.version);
    draft.compare_and_set(key, version, key.as_bytes().to_vec()).unwrap();
}

#[tokio::test]
async fn there_is_one_book_while_anybody_uses_it() {
    let world = world([]);
    let first = world.books.open(&job()).await.unwrap();
    assert!(first.is(&world.books.open(&job()).await.unwrap()));
    let place = world.books.place(&job());
    drop(first);
    assert!(!place.lock().await.is_in_use(), "it goes with the last one");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_told_and_nothing_is_lost() {
    let mut world = world([(1, Fault::Unavailable { n_commits: 1 })]);
    let mut draft = world.draft().await;
    set(&mut draft, "k");
    let told = world.keep(&[&draft]).await;
    assert!(
        matches!(&told[..], [Err(KeepError::Unavailable(why))] if why.contains("cannot be written now")),
        "{told:?}"
    );
    assert_eq!(world.kept().await, Kept::default());
    assert_eq!(world.keep(&[&draft]).await, [Ok(())], "the same draft can be kept later");
    assert!(world.kept().await.entries.contains_key("k"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_got_lost_is_looked_up() {
    let mut world = world([(1, Fault::LostAnswer)]);
    let mut draft = world.draft().await;
    set(&mut draft, "k");
    assert_eq!(world.keep(&[&draft]).await, [Ok(())], "the ledger has it, so that is what is said");
    let mut next = world.draft().await;
    assert!(next.get("k").unwrap().is_some(), "the book has what the ledger has");
    set(&mut next, "l");
    assert_eq!(world.keep(&[&next]).await, [Ok(())]);
    assert_eq!(world.kept().await.entries.len(), 2, "no version was given twice");
}

#[tokio::test(start_paused = true)]
async fn of_two_in_one_batch_the_second_sees_the_first() {
    let mut world = world([]);
    let (mut first, mut second) = (world.draft().await, world.draft().await);
    set(&mut first, "k");
    set(&mut second, "k");
    let told = world.keep(&[&first, &second]).await;
    assert!(matches!(&told[..], [Ok(()), Err(KeepError::Refused(Refusal::Conflict { .. }))]), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_ledger_that_is_held_up() {
    let mut world = world([]);
    let mut draft = world.draft().await;
    set(&mut draft, "k");
    world.n_held.store(1, SeqCst);
    let told = world.books.keep(&job(), draft.clone()).await;
    assert_eq!(told, Err(KeepError::Unavailable("the ledger cannot be written now".to_owned())));
    // What was given up is not kept behind the attempt's back.
    world.n_held.store(0, SeqCst);
    let mut flushes = Vec::new();
    world.flushes.recv_many(&mut flushes, FLUSHES_MAX).await;
    keep(&*world.ledger, flushes).await.unwrap();
    assert_eq!(world.kept().await, Kept::default());
}

/// The end of an attempt that succeeded with a draft.
fn success(number: i64, draft: Draft) -> Finish {
    let run = contract::run("job", number);
    let mut finish = contract::end(&run, OutcomeCode::Succeeded, 1);
    finish.report.state = Some(Box::new(draft));
    finish
}

#[tokio::test]
async fn of_two_successes_that_met_the_second_one_has_failed() {
    let world = world([]);
    let (mut first, mut second) = (world.draft().await, world.draft().await);
    set(&mut first, "k");
    set(&mut second, "k");
    let (mut first, mut second) = (success(1, first), success(2, second));
    let settled = settle(&mut first).expect("there is something to keep");
    assert!(first.state.is_some() && first.report.state.is_none());
    assert!(settle(&mut second).is_none() && second.state.is_none());
    assert_eq!(second.report.outcome.code, OutcomeCode::Failed);
    assert!(
        second.report.outcome.message.contains("another run of the job wrote"),
        "{}",
        second.report.outcome.message
    );
    let reader = world.draft().await;
    assert_eq!(reader.get("k").unwrap(), None, "what is on its way is not seen yet");
    settled.conclude(&[]);
    assert!(reader.get("k").unwrap().is_some());
}

#[tokio::test]
async fn a_success_that_came_too_late_leaves_the_book_as_it_was() {
    let world = world([]);
    let mut late = world.draft().await;
    set(&mut late, "k");
    let mut late = success(1, late);
    let settled = settle(&mut late).expect("there is something to keep");
    settled.conclude(&[late.run]);
    assert_eq!(world.draft().await.get("k").unwrap(), None);
}
