//! A connection that is read in large pieces: what deciphers TLS asks for 4 KiB at a time, a call of the system each.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

/// How much is read at once: what a socket has ready when bytes come fast.
const PIECE: usize = 64 << 10;

/// A connection, and what was read of it that nobody has asked for yet.
pub(crate) struct Buffered<S> {
    stream: S,
    /// None until somebody reads.
    bytes: Option<Box<[u8]>>,
    start: usize,
    end: usize,
}

impl<S> Buffered<S> {
    /// Nothing was read of it.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, bytes: None, start: 0, end: 0 }
    }
}

impl<S: Read + Unpin> Read for Buffered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.start == this.end {
            if buf.remaining() >= PIECE {
                return Pin::new(&mut this.stream).poll_read(cx, buf);
            }
            let bytes = this.bytes.get_or_insert_with(|| vec![0; PIECE].into_boxed_slice());
            let mut whole = ReadBuf::new(bytes);
            ready!(Pin::new(&mut this.stream).poll_read(cx, whole.unfilled()))?;
            (this.start, this.end) = (0, whole.filled().len());
        }
        let known =
            this.bytes.as_deref().and_then(|bytes| bytes.get(this.start..this.end)).unwrap_or_default();
        let n_bytes = known.len().min(buf.remaining());
        buf.put_slice(known.get(..n_bytes).unwrap_or_default());
        this.start += n_bytes;
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for Buffered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

impl<S: Connection> Connection for Buffered<S> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn bytes_come_whole_and_in_order_however_they_are_asked_for() {
        let (mut there, here) = duplex(1 << 20);
        let sent: Vec<u8> = (0..1_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        there.write_all(&sent).await.unwrap();
        drop(there);
        let mut here = TokioIo::new(Buffered::new(TokioIo::new(here)));
        let mut received = Vec::new();
        for size in [1, 4096, 5, 100_000, 3, 70_000].into_iter().cycle() {
            let mut piece = vec![0; size];
            match here.read(&mut piece).await.unwrap() {
                0 => break,
                n_read => received.extend_from_slice(&piece[..n_read]),
            }
        }
        assert!(received == sent);
    }
}
