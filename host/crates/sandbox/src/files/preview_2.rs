//! `wasi:filesystem` for components: the library's own, with counting, remembering and a look at what is opened.

use std::{fs::Metadata, os::unix::fs::FileTypeExt as _, sync::Arc};

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::{
    filesystem::{Descriptor, WasiFilesystemCtxView},
    p2::{
        DynInputStream, DynOutputStream, FsError, FsResult,
        bindings::filesystem::{
            preopens,
            types::{
                self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream,
                ErrorCode, Filesize, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp,
                OpenFlags, PathFlags,
            },
        },
    },
};

use super::{Files, stream::Counted};
use crate::{attempt::GuestState, refusals::Refusals};

/// What the linker is told of the view.
struct GuardedFiles;

impl HasData for GuardedFiles {
    type Data<'a> = Guarded<'a>;
}

/// The library's view of the files, with our own beside it.
pub(crate) struct Guarded<'a> {
    pub(crate) inner: WasiFilesystemCtxView<'a>,
    pub(crate) files: &'a mut Files,
    pub(crate) refusals: &'a mut Refusals,
}

/// Takes the place of the library's own interfaces, which must be there already.
pub(crate) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    types::add_to_linker::<_, GuardedFiles>(linker, GuestState::guarded)?;
    preopens::add_to_linker::<_, GuardedFiles>(linker, GuestState::guarded)?;
    linker.allow_shadowing(false);
    Ok(())
}

type Fd = Resource<Descriptor>;

/// Another handle to the same descriptor.
fn same(fd: &Fd) -> Fd {
    Resource::new_borrow(fd.rep())
}

impl Guarded<'_> {
    /// Remembers a refusal, where this is one. Looks (`stat`, `readlink`) are not told: language runtimes take them to find
    /// their way, and what fails later has another reason.
    fn told<T>(&mut self, operation: &str, dir: u32, path: &str, result: FsResult<T>) -> FsResult<T> {
        let is_refused = |error: &FsError| matches!(error.downcast_ref(), Some(ErrorCode::NotPermitted));
        if result.as_ref().is_err_and(is_refused) {
            self.files.refused(self.refusals, operation, dir, path);
        }
        result
    }

    /// Counts what is about to be made.
    fn create(&self) -> FsResult<()> {
        self.files.meter.create().map_err(FsError::trap)
    }

    /// Takes the count back where nothing was made.
    fn created<T>(&self, result: FsResult<T>) -> FsResult<T> {
        if result.is_err() {
            self.files.meter.not_created();
        }
        result
    }

    /// Counts what a write at an offset adds beside its own bytes: a hole before it counts as if it were written.
    fn count_write(&self, fd: &Fd, offset: Filesize, n_bytes: u64) -> FsResult<()> {
        let hole = match self.inner.table.get(fd)? {
            Descriptor::File(file) => offset.saturating_sub(file.file.metadata().map_or(0, |file| file.len())),
            Descriptor::Dir(_) => 0,
        };
        self.files.meter.write(n_bytes.saturating_add(hole)).map_err(FsError::trap)
    }

    fn counted(&mut self, stream: Resource<DynOutputStream>) -> FsResult<Resource<DynOutputStream>> {
        let inner = self.inner.table.delete(stream)?;
        let counted: DynOutputStream = Box::new(Counted { inner, meter: Arc::clone(&self.files.meter) });
        Ok(self.inner.table.push(counted)?)
    }

    /// Whether something is there to be opened. Opening a pipe would hold a thread of the host until somebody else opened
    /// its other end, so what is neither a file nor a directory is refused before it is tried.
    ///
    /// Another process may put a pipe there between the look and the opening; then that thread waits, and the attempt
    /// ends with its timeout.
    async fn look(&mut self, fd: &Fd, flags: PathFlags, path: &str) -> FsResult<Found> {
        match HostDescriptor::stat_at(&mut self.inner, same(fd), flags, path.to_owned()).await {
            Ok(stat) => match stat.type_ {
                DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink => {
                    Ok(Found::Openable)
                }
                DescriptorType::Unknown
                | DescriptorType::BlockDevice
                | DescriptorType::CharacterDevice
                | DescriptorType::Fifo
                | DescriptorType::Socket => {
                    self.files.refused_special(self.refusals, fd.rep(), path);
                    Err(ErrorCode::NotPermitted.into())
                }
            },
            Err(error) => match error.downcast_ref() {
                Some(ErrorCode::NoEntry) => Ok(Found::Nothing),
                // Opening it says what is wrong.
                Some(_) => Ok(Found::Openable),
                None => Err(error),
            },
        }
    }

    /// A look at what was opened, for the case that it was not what stood there before.
    fn is_special(&self, fd: &Fd) -> FsResult<bool> {
        let special = |metadata: Metadata| {
            let kind = metadata.file_type();
            kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device()
        };
        Ok(match self.inner.table.get(fd)? {
            Descriptor::File(file) => file.file.metadata().is_ok_and(special),
            Descriptor::Dir(_) => false,
        })
    }
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Openable,
    Nothing,
}

