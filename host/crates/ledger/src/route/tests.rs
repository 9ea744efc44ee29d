//! Several stores keep the contract that each of them keeps.

use clockjack_schedule::{outcome::OutcomeCode, run::Run};

use super::*;
use crate::{
    MemoryLedger, Owner, SqliteLedger, SqliteOptions,
    contract::{self, again, at, claim, finish, job, plan, refinement, run, state},
    faulty::{Fault, FaultyLedger},
};

fn name(text: &str) -> StoreName {
    text.parse().unwrap()
}

fn homes(homes: &[(&str, &str)]) -> HashMap<JobId, StoreName> {
    homes.iter().map(|(id, store)| (job(id), name(store))).collect()
}

fn memories() -> Vec<(StoreName, Arc<dyn Ledger>)> {
    ["other", "default"].map(|text| (name(text), Arc::new(MemoryLedger::default()) as Arc<dyn Ledger>)).to_vec()
}

async fn mixed(directory: &std::path::Path, number: usize) -> Stores {
    let owner = Owner { what: "the tests".to_owned(), since: at(0) };
    let options = SqliteOptions { owner, pages_max: None };
    let sqlite = SqliteLedger::open(&directory.join(format!("{number}.db")), options).await.unwrap();
    let memory: Arc<dyn Ledger> = Arc::new(MemoryLedger::default());
    let ledgers = vec![(name("default"), memory), (name("disk"), Arc::new(sqlite) as Arc<dyn Ledger>)];
    Stores::new(ledgers, &homes(&[("b", "disk"), ("c", "disk")])).unwrap()
}

#[tokio::test]
async fn several_stores_keep_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    contract::check(|| {
        number.set(number.get() + 1);
        let (path, number) = (directory.path().to_owned(), number.get());
        Box::pin(async move { Arc::new(mixed(&path, number).await) as Arc<dyn Ledger> })
    })
    .await;
}

#[tokio::test]
async fn one_store_keeps_the_contract() {
    let open = || {
        let ledgers = vec![(name("only"), Arc::new(MemoryLedger::default()) as Arc<dyn Ledger>)];
        Arc::new(Stores::new(ledgers, &HashMap::new()).unwrap()) as Arc<dyn Ledger>
    };
    contract::check(|| Box::pin(std::future::ready(open()))).await;
}

#[tokio::test]
async fn each_job_lives_in_its_store() {
    let ledgers = memories();
    let (other, default) = (Arc::clone(&ledgers[0].1), Arc::clone(&ledgers[1].1));
    let stores = Stores::new(ledgers, &homes(&[("a", "other")])).unwrap();
    stores.commit(vec![plan(&run("a", 0)), plan(&run("b", 0)), Change::Watermark(at(5))]).await.unwrap();
    for (ledger, id) in [(other, "a"), (default, "b")] {
        let rows = ledger.runs(RunFilter::default()).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.run.job.as_str()).collect::<Vec<_>>(), [id]);
        assert_eq!(ledger.load().await.unwrap().watermark, Some(at(5)), "the watermark is everybody's");
    }
    let unknown = stores.assign(&homes(&[("a", "nowhere")])).await.unwrap_err();
    assert_eq!(unknown.to_string(), "job `a` names the store `nowhere`, which is not among `stores:`");
}

#[tokio::test]
async fn code_is_recorded_in_the_default_store_alone() {
    let ledgers = memories();
    let stores = Stores::new(ledgers.clone(), &homes(&[("a", "other")])).unwrap();
    let row = contract::generation("a", 1, 0);
    let changes = vec![plan(&run("a", 0)), Change::Generation(Arc::new(row.clone())), plan(&run("b", 0))];
    stores.commit(changes).await.unwrap();
    assert_eq!(stores.generations().await.unwrap(), std::slice::from_ref(&row));
    assert_eq!(ledgers[0].1.generations().await.unwrap(), []);
    assert_eq!(ledgers[1].1.generations().await.unwrap(), [row]);
}

#[tokio::test]
async fn the_runs_of_chains_are_durable_before_the_ends_that_they_follow() {
    let ledgers = memories();
    let (other, default) = (Arc::clone(&ledgers[0].1), Arc::clone(&ledgers[1].1));
    // The second store fails at once: the end cannot have reached the first one.
    let faulty = FaultyLedger::new(Arc::clone(&default), [(1, Fault::Unavailable { n_commits: 1 })]);
    let ledgers = vec![ledgers[0].clone(), (name("default"), Arc::new(faulty) as Arc<dyn Ledger>)];
    let stores = Stores::new(ledgers, &homes(&[("up", "other")])).unwrap();
    let (upstream, follower) = (run("up", 0), run("down", 1));
    let follower = Arc::new(Run { cause: Cause::Upstream(job("up")), ..Run::clone(&follower) });
    other.commit(vec![plan(&upstream)]).await.unwrap();
    let batch = vec![finish(&upstream, OutcomeCode::Succeeded), plan(&follower)];
    stores.commit(batch.clone()).await.unwrap_err();
    assert_eq!(other.run(upstream.id).await.unwrap().unwrap().row.finish(), None, "its follower would be lost");
    assert_eq!(stores.commit(batch).await.unwrap().n_stale, 0, "the same batch may be repeated");
    assert!(default.run(follower.id).await.unwrap().is_some());
    assert!(other.run(upstream.id).await.unwrap().unwrap().row.finish().is_some());
}

