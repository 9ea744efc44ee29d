//! The answers that were given to keys: a bounded number of them, of bounded size, for a bounded time. What is let go is told
//! as changes of the ledger, which keeps the same.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::{HeaderName, header};
use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::ports::{Change, Document, DocumentKind};
use serde_json::{Map, Value as Json, json};
use tokio::sync::OnceCell;

/// How long an answer is kept, and how many are.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
const ANSWERS_MAX: usize = 10_000;

/// How much all of them may say together. Beyond it the oldest lose what they said; that they were given stays known, so that
/// nothing happens twice.
const BYTES_MAX: usize = 16 << 20;

/// What a client goes on with is in these headers, beside the body.
pub(super) const HEADERS: [HeaderName; 4] = [header::CONTENT_TYPE, header::ETAG, header::LOCATION, header::RETRY_AFTER];

/// The answers that were given to keys.
#[derive(Default)]
pub struct Answers {
    /// Those of before the start are read when somebody first asks with a key.
    pub(super) is_read: OnceCell<()>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
pub(super) struct Kept {
    answers: HashMap<String, Answer>,
    by_age: BTreeSet<(DateTime<Utc>, String)>,
    /// Those of them that still say something, and how much that is together.
    with_body: BTreeSet<(DateTime<Utc>, String)>,
    n_bytes: usize,
    /// What the ledger has not been told yet.
    changes: Vec<Change>,
    /// The keys whose first request is still at work, and what that asked.
    pub(super) at_work: BTreeMap<String, String>,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// What was asked, as a hash.
    pub(super) asked: String,
    pub(super) status: u16,
    /// Those of [`HEADERS`] that it had.
    pub(super) headers: Vec<(HeaderName, String)>,
    /// Its text; none where that was too much to keep.
    pub(super) body: Option<Arc<str>>,
}

impl Answers {
    pub(super) fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// The answer that was given to a key, unless that is too long ago.
    pub(super) fn find(&mut self, key: &str, now: DateTime<Utc>) -> Option<&Answer> {
        self.let_go(now);
        self.answers.get(key)
    }

    /// Keeps an answer that was given now; gives what the ledger is to be told.
    pub(super) fn keep(&mut self, key: &str, answer: Answer, now: DateTime<Utc>) -> Vec<Change> {
        self.changes.push(Change::Document(Arc::new(answer.document(key, 1, now))));
        self.put(key.to_owned(), answer, now);
        self.let_go(now);
        mem::take(&mut self.changes)
    }

    /// Takes what the ledger has of before the start.
    pub(super) fn take_in(&mut self, documents: &[Document], now: DateTime<Utc>) {
        for document in documents {
            if let Some(answer) = Answer::of_document(document) {
                self.put(document.key.to_string(), answer, document.at);
            }
        }
        self.let_go(now);
    }

    fn put(&mut self, key: String, answer: Answer, at: DateTime<Utc>) {
        if let Some(body) = &answer.body {
            self.n_bytes += body.len();
            self.with_body.insert((at, key.clone()));
        }
        self.by_age.insert((at, key.clone()));
        self.answers.insert(key, answer);
    }

    /// Lets go of what is too old, and of the oldest of what is too much.
    fn let_go(&mut self, now: DateTime<Utc>) {
        let oldest = TimeDelta::from_std(KEPT_FOR).ok().and_then(|age| now.checked_sub_signed(age));
        while let Some((at, _)) = self.by_age.first()
            && (ANSWERS_MAX < self.by_age.len() || oldest.is_some_and(|oldest| *at < oldest))
        {
            let Some((at, key)) = self.by_age.pop_first() else { break };
            self.shorten(at, &key);
            self.answers.remove(&key);
            self.changes.push(Change::DocumentGone { kind: DocumentKind::Answer, key: key.into() });
        }
        while BYTES_MAX < self.n_bytes
            && let Some((at, key)) = self.with_body.first().cloned()
        {
            if let Some(short) = self.shorten(at, &key) {
                self.changes.push(Change::Document(Arc::new(short)));
            }
        }
    }

