//! Frames: the length of what follows, in four bytes, and JSON. What is longer than its reader expects is not read.

use std::io::{self, Read, Write};

use bytes::{Buf as _, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// How many bytes say the length.
const LENGTH_BYTES: usize = 4;

/// Room for one read: most frames are shorter.
const READ_BYTES: usize = 8 << 10;

/// Longest frame that a worker takes from its host: arguments, input and state of an attempt, which all have limits of
/// their own.
pub(crate) const FROM_HOST_BYTES_MAX: usize = 256 << 20;

fn bytes_of<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; LENGTH_BYTES];
    serde_json::to_writer(&mut bytes, message)?;
    let n_bytes = u32::try_from(bytes.len() - LENGTH_BYTES).ok().ok_or_else(|| too_long(u32::MAX))?;
    bytes[..LENGTH_BYTES].copy_from_slice(&n_bytes.to_le_bytes());
    Ok(bytes)
}

fn too_long(n_bytes: u32) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a message of {n_bytes} bytes or more is too long"))
}

fn length(prefix: [u8; LENGTH_BYTES], n_bytes_max: usize) -> io::Result<usize> {
    let n_bytes = u32::from_le_bytes(prefix);
    usize::try_from(n_bytes).ok().filter(|n| *n <= n_bytes_max).ok_or_else(|| too_long(n_bytes))
}

/// Writes a frame.
pub(crate) fn write<T: Serialize>(to: &mut impl Write, message: &T) -> io::Result<()> {
    to.write_all(&bytes_of(message)?)?;
    to.flush()
}

/// Reads a frame; none where the other side has closed before one.
pub(crate) fn read<T: DeserializeOwned>(from: &mut impl Read, n_bytes_max: usize) -> io::Result<Option<T>> {
    let mut prefix = [0; LENGTH_BYTES];
    match from.read_exact(&mut prefix) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut bytes = vec![0; length(prefix, n_bytes_max)?];
    from.read_exact(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// Writes a frame without keeping a thread waiting. Where the future is dropped, a part of it may have been written.
pub(crate) async fn send<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), message: &T) -> io::Result<()> {
    to.write_all(&bytes_of(message)?).await?;
    to.flush().await
}

/// Reads frames without keeping a thread waiting.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    from: R,
    unread: BytesMut,
    n_bytes_max: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    /// Frames with at most so many bytes.
    pub(crate) fn new(from: R, n_bytes_max: usize) -> Self {
        Self { from, unread: BytesMut::new(), n_bytes_max }
    }

    /// The next one; none where the other side has closed. Cancel-safe.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(prefix) = self.unread.first_chunk() {
                let n_bytes = length(*prefix, self.n_bytes_max)?;
                if let Some(message) = self.unread.get(LENGTH_BYTES..LENGTH_BYTES + n_bytes) {
                    let message = serde_json::from_slice(message)?;
                    self.unread.advance(LENGTH_BYTES + n_bytes);
                    return Ok(Some(message));
                }
            }
            self.unread.reserve(READ_BYTES);
            if self.from.read_buf(&mut self.unread).await? == 0 {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_long_ones_are_not_read() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"first").unwrap();
        write(&mut bytes, &vec![1, 2, 3]).unwrap();
        let mut from = bytes.as_slice();
        assert_eq!(read::<String>(&mut from, 100).unwrap().as_deref(), Some("first"));
        assert_eq!(read::<Vec<u8>>(&mut from, 100).unwrap(), Some(vec![1, 2, 3]));
        assert_eq!(read::<String>(&mut from, 100).unwrap(), None);
        assert!(read::<String>(&mut bytes.as_slice(), 6).is_err(), "two quotes make it seven bytes");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut frames = Frames::new(bytes.as_slice(), 100);
            assert_eq!(frames.next::<String>().await.unwrap().as_deref(), Some("first"));
            assert_eq!(frames.next::<Vec<u8>>().await.unwrap(), Some(vec![1, 2, 3]));
            assert_eq!(frames.next::<String>().await.unwrap(), None);
            let mut frames = Frames::new(bytes.as_slice(), 6);
            assert!(frames.next::<String>().await.is_err());
        });
    }

    #[test]
    fn what_ends_within_a_frame_is_no_frame() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"first").unwrap();
        bytes.pop();
        assert!(read::<String>(&mut bytes.as_slice(), 100).is_err());
    }
}
