//! The frames of a WebSocket (RFC 6455), as far as whoever dials needs them.
//!
//! | bytes | meaning |
//! |---|---|
//! | 0 | 128: the last frame of its message; below 16: [`Kind`] |
//! | 1 | 128: masked, as a client's frames are; the rest: how many bytes follow, or 126, or 127 |
//! | 2 to 3, or 2 to 9 | after 126, or 127: how many bytes follow, the largest byte first |
//! | 4 more | the mask, where there is one |

use std::{
    hash::{BuildHasher, RandomState},
    io,
};

/// The most bytes of a header that a server may send.
const LONGEST: usize = 10;

/// How long what follows a frame that is about the connection itself may be.
pub(super) const MAX_CONTROL: usize = 125;

const LAST: u8 = 0x80;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const TWO_BYTES: u8 = 0x7e;
const EIGHT_BYTES: u8 = 0x7f;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// More of the message before it.
    Continuation,
    /// A message, or its first part.
    Binary,
    /// Words, which nobody sends here.
    Text,
    /// The last.
    Close,
    /// To be answered.
    Ping,
    /// An answer.
    Pong,
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    fn of(number: u8) -> Option<Self> {
        let all = [Self::Continuation, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong];
        all.into_iter().find(|kind| kind.number() == number)
    }

    /// Whether it is about the connection itself, and may come between the frames of a message.
    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The header of a server's frame, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Header {
    bytes: [u8; LONGEST],
    n_bytes: usize,
}

impl Header {
    /// How many bytes of it are missing, as far as that is known.
    pub(super) fn n_missing(&self) -> usize {
        let length = match (self.n_bytes, self.bytes[1] & LENGTH) {
            (0 | 1, _) | (_, 0..=125) => 2,
            (_, 126) => 4,
            _ => LONGEST,
        };
        length - self.n_bytes
    }

    /// Some of it has come, no more than was missing.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.n_bytes..self.n_bytes + bytes.len()) {
            place.copy_from_slice(bytes);
            self.n_bytes += bytes.len();
        }
    }

    /// What it says, once all of it is there: the kind of frame, and how many bytes follow.
    pub(super) fn parse(&self) -> io::Result<(Kind, u64)> {
        let kind = Kind::of(self.bytes[0] & 0x0f).filter(|_| self.bytes[0] & 0x70 == 0);
        let kind = kind.ok_or_else(|| nonsense("a frame of no known kind"))?;
        if self.bytes[1] & MASKED != 0 {
            return Err(nonsense("a server that masks"));
        }
        let length = match self.n_bytes {
            2 => u64::from(self.bytes[1]),
            n_bytes => self.bytes[2..n_bytes].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        if kind.is_control() && (length > MAX_CONTROL as u64 || self.bytes[0] & LAST == 0) {
            return Err(nonsense("a long frame about the connection itself"));
        }
        Ok((kind, length))
    }
}

/// Adds a frame of ours to what is to be sent; what it carries comes in parts.
pub(super) fn put<'a>(out: &mut Vec<u8>, kind: Kind, parts: impl Iterator<Item = &'a [u8]> + Clone) {
    // Each such state is keyed by the system's source of randomness, and none is like the one before.
    let mask = RandomState::new().hash_one(out.len());
    put_masked(out, kind, parts, mask);
}

fn put_masked<'a>(out: &mut Vec<u8>, kind: Kind, parts: impl Iterator<Item = &'a [u8]> + Clone, mask: u64) {
    let length: usize = parts.clone().map(<[u8]>::len).sum();
    out.reserve(LONGEST + 4 + length);
    out.push(LAST | kind.number());
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..=125), _) => out.push(MASKED | length),
        (_, Ok(length)) => {
            out.push(MASKED | TWO_BYTES);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(MASKED | EIGHT_BYTES);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let [a, b, c, d, ..] = mask.to_le_bytes();
    out.extend_from_slice(&[a, b, c, d]);
    let start = out.len();
    parts.for_each(|part| out.extend_from_slice(part));
    let key = u64::from_le_bytes([a, b, c, d, a, b, c, d]);
    let (whole, tail) = out.get_mut(start..).unwrap_or_default().as_chunks_mut::<8>();
    for word in whole {
        *word = (u64::from_le_bytes(*word) ^ key).to_le_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.to_le_bytes()) {
        *byte ^= key;
    }
}

pub(super) fn nonsense(words: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("this is no port-forward: {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> io::Result<(Kind, u64)> {
        let mut header = Header::default();
        for byte in bytes {
            assert!(header.n_missing() > 0);
            header.feed(&[*byte]);
        }
        assert_eq!(header.n_missing(), 0);
        header.parse()
    }

    #[test]
    fn headers_of_all_three_lengths_are_read() {
        assert_eq!(read(&[0x82, 5]).unwrap(), (Kind::Binary, 5));
        assert_eq!(read(&[0x02, 126, 1, 2]).unwrap(), (Kind::Binary, 258));
        assert_eq!(read(&[0x80, 127, 0, 0, 0, 0, 0, 1, 0, 0]).unwrap(), (Kind::Continuation, 65536));
        assert_eq!(read(&[0x89, 125]).unwrap(), (Kind::Ping, 125));
    }

    #[test]
    fn what_no_server_says_is_refused() {
        for header in [&[0x83, 0][..], &[0xc2, 0], &[0x82, 0x85], &[0x09, 1], &[0x89, 126, 0, 126]] {
            assert_eq!(read(header).unwrap_err().kind(), io::ErrorKind::InvalidData, "{header:?}");
        }
    }

    #[test]
    fn a_frame_is_masked_as_the_standard_has_it() {
        // RFC 6455, 5.7: a masked "Hello".
        let mut out = Vec::new();
        put_masked(&mut out, Kind::Text, [&b"H"[..], b"ello"].into_iter(), 0x3d21_fa37);
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        for length in [125, 126, 65535, 65536] {
            let mut out = Vec::new();
            put(&mut out, Kind::Binary, std::iter::once(&*vec![7; length]));
            let n_header = match length {
                125 => 6,
                126 | 65535 => 8,
                _ => 14,
            };
            assert_eq!(out.len(), n_header + length);
        }
    }
}
