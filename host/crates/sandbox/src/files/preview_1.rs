//! Files for programs of WASI preview 1: the library's own functions, with counting, remembering and a look at what is
//! opened. Those that neither write nor name a path stay the library's.

use wasmtime::{Caller, Extern, Linker};
use wasmtime_wasi::p1::{
    WasiP1Ctx,
    types::{Errno, Error, Fd, Filestat, Filetype, Lookupflags, Oflags},
    wasi_snapshot_preview1::{self as library, WasiSnapshotPreview1},
};
use wiggle::{GuestMemory, GuestPtr};

use crate::attempt::GuestState;

const MODULE: &str = "wasi_snapshot_preview1";

/// Most buffers of one write, as on Linux: the host looks through them.
const BUFFERS_MAX: u32 = 1_024;

/// The first descriptor of a granted directory; those before it are the streams.
const FIRST_DIR: u32 = 3;

/// What the functions answer, as they answer it.
const DONE: i32 = Errno::Success as i32;
const REFUSED: i32 = Errno::Perm as i32;
const TOO_MANY_BUFFERS: i32 = Errno::Inval as i32;

/// A path in the memory of a guest.
#[derive(Clone, Copy)]
struct Place {
    start: i32,
    len: i32,
}

impl Place {
    fn pointer(self) -> GuestPtr<str> {
        GuestPtr::new((self.start.cast_unsigned(), self.len.cast_unsigned()))
    }

    /// The path for people; what is no text is told by the function that reads it.
    fn shown(self, memory: &GuestMemory<'_>) -> String {
        memory
            .as_cow_str(self.pointer())
            .map_or_else(|_| String::new(), |text| text.chars().take(super::PATH_CHARS_MAX).collect())
    }
}

/// What the library's functions get: the guest's memory and the state.
fn parts<'c>(caller: &'c mut Caller<'_, GuestState>) -> wasmtime::Result<(GuestMemory<'c>, &'c mut GuestState)> {
    let fuel = wasmtime::AsContextMut::as_context_mut(caller).hostcall_fuel();
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        return Err(wasmtime::Error::msg("the program exports no `memory`"));
    };
    let (memory, state) = memory.data_and_store_mut(caller);
    state.preview_1().set_hostcall_fuel(fuel);
    Ok((GuestMemory::Unshared(memory), state))
}

impl GuestState {
    /// Remembers a refusal, where this is one.
    fn told(&mut self, operation: &str, dir: i32, path: &str, errno: i32) {
        if errno == REFUSED {
            self.files.refused(&mut self.refusals, operation, dir.cast_unsigned(), path);
        }
    }

    /// The names of the granted directories, which have their numbers before the program's first instruction.
    pub(crate) fn name_preopens(&mut self) {
        let guests: Vec<_> = self.files.grants.iter().map(|grant| grant.guest.clone()).collect();
        for (fd, guest) in (FIRST_DIR..).zip(guests) {
            self.files.give(fd, &guest);
        }
    }
}

/// Replaces a function that makes nothing.
macro_rules! watch {
    ($linker:ident, $name:ident, $operation:literal, ($($argument:ident: $type:ty),*), $dir:ident, $start:ident, $len:ident) => {
        $linker.func_wrap_async(
            MODULE,
            stringify!($name),
            |mut caller: Caller<'_, GuestState>, ($($argument,)*): ($($type,)*)| {
                Box::new(async move {
                    let (mut memory, state) = parts(&mut caller)?;
                    let path = Place { start: $start, len: $len }.shown(&memory);
                    let errno = library::$name(state.preview_1_again(), &mut memory, $($argument),*).await?;
                    state.told($operation, $dir, &path, errno);
                    wasmtime::Result::Ok(errno)
                })
            },
        )?;
    };
}

/// Replaces a function that makes something.
macro_rules! count {
    ($linker:ident, $name:ident, $operation:literal, ($($argument:ident: $type:ty),*), $dir:ident, $start:ident, $len:ident) => {
        $linker.func_wrap_async(
            MODULE,
            stringify!($name),
            |mut caller: Caller<'_, GuestState>, ($($argument,)*): ($($type,)*)| {
                Box::new(async move {
                    let (mut memory, state) = parts(&mut caller)?;
                    state.files.meter.create()?;
                    let path = Place { start: $start, len: $len }.shown(&memory);
                    let errno = library::$name(state.preview_1_again(), &mut memory, $($argument),*).await?;
                    if errno != DONE {
                        state.files.meter.not_created();
                    }
                    state.told($operation, $dir, &path, errno);
                    wasmtime::Result::Ok(errno)
                })
            },
        )?;
    };
}

