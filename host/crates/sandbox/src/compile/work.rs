//! What is done to a stranger's bytes: finding out what they are, making a component of a core module, compiling.
//!
//! In a host all of this happens in the child. Whatever comes of it is code or a refusal in our vocabulary.

use wasmtime::Engine;

use super::{Compiled, Effort};
use crate::{
    core_module::{self, Role},
    docs,
    error::{LoadCode, LoadError, shown_message},
    plugin::Form,
};

/// Compiles a file for an engine.
///
/// # Errors
/// What is wrong with the file, and what to do about it.
pub(crate) fn compile(engine: &Engine, bytes: &[u8], effort: Effort) -> Result<Compiled, LoadError> {
    let form = form(bytes)?;
    let adapted = if form == Form::Adapted { Some(core_module::adapted(bytes)?) } else { None };
    let bytes = adapted.as_deref().unwrap_or(bytes);
    let code = match form {
        Form::Component | Form::Adapted => engine.precompile_component(bytes).map_err(|e| refused(&e, "component"))?,
        Form::Program => engine.precompile_module(bytes).map_err(|e| refused(&e, "program"))?,
    };
    Compiled::new(form, effort, &docs::sections(bytes), &code).ok_or_else(|| {
        LoadError::new(LoadCode::Budget, "the file carries more docs than are read", "build it without them")
    })
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

/// What the compiler says of features that are off.
const FEATURE_IS_OFF: [&str; 9] = [
    "must be enabled",
    "not enabled",
    "proposal",
    "feature is disabled",
    "component model async",
    "types are disabled",
    "types are disallowed",
    "references required",
    "not supported",
];

/// Puts a refusal of the compiler into our vocabulary. It tells its reasons only as text.
pub(crate) fn refused(error: &wasmtime::Error, what: &str) -> LoadError {
    let text = shown_message(&format!("{error:#}"));
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if any(&FEATURE_IS_OFF) {
        let fix = "build without that feature, for example with `-C target-cpu=mvp` plus what your toolchain needs";
        return LoadError::new(LoadCode::Feature, format!("the {what} uses a feature that is off here: {text}"), fix);
    }
    // Bounds of the compiler itself, which no key of a job has to do with.
    let is_of_the_compiler = any(&["type size", "translation error"]);
    if !is_of_the_compiler
        && text.contains("exceeds the")
        && any(&["pooling allocator", "configured maximum", "limit of"])
    {
        let is_count = any(&["linear memories", "contains", "count of"]) && !text.contains("element");
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
