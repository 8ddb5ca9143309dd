//! One message to the target's name servers, by UDP and, where that is too small, by TCP.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::Config;

/// The bytes of a message's header (RFC 1035, 4.1.1).
const HEADER: usize = 12;

/// Sends a message to one server after the other, and returns the first good answer; if there is none, the last
/// refusal; if there is none either, nothing.
pub(super) async fn exchange(config: &Config, message: &[u8]) -> Option<Vec<u8>> {
    if message.len() < HEADER || u16::try_from(message.len()).is_err() {
        return None;
    }
    let mut refusal = None;
    for _ in 0..config.attempts {
        for server in &config.servers {
            match ask(*server, message, config.timeout).await {
                Ok(answer) if is_refusal(&answer) => refusal = Some(answer),
                Ok(answer) => return Some(answer),
                Err(error) => tracing::debug!(%error, %server, "a name server does not answer"),
            }
        }
        if refusal.is_some() {
            break;
        }
    }
    refusal
}

async fn ask(server: SocketAddr, message: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let answer = timeout(patience, by_udp(server, message)).await??;
    if !is_truncated(&answer) {
        return Ok(answer);
    }
    match timeout(patience, by_tcp(server, message)).await {
        Ok(Ok(whole)) => Ok(whole),
        // What was cut says more than nothing, and says that it was cut.
        _ => Ok(answer),
    }
}

async fn by_udp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(message).await?;
    let mut answer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut answer).await?;
        if is_answer_to(message, &answer[..length]) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn by_tcp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], message].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    if is_answer_to(message, &answer) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Whether these bytes answer that message: the same number, an answer, and, where it repeats it, the same question.
fn is_answer_to(message: &[u8], answer: &[u8]) -> bool {
    let (Some(asked), Some(told)) = (message.first_chunk::<HEADER>(), answer.first_chunk::<HEADER>()) else {
        return false;
    };
    let is_answer = told[2] & 0x80 != 0;
    let repeats = told[4..6] != [0, 0];
    asked[..2] == told[..2] && is_answer && (!repeats || question(message) == question(answer))
}

/// The first question of a message, its name in small letters: some servers change them.
fn question(message: &[u8]) -> Option<Vec<u8>> {
    let mut end = HEADER;
    loop {
        match *message.get(end)? {
            0 => break,
            // A first name has nothing to point to.
            length if length > 63 => return None,
            length => end += 1 + usize::from(length),
        }
    }
    message.get(HEADER..end + 5).map(<[u8]>::to_ascii_lowercase)
}

fn is_truncated(answer: &[u8]) -> bool {
    answer.get(2).is_some_and(|flags| flags & 2 != 0)
}

/// Whether the server says that it cannot or does not want to: another one may.
fn is_refusal(answer: &[u8]) -> bool {
    const SERVFAIL: u8 = 2;
    const NOTIMP: u8 = 4;
    const REFUSED: u8 = 5;
    answer.get(3).is_some_and(|flags| matches!(flags & 0xf, SERVFAIL | NOTIMP | REFUSED))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03web\0\0\x01\0\x01";

    fn told(change: impl Fn(&mut Vec<u8>)) -> bool {
        let mut answer = ASKED.to_vec();
        answer[2] |= 0x80;
        change(&mut answer);
        is_answer_to(ASKED, &answer)
    }

    #[test]
    fn only_an_answer_to_the_question_is_taken() {
        assert!(told(|_| {}));
        assert!(told(|answer| answer[13] = b'W'));
        assert!(!told(|answer| answer[0] = 0));
        assert!(!told(|answer| answer[2] = 1));
        assert!(!told(|answer| answer[13] = b'x'));
        assert!(!told(|answer| answer.truncate(20)));
        assert!(!told(|answer| answer.truncate(3)));
    }

    #[test]
    fn whatever_a_server_says_is_taken_or_not() {
        for answer in crate::noise::noise(&[ASKED, b"\x12\x34\x81\x82\0\0\0\0\0\0\0\0"], 50_000) {
            if is_answer_to(ASKED, &answer) {
                assert!(answer.len() >= HEADER && answer[..2] == ASKED[..2]);
                let _ = (is_truncated(&answer), is_refusal(&answer));
            }
        }
    }
}
