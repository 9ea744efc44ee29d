//! A plugin: bytes that were read once, hashed, compiled and linked.

use std::{fs::File, io::Read as _, path::Path, sync::Arc};

use clockjack_schedule::manifest::scalar::show_size;
use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

use crate::{
    attempt::GuestState,
    docs,
    engine::{Metering, Sandbox},
    error::{LoadCode, LoadError},
    exports::{self, Function},
    imports,
};

/// Largest component file. The largest language runtime measured (Python) makes 18.4 MB.
pub const COMPONENT_BYTES_MAX: u64 = 64 << 20;

/// A loaded plugin.
pub struct Plugin {
    /// SHA-256 of the file's bytes, in hex.
    pub digest: Arc<str>,
    /// Size of the file.
    pub n_bytes: u64,
    /// What it exports.
    pub functions: Vec<Function>,
    /// What it imports.
    pub imports: Vec<String>,
    /// What its largest memory begins with, in bytes; absent where it cannot be told beforehand.
    pub memory_bytes_min: Option<u64>,
    plain: Linked,
    fuel: Option<Linked>,
}

/// A component, linked in one engine.
pub(crate) struct Linked {
    pub(crate) pre: InstancePre<GuestState>,
    pub(crate) places: Vec<ComponentExportIndex>,
}

impl Plugin {
    /// Reads, hashes, compiles and links a component file. `sha256` is what its digest must be, if the manifest pins it;
    /// `metered` says whether any job counts instructions.
    ///
    /// # Errors
    /// Says what is wrong with the file and what to do about it.
    pub fn load(sandbox: &Sandbox, path: &Path, sha256: Option<&str>, metered: bool) -> Result<Self, LoadError> {
        Self::from_bytes(sandbox, &read(path)?, sha256, metered)
    }

    /// Hashes, compiles and links a component.
    ///
    /// # Errors
    /// As `load`.
    pub fn from_bytes(sandbox: &Sandbox, bytes: &[u8], sha256: Option<&str>, metered: bool) -> Result<Self, LoadError> {
        let digest = hex(&Sha256::digest(bytes));
        check_digest(&digest, sha256)?;
        check_kind(bytes)?;
        let (plain, component) = link(sandbox, bytes, Metering::Plain)?;
        let engine = component.engine();
        let mut functions: Vec<_> =
            exports::functions(engine, &component).into_iter().map(|(function, _)| function).collect();
        docs::attach(&mut functions, bytes);
        Ok(Self {
            digest: digest.into(),
            n_bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            functions,
            imports: imports::names(engine, &component),
            memory_bytes_min: memory_bytes_min(&component),
            plain,
            fuel: if metered { Some(link(sandbox, bytes, Metering::Fuel)?.0) } else { None },
        })
    }

    /// The function that a manifest or a command line names, or the only one there is.
    #[must_use]
    pub fn find(&self, call: Option<&str>) -> Option<&Function> {
        exports::find(&self.functions, call).ok().map(|index| &self.functions[index])
    }

    /// The component in the engine that counts instructions, or in the one that does not.
    pub(crate) fn linked(&self, metering: Metering) -> Option<&Linked> {
        match metering {
            Metering::Plain => Some(&self.plain),
            Metering::Fuel => self.fuel.as_ref(),
        }
    }
}

fn memory_bytes_min(component: &Component) -> Option<u64> {
    const PAGE_BYTES: u64 = 64 * 1024;
    let required = component.resources_required()?;
    // The sum is not told; the largest one, in pages, is a lower bound for it.
    Some(required.max_initial_memory_size.unwrap_or(0).saturating_mul(PAGE_BYTES))
}

