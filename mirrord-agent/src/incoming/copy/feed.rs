//! What one client hears of one connection, kept for it within bounds.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use mirrord_protocol::chunk::MAX_CHUNK;
use thiserror::Error;
use tokio::sync::mpsc;

use super::super::Heard;

/// The most bytes that wait for one reader of one connection.
pub(super) const MAX_BACKLOG: usize = 16 << 20;

/// The most bytes that wait for all readers.
pub(super) const MAX_TOTAL: usize = 64 << 20;

/// What keeping a piece costs beside its bytes.
const OVERHEAD: usize = 64;

/// The reader is too slow, and is cut off.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("it was not read as fast as it came")]
pub(super) struct TooSlow;

/// The bytes that wait, of one connection and of all.
#[derive(Clone, Debug)]
struct Account {
    own: Arc<AtomicUsize>,
    total: Arc<AtomicUsize>,
}

impl Account {
    fn add(&self, n_bytes: usize) -> bool {
        let own = self.own.fetch_add(n_bytes, Ordering::Relaxed) + n_bytes;
        let total = self.total.fetch_add(n_bytes, Ordering::Relaxed) + n_bytes;
        own <= MAX_BACKLOG && total <= MAX_TOTAL
    }

    fn subtract(&self, piece: &Heard) {
        let n_bytes = cost(piece);
        self.own.fetch_sub(n_bytes, Ordering::Relaxed);
        self.total.fetch_sub(n_bytes, Ordering::Relaxed);
    }
}

fn cost(piece: &Heard) -> usize {
    match piece {
        Heard::Bytes(bytes) => bytes.len() + OVERHEAD,
        Heard::Finished | Heard::Broken(_) => 0,
    }
}

/// The end where pieces go in; it never waits.
#[derive(Debug)]
pub(super) struct Feed {
    pieces: mpsc::UnboundedSender<Heard>,
    account: Account,
}

/// What is heard of one mirrored connection. Dropping it ends the copy, and nothing else.
#[derive(Debug)]
pub(crate) struct Hearing {
    pieces: mpsc::UnboundedReceiver<Heard>,
    account: Account,
}

/// Both ends. What waits is counted in `total`, too.
pub(super) fn feed(total: Arc<AtomicUsize>) -> (Feed, Hearing) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let account = Account { own: Arc::default(), total };
    (Feed { pieces: sender, account: account.clone() }, Hearing { pieces: receiver, account })
}

impl Feed {
    /// Puts bytes in; they are dropped if nobody listens any more.
    ///
    /// # Errors
    /// When too much waits. The hearing has then been ended with `ENOBUFS`.
    pub(super) fn push(&self, bytes: &Bytes) -> Result<(), TooSlow> {
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            let piece = Heard::Bytes(rest.split_to(rest.len().min(MAX_CHUNK)));
            let fits = self.account.add(cost(&piece));
            self.send(piece);
            if !fits {
                self.end(Heard::Broken(libc::ENOBUFS));
                return Err(TooSlow);
            }
        }
        Ok(())
    }

    /// Puts the end in, after which nothing may follow.
    pub(super) fn end(&self, end: Heard) {
        self.send(end);
    }

    /// Whether nobody listens any more.
    pub(super) fn is_closed(&self) -> bool {
        self.pieces.is_closed()
    }

    fn send(&self, piece: Heard) {
        if let Err(mpsc::error::SendError(piece)) = self.pieces.send(piece) {
            self.account.subtract(&piece);
        }
    }
}

impl Hearing {
    /// The next piece; none after an end. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        let piece = self.pieces.recv().await?;
        self.account.subtract(&piece);
        Some(piece)
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.pieces.close();
        while let Ok(piece) = self.pieces.try_recv() {
            self.account.subtract(&piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_reader_is_cut_off_and_told_so_after_what_it_may_still_read() {
        let total = Arc::default();
        let (feed, mut hearing) = feed(Arc::clone(&total));
        let piece = Bytes::from(vec![7; 1 << 20]);
        let n_pushed = (0..1000).take_while(|_| feed.push(&piece).is_ok()).count();
        assert!((10..=16).contains(&n_pushed));
        drop(feed);
        let mut n_read = 0;
        let end = loop {
            match hearing.next().await.unwrap() {
                Heard::Bytes(bytes) => {
                    assert!((1..=MAX_CHUNK).contains(&bytes.len()));
                    n_read += bytes.len();
                }
                end => break end,
            }
        };
        assert_eq!(end, Heard::Broken(libc::ENOBUFS));
        assert!(n_read >= n_pushed << 20);
        assert_eq!(hearing.next().await, None);
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_a_reader_leaves_behind_is_counted_no_longer() {
        let total = Arc::default();
        let (feed, hearing) = feed(Arc::clone(&total));
        feed.push(&Bytes::from_static(b"hello")).unwrap();
        assert_ne!(total.load(Ordering::Relaxed), 0);
        drop(hearing);
        assert!(feed.is_closed());
        feed.push(&Bytes::from_static(b"hello")).unwrap();
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn many_slow_readers_are_bounded_together() {
        let total = Arc::default();
        let feeds: Vec<_> = (0..8).map(|_| feed(Arc::clone(&total))).collect();
        let piece = Bytes::from(vec![7; 12 << 20]);
        let outcomes: Vec<_> = feeds.iter().map(|(feed, _)| feed.push(&piece)).collect();
        assert!(outcomes[..5].iter().all(Result::is_ok));
        assert!(outcomes[6..].iter().all(Result::is_err));
    }
}
