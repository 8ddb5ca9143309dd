//! One strand: what the trunk has for it is written, and what comes by it is told.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::Arc,
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use mirrord_protocol::trunk::{Cutter, Frame, HEADER, MAX_PIECE, StrandId};
use tokio::{
    io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadHalf, WriteHalf},
    sync::Notify,
};

use crate::{bell::Bell, carrier::Carrier, strand::Strand};

/// How much is read at once: at least a whole frame.
const READ: usize = 2 * (HEADER + MAX_PIECE);

/// How long a strand that is not written to any more is still read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How many pieces are written at once.
const SLICES: usize = 64;

/// Carries a strand until it is cut.
pub(crate) async fn carry(
    carrier: Arc<Carrier>,
    id: StrandId,
    wake: Arc<Notify>,
    stop: Arc<Bell>,
    wire: Strand,
    cutter: Cutter,
) {
    let (reader, writer) = tokio::io::split(wire);
    let mut reading = std::pin::pin!(read(&carrier, id, reader, cutter));
    let mut writing = std::pin::pin!(write(&carrier, id, &wake, writer));
    let why = tokio::select! {
        why = &mut reading => {
            if carrier.standing().1 {
                // Our last word may still be unsaid.
                let _ = tokio::time::timeout(LAST_WORDS, writing).await;
            }
            why
        }
        outcome = &mut writing => {
            // The other end may still have something to say to our last word, or may have said why it does not listen.
            let words = outcome.map_or_else(|error| error.to_string(), |()| "the trunk is over".to_owned());
            tokio::time::timeout(LAST_WORDS, reading).await.unwrap_or(words)
        }
        () = stop.dropped() => return,
    };
    carrier.cut_strand(id, &why);
}

/// Reads until the end, and says why there is one.
async fn read(
    carrier: &Arc<Carrier>,
    id: StrandId,
    mut reader: ReadHalf<Strand>,
    mut cutter: Cutter,
) -> String {
    let mut frames = Vec::new();
    loop {
        loop {
            match cutter.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    carrier.refuse(&error.to_string());
                    return ignore(reader).await;
                }
            }
        }
        if !frames.is_empty() {
            let is_bulk = is_bulk(&frames);
            if !carrier.receive(id, &mut frames) {
                return ignore(reader).await;
            }
            if is_bulk {
                // Small things that have come meanwhile, for us or others, are not to wait for more of this.
                tokio::task::yield_now().await;
            }
        }
        let buffer = cutter.buffer();
        buffer.reserve(READ);
        match reader.read_buf(buffer).await {
            Ok(0) => return "the connection was closed".to_owned(),
            Ok(_) => {}
            Err(error) => return error.to_string(),
        }
    }
}

/// Reads what nobody believes any more: a connection that is closed over unread bytes takes our last word with it.
async fn ignore(mut reader: ReadHalf<Strand>) -> String {
    let mut place = vec![0; MAX_PIECE];
    while matches!(reader.read(&mut place).await, Ok(1..)) {}
    "the trunk is over".to_owned()
}

/// Writes until there is nothing more to say.
async fn write(
    carrier: &Arc<Carrier>,
    id: StrandId,
    wake: &Notify,
    mut writer: WriteHalf<Strand>,
) -> io::Result<()> {
    let mut frames = Vec::new();
    let mut pieces = VecDeque::new();
    loop {
        let is_last = carrier.with(|trunk, now| trunk.next_frames(id, now, &mut frames));
        if frames.is_empty() && !is_last {
            wake.notified().await;
            continue;
        }
        let is_bulk = is_bulk(&frames);
        spell(&mut frames, &mut pieces);
        if writer.is_write_vectored() {
            write_all(&mut writer, &mut pieces).await?;
        } else {
            let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
            pieces.drain(..).for_each(|piece| whole.extend_from_slice(&piece));
            writer.write_all(&whole).await?;
        }
        writer.flush().await?;
        if is_last {
            return writer.shutdown().await;
        }
        if is_bulk {
            tokio::task::yield_now().await;
        }
    }
}

fn is_bulk(frames: &[Frame]) -> bool {
    frames.iter().any(|frame| matches!(frame, Frame::Data { bytes, .. } if bytes.len() >= MAX_PIECE / 2))
}

/// The bytes of frames: their headers share a buffer.
fn spell(frames: &mut Vec<Frame>, pieces: &mut VecDeque<Bytes>) {
    let mut headers = BytesMut::with_capacity(frames.len() * HEADER);
    for frame in frames.drain(..) {
        let (header, body) = frame.encode();
        headers.extend_from_slice(&header);
        pieces.push_back(headers.split().freeze());
        if !body.is_empty() {
            pieces.push_back(body);
        }
    }
}

async fn write_all(writer: &mut WriteHalf<Strand>, pieces: &mut VecDeque<Bytes>) -> io::Result<()> {
    while !pieces.is_empty() {
        let slices: Vec<IoSlice<'_>> = pieces.iter().take(SLICES).map(|piece| IoSlice::new(piece)).collect();
        let mut n_written = writer.write_vectored(&slices).await?;
        if n_written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(first) = pieces.front_mut() {
            if n_written < first.len() {
                first.advance(n_written);
                break;
            }
            n_written -= first.len();
            pieces.pop_front();
        }
    }
    Ok(())
}
