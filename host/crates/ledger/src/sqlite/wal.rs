//! Looks at the files before SQLite does, for the two losses that SQLite keeps quiet about: it ignores all of a WAL
//! from the first frame that does not add up, and a WAL beside a file whose header does not ask for one.
//!
//! <https://www.sqlite.org/fileformat2.html> describes the bytes. Nothing is written here, and nobody else may have the
//! files open, since closing a file drops the locks that SQLite holds on it in this process.

use std::{
    fs::File,
    io::{self, BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};

use clockjack_schedule::ports::LedgerError;

use super::fault::damaged;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const DATABASE_HEADER_BYTES: usize = 100;
const WAL_HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// The magic number of a WAL without its lowest bit, which gives the byte order of the checksums.
const WAL_MAGIC: u32 = 0x377f_0682;

/// The page sizes that SQLite knows.
const PAGE_BYTES: std::ops::RangeInclusive<u32> = 512..=65_536;

/// Fails where the files have lost something that was acknowledged.
pub(super) fn inspect(path: &Path) -> Result<(), LedgerError> {
    let unreadable = |error: io::Error| LedgerError::Unavailable(format!("`{}`: {error}", path.display()));
    let wal = read(&wal_of(path)).map_err(unreadable)?;
    let database = read(path).map_err(unreadable)?;
    let Some(mut database) = database else {
        return match wal {
            Some(_) => Err(damaged(path, "the file is gone, and its WAL is still there")),
            None => Ok(()),
        };
    };
    let mut header = Vec::new();
    database.by_ref().take(DATABASE_HEADER_BYTES as u64).read_to_end(&mut header).map_err(unreadable)?;
    check_header(path, &header, wal.is_some())?;
    match wal {
        Some(wal) => check_wal(wal).map_err(unreadable)?.map_or(Ok(()), |what| Err(damaged(path, what))),
        None => Ok(()),
    }
}

/// Where the WAL of a file is.
pub(super) fn wal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn read(path: &Path) -> io::Result<Option<BufReader<File>>> {
    match File::open(path) {
        Ok(file) => Ok(Some(BufReader::with_capacity(1 << 16, file))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn check_header(path: &Path, header: &[u8], has_wal: bool) -> Result<(), LedgerError> {
    if header.is_empty() {
        return if has_wal { Err(damaged(path, "the file is empty, and its WAL is still there")) } else { Ok(()) };
    }
    if header.len() < DATABASE_HEADER_BYTES || !header.starts_with(MAGIC) {
        return Err(damaged(
            path,
            "it does not begin as an SQLite database does, so it is another file or a ledger that was overwritten",
        ));
    }
    // Bytes 18 and 19: 2 and 2 say that there is a WAL. With anything else SQLite would not look into it.
    if has_wal && header[18..20] != [2, 2] {
        return Err(damaged(path, "its header does not ask for the WAL that lies beside it"));
    }
    Ok(())
}

/// What is wrong with a WAL, if anything is.
///
/// Each commit waits for the disk before the next one begins. So after a crash the last transaction may be torn, which
/// is what a WAL is for; but a transaction that others follow was whole once.
fn check_wal(mut wal: impl Read) -> io::Result<Option<&'static str>> {
    let Some(header) = read_exactly::<WAL_HEADER_BYTES>(&mut wal)? else { return Ok(None) };
    let word = |index: usize| word_at(&header, index);
    if header.iter().all(|byte| *byte == 0) {
        // It was made longer and not written: the crash came before its first commit.
        return Ok(None);
    }
    let is_big_endian = word(0) == WAL_MAGIC | 1;
    let mut sum = Sum { first: 0, second: 0, is_big_endian };
    sum.add(&header[..24]);
    let is_header = word(0) & !1 == WAL_MAGIC && PAGE_BYTES.contains(&word(2)) && sum.is(word(6), word(7));
    if !is_header {
        return Ok(Some("the header of its WAL is broken, and what was committed there with it"));
    }
    let salts = (word(4), word(5));
    let mut page = vec![0; usize::try_from(word(2)).unwrap_or_default()];
    let mut is_whole = true;
    let mut n_commits_after = 0;
    while let Some(frame) = read_exactly::<FRAME_HEADER_BYTES>(&mut wal)? {
        if !fill(&mut wal, &mut page)? {
            break;
        }
        let word = |index: usize| word_at(&frame, index);
        let is_current = (word(2), word(3)) == salts;
        if is_whole {
            sum.add(&frame[..8]);
            sum.add(&page);
            is_whole = is_current && word(0) != 0 && sum.is(word(4), word(5));
        }
        // A frame that ends a transaction says how large the database is then.
        if !is_whole && is_current && word(1) != 0 {
            n_commits_after += 1;
        }
    }
    Ok((1 < n_commits_after).then_some("a byte of its WAL has changed, and later commits would be lost"))
}

/// The cumulative checksum of a WAL.
struct Sum {
    first: u32,
    second: u32,
    is_big_endian: bool,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks_exact(8) {
            let (first, second) = (self.word(&pair[..4]), self.word(&pair[4..]));
            self.first = self.first.wrapping_add(first).wrapping_add(self.second);
            self.second = self.second.wrapping_add(second).wrapping_add(self.first);
        }
    }

    fn word(&self, bytes: &[u8]) -> u32 {
        let bytes = bytes.try_into().unwrap_or_default();
        if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn is(&self, first: u32, second: u32) -> bool {
        (self.first, self.second) == (first, second)
    }
}

/// The words of headers are always big-endian.
fn word_at(bytes: &[u8], index: usize) -> u32 {
    u32::from_be_bytes(bytes[4 * index..4 * index + 4].try_into().unwrap_or_default())
}

fn read_exactly<const N: usize>(source: &mut impl Read) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    Ok(fill(source, &mut bytes)?.then_some(bytes))
}

/// Whether there was enough to fill it.
fn fill(source: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match source.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
