//! A plugin: bytes that were read once, hashed, compiled and linked.

use std::{path::Path, sync::Arc};

use sha2::{Digest as _, Sha256};
use wasmtime::{
    Engine, ResourcesRequired,
    component::{ComponentExportIndex, InstancePre},
};

use crate::{
    attempt::GuestState,
    compile::{Compiled, Effort, Source, work},
    core_module, docs,
    engine::{Bench, Metering, Sandbox},
    error::{LoadCode, LoadError},
    exports::{self, Function},
    file, imports, signature, trusted,
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
    /// Whether it was compiled without optimisations, because with them it would have cost too much.
    pub is_slow: bool,
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

/// What a file has to be, to be loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'w> {
    /// What its digest must be.
    pub sha256: Option<&'w str>,
    /// Who may have signed it, where somebody must.
    pub keys: Option<&'w [String]>,
}

/// What a file is and whose, as far as it can be told without looking into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// When it was signed, as the signer says, in seconds since 1970; absent for a file that need not be signed.
    pub signed_at: Option<u64>,
}

impl Provenance {
    /// Reads a file and says what it is.
    ///
    /// # Errors
    /// When it cannot be read, or is not what it has to be.
    pub fn of(path: &Path, wanted: Wanted<'_>) -> Result<Self, LoadError> {
        let bytes = file::read(path)?;
        let sha256 = hex(&Sha256::digest(&bytes));
        check_digest(&sha256, wanted.sha256)?;
        let signed_at = wanted.keys.map(|keys| signature::check(path, &bytes, keys)).transpose()?.flatten();
        Ok(Self { sha256, signed_at })
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
        Self::from_bytes(sandbox, &file::read(path)?, sha256, metered)
    }

    /// Hashes, compiles and links a component.
    ///
    /// # Errors
    /// As `load`.
    pub fn from_bytes(sandbox: &Sandbox, bytes: &[u8], sha256: Option<&str>, metered: bool) -> Result<Self, LoadError> {
        let digest = hex(&Sha256::digest(bytes));
        check_digest(&digest, sha256)?;
        let n_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let (plain, described, compiled) = link(sandbox, bytes, &digest, Metering::Plain)?;
        let fuel = if metered { Some(link(sandbox, bytes, &digest, Metering::Fuel)?.0) } else { None };
        Ok(Self {
            digest: digest.into(),
            n_bytes,
            form: compiled.form(),
            is_slow: compiled.effort() == Effort::Least,
            functions: described.functions,
            imports: described.imports,
            memory_bytes_min: described.memory_bytes_min,
            plain,
            fuel,
        })
    }

    /// A plugin of code that the process which started this one has compiled and checked. It runs in one way only: with
    /// or without counted instructions.
    ///
    /// # Errors
    /// When the code does not fit this process's engine.
    pub(crate) fn from_code(
        sandbox: &Sandbox,
        code: &[u8],
        form: Form,
        metering: Metering,
        digest: &str,
    ) -> Result<Self, LoadError> {
        let bench = sandbox.bench(metering)?;
        let (plain, described) = link_code(bench, form, code)?;
        let Described { functions, imports, memory_bytes_min } = described;
        let n_bytes = u64::try_from(code.len()).unwrap_or(u64::MAX);
        let digest = digest.into();
        Ok(Self { digest, n_bytes, form, is_slow: false, functions, imports, memory_bytes_min, plain, fuel: None })
    }

    /// The compiled code, for another process of this program.
    ///
    /// # Errors
    /// When there is too little memory for a copy of it.
    pub(crate) fn code(&self, metering: Metering) -> wasmtime::Result<Vec<u8>> {
        match self.linked(metering) {
            Some(Linked::Component { pre, .. }) => pre.component().serialize(),
            Some(Linked::Program { pre }) => pre.module().serialize(),
            None => Ok(Vec::new()),
        }
    }

    /// The function that a manifest or a command line names, or the only one there is.
    #[must_use]
    pub fn find(&self, call: Option<&str>) -> Option<&Function> {
        exports::find(&self.functions, call).ok().map(|index| &self.functions[index])
    }

    /// Whether it is loaded for jobs that count instructions, too.
    #[must_use]
    pub fn is_metered(&self) -> bool {
        self.fuel.is_some()
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

/// Whether a file is the one that was pinned.
///
/// # Errors
/// When its digest is another one.
pub fn check_digest(digest: &str, expected: Option<&str>) -> Result<(), LoadError> {
    match expected {
        Some(expected) if !expected.eq_ignore_ascii_case(digest) => Err(LoadError::new(
            LoadCode::Digest,
            format!("the file's SHA-256 is {digest}, and the manifest says {expected}"),
            "if the change is yours, write the new digest to `sha256`; if not, do not run this file",
        )),
        Some(_) | None => Ok(()),
    }
}

fn link(
    sandbox: &Sandbox,
    bytes: &[u8],
    digest: &str,
    metering: Metering,
) -> Result<(Linked, Described, Compiled), LoadError> {
    let bench = sandbox.bench(metering)?;
    let (allocation, budget) = (sandbox.allocation(), sandbox.compile_budget());
    let source = Source { bytes, digest, metering, allocation, budget };
    let compiled = sandbox.workshop().compiled(&bench.engine, source)?;
    let (linked, mut described) = link_code(bench, compiled.form(), compiled.code())?;
    docs::attach(&mut described.functions, compiled.docs());
    Ok((linked, described, compiled))
}

/// Links code that this program has compiled; see `trusted`.
fn link_code(bench: &Bench, form: Form, code: &[u8]) -> Result<(Linked, Described), LoadError> {
    match form {
        Form::Component | Form::Adapted => link_component(bench, code),
        Form::Program => link_program(bench, code),
    }
}

fn link_component(bench: &Bench, code: &[u8]) -> Result<(Linked, Described), LoadError> {
    let component = trusted::component(&bench.engine, code).map_err(|error| work::refused(&error, "component"))?;
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

fn link_program(bench: &Bench, code: &[u8]) -> Result<(Linked, Described), LoadError> {
    let module = trusted::module(&bench.engine, code).map_err(|error| work::refused(&error, "program"))?;
    let pre = bench.core_linker.instantiate_pre(&module).map_err(|error| core_module::unlinkable(&error))?;
    core_module::check_start(&module)?;
    let described = Described {
        functions: vec![Function::program()],
        imports: core_module::imports(&module),
        memory_bytes_min: Some(memory_bytes_min(&module.resources_required())),
    };
    Ok((Linked::Program { pre }, described))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
