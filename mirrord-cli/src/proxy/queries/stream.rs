//! Queries by a stream, where each message has its length before it (RFC 1035, 4.2.2).
//!
//! What comes from the server is passed on as it comes; an answer of ours goes where a message ends. A stream that does
//! not begin as queries do is none, and is passed on unread.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream, UnixStream,
        tcp::{ReadHalf, WriteHalf},
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc::{self, Receiver, Sender, WeakSender},
};

use super::{By, Queries};

/// How many answers may wait to be written.
const N_ANSWERS: usize = 16;

/// How much is read at once.
const PIECE: usize = 16 << 10;

/// The length before a message.
const LENGTH: usize = 2;

/// Carries messages between a guest and the server that it has chosen.
pub(super) async fn sift(queries: &Queries, mut guest: TcpStream, server: UnixStream) {
    let (from_guest, to_guest) = guest.split();
    let (from_server, to_server) = server.into_split();
    let (answers_tx, answers_rx) = mpsc::channel(N_ANSWERS);
    let outward = outward(queries, from_guest, to_server, answers_tx.downgrade());
    let inward = inward(from_server, to_guest, answers_tx, answers_rx);
    let (outward, inward) = tokio::join!(outward, inward);
    if let Err(error) = outward.and(inward) {
        tracing::debug!(%error, "a stream of queries ended early");
    }
}

/// A message with its length before it.
pub(super) fn with_length(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), message].concat()
}

async fn outward(
    queries: &Queries,
    mut guest: ReadHalf<'_>,
    mut server: OwnedWriteHalf,
    answers: WeakSender<Vec<u8>>,
) -> io::Result<()> {
    let mut held = Vec::with_capacity(PIECE);
    loop {
        match next(&held) {
            Next::Unknown => {}
            Next::Message(length) => {
                let message: Vec<u8> = held.drain(..length).collect();
                if !queries.keep(&message[LENGTH..]) {
                    server.write_all(&message).await?;
                } else if let Some(answers) = answers.upgrade() {
                    tokio::spawn(answer_here(message, answers));
                }
                continue;
            }
            Next::Foreign => {
                server.write_all(&held).await?;
                tokio::io::copy(&mut guest, &mut server).await?;
                return Ok(());
            }
        }
        if guest.read_buf(&mut held).await? == 0 {
            return server.write_all(&held).await;
        }
    }
}

/// What a guest's bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Perhaps a message, of which not everything has come.
    Unknown,
    /// A message, which is so long with its length.
    Message(usize),
    /// No query: the stream is something else.
    Foreign,
}

fn next(bytes: &[u8]) -> Next {
    /// A header and the shortest question.
    const SHORTEST: usize = 12 + 5;
    const IS_ANSWER: u8 = 0x80;
    let Some((length, message)) = bytes.split_first_chunk::<LENGTH>() else { return Next::Unknown };
    let length = usize::from(u16::from_be_bytes(*length));
    let is_answer = message.get(2).is_some_and(|flags| flags & IS_ANSWER != 0);
    let has_another_count = message.get(4..6).is_some_and(|n_questions| n_questions != [0, 1]);
    if length < SHORTEST || is_answer || has_another_count {
        Next::Foreign
    } else if message.len() < length {
        Next::Unknown
    } else {
        Next::Message(LENGTH + length)
    }
}

/// Asks a query here. A guest that waits by a stream is told of a failure, too: it knows no other server to ask there.
async fn answer_here(message: Vec<u8>, answers: Sender<Vec<u8>>) {
    let query = &message[LENGTH..];
    let answer = match Queries::ask(query, By::Stream).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(%error, "a query that stays here was not answered");
            failure(query)
        }
    };
    // If nobody waits for it any more, so be it.
    drop(answers.send(with_length(&answer)).await);
}

/// `SERVFAIL`, as an answer to a query.
fn failure(query: &[u8]) -> Vec<u8> {
    const IS_ANSWER: u8 = 0x80;
    const RECURSES_AND_FAILED: u8 = 0x82;
    let mut answer = query.to_vec();
    if let [_, _, flags, outcome, ..] = &mut answer[..] {
        *flags |= IS_ANSWER;
        *outcome = RECURSES_AND_FAILED;
    }
    answer
}

async fn inward(
    mut server: OwnedReadHalf,
    mut guest: WriteHalf<'_>,
    answers_tx: Sender<Vec<u8>>,
    mut answers: Receiver<Vec<u8>>,
) -> io::Result<()> {
    let (mut piece, mut border) = (vec![0; PIECE], Border::Between);
    loop {
        tokio::select! {
            read = server.read(&mut piece) => {
                let n_read = read?;
                if n_read == 0 {
                    break;
                }
                guest.write_all(&piece[..n_read]).await?;
                border.pass(&piece[..n_read]);
            }
            Some(answer) = answers.recv(), if border == Border::Between => guest.write_all(&answer).await?,
        }
    }
    // The server has finished: so does the guest's connection, behind the answers that are on their way.
    drop(answers_tx);
    while border == Border::Between
        && let Some(answer) = answers.recv().await
    {
        guest.write_all(&answer).await?;
    }
    guest.shutdown().await
}

/// Where in a message a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Border {
    Between,
    /// Behind the first half of its length.
    InLength(u8),
    /// So many bytes before its end.
    Before(usize),
}

impl Border {
    fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            (*self, bytes) = match *self {
                Self::Between => (Self::InLength(*first), rest),
                Self::InLength(high) => (Self::before(u16::from_be_bytes([high, *first]).into()), rest),
                Self::Before(n_left) => {
                    let n_passed = n_left.min(bytes.len());
                    (Self::before(n_left - n_passed), &bytes[n_passed..])
                }
            };
        }
    }

    fn before(n_left: usize) -> Self {
        if n_left == 0 { Self::Between } else { Self::Before(n_left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> Vec<u8> {
        let mut query = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(b"\x02db\x04here\0\0\x01\0\x01");
        query
    }

    #[test]
    fn a_message_is_known_when_it_is_complete() {
        let mut bytes = with_length(&query());
        for length in 0..bytes.len() {
            assert_eq!(next(&bytes[..length]), Next::Unknown, "{length}");
        }
        let length = bytes.len();
        assert_eq!(next(&bytes), Next::Message(length));
        bytes.extend(b"more");
        assert_eq!(next(&bytes), Next::Message(length));
    }

    #[test]
    fn what_is_no_query_is_known_by_its_first_bytes() {
        assert_eq!(next(b"SSH-2.0-some"), Next::Foreign);
        assert_eq!(next(&[0, 3, 1]), Next::Foreign);
        let mut answer = with_length(&query());
        answer[4] |= 0x80;
        assert_eq!(next(&answer[..6]), Next::Foreign);
    }

    #[test]
    fn a_border_is_found_however_a_stream_is_cut() {
        let stream = [with_length(&[1; 300]), with_length(&[2; 7]), with_length(&[])].concat();
        for cut in 0..=stream.len() {
            let mut border = Border::Between;
            border.pass(&stream[..cut]);
            assert_eq!(border == Border::Between, [0, 302, 311, 313].contains(&cut), "{cut}");
            border.pass(&stream[cut..]);
            assert_eq!(border, Border::Between);
        }
    }

    #[test]
    fn a_failure_answers_its_query() {
        let (query, answer) = (query(), failure(&query()));
        assert_eq!((&answer[..2], &answer[4..]), (&query[..2], &query[4..]));
        assert_eq!((answer[2], answer[3]), (0x81, 0x82));
    }
}