/// Takes the place of some of the library's functions, which must be there already.
pub(crate) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    count!(linker, path_create_directory, "create-directory", (dir: i32, at: i32, len: i32), dir, at, len);
    count!(linker, path_link, "link", (old: i32, flags: i32, old_at: i32, old_len: i32, dir: i32, at: i32, len: i32), dir, at, len);
    count!(linker, path_symlink, "symlink", (to: i32, to_len: i32, dir: i32, at: i32, len: i32), dir, at, len);
    watch!(linker, path_rename, "rename", (old: i32, old_at: i32, old_len: i32, dir: i32, at: i32, len: i32), dir, at, len);
    watch!(linker, path_unlink_file, "unlink", (dir: i32, at: i32, len: i32), dir, at, len);
    watch!(linker, path_remove_directory, "remove-directory", (dir: i32, at: i32, len: i32), dir, at, len);
    watch!(linker, path_filestat_set_times, "set-times", (dir: i32, flags: i32, at: i32, len: i32, atim: i64, mtim: i64, set: i32), dir, at, len);
    add_open(linker)?;
    add_writes(linker)?;
    add_numbers(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn add_open(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    type Arguments = (i32, i32, i32, i32, i32, i64, i64, i32, i32);
    linker.func_wrap_async(MODULE, "path_open", |mut caller: Caller<'_, GuestState>, arguments: Arguments| {
        Box::new(async move {
            let (dir, lookup, at, len, open, rights, inherited, flags, to) = arguments;
            let (mut memory, state) = parts(&mut caller)?;
            let place = Place { start: at, len };
            let path = place.shown(&memory);
            let found = look(state.preview_1_again(), &mut memory, dir, lookup, place).await?;
            if found == Found::Special {
                state.files.refused_special(&mut state.refusals, dir.cast_unsigned(), &path);
                return Ok(REFUSED);
            }
            let creates = found == Found::Nothing && open & i32::from(Oflags::CREAT.bits()) != 0;
            if creates {
                state.files.meter.create()?;
            }
            let context = state.preview_1_again();
            let errno =
                library::path_open(context, &mut memory, dir, lookup, at, len, open, rights, inherited, flags, to)
                    .await?;
            if errno != DONE {
                if creates {
                    state.files.meter.not_created();
                }
                state.told("open", dir, &path, errno);
                return Ok(errno);
            }
            let opened = memory.read(GuestPtr::<u32>::new(to.cast_unsigned()))?;
            let context = state.preview_1_again();
            let stat = stat_of(WasiSnapshotPreview1::fd_filestat_get(context, &mut memory, Fd::from(opened)).await)?;
            // What stood there before may have been replaced meanwhile.
            if stat.is_ok_and(|stat| is_special(stat.filetype)) {
                let closed =
                    WasiSnapshotPreview1::fd_close(state.preview_1_again(), &mut memory, Fd::from(opened)).await;
                drop(closed);
                state.files.refused_special(&mut state.refusals, dir.cast_unsigned(), &path);
                return Ok(REFUSED);
            }
            state.files.opened(opened, dir.cast_unsigned(), &path);
            wasmtime::Result::Ok(errno)
        })
    })?;
    Ok(())
}

fn add_writes(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    type Write = (i32, i32, i32, i32);
    linker.func_wrap_async(MODULE, "fd_write", |mut caller: Caller<'_, GuestState>, (fd, at, n, to): Write| {
        Box::new(async move {
            let (mut memory, state) = parts(&mut caller)?;
            if BUFFERS_MAX < n.cast_unsigned() {
                return Ok(TOO_MANY_BUFFERS);
            }
            let n_bytes = first_buffer(&memory, at, n);
            count_write(state, &mut memory, fd, None, n_bytes).await?;
            let errno = library::fd_write(state.preview_1_again(), &mut memory, fd, at, n, to).await?;
            state.told("write", fd, "", errno);
            wasmtime::Result::Ok(errno)
        })
    })?;
    type WriteAt = (i32, i32, i32, i64, i32);
    linker.func_wrap_async(
        MODULE,
        "fd_pwrite",
        |mut caller: Caller<'_, GuestState>, (fd, at, n, offset, to): WriteAt| {
            Box::new(async move {
                let (mut memory, state) = parts(&mut caller)?;
                if BUFFERS_MAX < n.cast_unsigned() {
                    return Ok(TOO_MANY_BUFFERS);
                }
                let (position, n_bytes) = (Some(offset.cast_unsigned()), first_buffer(&memory, at, n));
                count_write(state, &mut memory, fd, position, n_bytes).await?;
                let errno = library::fd_pwrite(state.preview_1_again(), &mut memory, fd, at, n, offset, to).await?;
                state.told("write", fd, "", errno);
                wasmtime::Result::Ok(errno)
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_filestat_set_size",
        |mut caller: Caller<'_, GuestState>, (fd, size): (i32, i64)| {
            Box::new(async move {
                let (mut memory, state) = parts(&mut caller)?;
                count_write(state, &mut memory, fd, Some(size.cast_unsigned()), 0).await?;
                let errno = library::fd_filestat_set_size(state.preview_1_again(), &mut memory, fd, size).await?;
                state.told("set-size", fd, "", errno);
                wasmtime::Result::Ok(errno)
            })
        },
    )?;
    Ok(())
}