    /// Forgets what an answer said. It gives what is left of it.
    fn shorten(&mut self, at: DateTime<Utc>, key: &str) -> Option<Document> {
        self.with_body.remove(&(at, key.to_owned()));
        let answer = self.answers.get_mut(key)?;
        let n_bytes = answer.body.take().map_or(0, |body| body.len());
        self.n_bytes = self.n_bytes.saturating_sub(n_bytes);
        Some(answer.document(key, 2, at))
    }
}

impl Answer {
    fn document(&self, key: &str, revision: u64, at: DateTime<Utc>) -> Document {
        let Self { asked, status, headers, body } = self;
        let headers: Map<_, _> =
            headers.iter().map(|(name, value)| (name.to_string(), Json::from(value.as_str()))).collect();
        let text = json!({ "asked": asked, "status": status, "headers": headers, "body": body.as_deref() });
        Document { kind: DocumentKind::Answer, key: key.into(), revision, at, text: text.to_string().into() }
    }

    fn of_document(document: &Document) -> Option<Self> {
        let json: Json = serde_json::from_str(&document.text).ok()?;
        let value = |name: &HeaderName| json["headers"][name.as_str()].as_str().map(ToOwned::to_owned);
        Some(Self {
            asked: json["asked"].as_str()?.to_owned(),
            status: u16::try_from(json["status"].as_u64()?).ok()?,
            headers: HEADERS.into_iter().filter_map(|name| value(&name).map(|value| (name, value))).collect(),
            body: json["body"].as_str().map(Arc::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn answer(n_bytes: usize) -> Answer {
        let headers = vec![(header::ETAG, "\"7\"".to_owned()), (header::LOCATION, "/api/v1/jobs/a".to_owned())];
        Answer { asked: "hash".to_owned(), status: 201, headers, body: Some("x".repeat(n_bytes).into()) }
    }

    /// What a ledger that hears of changes has.
    fn apply(ledger: &mut BTreeMap<Arc<str>, Document>, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Document(document) => drop(ledger.insert(Arc::clone(&document.key), (*document).clone())),
                Change::DocumentGone { key, .. } => drop(ledger.remove(&key)),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_answer_counts_for_a_day_and_not_until_another_comes() {
        let (mut kept, mut ledger) = (Kept::default(), BTreeMap::new());
        apply(&mut ledger, kept.keep("a", answer(10), at(0)));
        assert_eq!(kept.find("a", at(86_400)), Some(&answer(10)));
        assert_eq!(kept.find("a", at(86_401)), None);
        assert_eq!(kept.n_bytes, 0);
        // Under the same key another one may be kept; what was before goes first.
        apply(&mut ledger, kept.keep("a", answer(20), at(86_402)));
        let documents: Vec<_> = ledger.values().cloned().collect();
        let mut later = Kept::default();
        later.take_in(&documents, at(86_403));
        assert_eq!(later.find("a", at(86_403)), Some(&answer(20)), "a restart forgets nothing of it");
        assert_eq!(later.find("a", at(200_000)), None);
    }

    #[test]
    fn many_large_answers_lose_what_they_said_and_are_known_all_the_same() {
        let (mut kept, mut ledger) = (Kept::default(), BTreeMap::new());
        let n_answers = i64::try_from(BYTES_MAX / (16 << 10)).unwrap() + 2;
        for n in 0..n_answers {
            apply(&mut ledger, kept.keep(&n.to_string(), answer(16 << 10), at(n)));
        }
        let first = Answer { body: None, ..answer(0) };
        let now = at(n_answers);
        assert_eq!(kept.find("0", now), Some(&first));
        assert_eq!(kept.n_bytes, BYTES_MAX);
        assert_eq!(kept.find("2", now), Some(&answer(16 << 10)));
        let documents: Vec<_> = ledger.values().cloned().collect();
        let mut later = Kept::default();
        later.take_in(&documents, now);
        assert_eq!(later.find("1", now), Some(&first));
        assert_eq!(later.n_bytes, BYTES_MAX);
    }

    #[test]
    fn the_oldest_of_too_many_goes() {
        let mut kept = Kept::default();
        let n_answers = i64::try_from(ANSWERS_MAX).unwrap();
        let gone: Vec<_> = (0..=n_answers)
            .flat_map(|n| kept.keep(&n.to_string(), answer(1), at(n / 1_000)))
            .filter(|change| matches!(change, Change::DocumentGone { key, .. } if &**key == "0"))
            .collect();
        assert_eq!((gone.len(), kept.answers.len(), kept.n_bytes), (1, ANSWERS_MAX, ANSWERS_MAX));
    }
}