#[tokio::test]
async fn a_slot_may_be_taken_back_and_planned_anew_in_one_batch() {
    let stores = Stores::new(memories(), &homes(&[("a", "other")])).unwrap();
    let slot = run("a", 0);
    stores.commit(vec![plan(&slot)]).await.unwrap();
    stores.commit(vec![contract::take_back(&slot), plan(&slot), plan(&run("b", 0))]).await.unwrap();
    assert!(stores.run(slot.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_job_that_moves_ends_its_runs_where_they_are() {
    let ledgers = memories();
    let other = Arc::clone(&ledgers[0].1);
    let stores = Stores::new(ledgers.clone(), &homes(&[("a", "other")])).unwrap();
    let runs = [0, 1, 2].map(|seconds| run("a", seconds));
    let plans = runs.iter().map(plan).chain([Change::Job(state("a", 0)), Change::Watermark(at(2))]);
    stores.commit(plans.collect()).await.unwrap();
    stores.assign(&homes(&[])).await.unwrap();
    let changes = vec![claim(&runs[0], 1, 0), finish(&runs[0], OutcomeCode::Succeeded), plan(&run("a", 3))];
    assert_eq!(stores.commit(changes).await.unwrap().n_stale, 0, "the end found its run");
    assert!(other.run(runs[0].id).await.unwrap().unwrap().row.finish().is_some());
    assert_eq!(stores.commit(vec![finish(&runs[0], OutcomeCode::Failed)]).await.unwrap().n_stale, 1);
    // After a restart it is found there too.
    let stores = Stores::new(ledgers, &HashMap::new()).unwrap();
    let loaded = stores.load().await.unwrap();
    assert_eq!(loaded.jobs[0].open.iter().map(|open| open.run.scheduled_for).collect::<Vec<_>>(), [1, 2, 3].map(at));
    assert_eq!(loaded.jobs[0].last_success, Some(at(0)));
    assert_eq!(stores.commit(vec![again(&runs[1], OutcomeCode::Failed, 1)]).await.unwrap().n_stale, 0);
    let skip = runs[2].skipped(clockjack_schedule::run::SkipReason::Removed, at(9));
    stores.commit(vec![Change::Skip(skip.clone())]).await.unwrap();
    assert_eq!(stores.run(runs[2].id).await.unwrap(), None);
    assert_eq!(stores.skips(SkipFilter::default()).await.unwrap(), [skip], "told once");
}

#[tokio::test]
async fn each_job_is_decided_as_far_as_its_store_says() {
    let ledgers = memories();
    let stores = Stores::new(ledgers.clone(), &homes(&[("a", "other")])).unwrap();
    stores
        .commit(vec![Change::Job(state("a", 0)), Change::Job(state("b", 0)), Change::Watermark(at(5))])
        .await
        .unwrap();
    // The host vanished after one of the two stores had the next watermark.
    ledgers[1].1.commit(vec![Change::Watermark(at(9))]).await.unwrap();
    let loaded = stores.load().await.unwrap();
    let decided: Vec<_> =
        loaded.jobs.iter().map(|row| row.state.decided_until.max(loaded.watermark.unwrap())).collect();
    assert_eq!(decided, [at(5), at(9)]);
}

#[tokio::test]
async fn several_stores_answer_as_the_model_does() {
    for seed in 1..=10 {
        println!("seed {seed}");
        let directory = tempfile::tempdir().unwrap();
        let stores = mixed(directory.path(), 1).await;
        let model = MemoryLedger::default();
        let mut dice = refinement::Dice::new(seed);
        for _ in 0..60 {
            let changes: Vec<_> = (0..1 + dice.below(9)).map(|_| dice.change()).collect();
            let (found, wanted) = (stores.commit(changes.clone()).await, model.commit(changes).await);
            let sorted = |mut committed: Committed| {
                committed.unclaimed.sort_unstable();
                committed.stale_states.sort_unstable();
                committed
            };
            assert_eq!(sorted(found.unwrap()), sorted(wanted.unwrap()), "seed {seed}");
        }
        let (found, wanted) = (refinement::seen(&stores).await, refinement::seen(&model).await);
        assert_eq!(
            (found.runs, found.stories, found.skips, found.generations),
            (wanted.runs, wanted.stories, wanted.skips, wanted.generations),
            "seed {seed}"
        );
    }
}
