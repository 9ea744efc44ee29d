//! A plugin: bytes that were read once, hashed, compiled and linked.

use std::{fs::File, io::Read as _, path::Path, sync::Arc};

use clockjack_schedule::manifest::scalar::show_size;
use sha2::{Digest as _, Sha256};
use wasmtime::{
    Engine, Module, ResourcesRequired,
    component::{Component, ComponentExportIndex, InstancePre},
};

use crate::{
    attempt::GuestState,
    core_module::{self, Role},
    docs,
    engine::{Bench, Metering, Sandbox},
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
    /// What kind of file it is.
    pub form: Form,
    /// What it exports.
    pub functions: Vec<Function>,
    /// What it imports.
    pub imports: Vec<String>,
    /// What its largest memory begins with, in bytes; absent where it cannot be told beforehand.
    pub memory_bytes_min: Option<u64>,
    plain: Linked,
    fuel: Option<Linked>,
}

/// What kind of file a plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A component.
    Component,
    /// A core module with a WIT world, which was made a component here.
    Adapted,
    /// A program of WASI preview 1, which runs as it is.
    Program,
}

/// A plugin's code, linked in one engine.
pub(crate) enum Linked {
    Component { pre: InstancePre<GuestState>, places: Vec<ComponentExportIndex> },
    Program { pre: wasmtime::InstancePre<GuestState> },
}

impl Linked {
    pub(crate) fn engine(&self) -> &Engine {
        match self {
            Self::Component { pre, .. } => pre.engine(),
            Self::Program { pre } => pre.module().engine(),
        }
    }
}

/// What a plugin's code says about itself.
struct Described {
    functions: Vec<Function>,
    imports: Vec<String>,
    memory_bytes_min: Option<u64>,
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
        let form = form(bytes)?;
        let n_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let adapted = if form == Form::Adapted { Some(sandbox.adapted().of(bytes, &digest)?) } else { None };
        let bytes = adapted.as_deref().unwrap_or(bytes);
        let (plain, mut described) = link(sandbox, bytes, form, Metering::Plain)?;
        docs::attach(&mut described.functions, bytes);
        Ok(Self {
            digest: digest.into(),
            n_bytes,
            form,
            functions: described.functions,
            imports: described.imports,
            memory_bytes_min: described.memory_bytes_min,
            plain,
            fuel: if metered { Some(link(sandbox, bytes, form, Metering::Fuel)?.0) } else { None },
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

fn memory_bytes_min(required: &ResourcesRequired) -> u64 {
    const PAGE_BYTES: u64 = 64 * 1024;
    // The sum is not told; the largest one, in pages, is a lower bound for it.
    required.max_initial_memory_size.unwrap_or(0).saturating_mul(PAGE_BYTES)
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

/// What kind of plugin a file is; tells what else it may be, before the compiler calls it malformed.
fn form(bytes: &[u8]) -> Result<Form, LoadError> {
    const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
    const MODULE: [u8; 8] = [0, b'a', b's', b'm', 1, 0, 0, 0];
    let invalid = |message: &str, fix: &str| Err(LoadError::new(LoadCode::Invalid, message, fix));
    if bytes.is_empty() {
        return invalid("the file is empty", "build the plugin again");
    }
    if bytes.starts_with(&COMPONENT) {
        return Ok(Form::Component);
    }
    if bytes.starts_with(&MODULE) {
        return Ok(match core_module::role(bytes)? {
            Role::Command => Form::Program,
            Role::Typed => Form::Adapted,
        });
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
    invalid(
        "the file is no WebAssembly component",
        "name a `.wasm` file that was built for `wasm32-wasip2` or `wasm32-wasip1`",
    )
}

fn link(sandbox: &Sandbox, bytes: &[u8], form: Form, metering: Metering) -> Result<(Linked, Described), LoadError> {
    let bench = sandbox.bench(metering)?;
    match form {
        Form::Component | Form::Adapted => link_component(bench, bytes),
        Form::Program => link_program(bench, bytes),
    }
}

fn link_component(bench: &Bench, bytes: &[u8]) -> Result<(Linked, Described), LoadError> {
    let component = Component::from_binary(&bench.engine, bytes).map_err(|error| refused(&error, "component"))?;
    let pre = bench
        .linker
        .instantiate_pre(&component)
        .map_err(|error| imports::explain(&bench.engine, &component, &error))?;
    let (functions, places) = exports::functions(&bench.engine, &component).into_iter().unzip();
    let described = Described {
        functions,
        imports: imports::names(&bench.engine, &component),
        memory_bytes_min: component.resources_required().as_ref().map(memory_bytes_min),
    };
    Ok((Linked::Component { pre, places }, described))
}

fn link_program(bench: &Bench, bytes: &[u8]) -> Result<(Linked, Described), LoadError> {
    let module = Module::from_binary(&bench.engine, bytes).map_err(|error| refused(&error, "program"))?;
    let pre = bench.core_linker.instantiate_pre(&module).map_err(|error| core_module::unlinkable(&error))?;
    core_module::check_start(&module)?;
    let described = Described {
        functions: vec![Function::program()],
        imports: core_module::imports(&module),
        memory_bytes_min: Some(memory_bytes_min(&module.resources_required())),
    };
    Ok((Linked::Program { pre }, described))
}

/// Puts a refusal of the compiler into our vocabulary. It tells its reasons only as text.
fn refused(error: &wasmtime::Error, what: &str) -> LoadError {
    let text = format!("{error:#}");
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if any(&[
        "must be enabled",
        "not enabled",
        "proposal",
        "feature is disabled",
        "types are disabled",
        "not supported",
    ]) {
        let fix = "build without that feature, for example with `-C target-cpu=mvp` plus what your toolchain needs";
        return LoadError::new(LoadCode::Feature, format!("the {what} uses a feature that is off here: {text}"), fix);
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
            format!("the {what} declares more than a job may have: {text}"),
            format!("build it with less; no job may raise `{key}` that far"),
        );
    }
    LoadError::new(
        LoadCode::Invalid,
        format!("the file is no valid {what}: {text}"),
        "build the plugin again; the file may be truncated",
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
