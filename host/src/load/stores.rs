//! Where the ledgers of a manifest are, and opening them: for the host, which owns them, and for commands that only read.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use clockjack_ledger::{MemoryLedger, Owner, SqliteLedger, SqliteOptions, SqliteReader, Stores};
use clockjack_schedule::{
    id::{JobId, StoreName},
    manifest::{resolved::Manifest, store_url::StoreUrl},
    ports::{DocumentKind, GenerationRow, Ledger, LedgerError},
};
use sha2::{Digest as _, Sha256};

use super::given::Given;
use crate::settings;

/// The name of a ledger's file in the state directory.
const FILE: &str = "ledger.db";

/// Where each store of a manifest is. `--ledger` says where the default one is, then `stores:` of the manifest, then the
/// state directory, in which each manifest has a folder of its own.
///
/// # Errors
/// When there is no state directory and nothing else was said.
pub fn places(
    flag: Option<&StoreUrl>,
    stores: &BTreeMap<StoreName, StoreUrl>,
    files: &[PathBuf],
) -> anyhow::Result<BTreeMap<StoreName, StoreUrl>> {
    let mut places = stores.clone();
    if let Some(url) = flag {
        places.insert(StoreName::default(), url.clone());
    }
    if let Entry::Vacant(place) = places.entry(StoreName::default()) {
        place.insert(StoreUrl::Sqlite(in_state_directory(files)?));
    }
    Ok(places)
}

/// The open ledgers of a host. Clones are the same.
#[derive(Clone)]
pub struct OpenStores {
    stores: Arc<Stores>,
}

impl OpenStores {
    /// All of them as one.
    #[must_use]
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::clone(&self.stores) as Arc<dyn Ledger>
    }

    /// Says anew which job is recorded where.
    ///
    /// # Errors
    /// When a store that a job moves to or from cannot be used now.
    pub async fn route(&self, manifest: &Manifest) -> Result<(), LedgerError> {
        self.stores.assign(&homes(manifest)).await
    }
}

/// Opens the ledgers of a host, which owns them until it ends.
///
/// # Errors
/// When one of them cannot be opened: another process has it, it is damaged, a newer version made it.
pub async fn open(
    places: &BTreeMap<StoreName, StoreUrl>,
    manifest: &Manifest,
    owner: &Owner,
) -> anyhow::Result<OpenStores> {
    let mut ledgers: Vec<(StoreName, Arc<dyn Ledger>)> = Vec::new();
    for (name, url) in places {
        let ledger: Arc<dyn Ledger> = match url {
            StoreUrl::Memory => Arc::new(MemoryLedger::default()),
            StoreUrl::Sqlite(path) => {
                let options = SqliteOptions { owner: owner.clone(), pages_max: settings::ledger_pages_max() };
                Arc::new(SqliteLedger::open(path, options).await?)
            }
        };
        ledgers.push((name.clone(), ledger));
    }
    Ok(OpenStores { stores: Arc::new(Stores::new(ledgers, &homes(manifest))?) })
}

/// Which job is recorded where.
fn homes(manifest: &Manifest) -> HashMap<JobId, StoreName> {
    if manifest.jobs.values().all(|job| job.store == StoreName::default()) {
        return HashMap::new();
    }
    manifest.jobs.values().map(|job| (job.id.clone(), job.store.clone())).collect()
}

/// Opens stores for reading only, as one ledger: also while a host has them open, and after one has died.
///
/// # Errors
/// When one of them is not there, cannot be read, or is a store in memory, which only its host can read.
pub async fn reader(places: &BTreeMap<StoreName, StoreUrl>, manifest: &Manifest) -> anyhow::Result<Arc<dyn Ledger>> {
    let mut ledgers: Vec<(StoreName, Arc<dyn Ledger>)> = Vec::new();
    for (name, place) in places {
        match place {
            StoreUrl::Memory => anyhow::bail!("store `{name}` is `memory:`, which only its host can read"),
            StoreUrl::Sqlite(path) => ledgers.push((name.clone(), Arc::new(SqliteReader::open(path).await?))),
        }
    }
    anyhow::ensure!(!ledgers.is_empty(), "there is no store to read");
    let mut homes = homes(manifest);
    homes.retain(|_, store| places.contains_key(store));
    Ok(Arc::new(Stores::new(ledgers, &homes)?))
}

/// Which code of plugins came into force before, as the default store has it, for a host that has not opened it yet. Nothing
/// is told where there is no ledger, or none that can be read now: whoever opens it is told why.
pub async fn generations_of(places: &BTreeMap<StoreName, StoreUrl>) -> Vec<GenerationRow> {
    let Some(StoreUrl::Sqlite(path)) = places.get(&StoreName::default()) else { return Vec::new() };
    let read = async { SqliteReader::open(path).await?.generations().await };
    read.await.unwrap_or_default()
}

