//! What a guest may touch: the WASI context of an attempt. What is not given here does not exist for the guest.

use std::path::Path;

use bytes::Bytes;
use clockjack_schedule::job::{DirMode, Grants};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder, p1::WasiP1Ctx, p2::pipe::MemoryInputPipe};

use crate::{output::Capture, scratch::GUEST_PATH, secrets::Secrets};

/// Most random bytes that one call may ask for.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// What a guest reads and writes beside files.
pub(crate) struct Streams {
    pub(crate) stdin: Bytes,
    pub(crate) stdout: Capture,
    pub(crate) stderr: Capture,
}

/// The context of one attempt. `scratch` is its own folder, if it has one. `env` and `args` come on top of what the grants say.
///
/// # Errors
/// When a directory that was there at load is gone.
pub(crate) fn context(
    grants: &Grants,
    env: &[(String, String)],
    secrets: &Secrets,
    args: &[String],
    scratch: Option<&Path>,
    streams: Streams,
) -> Result<WasiP1Ctx, String> {
    let mut wasi = WasiCtxBuilder::new();
    wasi.max_random_size(RANDOM_BYTES_MAX).stdout(streams.stdout).stderr(streams.stderr);
    if !streams.stdin.is_empty() {
        wasi.stdin(MemoryInputPipe::new(streams.stdin));
    }
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
    if let Some(scratch) = scratch {
        let opened = wasi.preopened_dir(scratch, GUEST_PATH, FsPerms::ReadWrite);
        opened.map_err(|error| format!("the scratch folder `{}` cannot be opened: {error:#}", scratch.display()))?;
    }
    Ok(wasi.build_p1())
}
