//! Cuts what comes by a strand into frames, and makes the headers of those that go.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use super::{End, Frame, HEADER, LaneId, MAX_PIECE, Saying};
use crate::wire::{self, DecodeError};

const DATA: u8 = 0;
const FINISHED: u8 = 1;
const BROKEN: u8 = 2;
const SAYING: u8 = 3;

/// A frame smaller than this is copied, so that it does not keep alive a whole buffer of others.
const COPIED: usize = MAX_PIECE / 4;

/// A peer sent what no peer may send.
#[derive(Debug, Error)]
pub enum BadFrame {
    /// More than a frame may carry.
    #[error("peer announced a frame of {0} bytes, more than the {MAX_PIECE} allowed")]
    TooLarge(usize),
    /// A kind that does not exist.
    #[error("peer sent a frame of kind {0}, which does not exist")]
    Kind(u8),
    /// The end of a lane cannot carry anything.
    #[error("peer sent {0} bytes with the end of a lane")]
    LoadedEnd(usize),
    /// Bytes that spell no word.
    #[error("peer's word makes no sense")]
    Saying(#[source] DecodeError),
}

/// Collects bytes until they make a frame.
#[derive(Debug, Default)]
pub struct Cutter {
    buffer: BytesMut,
}

impl Cutter {
    /// The buffer, for a reader that appends to it.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole frame, if its last byte is here.
    ///
    /// # Errors
    /// When the peer breaks the rules; nothing is reserved for a length before it is checked.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, BadFrame> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
        let [l0, l1, l2, kind, n0, n1, n2, n3, offset @ ..] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, 0]) as usize;
        let lane = LaneId(u32::from_le_bytes([n0, n1, n2, n3]));
        let offset = u64::from_le_bytes(offset);
        match kind {
            DATA | SAYING if length <= MAX_PIECE => {}
            DATA | SAYING => return Err(BadFrame::TooLarge(length)),
            FINISHED | BROKEN if length == 0 => {}
            FINISHED | BROKEN => return Err(BadFrame::LoadedEnd(length)),
            kind => return Err(BadFrame::Kind(kind)),
        }
        if self.buffer.len() < HEADER + length {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        Ok(Some(match kind {
            DATA => Frame::Data { lane, offset, bytes: self.take(length) },
            SAYING => {
                let saying = wire::decode(&self.buffer[..length]).map_err(BadFrame::Saying)?;
                self.buffer.advance(length);
                Frame::Say(saying)
            }
            FINISHED => Frame::End { lane, offset, end: End::Finished },
            _ => Frame::End { lane, offset, end: End::Broken },
        }))
    }

    fn take(&mut self, length: usize) -> Bytes {
        if length < COPIED {
            let bytes = Bytes::copy_from_slice(&self.buffer[..length]);
            self.buffer.advance(length);
            bytes
        } else {
            self.buffer.split_to(length).freeze()
        }
    }
}

impl Frame {
    /// The header, and what follows it. Bytes beyond [`MAX_PIECE`] must have been cut before.
    #[must_use]
    pub fn encode(self) -> ([u8; HEADER], Bytes) {
        match self {
            Self::Data { lane, offset, bytes } => (header(DATA, lane, offset, bytes.len()), bytes),
            Self::End { lane, offset, end } => {
                let kind = if end == End::Finished { FINISHED } else { BROKEN };
                (header(kind, lane, offset, 0), Bytes::new())
            }
            Self::Say(saying) => {
                let body = Bytes::from(spell(&saying));
                (header(SAYING, LaneId(0), 0, body.len()), body)
            }
        }
    }
}

/// The bytes of a word. What is said is small, so that this cannot fail; if it does, the peer hears nonsense, and says so.
fn spell(saying: &Saying) -> Vec<u8> {
    wire::encode(saying).unwrap_or_default()
}

fn header(kind: u8, lane: LaneId, offset: u64, length: usize) -> [u8; HEADER] {
    let [l0, l1, l2, _] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut header = [l0, l1, l2, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    header[4..8].copy_from_slice(&lane.0.to_le_bytes());
    header[8..].copy_from_slice(&offset.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<Frame> {
        vec![
            Frame::Data { lane: LaneId(1), offset: 1 << 40, bytes: Bytes::from_static(b"hello") },
            Frame::Data { lane: LaneId(2), offset: 0, bytes: vec![7; MAX_PIECE].into() },
            Frame::End { lane: LaneId(u32::MAX), offset: u64::MAX, end: End::Finished },
            Frame::Say(Saying::Ping(5)),
            Frame::End { lane: LaneId(2), offset: 0, end: End::Broken },
        ]
    }

    #[test]
    fn a_strand_cut_anywhere_gives_the_same_frames() {
        let mut wire = Vec::new();
        for frame in frames() {
            let (header, body) = frame.encode();
            wire.extend_from_slice(&header);
            wire.extend_from_slice(&body);
        }
        for cut in [1, 2, 15, 16, 17, 1000, wire.len()] {
            let mut cutter = Cutter::default();
            let mut read = Vec::new();
            for piece in wire.chunks(cut) {
                cutter.buffer().extend_from_slice(piece);
                while let Some(frame) = cutter.next_frame().unwrap() {
                    read.push(frame);
                }
            }
            assert_eq!(read, frames(), "pieces of {cut}");
        }
    }

    #[test]
    fn what_no_peer_may_send_is_refused_at_its_header() {
        let refused = |kind, length| {
            let mut cutter = Cutter::default();
            cutter.buffer().extend_from_slice(&header(kind, LaneId(1), 0, length));
            cutter.next_frame().unwrap_err().to_string()
        };
        assert!(refused(DATA, MAX_PIECE + 1).contains("more than the 65536 allowed"));
        assert!(refused(SAYING, 1 << 23).contains("more than the 65536 allowed"));
        assert!(refused(9, 1).contains("kind 9"));
        assert!(refused(BROKEN, 3).contains("3 bytes with the end"));
    }
}
