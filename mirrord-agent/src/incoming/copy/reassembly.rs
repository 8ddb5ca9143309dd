//! One direction of a TCP connection put together again from its segments; pure.
//!
//! Segments come in any order, twice, or overlapping. What came first for a byte is what counts, as in most kernels.
//! Positions are counted from the first byte in 64 bits, so that a sequence number that wraps is none of our worries.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use thiserror::Error;

/// The most bytes that may wait behind a gap: more than the largest window that kernels open by default.
pub(super) const MAX_PENDING: usize = 8 << 20;

/// How long a gap may stay open. A byte that the target got and we did not is never sent again.
pub(super) const GAP_PATIENCE: Duration = Duration::from_secs(10);

/// A segment of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    /// The number of its first byte (of its FIN, if it is empty).
    pub(super) sequence: u32,
    /// Its bytes.
    pub(super) payload: &'a [u8],
    /// Whether nothing follows it.
    pub(super) fin: bool,
}

/// What the stream came to by one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// What follows what was there before, in order.
    pub(super) pieces: Vec<Bytes>,
    /// Whether that was all.
    pub(super) finished: bool,
}

/// Bytes are missing that nobody will send again.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("some of its bytes were not seen")]
pub(super) struct Gap;

/// The bytes of one direction.
#[derive(Debug)]
pub(super) struct Assembler {
    /// The sequence number of the byte at `position`.
    next: u32,
    position: u64,
    end: Option<u64>,
    pending: BTreeMap<u64, Bytes>,
    n_pending: usize,
    gap_since: Option<Duration>,
}

impl Assembler {
    /// A stream whose SYN had this number.
    pub(super) fn new(syn: u32) -> Self {
        Self {
            next: syn.wrapping_add(1),
            position: 0,
            end: None,
            pending: BTreeMap::new(),
            n_pending: 0,
            gap_since: None,
        }
    }

    /// Takes a segment in.
    ///
    /// # Errors
    /// When more waits behind a gap than may.
    pub(super) fn handle_segment(&mut self, segment: Segment<'_>, now: Duration) -> Result<Progress, Gap> {
        if let Some(start) = self.locate(segment.sequence) {
            if segment.fin {
                self.end.get_or_insert(
                    start.saturating_add_unsigned(segment.payload.len() as u64).max(0).cast_unsigned(),
                );
            }
            self.store(start, segment.payload);
        }
        let progress = self.advance();
        self.gap_since = if self.pending.is_empty() { None } else { self.gap_since.or(Some(now)) };
        if !progress.pieces.is_empty() && self.gap_since.is_some() {
            self.gap_since = Some(now);
        }
        if self.n_pending > MAX_PENDING { Err(Gap) } else { Ok(progress) }
    }

    /// Whether a gap has stayed open for too long.
    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        self.gap_since.is_some_and(|since| now >= since + GAP_PATIENCE)
    }

    /// How many bytes wait behind a gap.
    pub(super) fn n_pending(&self) -> usize {
        self.n_pending
    }

    /// Whether a reset with this number can be the peer's: at or after what has come, within a window.
    pub(super) fn is_in_window(&self, sequence: u32) -> bool {
        sequence.wrapping_sub(self.next) <= MAX_WINDOW
    }

    /// The position of a sequence number, which may lie before the first byte; none for one out of any window.
    fn locate(&self, sequence: u32) -> Option<i64> {
        let distance = sequence.wrapping_sub(self.next).cast_signed();
        (distance.unsigned_abs() <= MAX_WINDOW).then(|| self.position.cast_signed() + i64::from(distance))
    }

    /// Keeps whatever of these bytes is new.
    fn store(&mut self, start: i64, payload: &[u8]) {
        let n_old = usize::try_from(self.position.cast_signed() - start).unwrap_or(0);
        let Some(mut rest) = payload.get(n_old..) else { return };
        let mut at = start.max(self.position.cast_signed()).cast_unsigned();
        if let Some(end) = self.end {
            let n_allowed = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            rest = rest.get(..n_allowed).unwrap_or(rest);
        }
        while !rest.is_empty() {
            let before =
                self.pending.range(..=at).next_back().map(|(start, bytes)| start + bytes.len() as u64);
            if let Some(covered) = before.filter(|end| *end > at) {
                let n_covered = usize::try_from(covered - at).unwrap_or(usize::MAX);
                rest = rest.get(n_covered..).unwrap_or_default();
                at = covered;
                continue;
            }
            let after = self.pending.range(at..).next().map_or(u64::MAX, |(start, _)| *start);
            let n_free = usize::try_from(after - at).unwrap_or(usize::MAX).min(rest.len());
            let (free, later) = rest.split_at(n_free);
            self.pending.insert(at, Bytes::copy_from_slice(free));
            self.n_pending += free.len();
            at += free.len() as u64;
            rest = later;
        }
    }

    /// Takes out whatever follows without a gap.
    fn advance(&mut self) -> Progress {
        let mut progress = Progress::default();
        while let Some(entry) = self.pending.first_entry() {
            if *entry.key() != self.position {
                break;
            }
            let bytes = entry.remove();
            self.n_pending -= bytes.len();
            self.position += bytes.len() as u64;
            // A piece is never as long as the space of sequence numbers.
            self.next = self.next.wrapping_add(u32::try_from(bytes.len()).unwrap_or_default());
            progress.pieces.push(bytes);
        }
        progress.finished = self.end == Some(self.position);
        progress
    }
}

/// The largest window that TCP can announce.
const MAX_WINDOW: u32 = 1 << 30;

#[cfg(test)]
mod tests;
