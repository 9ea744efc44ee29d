//! Notices and notes as documents of the ledger.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::JobId,
    ports::{Change, Document, DocumentKind, Ledger, LedgerError},
};
use serde_json::{Value as Json, json};
use tracing::{debug, error};

use super::{Notice, notes::Note, outbox::Parcel};

/// How many changes may wait for a ledger that cannot be written.
const UNKEPT_MAX: usize = 10_000;

/// What the ledger is still to keep, in order.
#[derive(Debug, Default)]
pub(super) struct Unkept {
    changes: Vec<Change>,
}

impl Unkept {
    pub(super) fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Has the ledger keep it. Where it cannot, that is tried again; deliveries go on.
    pub(super) async fn keep(&mut self, ledger: &dyn Ledger) {
        if self.changes.is_empty() {
            return;
        }
        match ledger.commit(self.changes.clone()).await {
            Ok(_) => self.changes.clear(),
            Err(LedgerError::Unavailable(why)) if self.changes.len() < UNKEPT_MAX => {
                debug!("what is to be told is not kept yet: {why}");
            }
            Err(error) => {
                error!("what is to be told is not kept, and would be lost with a crash: {error}");
                self.changes.clear();
            }
        }
    }
}

/// What the names of notes and of parcels begin with.
const NOTE: &str = "job/";
const PARCEL: &str = "send/";

/// Keeps a note.
pub(super) fn note(job: &JobId, note: &mut Note, at: DateTime<Utc>) -> Change {
    note.revision += 1;
    note.is_dirty = false;
    document(&format!("{NOTE}{job}"), note.revision, at, note.to_text())
}

/// Forgets what is known of a job.
pub(super) fn note_gone(job: &JobId) -> Change {
    gone(&format!("{NOTE}{job}"))
}

/// The name of a parcel: those of a host sort by the time at which they were put in.
pub(super) fn key(at: DateTime<Utc>, number: u64) -> Arc<str> {
    format!("{PARCEL}{:016}-{number:06}", at.timestamp_micros().max(0)).into()
}

/// Keeps a parcel.
pub(super) fn parcel(parcel: &Parcel) -> Change {
    let text = json!({ "channel": parcel.channel.as_str(), "notice": parcel.notice.to_json() });
    document(&parcel.key, 1, parcel.at, text.to_string().into())
}

/// Forgets a parcel.
pub(super) fn parcel_gone(parcel: &Parcel) -> Change {
    gone(&parcel.key)
}

fn document(key: &str, revision: u64, at: DateTime<Utc>, text: Arc<str>) -> Change {
    Change::Document(Arc::new(Document { kind: DocumentKind::Notice, key: key.into(), revision, at, text }))
}

fn gone(key: &str) -> Change {
    Change::DocumentGone { kind: DocumentKind::Notice, key: key.into() }
}

/// Reads what was kept: notes by job, and parcels in their order. What makes no sense is left out.
pub(super) fn read(documents: &[Document]) -> (HashMap<JobId, Note>, Vec<Parcel>) {
    let (mut notes, mut parcels) = (HashMap::new(), Vec::new());
    for document in documents {
        if let Some(job) = document.key.strip_prefix(NOTE) {
            let note = Note::from_text(&document.text, document.revision);
            notes.extend(job.parse().ok().zip(note));
        } else if document.key.starts_with(PARCEL) {
            parcels.extend(read_parcel(document));
        }
    }
    parcels.sort_by(|a, b| a.key.cmp(&b.key));
    (notes, parcels)
}

fn read_parcel(document: &Document) -> Option<Parcel> {
    let json: Json = serde_json::from_str(&document.text).ok()?;
    let notice = Notice::from_json(json.get("notice")?)?;
    let channel = json.get("channel")?.as_str()?.parse().ok()?;
    Some(Parcel { key: Arc::clone(&document.key), channel, notice: Arc::new(notice), at: document.at })
}
