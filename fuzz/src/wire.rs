//! What peers send: frames, chunks, and the words of both languages.

use std::fmt::Debug;

use mirrord_protocol::{
    agent::{FromAgent, LaneOpen, ToAgent, Welcome, fs, outgoing},
    chunk::{Chunk, HEADER, MAX_CHUNK},
    fault::Fault,
    frame::{FrameReader, OversizedFrame, encode_frame},
    proxy::{FromProxy, ToProxy},
    trunk::{BadFrame, Cutter, Frame, Join, Joined, MAX_PIECE, Preamble, Saying},
    wire::{self, MAX_FRAME},
};
use serde::{Serialize, de::DeserializeOwned};

use super::taken::Taken;

/// Streams of frames, of chunks and of a trunk, however they are cut.
pub fn frames(bytes: &[u8]) {
    let mut taken = Taken(bytes);
    let cut = taken.below(255) + 1;
    let stream = taken.0;
    let (at_once, in_pieces) = (frames_of(stream, stream.len().max(1)), frames_of(stream, cut));
    assert_eq!(at_once, in_pieces, "cut into pieces of {cut}");
    for frame in &at_once.0 {
        assert!(frame.len() <= MAX_FRAME);
        let mut again = FrameReader::default();
        again.feed(&u32::try_from(frame.len()).unwrap_or(u32::MAX).to_le_bytes());
        again.feed(frame);
        assert_eq!(again.next_frame().ok().flatten().as_deref(), Some(frame.as_slice()));
    }
    assert_eq!(pieces_of(stream, stream.len().max(1)), pieces_of(stream, cut), "cut into pieces of {cut}");
    chunks(stream);
    preamble(stream);
}

fn frames_of(stream: &[u8], cut: usize) -> (Vec<Vec<u8>>, Option<OversizedFrame>) {
    let (mut reader, mut frames) = (FrameReader::default(), Vec::new());
    for piece in stream.chunks(cut) {
        reader.feed(piece);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// The frames of a strand, as far as they are frames.
fn pieces_of(stream: &[u8], cut: usize) -> (Vec<Frame>, Option<String>) {
    let (mut cutter, mut frames) = (Cutter::default(), Vec::new());
    for piece in stream.chunks(cut) {
        cutter.buffer().extend_from_slice(piece);
        loop {
            match cutter.next_frame() {
                Ok(Some(frame)) => {
                    check_frame(&frame);
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(error) => return (frames, Some(kind_of(&error).to_owned())),
            }
        }
    }
    (frames, None)
}

fn kind_of(error: &BadFrame) -> &'static str {
    match error {
        BadFrame::TooLarge(_) => "too large",
        BadFrame::Kind(_) => "kind",
        BadFrame::LoadedEnd(_) => "loaded end",
        BadFrame::Saying(_) => "saying",
    }
}

/// A frame that was read is written as what reads the same.
fn check_frame(frame: &Frame) {
    if let Frame::Data { bytes, .. } = frame {
        assert!(bytes.len() <= MAX_PIECE);
    }
    let (header, body) = frame.clone().encode();
    let mut cutter = Cutter::default();
    cutter.buffer().extend_from_slice(&header);
    cutter.buffer().extend_from_slice(&body);
    match cutter.next_frame() {
        Ok(Some(again)) => assert_eq!(&again, frame),
        other => panic!("{frame:?} reads as {other:?}"),
    }
}

fn chunks(stream: &[u8]) {
    for header in stream.chunks_exact(HEADER) {
        let Ok(header) = header.try_into() else { continue };
        if let Ok(chunk) = Chunk::parse(header) {
            assert!(!matches!(chunk, Chunk::Data(length) if length == 0 || length > MAX_CHUNK));
            assert_eq!(Chunk::parse(chunk.encode()), Ok(chunk));
        }
    }
}

fn preamble(stream: &[u8]) {
    let Some(bytes) = stream.first_chunk() else { return };
    if let Some(preamble) = Preamble::parse(*bytes) {
        assert!(preamble.length <= Preamble::MAX_GREETING);
        assert_eq!(Preamble::parse(preamble.encode()), Some(preamble));
    }
}

/// What was read can be written, and reads as the same.
fn word<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(word) = wire::decode::<T>(bytes) else { return };
    // Noise may spell small things in many bytes, never large ones in few.
    let again = wire::encode(&word).unwrap_or_else(|error| panic!("{word:?}: {error}"));
    assert!(again.len() <= bytes.len(), "{word:?} has grown");
    match wire::decode::<T>(&again) {
        Ok(read) => assert_eq!(read, word),
        Err(error) => panic!("{word:?}: {error}"),
    }
    assert!(encode_frame(&word).is_ok());
}

/// The language of proxy and agent.
pub fn agent_words(bytes: &[u8]) {
    let mut taken = Taken(bytes);
    match taken.below(10) {
        0 => word::<ToAgent>(taken.0),
        1 => word::<FromAgent>(taken.0),
        2 => word::<LaneOpen>(taken.0),
        3 => word::<Welcome>(taken.0),
        4 => word::<Result<outgoing::Connected, Fault>>(taken.0),
        5 => word::<outgoing::Datagram>(taken.0),
        6 => word::<Join>(taken.0),
        7 => word::<Joined>(taken.0),
        8 => word::<Saying>(taken.0),
        _ => word::<fs::FsAnswer>(taken.0),
    }
}

/// The language of layer and proxy, and what a guest is handed.
pub fn layer_words(bytes: &[u8]) {
    let mut taken = Taken(bytes);
    match taken.below(3) {
        0 => {
            word::<ToProxy>(taken.0);
        }
        1 => {
            if let Ok(answer) = wire::decode::<FromProxy>(taken.0) {
                assert!(answer.n_descriptors() <= 2);
            }
            word::<FromProxy>(taken.0);
        }
        _ => {
            if let Ok(handoff) = mirrord_config::handoff::Handoff::decode(taken.0) {
                let rules = &handoff.rules;
                // Whatever it says, it can be asked.
                let _ = rules.fs.local.is_match(b"/etc/hostname");
                let _ = rules.outgoing.likely(mirrord_core::rules::address::Protocol::Tcp);
                let _ = rules.process.skips("bash", "sh");
            }
        }
    }
}
