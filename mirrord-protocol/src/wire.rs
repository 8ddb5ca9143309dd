//! The only file that names bincode: encode, decode, and the limits that both sides keep.

use bincode::config::{self, Configuration, Limit, LittleEndian, Varint};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// The largest frame between proxy and agent, in bytes: one MiB of a file and its wrapping fit.
pub const MAX_FRAME: usize = 2 << 20;

/// The largest packet between layer and proxy, in bytes; it fits the default buffer of a unix socket.
pub const MAX_PACKET: usize = 64 << 10;

const CONFIGURATION: Configuration<LittleEndian, Varint, Limit<MAX_FRAME>> =
    config::standard().with_limit::<MAX_FRAME>();

/// Why a value could not be written.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// It cannot be spelled at all.
    #[error("cannot encode a message")]
    Unspeakable(#[source] bincode::error::EncodeError),
    /// It would be more than a peer may read.
    #[error("a message of {0} bytes is larger than the {MAX_FRAME} allowed")]
    TooLarge(usize),
}

/// Why bytes are not the value that they should be: always the peer's fault.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The bytes do not spell the value.
    #[error("malformed message")]
    Malformed(#[source] bincode::error::DecodeError),
    /// The bytes spell the value, and then go on.
    #[error("message is followed by {0} unexpected bytes")]
    Trailing(usize),
}

/// The bytes of a value.
///
/// # Errors
/// When the value would be larger than [`MAX_FRAME`], or cannot be written at all.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let bytes = bincode::serde::encode_to_vec(value, CONFIGURATION).map_err(EncodeError::Unspeakable)?;
    if bytes.len() > MAX_FRAME { Err(EncodeError::TooLarge(bytes.len())) } else { Ok(bytes) }
}

/// The value of exactly these bytes.
///
/// # Errors
/// When the bytes are not, or not only, that value. Nothing is allocated for a length that exceeds [`MAX_FRAME`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, n_read) =
        bincode::serde::decode_from_slice(bytes, CONFIGURATION).map_err(DecodeError::Malformed)?;
    match bytes.len() - n_read {
        0 => Ok(value),
        rest => Err(DecodeError::Trailing(rest)),
    }
}