/// What a host was given beside its files, as the default store has it, for a host that has not opened it yet. Nothing is told
/// where there is no ledger, or none that can be read now: whoever opens it is told why.
pub async fn given_before(places: &BTreeMap<StoreName, StoreUrl>) -> Given {
    let Some(StoreUrl::Sqlite(path)) = places.get(&StoreName::default()) else { return Given::default() };
    let folder = uploads(places);
    let read = async { given_of(&SqliteReader::open(path).await?, folder.as_deref()).await };
    read.await.unwrap_or_default()
}

/// What a host was given beside its files, as a ledger has it. `folder` is where uploads are: those that the ledger has and that
/// a host did not come to put in their place are put there now.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn given_of(ledger: &dyn Ledger, folder: Option<&Path>) -> Result<Given, LedgerError> {
    let mut documents = ledger.documents(DocumentKind::Job).await?;
    if folder.is_some() {
        documents.extend(ledger.documents(DocumentKind::Plugin).await?);
    }
    documents.extend(ledger.documents(DocumentKind::Host).await?);
    let given = Given::of_documents(&documents, folder);
    for upload in given.uploads.values() {
        if let Err(error) = upload.put_in_place() {
            tracing::error!(plugin = %upload.plugin, "what was uploaded last cannot be put in its place: {error}");
        }
    }
    Ok(given)
}

/// Where the files of uploaded plugins are: beside the default ledger. None where that is in memory.
#[must_use]
pub fn uploads(places: &BTreeMap<StoreName, StoreUrl>) -> Option<PathBuf> {
    uploads_beside(places.get(&StoreName::default())?)
}

/// The same for one store.
pub(super) fn uploads_beside(store: &StoreUrl) -> Option<PathBuf> {
    let StoreUrl::Sqlite(path) = store else { return None };
    let mut folder = std::path::absolute(path).unwrap_or_else(|_| path.clone()).into_os_string();
    folder.push(".plugins");
    Some(folder.into())
}

/// The ledger of a manifest that names none: a folder of the state directory, found again by the manifest's own path.
fn in_state_directory(files: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let state = settings::state_directory().context(
        "no state directory is known (`STATE_DIRECTORY`, `XDG_STATE_HOME` and `HOME` are not set); \
         say where the ledger is: `--ledger sqlite:PATH`, or `--ledger memory:` to keep nothing; or in the manifest: \
         `stores: { default: \"sqlite:state.db\" }`",
    )?;
    Ok(state.join(name_of(files)).join(FILE))
}

/// The name under which a host of these manifests is found again: the same for every spelling of their paths.
#[must_use]
pub fn name_of(files: &[PathBuf]) -> String {
    let mut whole: Vec<_> = files.iter().map(|file| absolute(file)).collect();
    whole.sort();
    let first = whole.first().cloned().unwrap_or_default();
    let folder = first.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let folder: String = folder.chars().map(plain).take(40).collect();
    let mut hash = Sha256::new();
    whole.iter().for_each(|path| hash.update(format!("{}\n", path.display())));
    let digest: String = hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    if folder.is_empty() { digest } else { format!("{folder}-{digest}") }
}

/// The whole path of a file, whether or not it is there.
fn absolute(file: &Path) -> PathBuf {
    file.canonicalize().or_else(|_| std::path::absolute(file)).unwrap_or_else(|_| file.to_owned())
}

#[cfg(test)]
mod tests {
    use clockjack_schedule::ports::Change;

    use super::*;

    #[tokio::test]
    async fn generations_are_read_before_the_ledger_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/state.db");
        let at = |url| BTreeMap::from([(StoreName::default(), url)]);
        let places = at(StoreUrl::Sqlite(path.clone()));
        assert_eq!(generations_of(&places).await, []);
        assert!(!path.parent().unwrap().exists(), "looking makes no file");
        let since = chrono::DateTime::UNIX_EPOCH;
        let options = SqliteOptions { owner: Owner { what: "the tests".to_owned(), since }, pages_max: None };
        let ledger = SqliteLedger::open(&path, options).await.unwrap();
        let row = GenerationRow {
            plugin: "a".parse().unwrap(),
            number: 7,
            digest: "ab".repeat(32).into(),
            n_bytes: 5,
            source: "a.wasm".into(),
            since,
            cause: "start".into(),
            approved: false,
            unproven: true,
            left: None,
        };
        ledger.commit(vec![Change::Generation(Arc::new(row.clone()))]).await.unwrap();
        assert_eq!(generations_of(&places).await, [row], "also while a host has it");
        drop(ledger);
        std::fs::write(&path, "no ledger").unwrap();
        assert_eq!(generations_of(&places).await, [], "opening it tells what is wrong");
        assert_eq!(generations_of(&at(StoreUrl::Memory)).await, []);
    }
}
