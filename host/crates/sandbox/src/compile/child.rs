//! The child: it gives up everything, reads a file, compiles it and answers.

use std::{
    io::{Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use wasmtime::Engine;

use super::{order::Order, work};
use crate::{
    engine,
    error::{LoadCode, LoadError},
    lockdown::{Lockdown, ProcessLimits, limit, lock_down},
    plugin::COMPONENT_BYTES_MAX,
    worker::inherited,
};

/// Address space beside the memory that is used: what the allocator and the stacks of the threads only reserve.
const RESERVED_BYTES: u64 = 4 << 30;

/// Open files: the three streams, and what the system's own libraries ask for.
const FILES: u64 = 16;

/// How much lower than the host the child stands.
const NICE: i32 = 10;

/// How much is told of what the system could not take, before the answer. A character has four bytes at the most.
const MISSING_CHARS_MAX: usize = 1_000;
pub(super) const MISSING_BYTES_MAX: usize = 4 * MISSING_CHARS_MAX;

/// The first byte of an answer.
pub(super) const CODE: u8 = b'C';
pub(super) const REFUSAL: u8 = b'R';

/// What stands between the parts of a refusal, and before an answer.
pub(super) const BREAK: u8 = 0;

/// The whole life of a compiling child: it locks itself up, reads a file from `input` and writes its code, or why there is
/// none, to `output`. It closes every descriptor but the three streams. Only a process that was started for it may call this, before it has a second thread.
///
/// # Errors
/// When the order is malformed or the streams fail. A file that is refused is an answer.
pub fn compile_guest(order: &str, input: impl Read, mut output: impl Write) -> Result<(), String> {
    inherited::close();
    let (order, host) = Order::with_host(order)?;
    let missing = give_up(&order, host)?;
    let mut bytes = Vec::new();
    input.take(COMPONENT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| format!("no file came: {error}"))?;
    let done = |error: std::io::Error| format!("nobody takes the answer: {error}");
    let answer = match answer(&order, &bytes) {
        Ok(compiled) => [&[CODE], compiled.bytes()].concat(),
        Err(LoadError { code, message, fix }) => {
            let parts = [code.as_str(), &message, &fix].map(|part| part.replace('\0', " "));
            [&[REFUSAL], parts.join("\0").as_bytes()].concat()
        }
    };
    let missing: String = missing.join("; ").replace('\0', " ").chars().take(MISSING_CHARS_MAX).collect();
    let told = output.write_all(missing.as_bytes()).and_then(|()| output.write_all(&[BREAK]));
    told.and_then(|()| output.write_all(&answer)).and_then(|()| output.flush()).map_err(done)
}

/// Answers with what the system could not take: an older kernel refuses some of it, and the rest still holds.
fn give_up(order: &Order, host: u32) -> Result<Vec<String>, String> {
    let used = |text: &str, index: usize| text.split(' ').nth(index).and_then(|pages| pages.parse::<u64>().ok());
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4_096);
    // All that is mapped, and what of it is data.
    let (mapped, data) = (used(&statm, 0).unwrap_or(0) * page, used(&statm, 5).unwrap_or(0) * page);
    let memory = order.budget.memory_bytes;
    let mut missing = limit(&ProcessLimits {
        cpu_seconds: Some(order.budget.cpu_seconds),
        address_space: Some(mapped.saturating_add(memory).saturating_add(RESERVED_BYTES)),
        data: Some(data.saturating_add(memory)),
        files: Some(FILES),
        file_bytes: Some(0),
    });
    inherited::check_parent(host)?;
    missing.extend(inherited::drop_privileges(false).err().map(|error| format!("privileges: {error}")));
    let _ignored = rustix::process::nice(NICE);
    missing.extend(lock_down(&Lockdown::default()));
    Ok(missing)
}

fn answer(order: &Order, bytes: &[u8]) -> Result<super::Compiled, LoadError> {
    let unusable = |error: wasmtime::Error| {
        LoadError::new(LoadCode::Budget, format!("the compiler cannot be set up: {error:#}"), "tell its authors")
    };
    let engine = Engine::new(&engine::code_config(order.metering, order.allocation, order.effort)).map_err(unusable)?;
    let compile = AssertUnwindSafe(|| work::compile(&engine, bytes, order.effort));
    catch_unwind(compile).unwrap_or_else(|panic| {
        let reason = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let reason: String = reason.unwrap_or("no reason").chars().take(300).collect();
        let message = format!("the compiler gave the file up: {reason}");
        Err(LoadError::new(LoadCode::Invalid, message, "build the plugin again with a current toolchain"))
    })
}
