//! What a running host was given beside its files: definitions of jobs, and plugins that were uploaded. The ledger keeps them
//! as documents.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use clockjack_sandbox::{LoadCode, LoadError};
use clockjack_schedule::{
    diagnostic::Source,
    id::{JobId, PluginName},
    ports::{Change, Document, DocumentKind},
};
use serde_json::{Value as Json, json};

/// The document that keeps the highest revision.
const REVISION: &str = "revision";

/// All that a host was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Jobs that were made through the API, whether or not they are in force.
    pub definitions: BTreeMap<JobId, Arc<Definition>>,
    /// Plugins that were uploaded.
    pub uploads: BTreeMap<PluginName, Arc<Upload>>,
    /// The highest revision that was ever given, whether or not what had it is still there.
    pub revision: u64,
}

/// Who wrote something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// When.
    pub at: DateTime<Utc>,
    /// Who: the name of a token, or `socket`.
    pub by: Arc<str>,
}

/// A job that was made through the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its id.
    pub job: JobId,
    /// Grows with each change, and never comes back: also one that is made anew under the same id goes on counting.
    pub revision: u64,
    /// What would stand under its id in a manifest, as JSON of several lines: findings name them.
    pub text: Arc<str>,
    /// Who made it.
    pub created: Written,
    /// Who changed it last.
    pub changed: Written,
}

/// A plugin that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its name.
    pub plugin: PluginName,
    /// Grows with each upload.
    pub revision: u64,
    /// Where its file is.
    pub file: PathBuf,
    /// SHA-256 of what was uploaded last, in hex.
    pub digest: Arc<str>,
    /// Who uploaded it last.
    pub uploaded: Written,
}

impl Given {
    /// What the ledger keeps. What cannot be read is logged and left where it is. `folder` is where uploads are.
    #[must_use]
    pub fn of_documents(documents: &[Document], folder: Option<&Path>) -> Self {
        let mut given = Self::default();
        for document in documents {
            given.revision = given.revision.max(revision_of(document));
            let is_read = match document.kind {
                DocumentKind::Job => Definition::of_document(document)
                    .map(|definition| given.definitions.insert(definition.job.clone(), definition.into()))
                    .is_some(),
                DocumentKind::Plugin => folder
                    .and_then(|folder| Upload::of_document(document, folder))
                    .map(|upload| given.uploads.insert(upload.plugin.clone(), upload.into()))
                    .is_some(),
                DocumentKind::Pause
                | DocumentKind::Host
                | DocumentKind::Backfill
                | DocumentKind::Notice
                | DocumentKind::Answer => true,
            };
            if !is_read {
                let (kind, key) = (document.kind.as_str(), &document.key);
                tracing::error!(kind, %key, "what the ledger keeps of it cannot be read, so it is left out");
            }
        }
        given
    }

    /// The first revision that may be given at an instant: one that nothing ever had, also where the clock was set back.
    #[must_use]
    pub fn next_revision(&self, now: DateTime<Utc>) -> u64 {
        u64::try_from(now.timestamp_millis()).unwrap_or_default().max(self.revision + 1)
    }

    /// What keeps the highest revision, for the commit of every change.
    #[must_use]
    pub fn revision_kept(&self, now: DateTime<Utc>) -> Change {
        let (kind, key, revision) = (DocumentKind::Host, REVISION.into(), self.revision);
        Change::Document(Arc::new(Document { kind, key, revision, at: now, text: "{}".into() }))
    }
}

/// The highest revision that a document knows of.
fn revision_of(document: &Document) -> u64 {
    match document.kind {
        DocumentKind::Job | DocumentKind::Plugin => document.revision,
        DocumentKind::Host if &*document.key == REVISION => document.revision,
        DocumentKind::Host
        | DocumentKind::Pause
        | DocumentKind::Backfill
        | DocumentKind::Notice
        | DocumentKind::Answer => 0,
    }
}

impl Definition {
    /// The same as the ledger keeps it.
    #[must_use]
    pub fn document(&self) -> Document {
        let text = json!({
            "job": self.json(),
            "created_at": self.created.at,
            "created_by": &*self.created.by,
            "changed_at": self.changed.at,
            "changed_by": &*self.changed.by,
        });
        Document {
            kind: DocumentKind::Job,
            key: self.job.as_str().into(),
            revision: self.revision,
            at: self.changed.at,
            text: text.to_string().into(),
        }
    }