/// Descriptors that go, or that get another number.
fn add_numbers(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap_async(MODULE, "fd_close", |mut caller: Caller<'_, GuestState>, (fd,): (i32,)| {
        Box::new(async move {
            let (mut memory, state) = parts(&mut caller)?;
            let errno = library::fd_close(state.preview_1_again(), &mut memory, fd).await?;
            if errno == DONE {
                state.files.closed(fd.cast_unsigned());
            }
            wasmtime::Result::Ok(errno)
        })
    })?;
    linker.func_wrap_async(MODULE, "fd_renumber", |mut caller: Caller<'_, GuestState>, (fd, to): (i32, i32)| {
        Box::new(async move {
            let (mut memory, state) = parts(&mut caller)?;
            let errno = library::fd_renumber(state.preview_1_again(), &mut memory, fd, to).await?;
            if errno == DONE {
                state.files.renumbered(fd.cast_unsigned(), to.cast_unsigned());
            }
            wasmtime::Result::Ok(errno)
        })
    })?;
    Ok(())
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Openable,
    Nothing,
    Special,
}

/// Looks at what is to be opened, as for components: opening a pipe could hold a thread of the host for ever.
async fn look(
    context: &mut WasiP1Ctx,
    memory: &mut GuestMemory<'_>,
    dir: i32,
    lookup: i32,
    place: Place,
) -> wasmtime::Result<Found> {
    // The function that opens says what is wrong with the flags.
    let Ok(lookup) = Lookupflags::try_from(lookup) else { return Ok(Found::Openable) };
    let found = WasiSnapshotPreview1::path_filestat_get(context, memory, Fd::from(dir), lookup, place.pointer()).await;
    Ok(match stat_of(found)? {
        Ok(stat) if is_special(stat.filetype) => Found::Special,
        Ok(_) => Found::Openable,
        Err(Errno::Noent) => Found::Nothing,
        Err(_) => Found::Openable,
    })
}

fn is_special(kind: Filetype) -> bool {
    !matches!(kind, Filetype::RegularFile | Filetype::Directory | Filetype::SymbolicLink)
}

/// An answer of the library, with what ends the guest apart.
fn stat_of(found: Result<Filestat, Error>) -> wasmtime::Result<Result<Filestat, Errno>> {
    match found {
        Ok(stat) => Ok(Ok(stat)),
        Err(error) => Ok(Err(error.downcast()?)),
    }
}

/// Counts a write into a file: at a position or, without one, at that of the descriptor. A hole before it counts as if it
/// were written. Streams are no files.
async fn count_write(
    state: &mut GuestState,
    memory: &mut GuestMemory<'_>,
    fd: i32,
    position: Option<u64>,
    n_bytes: u32,
) -> wasmtime::Result<()> {
    let fd = Fd::from(fd);
    let Ok(current) = WasiSnapshotPreview1::fd_tell(state.preview_1_again(), memory, fd) else { return Ok(()) };
    let found = WasiSnapshotPreview1::fd_filestat_get(state.preview_1_again(), memory, fd).await;
    let size = stat_of(found)?.map_or(0, |stat| stat.size);
    let hole = position.unwrap_or(current).saturating_sub(size);
    Ok(state.files.meter.write(hole.saturating_add(u64::from(n_bytes)))?)
}

/// The length of the first buffer that is not empty, which is what one call writes.
fn first_buffer(memory: &GuestMemory<'_>, at: i32, n: i32) -> u32 {
    const BUFFER_BYTES: u32 = 8;
    let lens = (0..n.cast_unsigned()).map_while(|index| {
        let place = at.cast_unsigned().checked_add(index.checked_mul(BUFFER_BYTES)?)?.checked_add(BUFFER_BYTES / 2)?;
        memory.read(GuestPtr::<u32>::new(place)).ok()
    });
    lens.into_iter().find(|len| *len != 0).unwrap_or_default()
}
