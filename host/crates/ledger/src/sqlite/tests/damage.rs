//! Broken disks and vanished processes: nothing that was acknowledged is lost without a word.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use clockjack_schedule::ports::{DocumentKind, JobFilter, RunFilter, SkipFilter};

use super::*;
use crate::contract::refinement::{Dice, Seen};

/// How many flips each file suffers.
const N_FLIPS: u64 = 100;

/// Everything, asked in every way, or the first refusal.
async fn read(path: &Path) -> Result<Seen, LedgerError> {
    let ledger = SqliteLedger::open(path, options()).await?;
    let loaded = ledger.load().await?;
    let jobs = ledger.jobs(JobFilter::default()).await?;
    let runs = ledger.runs(RunFilter::default()).await?;
    let mut stories = Vec::new();
    for row in &runs {
        let story = ledger.run(row.run.id).await?;
        stories.push(story.ok_or_else(|| LedgerError::Damaged("a listed run is gone".into()))?);
    }
    let skips = ledger.skips(SkipFilter::default()).await?;
    for id in ["a", "b", "c"] {
        let of_job = ledger.runs(RunFilter { job: Some(contract::job(id)), ..RunFilter::default() }).await?;
        let wanted: Vec<_> = runs.iter().filter(|row| row.run.job.as_str() == id).cloned().collect();
        assert_eq!(of_job, wanted, "both indexes tell the same");
        let of_job = ledger.skips(SkipFilter { job: Some(contract::job(id)), ..SkipFilter::default() }).await?;
        let wanted: Vec<_> = skips.iter().filter(|skip| skip.job.as_str() == id).cloned().collect();
        assert_eq!(of_job, wanted, "both indexes tell the same");
    }
    let mut states = Vec::new();
    for id in ["a", "b", "ba", "c"] {
        states.push(ledger.state(&contract::job(id)).await?);
    }
    let generations = ledger.generations().await?;
    let mut documents = Vec::new();
    for kind in DocumentKind::ALL {
        documents.append(&mut ledger.documents(kind).await?);
    }
    let events = ledger.events(0, 0).await?;
    Ok(Seen { loaded, jobs, runs, stories, skips, states, generations, documents, events })
}

/// Flips bytes of a copy, and gives what was read of it: the truth, or a refusal that names the file.
async fn flip(original: &Path, suffix: &str, truths: &[Seen]) {
    let (_directory, path) = place();
    let (mut n_refused, mut n_harmless, mut n_torn) = (0, 0, 0);
    for seed in 0..N_FLIPS {
        let mut dice = Dice::new(seed + 1);
        copy(original, &path);
        let flipped = PathBuf::from(format!("{}{suffix}", path.display()));
        let mut bytes = fs::read(&flipped).unwrap();
        let index = dice.below(bytes.len());
        bytes[index] ^= 1 << dice.below(8);
        fs::write(&flipped, bytes).unwrap();
        match read(&path).await {
            Ok(seen) if seen == truths[0] => n_harmless += 1,
            Ok(seen) => {
                assert!(truths.contains(&seen), "seed {seed}, byte {index} of `{suffix}`: something was lost");
                n_torn += 1;
            }
            Err(error @ (LedgerError::Damaged(_) | LedgerError::Refused(_))) => {
                assert!(error.to_string().contains("state.db"), "seed {seed}: {error}");
                n_refused += 1;
            }
            Err(error @ (LedgerError::Unavailable(_) | LedgerError::Failed(_))) => {
                panic!("seed {seed}, byte {index} of `{suffix}`: {error}")
            }
        }
    }
    println!("`{suffix}`: {n_refused} refused, {n_harmless} harmless, {n_torn} taken for a torn last transaction");
    assert!(N_FLIPS / 10 < n_refused, "many bytes matter: {n_refused}");
}

