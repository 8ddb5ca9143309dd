//! A lane of users' bytes, cut into chunks so that its end is told as what it was.
//!
//! A chunk is a header of four little-endian bytes and, for data, that many bytes:
//!
//! | header | meaning |
//! |---|---|
//! | 1 to [`MAX_CHUNK`] | so many bytes follow |
//! | 0 | the sender has shut its side down: a FIN |
//! | `0xffff_0000` + errno | the connection broke with this errno: a reset |
//!
//! Nothing else is valid, and nothing may follow an end.

use thiserror::Error;

/// The bytes of a header.
pub const HEADER: usize = 4;

/// The most bytes that one chunk carries.
pub const MAX_CHUNK: usize = 64 << 10;

const BROKEN: u32 = 0xffff_0000;

/// What a header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// So many bytes follow, at least one.
    Data(usize),
    /// No more bytes in this direction; the other one goes on.
    Finished,
    /// The connection is gone, with this errno; neither direction goes on.
    Broken(i32),
}

/// A peer sent a header that means nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("peer announced a chunk of {0} bytes, more than the {MAX_CHUNK} allowed")]
pub struct BadChunk(pub u32);

impl Chunk {
    /// The header that announces this chunk. Data beyond [`MAX_CHUNK`] must have been cut before.
    #[must_use]
    pub fn encode(self) -> [u8; HEADER] {
        let word = match self {
            Self::Data(length) => u32::try_from(length).unwrap_or(u32::MAX),
            Self::Finished => 0,
            Self::Broken(errno) => BROKEN | u32::from(u16::try_from(errno).unwrap_or(u16::MAX)),
        };
        word.to_le_bytes()
    }

    /// What a header announces.
    ///
    /// # Errors
    /// When the header is neither data of a permitted length nor an end.
    pub fn parse(header: [u8; HEADER]) -> Result<Self, BadChunk> {
        match u32::from_le_bytes(header) {
            0 => Ok(Self::Finished),
            word if word as usize <= MAX_CHUNK => Ok(Self::Data(word as usize)),
            word if word & BROKEN == BROKEN => Ok(Self::Broken((word & !BROKEN).cast_signed())),
            word => Err(BadChunk(word)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_reads_back_as_what_was_written() {
        for chunk in
            [Chunk::Data(1), Chunk::Data(MAX_CHUNK), Chunk::Finished, Chunk::Broken(104), Chunk::Broken(0)]
        {
            assert_eq!(Chunk::parse(chunk.encode()), Ok(chunk));
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused() {
        assert_eq!(Chunk::parse(0x0002_0000_u32.to_le_bytes()), Err(BadChunk(0x0002_0000)));
    }
}
