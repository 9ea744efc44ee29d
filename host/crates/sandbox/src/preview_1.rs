//! WASI preview 1 for programs that are core modules. They run as they are: an adapter to WASI 0.2 would make every exit
//! code but zero a one, and cost more than the run of a small program.

use wasmtime::Linker;
use wasmtime_wasi::{I32Exit, p1};

use crate::{attempt::GuestState, files};

const MODULE: &str = "wasi_snapshot_preview1";

/// Preview 1's error for a descriptor that is no socket, which is what all descriptors here are.
const NOT_A_SOCKET: i32 = 57;

pub(crate) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    p1::add_to_linker_async(linker, GuestState::preview_1)?;
    files::add_to_core_linker(linker)?;
    linker.allow_shadowing(true);
    // The library's own takes the codes from 126 on, which shells and programs use, for a fault of the guest.
    linker
        .func_wrap(MODULE, "proc_exit", |code: i32| -> wasmtime::Result<()> { Err(I32Exit(low_byte(code)).into()) })?;
    // The library's own write a line to the host's log with each call, which a guest could flood.
    linker.func_wrap(MODULE, "sock_accept", |_: i32, _: i32, _: i32| NOT_A_SOCKET)?;
    linker.func_wrap(MODULE, "sock_recv", |_: i32, _: i32, _: i32, _: i32, _: i32, _: i32| NOT_A_SOCKET)?;
    linker.func_wrap(MODULE, "sock_send", |_: i32, _: i32, _: i32, _: i32, _: i32| NOT_A_SOCKET)?;
    linker.func_wrap(MODULE, "sock_shutdown", |_: i32, _: i32| NOT_A_SOCKET)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The eight bits of an exit code that Unix keeps: `exit(-1)` is 255.
fn low_byte(code: i32) -> i32 {
    code & 0xff
}
