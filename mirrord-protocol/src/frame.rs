//! Cuts a stream of bytes into frames: feed pieces, take wholes.
//!
//! A frame is its length as four little-endian bytes, then that many bytes, at most [`MAX_FRAME`].

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use thiserror::Error;

use crate::wire::{self, EncodeError, MAX_FRAME};

const HEADER: usize = 4;

/// A peer announced a frame that no peer may send.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("peer announced a frame of {0} bytes, more than the {MAX_FRAME} allowed")]
pub struct OversizedFrame(pub usize);

/// Collects bytes until they make a frame.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: BytesMut,
}

impl FrameReader {
    /// Takes a piece in, of any size.
    pub fn feed(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The buffer, for a reader that appends to it directly.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole frame, if its last byte is here.
    ///
    /// # Errors
    /// When the announced length exceeds [`MAX_FRAME`]: refused before anything is reserved for it.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, OversizedFrame> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_le_bytes(*header) as usize;
        if length > MAX_FRAME {
            return Err(OversizedFrame(length));
        }
        if self.buffer.len() < HEADER + length {
            self.buffer.reserve(HEADER + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// What was read beyond the last frame taken: the first bytes of whatever follows the frames.
    #[must_use]
    pub fn into_rest(self) -> Bytes {
        self.buffer.freeze()
    }
}

/// A value as a frame, header included.
///
/// # Errors
/// When the value cannot be encoded within [`MAX_FRAME`].
pub fn encode_frame<T: Serialize>(value: &T) -> Result<Bytes, EncodeError> {
    let body = wire::encode(value)?;
    let mut frame = BytesMut::with_capacity(HEADER + body.len());
    frame.put_u32_le(u32::try_from(body.len()).unwrap_or(u32::MAX));
    frame.put_slice(&body);
    Ok(frame.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_frames() {
        let mut wire = Vec::new();
        for word in ["hi", "", "!"] {
            wire.extend_from_slice(&encode_frame(&word).unwrap());
        }
        for cut in 1..=wire.len() {
            let mut reader = FrameReader::default();
            let mut frames = Vec::new();
            for piece in wire.chunks(cut) {
                reader.feed(piece);
                while let Some(frame) = reader.next_frame().unwrap() {
                    frames.push(wire::decode::<String>(&frame).unwrap());
                }
            }
            assert_eq!(frames, ["hi", "", "!"], "pieces of {cut}");
        }
    }

    #[test]
    fn a_boastful_length_is_refused_before_it_is_believed() {
        let mut reader = FrameReader::default();
        reader.feed(&u32::MAX.to_le_bytes());
        assert_eq!(reader.next_frame(), Err(OversizedFrame(u32::MAX as usize)));
        assert!(reader.buffer().capacity() < MAX_FRAME);
    }
}
