//! What a guest may touch: the WASI context of an attempt. What is not given here does not exist for the guest.

use clockjack_schedule::job::{DirMode, Grants};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

use crate::{output::Capture, secrets::Secrets};

/// Most random bytes that one call may ask for.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// The context of one attempt. `env` and `args` come on top of what the grants say.
///
/// # Errors
/// When a directory that was there at load is gone.
pub(crate) fn context(
    grants: &Grants,
    env: &[(String, String)],
    secrets: &Secrets,
    args: &[String],
    stdout: &Capture,
    stderr: &Capture,
) -> Result<WasiCtx, String> {
    let mut wasi = WasiCtxBuilder::new();
    wasi.max_random_size(RANDOM_BYTES_MAX).stdout(stdout.clone()).stderr(stderr.clone());
    for (name, value) in grants.env.iter().chain(env.iter().map(|(name, value)| (name, value))) {
        wasi.env(name, value);
    }
    for (name, value) in secrets.variables() {
        wasi.env(name, value.reveal());
    }
    if !args.is_empty() {
        wasi.args(args);
    }
    for dir in &grants.dirs {
        let perms = match dir.mode {
            DirMode::Read => FsPerms::ReadOnly,
            DirMode::ReadWrite => FsPerms::ReadWrite,
        };
        wasi.preopened_dir(&dir.host, &dir.guest, perms).map_err(|error| {
            format!("the directory `{}` (`grants.dirs`) cannot be opened: {error:#}", dir.host.display())
        })?;
    }
    Ok(wasi.build())
}
