//! The rows of documents and of events.

use clockjack_schedule::ports::{Document, DocumentKind, EventBatch, EventMark};

use super::value::{Fields, Undecodable, Value, seal};

/// Adds the row of a document.
pub(crate) fn document_values(values: &mut Vec<Value>, document: &Document) {
    let start = values.len();
    document_key(values, document.kind, &document.key);
    values.extend([document.revision.into(), document.at.into(), (&*document.text).into()]);
    seal(values, start);
}

/// Adds what tells a document from all others.
pub(crate) fn document_key(values: &mut Vec<Value>, kind: DocumentKind, key: &str) {
    values.extend([kind.as_str().into(), key.into()]);
}

/// Reads what [`document_values`] wrote.
pub(crate) fn read_document(values: Vec<Value>) -> Result<Document, Undecodable> {
    let mut fields = Fields::sealed(values)?;
    let kind = fields.text()?;
    let known = DocumentKind::ALL.into_iter().find(|known| known.as_str() == kind);
    Ok(Document {
        kind: known.ok_or_else(|| Undecodable(format!("there are no documents of the kind `{kind}`")))?,
        key: fields.text()?.into(),
        revision: fields.u64()?,
        at: fields.at()?,
        text: fields.text()?.into(),
    })
}

/// Adds the row of a batch of events.
pub(crate) fn event_values(values: &mut Vec<Value>, batch: &EventBatch) {
    let start = values.len();
    values.extend([batch.last.into(), batch.first.into(), batch.at.into(), (&*batch.text).into()]);
    seal(values, start);
}

/// Reads what [`event_values`] wrote.
pub(crate) fn read_events(values: Vec<Value>) -> Result<EventBatch, Undecodable> {
    let mut fields = Fields::sealed(values)?;
    let (last, first) = (fields.u64()?, fields.u64()?);
    Ok(EventBatch { first, last, at: fields.at()?, text: fields.text()?.into() })
}

/// Reads the number and the instant of a batch, and how long it is.
pub(crate) fn read_event_mark(values: Vec<Value>) -> Result<EventMark, Undecodable> {
    let mut fields = Fields::new(values);
    Ok(EventMark { last: fields.u64()?, at: fields.at()?, n_bytes: fields.u64()? })
}
