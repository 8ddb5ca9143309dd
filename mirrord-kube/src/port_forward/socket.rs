//! A WebSocket of the API server as a stream of bytes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use futures::{Sink, Stream};
use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message},
};

/// How much goes into one message: a kubelet takes a message as a whole.
const MESSAGE: usize = 64 * 1024;
/// The channel that carries bytes; the other one carries words of failure.
const DATA: u8 = 0;

/// The bytes of one port.
pub(super) struct Socket<S> {
    messages: WebSocketStream<S>,
    port: u16,
    /// Whether the port was told on each channel.
    is_open: [bool; 2],
    /// What has come and was not read yet.
    rest: Bytes,
    is_over: bool,
    /// Whether something written has not left yet; whoever polls next, reader or writer, sends it on.
    is_dirty: bool,
    writer: Option<Waker>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(super) fn new(messages: WebSocketStream<S>, port: u16) -> Self {
        Self {
            messages,
            port,
            is_open: [false; 2],
            rest: Bytes::new(),
            is_over: false,
            is_dirty: false,
            writer: None,
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_dirty {
            ready!(Pin::new(&mut self.messages).poll_flush(cx)).map_err(broken)?;
            self.is_dirty = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes a message in.
    fn take_in(&mut self, mut message: Bytes) -> io::Result<()> {
        if message.is_empty() {
            return Ok(());
        }
        let channel = message.split_to(1).first().copied().unwrap_or_default();
        let Some(is_open) = self.is_open.get_mut(usize::from(channel)) else {
            return Err(nonsense(&format!("it speaks on channel {channel}")));
        };
        if !*is_open {
            *is_open = true;
            return match <[u8; 2]>::try_from(&*message) {
                Ok(port) if u16::from_le_bytes(port) == self.port => Ok(()),
                _ => Err(nonsense("it names another port")),
            };
        }
        match channel {
            DATA => self.rest = message,
            _ => return Err(failure(&message)),
        }
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // Both halves share one waker for sending: whoever polled last must see it through, and tell the other.
        if let Poll::Ready(outcome) = this.poll_send(cx)
            && let Some(writer) = this.writer.take()
        {
            writer.wake();
            if outcome.is_err() {
                return Poll::Ready(outcome);
            }
        }
        while this.rest.is_empty() {
            if this.is_over {
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut this.messages).poll_next(cx)) {
                None | Some(Ok(Message::Close(_))) => this.is_over = true,
                Some(Ok(Message::Binary(message))) => this.take_in(message)?,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let n_bytes = this.rest.len().min(buf.remaining());
        buf.put_slice(&this.rest.split_to(n_bytes));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.writer = Some(cx.waker().clone());
        ready!(this.poll_send(cx))?;
        ready!(Pin::new(&mut this.messages).poll_ready(cx)).map_err(broken)?;
        let n_bytes = buf.len().min(MESSAGE);
        let mut message = Vec::with_capacity(n_bytes + 1);
        message.push(DATA);
        message.extend_from_slice(buf.get(..n_bytes).unwrap_or_default());
        Pin::new(&mut this.messages).start_send(Message::Binary(message.into())).map_err(broken)?;
        this.is_dirty = true;
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
        match ready!(Pin::new(&mut self.messages).poll_close(cx)) {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(broken(error))),
        }
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

fn nonsense(words: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("this is no port-forward: {words}"))
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        error => io::Error::new(io::ErrorKind::ConnectionReset, error),
    }
}