/// Reads the file once: what is hashed is what is compiled, whatever happens to the file meanwhile.
fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        let fix = "check the path; relative paths start at the manifest's folder";
        LoadError::new(LoadCode::NotFound, format!("the file `{shown}` cannot be read: {error}"), fix)
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        let kind = if metadata.is_dir() { "a folder" } else { "no regular file" };
        return Err(LoadError::new(
            LoadCode::Invalid,
            format!("`{shown}` is {kind}"),
            "name a component file (`.wasm`)",
        ));
    }
    if COMPONENT_BYTES_MAX < metadata.len() {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(COMPONENT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let n_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if COMPONENT_BYTES_MAX < n_bytes {
        return Err(too_large(n_bytes));
    }
    Ok(bytes)
}

fn too_large(n_bytes: u64) -> LoadError {
    let message = format!("the file has {}; at most {} are loaded", show_size(n_bytes), show_size(COMPONENT_BYTES_MAX));
    LoadError::new(LoadCode::TooLarge, message, "build it for size (`opt-level = \"s\"`, `strip = true`)")
}

fn check_digest(digest: &str, expected: Option<&str>) -> Result<(), LoadError> {
    match expected {
        Some(expected) if !expected.eq_ignore_ascii_case(digest) => Err(LoadError::new(
            LoadCode::Digest,
            format!("the file's SHA-256 is {digest}, and the manifest says {expected}"),
            "if the change is yours, write the new digest to `sha256`; if not, do not run this file",
        )),
        Some(_) | None => Ok(()),
    }
}

/// Tells what else a file may be, before the compiler calls it malformed.
fn check_kind(bytes: &[u8]) -> Result<(), LoadError> {
    const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
    const MODULE: [u8; 8] = [0, b'a', b's', b'm', 1, 0, 0, 0];
    let invalid = |message: &str, fix: &str| Err(LoadError::new(LoadCode::Invalid, message, fix));
    if bytes.is_empty() {
        return invalid("the file is empty", "build the plugin again");
    }
    if bytes.starts_with(&COMPONENT) {
        return Ok(());
    }
    if bytes.starts_with(&MODULE) {
        return invalid(
            "the file is a core module, not a component",
            "build it for `wasm32-wasip2`, or wrap it with `wasm-tools component new`",
        );
    }
    if bytes.starts_with(b"\x7fELF") {
        return invalid(
            "the file is native code; precompiled code is never loaded",
            "name the `.wasm` file that it was made from",
        );
    }
    if bytes.starts_with(b"\0asm") {
        return invalid(
            "the file is WebAssembly of an unknown version, or it is truncated",
            "build the plugin again with a current toolchain",
        );
    }
    let text = bytes.iter().take(256).all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    if text && bytes.trim_ascii_start().starts_with(b"(") {
        return invalid("the file is WebAssembly text", "assemble it first, for example with `wasm-tools parse`");
    }
    invalid("the file is no WebAssembly component", "name a `.wasm` file that was built for `wasm32-wasip2`")
}

fn link(sandbox: &Sandbox, bytes: &[u8], metering: Metering) -> Result<(Linked, Component), LoadError> {
    let bench = sandbox.bench(metering)?;
    let component = Component::from_binary(&bench.engine, bytes).map_err(|error| refused(&error))?;
    let pre = bench
        .linker
        .instantiate_pre(&component)
        .map_err(|error| imports::explain(&bench.engine, &component, &error))?;
    let places = exports::functions(&bench.engine, &component).into_iter().map(|(_, place)| place).collect();
    Ok((Linked { pre, places }, component))
}

/// Puts a refusal of the compiler into our vocabulary. It tells its reasons only as text.
fn refused(error: &wasmtime::Error) -> LoadError {
    let text = format!("{error:#}");
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if any(&["must be enabled", "not enabled", "proposal", "feature is disabled", "not supported"]) {
        let fix = "build without that feature, for example with `-C target-cpu=mvp` plus what your toolchain needs";
        return LoadError::new(
            LoadCode::Feature,
            format!("the component uses a feature that is off here: {text}"),
            fix,
        );
    }
    if text.contains("exceeds the") && any(&["pooling allocator", "configured maximum", "limit of"]) {
        let is_count = any(&["linear memories", "contains"]) && !text.contains("element");
        let (code, key) = if text.contains("instances") || is_count {
            (LoadCode::InstanceLimit, "limits.instances")
        } else if text.contains("table") {
            (LoadCode::TableLimit, "limits.table_elements")
        } else {
            (LoadCode::MemoryLimit, "limits.memory")
        };
        return LoadError::new(
            code,
            format!("the component declares more than a job may have: {text}"),
            format!("build it with less; no job may raise `{key}` that far"),
        );
    }
    LoadError::new(
        LoadCode::Invalid,
        format!("the file is no valid component: {text}"),
        "build the plugin again; the file may be truncated",
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
