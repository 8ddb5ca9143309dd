//! The chunks of a lane, as far as they have come.

use mirrord_protocol::chunk::{Chunk, HEADER};
use mirrord_trunk::socket::Socket;

use super::{Broken, side::write_all};

/// Where in the chunks of a lane we are.
#[derive(Default)]
pub(super) struct ChunkParser {
    header: [u8; HEADER],
    /// How much of the next header is here.
    pub(super) n_header: usize,
    /// How much of a chunk is still to come.
    pub(super) n_left: usize,
}

impl ChunkParser {
    /// Passes on what of these bytes is data; tells whether the other side has finished.
    pub(super) async fn pass_on(&mut self, mut bytes: &[u8], here: &impl Socket) -> Result<bool, Broken> {
        while !bytes.is_empty() {
            if self.n_left > 0 {
                let (data, rest) = bytes.split_at(self.n_left.min(bytes.len()));
                write_all(here, data).await.map_err(|_| Broken::Here)?;
                self.n_left -= data.len();
                bytes = rest;
                continue;
            }
            self.header[self.n_header] = bytes[0];
            self.n_header += 1;
            bytes = &bytes[1..];
            if self.n_header == HEADER {
                self.n_header = 0;
                match Chunk::parse(self.header) {
                    Ok(Chunk::Data(length)) => self.n_left = length,
                    Ok(Chunk::Finished) => return Ok(true),
                    Ok(Chunk::Broken(_)) | Err(_) => return Err(Broken::There),
                }
            }
        }
        Ok(false)
    }
}