#[tokio::test]
async fn a_flipped_byte_of_the_file_is_harmless_or_told() {
    let (_directory, path) = place();
    let ledger = opened(&path).await;
    for batch in batches() {
        ledger.commit(batch).await.unwrap();
    }
    ledger.commit(generations()).await.unwrap();
    let truth = refinement::seen(&ledger).await;
    ledger.close().await.unwrap();
    drop(ledger);
    flip(&path, "", &[truth]).await;
}

/// The last transaction of a WAL cannot be told from a torn one, so here it is one whose loss shows: a watermark.
#[tokio::test]
async fn a_flipped_byte_of_the_wal_of_a_crash_is_harmless_or_told() {
    let (directory, path) = place();
    let ledger = opened(&path).await;
    for batch in batches() {
        ledger.commit(batch).await.unwrap();
    }
    let torn = refinement::seen(&ledger).await;
    ledger.commit(vec![Change::Watermark(at(1_000))]).await.unwrap();
    let truth = refinement::seen(&ledger).await;
    let crashed = directory.path().join("crashed.db");
    copy(&path, &crashed);
    flip(&crashed, "-wal", &[truth, torn]).await;
}

#[tokio::test]
async fn a_wal_that_ends_early_loses_the_last_transaction_at_most() {
    let (directory, path) = place();
    let ledger = opened(&path).await;
    for batch in batches() {
        ledger.commit(batch).await.unwrap();
    }
    let torn = refinement::seen(&ledger).await;
    ledger.commit(vec![Change::Watermark(at(1_000))]).await.unwrap();
    let crashed = directory.path().join("crashed.db");
    copy(&path, &crashed);
    let wal = PathBuf::from(format!("{}-wal", crashed.display()));
    let n_bytes = fs::metadata(&wal).unwrap().len();
    fs::OpenOptions::new().write(true).open(&wal).unwrap().set_len(n_bytes - 100).unwrap();
    assert_eq!(read(&crashed).await.unwrap(), torn, "a torn tail is what a crash leaves");
}

/// Copies the files at random moments while a writer works: what a kill leaves. Each batch that was acknowledged
/// before a copy began is in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_any_moment_has_every_acknowledged_batch() {
    const N_COPIES: usize = 40;
    let (directory, path) = place();
    let ledger = opened(&path).await;
    let n_acknowledged = Arc::new(AtomicUsize::new(0));
    let has_ended = Arc::new(AtomicUsize::new(0));
    let copies = {
        let (n_acknowledged, has_ended) = (Arc::clone(&n_acknowledged), Arc::clone(&has_ended));
        let directory = directory.path().to_owned();
        std::thread::spawn(move || {
            let copy_now = |number: usize| {
                let n_before = n_acknowledged.load(SeqCst);
                let to = directory.join(format!("copy-{number}.db"));
                // The file first: what a checkpoint moves into it later is still in the WAL then.
                copy(&path, &to);
                (to, n_before)
            };
            let copies: Vec<_> = (0..N_COPIES).map(copy_now).collect();
            has_ended.store(1, SeqCst);
            copies
        })
    };
    while has_ended.load(SeqCst) == 0 {
        let seconds = i64::try_from(n_acknowledged.load(SeqCst)).unwrap();
        let run = run("a", seconds);
        ledger.commit(vec![plan(&run), plan(&contract::run("b", seconds))]).await.unwrap();
        ledger.commit(vec![finish(&run, OutcomeCode::Failed)]).await.unwrap();
        n_acknowledged.fetch_add(1, SeqCst);
    }
    for (copy, n_before) in copies.join().unwrap() {
        let ledger = opened(&copy).await;
        let rows = ledger.runs(RunFilter::default()).await.unwrap();
        let n_ended = rows.iter().filter(|row| row.finish().is_some()).count();
        assert!(n_before <= n_ended && 2 * n_before <= rows.len(), "{n_before} acknowledged, {n_ended} there");
        assert_eq!(rows.len() % 2, 0, "a batch is there as a whole or not at all");
    }
}
