//! Code that the engine takes as it is: the one place in the host that is `unsafe`.
//!
//! A `Compiled` is made by the compiler in this process, read from the child that this process started, or read from the
//! cache after its code of authentication was checked. No file of a user gets here.

use wasmtime::{Engine, Module, component::Component};

use crate::compile::Compiled;

/// The component that was compiled.
///
/// # Errors
/// When it asks for more than the engine's pool has.
#[expect(unsafe_code, reason = "compiled code cannot be checked by looking at it; where it comes from is checked")]
pub(crate) fn component(engine: &Engine, compiled: &Compiled) -> wasmtime::Result<Component> {
    // SAFETY: the code is what `precompile_component` of this very program gave; see the module's docs.
    unsafe { Component::deserialize(engine, compiled.code()) }
}

/// The program that was compiled.
///
/// # Errors
/// As `component`.
#[expect(unsafe_code, reason = "compiled code cannot be checked by looking at it; where it comes from is checked")]
pub(crate) fn module(engine: &Engine, compiled: &Compiled) -> wasmtime::Result<Module> {
    // SAFETY: the code is what `precompile_module` of this very program gave; see the module's docs.
    unsafe { Module::deserialize(engine, compiled.code()) }
}
