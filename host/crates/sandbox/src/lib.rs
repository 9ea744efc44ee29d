//! The sandbox of Clockjack: compile, check, link, limit, run and classify WebAssembly components.
//!
//! It knows nothing of triggers, manifests or the ledger: it takes bytes and gives a `Plugin`, takes a call with
//! bounds and gives a `Report`. Whatever a guest does is a report; an `Err` means that nothing was run.

mod admission;
mod attempt;
mod call;
mod classify;
mod command;
mod compile;
mod core_module;
mod cpu;
mod docs;
mod egress;
mod engine;
mod error;
mod executor;
mod exports;
mod file;
mod files;
mod folder;
mod grants;
mod guest_api;
mod guest_clock;
mod imports;
mod limiter;
mod live;
pub mod lockdown;
mod output;
pub mod own_files;
mod own_package;
mod plugin;
mod plugin_file;
mod prepared;
mod preview_1;
mod random;
mod recipe;
mod redact;
mod refusals;
mod scratch;
mod secrets;
mod signature;
mod standard;
mod ticker;
mod trusted;
mod values;
mod worker;

#[cfg(test)]
mod tests;

/// The version of wasmtime that runs guests; a test compares it with the lock file.
pub const ENGINE_VERSION: &str = "48.0.8";

pub use self::{
    attempt::Facts,
    call::{Call, CallProblem, Part},
    command::STDIN_BYTES_MAX,
    compile::{CompileBudget, CompileSettings, Compiler, compile_guest},
    egress::{Outgoing, Reply, SendError, send},
    engine::{Allocation, EngineSettings, Sandbox},
    error::{LoadCode, LoadError, shown as shown_name},
    executor::SandboxExecutor,
    exports::{Function, FunctionKind, Parameter},
    imports::{grant_of, is_base_line, opened_by},
    plugin::{COMPONENT_BYTES_MAX, Form, Plugin, Provenance, Wanted, check_digest},
    plugin_file::PluginFile,
    prepared::Prepared,
    recipe::{Imports, Recipe},
    values::{
        schema::{SchemaOf, type_schema},
        to_json::to_json as value_to_json,
        typename::type_name,
    },
    worker::{IsolatedPool, Workers, serve as serve_worker},
};
