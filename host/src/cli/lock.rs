//! `clockjack lock`: writes down which bytes the plugins of a manifest are, so that `--locked` runs no others.

use std::{fs, io::Write as _, path::Path};

use anyhow::Context as _;
use clap::Args;

use super::{Exit, ManifestArgs, diagnostics, print};
use crate::load::{
    self,
    provenance::{self, Lock},
};

#[derive(Debug, Args)]
pub(super) struct LockArgs {
    #[command(flatten)]
    manifests: ManifestArgs,
}

pub(super) fn run(args: &LockArgs) -> anyhow::Result<Exit> {
    let loaded = load::manifest(&args.manifests.files, &load::zones::newest());
    if loaded.diagnostics.has_errors() {
        print::findings(loaded.diagnostics.all(), &loaded.sources);
        print::talk(&diagnostics::summary(loaded.diagnostics.all()));
        return Ok(Exit::Fault);
    }
    let mut pins = Vec::new();
    let mut is_whole = true;
    for (name, plugin) in &loaded.manifest.plugins {
        match provenance::provenance(&loaded.manifest.host, plugin) {
            Ok(pin) => pins.push((name.as_str(), pin)),
            Err(error) => {
                is_whole = false;
                print::talk(&format!("error[{}]: plugin `{name}`: {}; {}", error.code, error.message, error.fix));
            }
        }
    }
    if !is_whole {
        print::talk("nothing was written");
        return Ok(Exit::Fault);
    }
    let path = Lock::place(&args.manifests.files);
    write(&path, &provenance::lock_text(pins.iter().map(|(name, pin)| (*name, pin))))
        .with_context(|| format!("failed to write `{}`", path.display()))?;
    print::talk(&format!("wrote `{}`: {} pinned; commit it beside the manifest", path.display(), pins.len()));
    Ok(Exit::Done)
}

/// All of it or nothing: a reader never sees half a file.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension("lock.new");
    let mut file = fs::File::create(&temporary)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?;
    fs::rename(&temporary, path)
}
