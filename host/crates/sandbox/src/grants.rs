//! What a guest may touch: the WASI context of an attempt. What is not given here does not exist for the guest.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use clockjack_schedule::{
    job::{DirMode, Grants},
    run::Run,
};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder, p1::WasiP1Ctx, p2::pipe::MemoryInputPipe};

use crate::{
    egress::Network, folder::Folder, guest_clock, output::Capture, random, scratch::GUEST_PATH, secrets::Secrets,
};

/// Most random bytes that one call may ask for.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// What a guest reads and writes beside files.
pub(crate) struct Streams {
    pub(crate) stdin: Bytes,
    pub(crate) stdout: Capture,
    pub(crate) stderr: Capture,
}

/// What an attempt has on top of what its grants say.
pub(crate) struct Given<'a> {
    pub(crate) env: &'a [(String, String)],
    pub(crate) secrets: &'a Secrets,
    pub(crate) args: &'a [String],
    /// Its own folder, if it has one.
    pub(crate) scratch: Option<&'a Path>,
    pub(crate) run: &'a Run,
}

/// The context of one attempt.
///
/// # Errors
/// When a directory that was there at load is gone, or is another one.
pub(crate) fn context(
    grants: &Grants,
    given: &Given<'_>,
    network: &Arc<Network>,
    streams: Streams,
) -> Result<WasiP1Ctx, String> {
    let Given { env, secrets, args, scratch, run } = given;
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
    network.open_sockets(&mut wasi);
    if let Some(step) = grants.clock_resolution {
        guest_clock::in_steps(&mut wasi, step);
    }
    if let Some(seed) = grants.random_seed {
        random::seeded(&mut wasi, seed, run);
    }
    if !args.is_empty() {
        wasi.args(args);
    }
    for dir in &grants.dirs {
        let perms = match dir.mode {
            DirMode::Read => FsPerms::ReadOnly,
            DirMode::ReadWrite => FsPerms::ReadWrite,
        };
        let folder = Folder::open(&dir.host)?;
        // By what was opened: the path may lead elsewhere a moment later.
        wasi.preopened_dir(folder.path(), &dir.guest, perms).map_err(|error| {
            format!("the directory `{}` (`grants.dirs`) cannot be opened: {error:#}", dir.host.display())
        })?;
    }
    if let Some(scratch) = scratch {
        let opened = wasi.preopened_dir(scratch, GUEST_PATH, FsPerms::ReadWrite);
        opened.map_err(|error| format!("the scratch folder `{}` cannot be opened: {error:#}", scratch.display()))?;
    }
    Ok(wasi.build_p1())
}
