//! Loading compiled code: the only place where bytes become instructions of this process without being checked.
//!
//! Whoever calls it has the bytes from a process of this very program, which made them, and through a channel that nobody
//! else can write to.

use wasmtime::{Engine, Module, component::Component};

/// A component of compiled code.
#[expect(unsafe_code, reason = "wasmtime cannot know who made the code")]
pub(crate) fn component(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are what `Component::serialize` or `Engine::precompile_component` gave in a process of this
    // program; see the module's own words. wasmtime itself compares its version and the settings of the engine.
    unsafe { Component::deserialize(engine, code) }
}

/// A module of compiled code.
#[expect(unsafe_code, reason = "wasmtime cannot know who made the code")]
pub(crate) fn module(engine: &Engine, code: &[u8]) -> wasmtime::Result<Module> {
    // SAFETY: as for components.
    unsafe { Module::deserialize(engine, code) }
}
