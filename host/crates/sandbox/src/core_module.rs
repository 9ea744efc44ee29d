//! Core modules of WASI preview 1: what a module is, and how one with a WIT world becomes a component.
//!
//! A module with `_start` is a command and stays what it is, because its exit codes would not survive an adapter. A module
//! that carries a WIT world is adapted here, as `wasm-tools component new` would do it. Nothing else can be a job.

use std::panic::catch_unwind;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as PREVIEW_1, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as REACTOR_ADAPTER,
};
use wasmparser::{ExternalKind, KnownCustom, Parser, Payload, ProducersSectionReader};
use wasmtime::{ExternType, Module};
use wit_component::ComponentEncoder;

use crate::error::{LoadCode, LoadError, shown, shown_message};

/// The function of a command.
pub(crate) const START: &str = "_start";

/// Foreign imports that one message names.
const NAMES_SHOWN_MAX: usize = 8;

/// The first clang whose wasi-libc is known to allocate soundly in memory that somebody else has grown.
const SOUND_CLANG: Version = (15, 0, 7);

type Version = (u32, u32, u32);

/// What a core module can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A program with `_start`, which runs as it is.
    Command,
    /// Functions with a WIT world, which become a component.
    Typed,
}

/// What the sections of a module say about it.
#[derive(Debug, Default)]
struct Survey {
    has_start: bool,
    has_allocator: bool,
    has_world: bool,
    /// Imports that are not of preview 1, as `module.name`, and whether there are more than are shown.
    foreign: Vec<String>,
    n_foreign: usize,
    clang: Option<Version>,
}

/// Says what a core module is.
///
/// # Errors
/// When it can be no job, and what to do about it.
pub(crate) fn role(module: &[u8]) -> Result<Role, LoadError> {
    let survey = Survey::of(module).map_err(|error| {
        let message = format!("the file is no valid WebAssembly module: {}", shown_message(&error.to_string()));
        LoadError::new(LoadCode::Invalid, message, "build the plugin again; the file may be truncated")
    })?;
    if survey.has_start {
        survey.check_command()?;
        return Ok(Role::Command);
    }
    if !survey.has_world {
        return Err(LoadError::new(
            LoadCode::Invalid,
            "the file is a core module without a `_start` function and without a WIT world",
            "build it as a program with `main`, or link the object that `wit-bindgen` generates beside the bindings \
             (`*_component_type.o`), or build it for `wasm32-wasip2`",
        ));
    }
    survey.check_allocator()?;
    Ok(Role::Typed)
}

impl Survey {
    fn of(module: &[u8]) -> wasmparser::Result<Self> {
        let mut survey = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        survey.import(import.module, import.name);
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        let is_function = export.kind == ExternalKind::Func;
                        survey.has_start |= is_function && export.name == START;
                        survey.has_allocator |= is_function && export.name == "cabi_realloc";
                    }
                }
                Payload::CustomSection(section) if section.name().starts_with("component-type") => {
                    survey.has_world = true;
                }
                Payload::CustomSection(section) => {
                    if let KnownCustom::Producers(producers) = section.as_known() {
                        survey.clang = clang(producers);
                    }
                }
                _ => {}
            }
        }
        Ok(survey)
    }

    fn import(&mut self, module: &str, name: &str) {
        if module == PREVIEW_1 {
            return;
        }
        self.n_foreign += 1;
        if self.foreign.len() < NAMES_SHOWN_MAX {
            self.foreign.push(format!("`{}.{}`", shown(module), shown(name)));
        }
    }

    fn check_command(&self) -> Result<(), LoadError> {
        if self.n_foreign == 0 {
            return Ok(());
        }
        let more = self.n_foreign - self.foreign.len();
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let message = format!(
            "the program imports {}{more}, and a WASI preview-1 program gets nothing but `{PREVIEW_1}`",
            self.foreign.join(", ")
        );
        let is_of = |prefix: &str| self.foreign.iter().any(|import| import.starts_with(&format!("`{prefix}")));
        let fix = if is_of("wasi_unstable.") {
            "rebuild it with a toolchain that makes `wasm32-wasip1`; `wasi_unstable` is the draft before preview 1"
        } else if is_of("wasi_snapshot_preview2") || is_of("wasi:") || is_of("clockjack:") {
            "build it for `wasm32-wasip2`, which makes a component that may import interfaces"
        } else if is_of("wasi.thread-spawn") || is_of("wasix_") || is_of("env.memory") {
            "build it without threads: for `wasm32-wasip1`, and not for `wasm32-wasip1-threads` or WASIX"
        } else {
            "link what is missing into the program, or build it as a component for `wasm32-wasip2`"
        };
        Err(LoadError::new(LoadCode::Import, message, fix))
    }

    /// wasi-libc before its change 377 takes all memory behind its own data for its heap, also what the adapter has grown
    /// before the first allocation. With `cabi_realloc` the adapter asks the libc itself for memory, and nothing overlaps.
    fn check_allocator(&self) -> Result<(), LoadError> {
        let Some(clang) = self.clang.filter(|clang| *clang < SOUND_CLANG && !self.has_allocator) else { return Ok(()) };
        let (major, minor, patch) = clang;
        let message = format!(
            "the module was built by clang {major}.{minor}.{patch} and exports no `cabi_realloc`: the C library of that time \
             would overwrite memory that the adapter to WASI 0.2 uses"
        );
        let fix =
            "build it with clang 15.0.7 or later (wasi-sdk 19), or export `cabi_realloc`, as `wit-bindgen c` does";
        Err(LoadError::new(LoadCode::Invalid, message, fix))
    }
}

