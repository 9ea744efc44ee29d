//! Loading compiled code: the only place where bytes become instructions of this process without being checked.
//!
//! Such code is made by the compiler in this process, read from the child that this process started to compile it, given by
//! the host that started this process as a worker, or read from the cache after its code of authentication was checked. No
//! file of a user gets here.

use wasmtime::{Engine, Module, component::Component};

/// A component of compiled code.
///
/// # Errors
/// When it is not for this engine, or asks for more than its pool has.
#[expect(unsafe_code, reason = "compiled code cannot be checked by looking at it; where it comes from is checked")]
pub(crate) fn component(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are what `Component::serialize` or `Engine::precompile_component` gave in a process of this
    // program; see the module's own words. wasmtime itself compares its version and the settings of the engine.
    unsafe { Component::deserialize(engine, code) }
}

/// A module of compiled code.
///
/// # Errors
/// As `component`.
#[expect(unsafe_code, reason = "compiled code cannot be checked by looking at it; where it comes from is checked")]
pub(crate) fn module(engine: &Engine, code: &[u8]) -> wasmtime::Result<Module> {
    // SAFETY: as for components.
    unsafe { Module::deserialize(engine, code) }
}
