//! A WebSocket of the API server as a stream of bytes: what comes is put where its reader wants it, and nowhere before.

use std::{
    io::{self, IoSlice},
    iter,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};

use super::frame::{self, Header, Kind, MAX_CONTROL, nonsense};

/// How much goes into one message: a kubelet takes a message as a whole.
const MESSAGE: usize = 64 * 1024;
/// The channel that carries bytes; the other one carries words of failure.
const DATA: u8 = 0;
/// The most words of failure that are listened to.
const MOST_WORDS: usize = 4096;

/// The bytes of one port.
pub(super) struct Socket<S> {
    /// Read no further than the frame goes.
    stream: Take<S>,
    port: u16,
    /// Whether the port was told on each channel.
    is_open: [bool; 2],
    place: Place,
    /// The channel of the message that is being read; none before its first byte.
    channel: Option<u8>,
    /// What has come of a message that is not bytes for the reader, or of a frame about the connection itself.
    words: Vec<u8>,
    is_over: bool,
    /// A failure that came after bytes which were still to be told.
    failure: Option<io::Error>,
    /// Frames that have not left yet, and how much of them has; whoever polls next, reader or writer, sends them on.
    out: Vec<u8>,
    n_sent: usize,
    /// Our last frame is written.
    has_closed: bool,
    writer: Option<Waker>,
}