impl preopens::Host for Guarded<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        let given = preopens::Host::get_directories(&mut self.inner)?;
        for (fd, guest) in &given {
            self.files.give(fd.rep(), guest);
        }
        Ok(given)
    }
}

impl types::Host for Guarded<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        types::Host::convert_error_code(&mut self.inner, error)
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        types::Host::filesystem_error_code(&mut self.inner, error)
    }
}

impl HostDescriptor for Guarded<'_> {
    async fn advise(&mut self, fd: Fd, offset: Filesize, len: Filesize, advice: Advice) -> FsResult<()> {
        HostDescriptor::advise(&mut self.inner, fd, offset, len, advice).await
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        HostDescriptor::sync_data(&mut self.inner, fd).await
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<DescriptorFlags> {
        HostDescriptor::get_flags(&mut self.inner, fd).await
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<DescriptorType> {
        HostDescriptor::get_type(&mut self.inner, fd).await
    }

    async fn set_size(&mut self, fd: Fd, size: Filesize) -> FsResult<()> {
        self.count_write(&fd, size, 0)?;
        let dir = fd.rep();
        let result = HostDescriptor::set_size(&mut self.inner, fd, size).await;
        self.told("set-size", dir, "", result)
    }

    async fn set_times(&mut self, fd: Fd, atim: NewTimestamp, mtim: NewTimestamp) -> FsResult<()> {
        let dir = fd.rep();
        let result = HostDescriptor::set_times(&mut self.inner, fd, atim, mtim).await;
        self.told("set-times", dir, "", result)
    }

    async fn read(&mut self, fd: Fd, len: Filesize, offset: Filesize) -> FsResult<(Vec<u8>, bool)> {
        HostDescriptor::read(&mut self.inner, fd, len, offset).await
    }

    async fn write(&mut self, fd: Fd, buffer: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        self.count_write(&fd, offset, u64::try_from(buffer.len()).unwrap_or(u64::MAX))?;
        let dir = fd.rep();
        let result = HostDescriptor::write(&mut self.inner, fd, buffer, offset).await;
        self.told("write", dir, "", result)
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<DirectoryEntryStream>> {
        HostDescriptor::read_directory(&mut self.inner, fd).await
    }

    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        HostDescriptor::sync(&mut self.inner, fd).await
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.create()?;
        let (dir, shown) = (fd.rep(), path.clone());
        let result = HostDescriptor::create_directory_at(&mut self.inner, fd, path).await;
        let result = self.created(result);
        self.told("create-directory", dir, &shown, result)
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<DescriptorStat> {
        HostDescriptor::stat(&mut self.inner, fd).await
    }

    async fn stat_at(&mut self, fd: Fd, flags: PathFlags, path: String) -> FsResult<DescriptorStat> {
        HostDescriptor::stat_at(&mut self.inner, fd, flags, path).await
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
        atim: NewTimestamp,
        mtim: NewTimestamp,
    ) -> FsResult<()> {
        let (dir, shown) = (fd.rep(), path.clone());
        let result = HostDescriptor::set_times_at(&mut self.inner, fd, flags, path, atim, mtim).await;
        self.told("set-times", dir, &shown, result)
    }

    async fn link_at(&mut self, fd: Fd, flags: PathFlags, path: String, new_fd: Fd, new_path: String) -> FsResult<()> {
        self.create()?;
        let (dir, shown) = (new_fd.rep(), new_path.clone());
        let result = HostDescriptor::link_at(&mut self.inner, fd, flags, path, new_fd, new_path).await;
        let result = self.created(result);
        self.told("link", dir, &shown, result)
    }

    async fn open_at(
        &mut self,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        let (dir, shown) = (fd.rep(), path.clone());
        let found = self.look(&fd, path_flags, &path).await?;
        let creates = found == Found::Nothing && open_flags.contains(OpenFlags::CREATE);
        if creates {
            self.create()?;
        }
        let result = HostDescriptor::open_at(&mut self.inner, fd, path_flags, path, open_flags, flags).await;
        let result = if creates { self.created(result) } else { result };
        let opened = self.told("open", dir, &shown, result)?;
        if self.is_special(&opened)? {
            HostDescriptor::drop(&mut self.inner, opened).map_err(FsError::trap)?;
            self.files.refused_special(self.refusals, dir, &shown);
            return Err(ErrorCode::NotPermitted.into());
        }
        self.files.opened(opened.rep(), dir, &shown);
        Ok(opened)
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        self.files.closed(fd.rep());
        HostDescriptor::drop(&mut self.inner, fd)
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        HostDescriptor::readlink_at(&mut self.inner, fd, path).await
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        let (dir, shown) = (fd.rep(), path.clone());
        let result = HostDescriptor::remove_directory_at(&mut self.inner, fd, path).await;
        self.told("remove-directory", dir, &shown, result)
    }

    async fn rename_at(&mut self, fd: Fd, path: String, new_fd: Fd, new_path: String) -> FsResult<()> {
        let (dir, shown) = (new_fd.rep(), new_path.clone());
        let result = HostDescriptor::rename_at(&mut self.inner, fd, path, new_fd, new_path).await;
        self.told("rename", dir, &shown, result)
    }

    async fn symlink_at(&mut self, fd: Fd, target: String, path: String) -> FsResult<()> {
        self.create()?;
        let (dir, shown) = (fd.rep(), path.clone());
        let result = HostDescriptor::symlink_at(&mut self.inner, fd, target, path).await;
        let result = self.created(result);
        self.told("symlink", dir, &shown, result)
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        let (dir, shown) = (fd.rep(), path.clone());
        let result = HostDescriptor::unlink_file_at(&mut self.inner, fd, path).await;
        self.told("unlink", dir, &shown, result)
    }

    fn read_via_stream(&mut self, fd: Fd, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        HostDescriptor::read_via_stream(&mut self.inner, fd, offset)
    }

    fn write_via_stream(&mut self, fd: Fd, offset: Filesize) -> FsResult<Resource<DynOutputStream>> {
        self.count_write(&fd, offset, 0)?;
        let dir = fd.rep();
        let result = HostDescriptor::write_via_stream(&mut self.inner, fd, offset);
        let stream = self.told("write", dir, "", result)?;
        self.counted(stream)
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        let dir = fd.rep();
        let result = HostDescriptor::append_via_stream(&mut self.inner, fd);
        let stream = self.told("write", dir, "", result)?;
        self.counted(stream)
    }

    async fn is_same_object(&mut self, one: Fd, other: Fd) -> wasmtime::Result<bool> {
        HostDescriptor::is_same_object(&mut self.inner, one, other).await
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<MetadataHashValue> {
        HostDescriptor::metadata_hash(&mut self.inner, fd).await
    }

    async fn metadata_hash_at(&mut self, fd: Fd, flags: PathFlags, path: String) -> FsResult<MetadataHashValue> {
        HostDescriptor::metadata_hash_at(&mut self.inner, fd, flags, path).await
    }
}

impl HostDirectoryEntryStream for Guarded<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        HostDirectoryEntryStream::read_directory_entry(&mut self.inner, stream).await
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        HostDirectoryEntryStream::drop(&mut self.inner, stream)
    }
}