    fn of_document(document: &Document) -> Option<Self> {
        let json: Json = serde_json::from_str(&document.text).ok()?;
        Some(Self {
            job: document.key.parse().ok()?,
            revision: document.revision,
            text: pretty(json.get("job")?),
            created: written(&json, "created")?,
            changed: written(&json, "changed")?,
        })
    }

    /// What would stand under its id in a manifest.
    #[must_use]
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The text that findings point into.
    pub(super) fn source(&self) -> Source {
        Source::new(format!("api:jobs/{}", self.job), Arc::clone(&self.text))
    }
}

impl Upload {
    /// The same as the ledger keeps it.
    #[must_use]
    pub fn document(&self) -> Document {
        let text = json!({
            "sha256": &*self.digest,
            "uploaded_at": self.uploaded.at,
            "uploaded_by": &*self.uploaded.by,
        });
        Document {
            kind: DocumentKind::Plugin,
            key: self.plugin.as_str().into(),
            revision: self.revision,
            at: self.uploaded.at,
            text: text.to_string().into(),
        }
    }

    fn of_document(document: &Document, folder: &Path) -> Option<Self> {
        let json: Json = serde_json::from_str(&document.text).ok()?;
        let plugin: PluginName = document.key.parse().ok()?;
        Some(Self {
            file: Self::place(folder, &plugin),
            plugin,
            revision: document.revision,
            digest: json.get("sha256")?.as_str()?.into(),
            uploaded: written(&json, "uploaded")?,
        })
    }

    /// Where its bytes wait until the ledger has it. Whatever comes between the two, the ledger says which bytes count.
    #[must_use]
    pub fn staged(&self) -> PathBuf {
        let mut path = self.file.clone().into_os_string();
        path.push(format!(".{}", self.digest));
        path.into()
    }

    /// Puts bytes that wait in their place. Whoever comes second finds that done.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn put_in_place(&self) -> io::Result<()> {
        match fs::rename(self.staged(), &self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.file.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all()),
        }
    }

    /// What is wrong with its file, where that has this digest.
    #[must_use]
    pub fn misfit(&self, digest: &str) -> Option<LoadError> {
        let Self { plugin, file, uploaded, .. } = self;
        (!self.digest.eq_ignore_ascii_case(digest)).then(|| LoadError {
            code: LoadCode::Digest,
            message: format!(
                "the SHA-256 of `{}` is {digest}, and what `{}` uploaded as `{plugin}` has {}",
                file.display(),
                uploaded.by,
                self.digest
            ),
            fix: format!("upload it again: `clockjack plugins upload {plugin} FILE`; nothing else changes that file"),
        })
    }

    /// Where the file of an uploaded plugin is. A name of a plugin is one step of a path.
    #[must_use]
    pub fn place(folder: &Path, plugin: &PluginName) -> PathBuf {
        folder.join(format!("{plugin}.wasm"))
    }

    /// Stands for it where something is said of it.
    pub(super) fn source(&self) -> Source {
        Source::new(format!("api:plugins/{}", self.plugin), "")
    }
}

/// JSON as definitions have it: each key on a line of its own.
#[must_use]
pub fn pretty(json: &Json) -> Arc<str> {
    format!("{json:#}").into()
}

fn written(json: &Json, what: &str) -> Option<Written> {
    let text = |end: &str| json.get(format!("{what}_{end}"))?.as_str();
    Some(Written { at: text("at")?.parse().ok()?, by: text("by")?.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tag that somebody has is never that of something else: not where the newest is deleted, and not where the clock is
    /// set back.
    #[test]
    fn revisions_never_come_back() {
        let now = DateTime::from_timestamp_millis(1_800_000_000_000).unwrap();
        let mut given = Given::default();
        let first = given.next_revision(now);
        given.revision = first + 999;
        let Change::Document(kept) = given.revision_kept(now) else { panic!("no document") };
        // What had it is gone, and the host is another one.
        let later = Given::of_documents(&[Document::clone(&kept)], None);
        assert!(first + 999 < later.next_revision(now));
        assert!(first + 999 < later.next_revision(now - chrono::TimeDelta::days(1)));
        assert_eq!(later, given);
        // The note of a pause is something else.
        let pause = Document { key: "pause".into(), ..Document::clone(&kept) };
        assert_eq!(Given::of_documents(&[pause], None).revision, 0);
    }
}