/// The oldest clang that had a hand in the module; several tools may each have left their name.
fn clang(producers: ProducersSectionReader<'_>) -> Option<Version> {
    let fields = producers.into_iter().filter_map(Result::ok).filter(|field| field.name == "processed-by");
    let tools = fields.flat_map(|field| field.values.into_iter().filter_map(Result::ok));
    tools
        .filter(|tool| tool.name == "clang" || tool.name.ends_with(" clang"))
        .filter_map(|tool| version(tool.version))
        .min()
}

/// The numbers of `14.0.6`, or of `15.0.7 (https://… 8dfdcc7b)`.
fn version(text: &str) -> Option<Version> {
    let number = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let digits = |part: &str| part.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    let mut parts = number.split('.');
    let major = digits(parts.next()?)?;
    Some((major, parts.next().and_then(digits).unwrap_or(0), parts.next().and_then(digits).unwrap_or(0)))
}

/// What a program imports: the name of the one module, as far as it imports anything.
pub(crate) fn imports(module: &Module) -> Vec<String> {
    module.imports().next().map(|_| PREVIEW_1.to_owned()).into_iter().collect()
}

/// Explains why a program cannot be linked: all its imports are of preview 1, so one of them is wrong there.
pub(crate) fn unlinkable(error: &wasmtime::Error) -> LoadError {
    let message = format!("the program does not fit WASI preview 1: {}", shown_message(&format!("{error:#}")));
    LoadError::new(LoadCode::Import, message, "build it for `wasm32-wasip1` with a current toolchain")
}

/// Checks that a program can be started.
///
/// # Errors
/// When `_start` takes or returns something.
pub(crate) fn check_start(module: &Module) -> Result<(), LoadError> {
    let Some(ExternType::Func(start)) = module.get_export(START) else { return Ok(()) };
    if start.params().len() == 0 && start.results().len() == 0 {
        return Ok(());
    }
    let message = "the program's `_start` takes parameters or returns something";
    Err(LoadError::new(
        LoadCode::Type,
        message,
        "build it for `wasm32-wasip1`, where `_start` takes and returns nothing",
    ))
}

/// Makes a component of a module that carries a WIT world.
///
/// # Errors
/// When the module does not keep what its world promises.
pub(crate) fn adapted(module: &[u8]) -> Result<Vec<u8>, LoadError> {
    let encode = || -> Result<Vec<u8>, String> {
        let encoder = ComponentEncoder::default().module(module);
        let encoder = encoder.and_then(|encoder| encoder.adapter(PREVIEW_1, REACTOR_ADAPTER));
        encoder.and_then(|encoder| encoder.validate(true).encode()).map_err(|error| format!("{error:#}"))
    };
    // The encoder trusts its input more than a loader of strangers' files may.
    let encoded = catch_unwind(encode).unwrap_or_else(|_panic| Err("its WIT world is malformed".to_owned()));
    encoded.map_err(|reason| {
        let message = format!("the module cannot be made a component: {}", shown_message(&reason));
        let fix = "build it again with bindings and a WIT world of the same version; what it imports must be in that world \
                   or in WASI preview 1";
        LoadError::new(LoadCode::Invalid, message, fix)
    })
}
