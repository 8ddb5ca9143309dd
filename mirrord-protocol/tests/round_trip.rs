//! Whatever is written can be read back, and whatever is read was either meant or is refused without harm.

use mirrord_protocol::{
    GuestPath,
    agent::{FromAgent, LaneOpen, ToAgent, fs},
    chunk::{Chunk, HEADER},
    frame::{FrameReader, encode_frame},
    proxy::{FromProxy, ToProxy},
    trunk::{Cutter, Join, Joined, Saying},
    wire::{self, MAX_FRAME},
};
use proptest::prelude::*;
use serde_bytes::ByteBuf;

proptest! {
    #[test]
    fn bytes_of_a_file_come_back(bytes: Vec<u8>, path: Vec<u8>, offset: u64) {
        let call = fs::FsCall::WriteAt { file: mirrord_protocol::id::RemoteFd::default(), offset, bytes: ByteBuf::from(bytes) };
        prop_assert_eq!(wire::decode::<fs::FsCall>(&wire::encode(&call).unwrap()).unwrap(), call);
        let call = ToProxy::Open { path: GuestPath(path), flags: 0, mode: 0 };
        prop_assert_eq!(wire::decode::<ToProxy>(&wire::encode(&call).unwrap()).unwrap(), call);
    }

    #[test]
    fn frames_survive_every_cut(messages: Vec<Vec<u8>>, cut in 1_usize..64) {
        let wire: Vec<u8> = messages.iter().flat_map(|message| encode_frame(message).unwrap()).collect();
        let mut reader = FrameReader::default();
        let mut read = Vec::new();
        for piece in wire.chunks(cut) {
            reader.feed(piece);
            while let Some(frame) = reader.next_frame().unwrap() {
                read.push(wire::decode::<Vec<u8>>(&frame).unwrap());
            }
        }
        prop_assert_eq!(read, messages);
    }

    #[test]
    fn noise_is_refused_or_means_something_that_can_be_written(noise: Vec<u8>) {
        macro_rules! tried {
            ($($language:ty),*) => { $(
                if let Ok(message) = wire::decode::<$language>(&noise) {
                    let written = wire::encode(&message).unwrap();
                    prop_assert_eq!(wire::decode::<$language>(&written).unwrap(), message);
                }
            )* };
        }
        tried!(LaneOpen, ToAgent, FromAgent, ToProxy, FromProxy, Join, Joined, Saying);
    }

    #[test]
    fn noise_on_a_strand_is_refused_or_read_and_nothing_is_kept_for_it(noise: Vec<u8>) {
        let mut cutter = Cutter::default();
        cutter.buffer().extend_from_slice(&noise);
        while let Ok(Some(frame)) = cutter.next_frame() {
            let mut again = Cutter::default();
            let (header, body) = frame.clone().encode();
            again.buffer().extend_from_slice(&header);
            again.buffer().extend_from_slice(&body);
            prop_assert_eq!(again.next_frame().unwrap(), Some(frame));
        }
        prop_assert!(cutter.buffer().capacity() <= 2 * noise.len().max(64));
    }

    #[test]
    fn a_chunk_header_is_what_it_was_or_refused(header: [u8; HEADER]) {
        if let Ok(chunk) = Chunk::parse(header) {
            prop_assert_eq!(chunk.encode(), header);
        }
    }
}

#[test]
fn a_boastful_length_inside_a_message_reserves_nothing() {
    // A vector that claims 2^60 elements: the limit refuses it before memory is asked for.
    let mut bytes = vec![253];
    bytes.extend_from_slice(&(1_u64 << 60).to_le_bytes());
    assert!(wire::decode::<Vec<u64>>(&bytes).is_err());
    assert!(wire::encode(&ByteBuf::from(vec![0; MAX_FRAME])).is_err());
}