/// Where in the stream the reader is.
#[derive(Debug)]
enum Place {
    /// Within the header of a frame.
    Header(Header),
    /// Within what it carries, of which so much is missing.
    Frame(Kind, u64),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(super) fn new(stream: S, port: u16) -> Self {
        Self {
            stream: stream.take(0),
            port,
            is_open: [false; 2],
            place: Place::Header(Header::default()),
            channel: None,
            words: Vec::new(),
            is_over: false,
            failure: None,
            out: Vec::new(),
            n_sent: 0,
            has_closed: false,
            writer: None,
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.out.get(self.n_sent..) {
            match ready!(Pin::new(self.stream.get_mut()).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n_written => self.n_sent += n_written,
            }
        }
        if self.n_sent > 0 {
            // What is behind the socket may hold something back, too.
            ready!(Pin::new(self.stream.get_mut()).poll_flush(cx))?;
            self.out.clear();
            self.n_sent = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads a little that is not for the reader.
    fn poll_some(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<([u8; MAX_CONTROL], usize)>> {
        let mut bytes = [0; MAX_CONTROL];
        let mut part = ReadBuf::new(&mut bytes);
        self.stream.set_limit(most.min(MAX_CONTROL) as u64);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let n_read = part.filled().len();
        Poll::Ready(Ok((bytes, n_read)))
    }

    /// One step onwards. It may have put something into `buf`.
    fn poll_step(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &self.place {
            Place::Header(header) => {
                let n_missing = header.n_missing();
                let (bytes, n_read) = ready!(self.poll_some(cx, n_missing))?;
                if n_read == 0 {
                    let words = "the connection ended without a last word";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, words)));
                }
                self.take_header(&bytes[..n_read])?;
            }
            Place::Frame(kind, 0) => {
                let kind = *kind;
                self.place = Place::Header(Header::default());
                self.end_frame(kind)?;
            }
            Place::Frame(kind, n_missing) => {
                let (kind, n_missing) = (*kind, *n_missing);
                let n_read = ready!(self.poll_frame(cx, buf, kind, n_missing))?;
                if n_read == 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                self.place = Place::Frame(kind, n_missing - n_read);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take_header(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Place::Header(header) = &mut self.place else { return Ok(()) };
        header.feed(bytes);
        if header.n_missing() == 0 {
            let (kind, length) = header.parse()?;
            if matches!(kind, Kind::Binary | Kind::Text) {
                self.channel = None;
                self.words.clear();
            }
            self.place = Place::Frame(kind, length);
        }
        Ok(())
    }

    /// Reads what a frame carries; tells how much.
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        kind: Kind,
        n_missing: u64,
    ) -> Poll<io::Result<u64>> {
        let is_message = matches!(kind, Kind::Binary | Kind::Continuation);
        if is_message && self.channel == Some(DATA) && self.is_open[usize::from(DATA)] {
            let before = buf.filled().len();
            self.stream.set_limit(n_missing);
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            return Poll::Ready(Ok((buf.filled().len() - before) as u64));
        }
        let most = if is_message && self.channel.is_none() { 1 } else { n_missing };
        let (bytes, n_read) = ready!(self.poll_some(cx, usize::try_from(most).unwrap_or(usize::MAX)))?;
        match (is_message, self.channel, &bytes[..n_read]) {
            (true, None, [channel]) if usize::from(*channel) >= self.is_open.len() => {
                return Poll::Ready(Err(nonsense(&format!("it speaks on channel {channel}"))));
            }
            (true, None, [channel]) => self.channel = Some(*channel),
            (_, _, bytes) if kind != Kind::Text && self.words.len() < MOST_WORDS => {
                self.words.extend_from_slice(bytes);
            }
            _ => {}
        }
        Poll::Ready(Ok(n_read as u64))
    }

    /// All of a frame is here. Messages of a port-forward are a frame each, but for bytes, which need no borders.
    fn end_frame(&mut self, kind: Kind) -> io::Result<()> {
        match kind {
            Kind::Ping => frame::put(&mut self.out, Kind::Pong, iter::once(&*self.words)),
            Kind::Close => self.is_over = true,
            Kind::Binary | Kind::Continuation => self.end_message()?,
            Kind::Pong | Kind::Text => {}
        }
        self.words.clear();
        Ok(())
    }

    fn end_message(&mut self) -> io::Result<()> {
        let Some(channel) = self.channel else { return Ok(()) };
        let Some(is_open) = self.is_open.get_mut(usize::from(channel)) else { return Ok(()) };
        if !std::mem::replace(is_open, true) {
            return match <[u8; 2]>::try_from(&*self.words) {
                Ok(port) if u16::from_le_bytes(port) == self.port => Ok(()),
                _ => Err(nonsense("it names another port")),
            };
        }
        if channel == DATA { Ok(()) } else { Err(failure(&self.words)) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(failure) = this.failure.take() {
            return Poll::Ready(Err(failure));
        }
        let n_before = buf.filled().len();
        loop {
            // Both halves share one waker for sending: whoever polled last must see it through, and tell the other.
            if let Poll::Ready(outcome) = this.poll_send(cx)
                && let Some(writer) = this.writer.take()
            {
                writer.wake();
                outcome?;
            }
            if this.is_over || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let has_some = buf.filled().len() > n_before;
            match this.poll_step(cx, buf) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(failure)) if has_some => {
                    this.failure = Some(failure);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Pending if has_some => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.writer = Some(cx.waker().clone());
        ready!(this.poll_send(cx))?;
        let parts = bufs.iter().scan(MESSAGE, |room, buf| {
            let part = buf.get(..buf.len().min(*room))?;
            *room -= part.len();
            Some(part)
        });
        let n_bytes = parts.clone().map(<[u8]>::len).sum();
        frame::put(&mut this.out, Kind::Binary, iter::once(&[DATA][..]).chain(parts));
        // What is written is on its way without a flush, as with any socket.
        if let Poll::Ready(outcome) = this.poll_send(cx) {
            this.writer = None;
            outcome?;
        }
        Poll::Ready(Ok(n_bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer = Some(cx.waker().clone());
        ready!(self.poll_send(cx))?;
        self.writer = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        // This protocol has no end of one direction: the whole connection ends.
        if !self.has_closed {
            self.has_closed = true;
            frame::put(&mut self.out, Kind::Close, iter::empty());
            ready!(self.as_mut().poll_flush(cx))?;
        }
        Pin::new(self.stream.get_mut()).poll_shutdown(cx)
    }
}

/// What the other end says instead of bytes.
fn failure(words: &[u8]) -> io::Error {
    let words = String::from_utf8_lossy(words);
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let kind = match () {
        () if words.contains("refused") => io::ErrorKind::ConnectionRefused,
        () if words.contains("not found") || words.contains("not running") => io::ErrorKind::NotFound,
        () => io::ErrorKind::Other,
    };
    io::Error::new(kind, words)
}
