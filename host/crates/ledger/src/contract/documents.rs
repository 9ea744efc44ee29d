//! Documents and events: the last word counts, in order, and apart from all else.

use std::sync::Arc;

use clockjack_schedule::ports::{Change, Document, DocumentKind, EventBatch, EventMark, Ledger};

use super::{Open, at, commit, plan, run, state};

pub(super) async fn check(open: &Open<'_>) {
    documents_are_told_by_key(open).await;
    the_last_version_of_a_document_counts(open).await;
    documents_and_events_belong_to_no_job(open).await;
    events_are_told_in_order_from_anywhere(open).await;
    old_events_go(open).await;
}

pub(super) fn document(kind: DocumentKind, key: &str, revision: u64) -> Document {
    let text = format!(r#"{{"revision":{revision},"text":"\u00fc ü \u0000"}}"#);
    Document { kind, key: key.into(), revision, at: at((revision % 1_000).cast_signed()), text: text.into() }
}

fn put(document: &Document) -> Change {
    Change::Document(Arc::new(document.clone()))
}

fn gone(kind: DocumentKind, key: &str) -> Change {
    Change::DocumentGone { kind, key: key.into() }
}

async fn documents(ledger: &dyn Ledger, kind: DocumentKind) -> Vec<Document> {
    ledger.documents(kind).await.expect("documents can be read")
}

async fn documents_are_told_by_key(open: &Open<'_>) {
    let ledger = open().await;
    for kind in DocumentKind::ALL {
        assert_eq!(documents(&*ledger, kind).await, [], "at first there are none");
    }
    let [b, a, other] = [("b", DocumentKind::Job), ("a", DocumentKind::Job), ("a", DocumentKind::Pause)]
        .map(|(key, kind)| document(kind, key, 1));
    commit(&*ledger, vec![put(&b), put(&other), put(&a)]).await;
    assert_eq!(documents(&*ledger, DocumentKind::Job).await, [a, b]);
    assert_eq!(documents(&*ledger, DocumentKind::Pause).await, [other]);
    assert_eq!(documents(&*ledger, DocumentKind::Host).await, []);
}

async fn the_last_version_of_a_document_counts(open: &Open<'_>) {
    let ledger = open().await;
    let [first, second, third] = [1, 2, u64::MAX >> 1]
        .map(|revision| Document { at: at(5), ..document(DocumentKind::Answer, "key with / and ü", revision) });
    commit(&*ledger, vec![put(&first), put(&second)]).await;
    assert_eq!(documents(&*ledger, DocumentKind::Answer).await, [second], "within a batch");
    commit(&*ledger, vec![put(&third)]).await;
    assert_eq!(documents(&*ledger, DocumentKind::Answer).await, std::slice::from_ref(&third));
    commit(&*ledger, vec![put(&first), gone(first.kind, &first.key)]).await;
    assert_eq!(documents(&*ledger, DocumentKind::Answer).await, [], "it came and went in one batch");
    commit(&*ledger, vec![gone(first.kind, &first.key), put(&third)]).await;
    assert_eq!(documents(&*ledger, DocumentKind::Answer).await, [third], "it went and came in one batch");
    commit(&*ledger, vec![gone(DocumentKind::Job, &first.key), gone(DocumentKind::Answer, "nobody")]).await;
    assert_eq!(documents(&*ledger, DocumentKind::Answer).await.len(), 1, "others stay");
}

async fn documents_and_events_belong_to_no_job(open: &Open<'_>) {
    let ledger = open().await;
    let (about, told) = (document(DocumentKind::Job, "a", 1), batch(1, 1));
    let changes = vec![Change::Job(state("a", 0)), plan(&run("a", 0)), put(&about), event(&told)];
    commit(&*ledger, changes).await;
    assert_eq!(ledger.load().await.expect("a ledger can be loaded").jobs.len(), 1, "the rest of the batch is kept");
    let keep =
        clockjack_schedule::ports::KeepOf { job: super::job("a"), since: at(1_000), n_max: std::num::NonZeroU32::MIN };
    ledger.prune(vec![keep], 100).await.expect("a ledger can be pruned");
    assert_eq!(documents(&*ledger, DocumentKind::Job).await, [about], "pruning is of the history of jobs");
    assert_eq!(events(&*ledger, 0, 0).await, [told]);
}

pub(super) fn batch(first: u64, last: u64) -> EventBatch {
    let text: String = (first..=last).map(|number| format!("{{\"id\":{number},\"text\":\"ü\"}}\n")).collect();
    EventBatch { first, last, at: at((last % 1_000).cast_signed()), text: text.into() }
}

fn event(batch: &EventBatch) -> Change {
    Change::Events(Arc::new(batch.clone()))
}

async fn events(ledger: &dyn Ledger, after: u64, n_max: usize) -> Vec<EventBatch> {
    ledger.events(after, n_max).await.expect("events can be read")
}

async fn marks(ledger: &dyn Ledger) -> Vec<EventMark> {
    ledger.event_marks().await.expect("events can be read")
}

async fn events_are_told_in_order_from_anywhere(open: &Open<'_>) {
    let ledger = open().await;
    assert_eq!(events(&*ledger, 0, 0).await, [], "at first there are none");
    let [one, two, three] = [batch(1, 4), batch(5, 9), batch(10, 100)];
    commit(&*ledger, vec![event(&two), event(&one)]).await;
    commit(&*ledger, vec![event(&three)]).await;
    let all = [one.clone(), two.clone(), three.clone()];
    assert_eq!(events(&*ledger, 0, 0).await, all);
    assert_eq!(events(&*ledger, 0, 2).await, all[..2], "a page");
    assert_eq!(events(&*ledger, 3, 0).await, all, "a batch of which a part is later");
    assert_eq!(events(&*ledger, 4, 1).await, all[1..2], "and one of which nothing is");
    assert_eq!(events(&*ledger, 100, 0).await, []);
    assert_eq!(events(&*ledger, u64::MAX >> 1, 0).await, []);
    let wanted = all.map(|batch| EventMark {
        last: batch.last,
        at: batch.at,
        n_bytes: u64::try_from(batch.text.len()).expect("a short text"),
    });
    assert_eq!(marks(&*ledger).await, wanted, "lengths are in bytes");
}

async fn old_events_go(open: &Open<'_>) {
    let ledger = open().await;
    let [one, two, three] = [batch(1, 4), batch(5, 9), batch(10, 11)];
    commit(&*ledger, vec![event(&one), event(&two), event(&three), Change::EventsGone { until: 8 }]).await;
    assert_eq!(events(&*ledger, 0, 0).await, [two.clone(), three.clone()], "what is not over stays");
    commit(&*ledger, vec![Change::EventsGone { until: 9 }, event(&one)]).await;
    assert_eq!(events(&*ledger, 0, 0).await, [one, three], "what comes after it in a batch stays");
    commit(&*ledger, vec![Change::EventsGone { until: 1_000 }]).await;
    assert_eq!((events(&*ledger, 0, 0).await, marks(&*ledger).await), (vec![], vec![]));
}
