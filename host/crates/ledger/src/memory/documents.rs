//! Documents and events, in memory.

use std::{collections::BTreeMap, sync::Arc};

use clockjack_schedule::ports::{Document, DocumentKind, EventBatch, EventMark};

/// Most bytes of events that are kept: what was told longest ago goes first.
const EVENT_BYTES_MAX: usize = 64 << 20;

/// Small texts by kind and key.
#[derive(Debug, Default)]
pub(super) struct Documents(BTreeMap<(DocumentKind, Arc<str>), Arc<Document>>);

impl Documents {
    pub(super) fn put(&mut self, document: Arc<Document>) {
        self.0.insert((document.kind, Arc::clone(&document.key)), document);
    }

    pub(super) fn remove(&mut self, kind: DocumentKind, key: Arc<str>) {
        self.0.remove(&(kind, key));
    }

    pub(super) fn of(&self, kind: DocumentKind) -> Vec<Document> {
        let own = self.0.values().filter(|document| document.kind == kind);
        own.map(|document| Document::clone(document)).collect()
    }
}

/// Events in batches.
#[derive(Debug, Default)]
pub(super) struct Events {
    batches: BTreeMap<u64, Arc<EventBatch>>,
    n_bytes: usize,
}

impl Events {
    pub(super) fn put(&mut self, batch: Arc<EventBatch>) {
        self.n_bytes += batch.text.len();
        if let Some(before) = self.batches.insert(batch.last, batch) {
            self.n_bytes -= before.text.len();
        }
        while EVENT_BYTES_MAX < self.n_bytes
            && let Some((_, oldest)) = self.batches.pop_first()
        {
            self.n_bytes -= oldest.text.len();
        }
    }

    pub(super) fn remove(&mut self, until: u64) {
        while let Some(oldest) = self.batches.first_entry().filter(|oldest| *oldest.key() <= until) {
            self.n_bytes -= oldest.remove().text.len();
        }
    }

    pub(super) fn after(&self, after: u64, n_max: usize) -> Vec<EventBatch> {
        let later = self.batches.range(after.saturating_add(1)..);
        later.take(super::bound(n_max)).map(|(_, batch)| EventBatch::clone(batch)).collect()
    }

    pub(super) fn marks(&self) -> Vec<EventMark> {
        let mark = |batch: &Arc<EventBatch>| EventMark {
            last: batch.last,
            at: batch.at,
            n_bytes: u64::try_from(batch.text.len()).unwrap_or(u64::MAX),
        };
        self.batches.values().map(mark).collect()
    }
}
