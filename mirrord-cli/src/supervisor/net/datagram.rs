//! Datagrams: sent to their relay, and told to come from whom they came, where the socket does not live there.

use std::{
    io::IoSlice,
    os::fd::{AsFd, AsRawFd},
};

use libc::{MSG_DONTWAIT, MSG_NOSIGNAL, c_int};
use mirrord_core::{rules::address::Protocol, verdict::Errno};
use mirrord_guest::{
    World, datagram,
    sockaddr::{Address, Encoded},
    socket::Socket,
};

use super::{Held, accept, address};
use crate::supervisor::{
    caller::{Caller, Outcome},
    lookout::Ended,
    notify::Answer,
};

/// The longest datagram there is.
const LONGEST: usize = 64 << 10;

/// The most pieces of one (`UIO_MAXIOV`).
const MOST_PIECES: usize = 1024;

/// A `struct msghdr` of a guest: its pointers are numbers to us.
#[derive(Clone, Copy)]
struct Header {
    name: u64,
    name_length: u32,
    pieces: u64,
    n_pieces: usize,
    control: u64,
    control_length: usize,
    place: u64,
}

/// Where the fields of a `struct msghdr` lie.
const NAME_LENGTH: u64 = 8;
const CONTROL_LENGTH: u64 = 40;
const FLAGS: u64 = 48;
/// The size of a `struct mmsghdr`, and where it tells the length.
const MESSAGE: u64 = 64;
const LENGTH: u64 = 56;

impl Header {
    fn read(caller: &Caller<'_>, place: u64) -> Option<Self> {
        let [name, lengths, pieces, n_pieces, control, control_length, _] =
            caller.memory().value::<[u64; 7]>(place).ok()?;
        Some(Self {
            name,
            name_length: u32::try_from(lengths & 0xFFFF_FFFF).unwrap_or(0),
            pieces,
            n_pieces: usize::try_from(n_pieces).ok().filter(|n_pieces| *n_pieces <= MOST_PIECES)?,
            control,
            control_length: usize::try_from(control_length).ok()?,
            place,
        })
    }

    fn pieces(&self, caller: &Caller<'_>) -> Outcome<Vec<(u64, usize)>> {
        let memory = caller.memory();
        let mut pieces = Vec::with_capacity(self.n_pieces);
        for index in 0..self.n_pieces {
            let [start, length] = memory.value::<[u64; 2]>(self.pieces + 16 * index as u64)?;
            pieces.push((start, usize::try_from(length).map_err(|_| Errno(libc::EINVAL))?));
        }
        Ok(pieces)
    }
}

/// The address to send to instead; nothing if the kernel is to send, now that the socket lives where it should.
fn redirected(
    caller: &Caller<'_>,
    socket: Socket,
    (place, length): (u64, u32),
    flags: c_int,
) -> Option<Outcome<Encoded>> {
    let bytes = address::read(caller, place, length)?;
    let Address::Inet(to) = address::parse(&bytes) else { return None };
    datagram::redirect(caller, socket, to, flags)
}

pub(super) fn sendto(caller: &Caller<'_>) -> Option<Answer> {
    let held = Held::of(caller, caller.int(0))?;
    let address = (caller.argument(4), caller.unsigned(5));
    let to = match redirected(caller, held.socket(), address, caller.int(3))? {
        Ok(to) => to,
        Err(errno) => return Some(Answer::Failed(errno)),
    };
    if caller.size(2) > LONGEST {
        return Some(Answer::Failed(Errno(libc::EMSGSIZE)));
    }
    let bytes = match caller.memory().bytes(caller.argument(1), caller.size(2)) {
        Ok(bytes) => bytes,
        Err(errno) => return Some(Answer::Failed(errno)),
    };
    Some(send(&held, &bytes, &[], &to, caller.int(3)))
}

pub(super) fn sendmsg(caller: &Caller<'_>) -> Option<Answer> {
    let header = Header::read(caller, caller.argument(1)).filter(|header| header.name != 0)?;
    let held = Held::of(caller, caller.int(0))?;
    send_message(caller, &held, &header, caller.int(2))
}

fn send_message(caller: &Caller<'_>, held: &Held, header: &Header, flags: c_int) -> Option<Answer> {
    let to = match redirected(caller, held.socket(), (header.name, header.name_length), flags)? {
        Ok(to) => to,
        Err(errno) => return Some(Answer::Failed(errno)),
    };
    let gathered = header.pieces(caller).and_then(|pieces| {
        let mut bytes = Vec::new();
        for (start, length) in pieces {
            if bytes.len() + length > LONGEST {
                return Err(Errno(libc::EMSGSIZE));
            }
            bytes.extend(caller.memory().bytes(start, length)?);
        }
        let length = if header.control == 0 { 0 } else { header.control_length.min(4096) };
        Ok((bytes, caller.memory().bytes(header.control, length)?))
    });
    Some(match gathered {
        Ok((bytes, control)) => send(held, &bytes, &control, &to, flags),
        Err(errno) => Answer::Failed(errno),
    })
}

pub(super) fn sendmmsg(caller: &Caller<'_>) -> Option<Answer> {
    let (first, n_messages) = (caller.argument(1), caller.unsigned(2).min(1024));
    let header = Header::read(caller, first).filter(|header| header.name != 0 && n_messages > 0)?;
    let held = Held::of(caller, caller.int(0))?;
    if held.socket().transport()? != Protocol::Udp {
        return None;
    }
    if !caller.relays_sockets() {
        let address = (header.name, header.name_length);
        match redirected(caller, held.socket(), address, caller.int(3)) {
            // The socket moves with its first destination; all go by the kernel.
            None => return None,
            Some(Err(errno)) => return Some(Answer::Failed(errno)),
            Some(Ok(_)) => {}
        }
    }
    let mut n_sent = 0;
    for index in 0..u64::from(n_messages) {
        let place = first + MESSAGE * index;
        let header = Header::read(caller, place)?;
        let answer = match send_message(caller, &held, &header, caller.int(3)) {
            Some(answer) => answer,
            // One that stays here, among others that do not: the kernel sends the rest.
            None if n_sent == 0 => return None,
            None => break,
        };
        let Answer::Done(length) = answer else {
            return Some(if n_sent == 0 { answer } else { Answer::Done(n_sent) });
        };
        let length = u32::try_from(length).unwrap_or(0);
        if caller.memory().write(place + LENGTH, &length.to_ne_bytes()).is_err() {
            return Some(Answer::Failed(Errno(libc::EFAULT)));
        }
        n_sent += 1;
    }
    Some(Answer::Done(n_sent))
}

/// Sends a datagram to a relay on loopback, which does not make anybody wait for long.
fn send(held: &Held, bytes: &[u8], control: &[u8], to: &Encoded, flags: c_int) -> Answer {
    let piece = IoSlice::new(bytes);
    // SAFETY: all zeroes are a message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = to.as_ptr().cast_mut().cast();
    message.msg_namelen = to.length();
    message.msg_iov = (&raw const piece).cast_mut().cast();
    message.msg_iovlen = 1;
    if !control.is_empty() {
        message.msg_control = control.as_ptr().cast_mut().cast();
        message.msg_controllen = control.len();
    }
    // SAFETY: the message and all that it points to are ours, and live as long as the call.
    let sent = unsafe { libc::sendmsg(held.0.as_raw_fd(), &raw const message, flags | MSG_NOSIGNAL) };
    if sent < 0 { Answer::Failed(last()) } else { Answer::Done(sent as i64) }
}

pub(super) fn recvfrom(caller: &Caller<'_>) -> Option<Answer> {
    let held = hearing(caller)?;
    let mut bytes = vec![0; caller.size(2).min(LONGEST)];
    let flags = caller.int(3);
    let received = match receive(caller, &held, &mut bytes, 0, flags) {
        Ok(received) => received,
        Err(answer) => return Some(answer),
    };
    let told = scatter(caller, &bytes, received.length, &[(caller.argument(1), bytes.len())])
        .and_then(|()| address::give(caller, &received.from, caller.argument(4), caller.argument(5)));
    Some(received.answer(told, flags))
}

pub(super) fn recvmsg(caller: &Caller<'_>) -> Option<Answer> {
    let header = Header::read(caller, caller.argument(1)).filter(|header| header.name != 0)?;
    let held = hearing(caller)?;
    Some(receive_message(caller, &held, &header, caller.int(2)))
}

/// As many messages as there is room for; who has one already is not told of what keeps the others away.
pub(super) fn recvmmsg(caller: &Caller<'_>) -> Option<Answer> {
    let (first, n_wanted) = (caller.argument(1), caller.unsigned(2).min(1024));
    let header = |index: u64| Header::read(caller, first + MESSAGE * index).filter(|header| header.name != 0);
    header(0).filter(|_| n_wanted > 0)?;
    let held = hearing(caller)?;
    let limit = match caller.argument(4) {
        0 => None,
        place => match caller.memory().bytes(place, 16) {
            Ok(limit) => Some(duration(&limit)),
            Err(errno) => return Some(Answer::Failed(errno)),
        },
    };
    let (begun, mut n_received) = (std::time::Instant::now(), 0);
    let mut flags = caller.int(3) & !libc::MSG_WAITFORONE;
    while n_received < i64::from(n_wanted)
        && let Some(header) = header(n_received.unsigned_abs())
    {
        let answer = receive_message(caller, &held, &header, flags);
        let Answer::Done(length) = answer else {
            return Some(if n_received == 0 { answer } else { Answer::Done(n_received) });
        };
        let length = u32::try_from(length).unwrap_or(0);
        if let Err(errno) = caller.memory().write(header.place + LENGTH, &length.to_ne_bytes()) {
            return Some(Answer::Failed(errno));
        }
        n_received += 1;
        if caller.int(3) & libc::MSG_WAITFORONE != 0 {
            flags |= MSG_DONTWAIT;
        }
        // The kernel, too, looks at the clock only when something has come.
        if limit.is_some_and(|limit| begun.elapsed() >= limit) {
            break;
        }
    }
    Some(Answer::Done(n_received))
}

/// A `timespec`.
fn duration(bytes: &[u8]) -> std::time::Duration {
    let number =
        |from| bytes.get(from..from + 8).and_then(|it| it.try_into().ok()).map_or(0, u64::from_ne_bytes);
    std::time::Duration::from_secs(number(0)).saturating_add(std::time::Duration::from_nanos(number(8)))
}

fn receive_message(caller: &Caller<'_>, held: &Held, header: &Header, flags: c_int) -> Answer {
    let pieces = match header.pieces(caller) {
        Ok(pieces) => pieces,
        Err(errno) => return Answer::Failed(errno),
    };
    let room: usize = pieces.iter().map(|(_, length)| *length).fold(0, usize::saturating_add);
    let mut bytes = vec![0; room.min(LONGEST)];
    let n_control = if header.control == 0 { 0 } else { header.control_length.min(4096) };
    let received = match receive(caller, held, &mut bytes, n_control, flags) {
        Ok(received) => received,
        Err(answer) => return answer,
    };
    let memory = caller.memory();
    let name = received.from.bytes();
    let cut = name.len().min(usize::try_from(header.name_length).unwrap_or(0));
    let told = scatter(caller, &bytes, received.length, &pieces)
        .and_then(|()| memory.write(header.name, &name[..cut]))
        .and_then(|()| memory.write(header.place + NAME_LENGTH, &received.from.length().to_ne_bytes()))
        .and_then(|()| memory.write(header.control, &received.control))
        .and_then(|()| memory.write(header.place + CONTROL_LENGTH, &received.control.len().to_ne_bytes()))
        .and_then(|()| memory.write(header.place + FLAGS, &received.flags.to_ne_bytes()));
    received.answer(told, flags)
}

/// A datagram that has come.
struct Received {
    length: usize,
    /// How long it was.
    whole: usize,
    from: Encoded,
    control: Vec<u8>,
    flags: c_int,
}

impl Received {
    fn answer(&self, told: Outcome<()>, flags: c_int) -> Answer {
        let length = if flags & libc::MSG_TRUNC != 0 { self.whole } else { self.length };
        match told {
            Ok(()) => Answer::Done(i64::try_from(length).unwrap_or(0)),
            Err(errno) => Answer::Failed(errno),
        }
    }
}

/// The socket of a call, if what it receives may have come by a relay.
fn hearing(caller: &Caller<'_>) -> Option<Held> {
    if !caller.may_relay() {
        return None;
    }
    let held = Held::of(caller, caller.int(0))?;
    datagram::hears_relays(caller, held.socket()).then_some(held)
}

/// Receives a datagram; waits for it as long as the guest does.
fn receive(
    caller: &Caller<'_>,
    held: &Held,
    bytes: &mut [u8],
    n_control: usize,
    flags: c_int,
) -> Result<Received, Answer> {
    let waits = flags & MSG_DONTWAIT == 0 && !held.socket().is_nonblocking();
    let limit = accept::time_limit(held.socket());
    let begun = std::time::Instant::now();
    loop {
        match receive_now(held, bytes, n_control, flags) {
            Ok(mut received) => {
                let told = received.from.inet();
                let told = told.and_then(|from| datagram::retold(caller, held.socket(), from));
                received.from = told.unwrap_or(received.from);
                return Ok(received);
            }
            Err(Errno(libc::EAGAIN)) if waits => {}
            Err(errno) => return Err(Answer::Failed(errno)),
        }
        caller.turn.hand_over();
        let left = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
        match caller.wait_for(held.0.as_fd(), left) {
            Ok(Ended::Ready) => {}
            Ok(Ended::Interrupted) => return Err(Answer::Interrupted),
            Ok(Ended::TimedOut) => return Err(Answer::Failed(Errno(libc::EAGAIN))),
            Err(errno) => return Err(Answer::Failed(errno)),
        }
    }
}

fn receive_now(held: &Held, bytes: &mut [u8], n_control: usize, flags: c_int) -> Outcome<Received> {
    let mut from = Encoded::empty();
    let mut control = vec![0; n_control];
    let mut piece = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: all zeroes are a message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = from.as_mut_ptr().cast();
    message.msg_namelen = from.length();
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = control.len();
    let flags = flags | MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: the message and all that it points to are ours, and live as long as the call.
    let length = unsafe { libc::recvmsg(held.0.as_raw_fd(), &raw mut message, flags) };
    let Ok(whole) = usize::try_from(length) else { return Err(last()) };
    *from.length_mut() = message.msg_namelen;
    control.truncate(message.msg_controllen);
    Ok(Received { length: whole.min(bytes.len()), whole, from, control, flags: message.msg_flags })
}

/// Spreads bytes over a guest's places.
fn scatter(caller: &Caller<'_>, bytes: &[u8], length: usize, places: &[(u64, usize)]) -> Outcome<()> {
    let mut rest = &bytes[..length];
    for (place, room) in places {
        let (piece, later) = rest.split_at(rest.len().min(*room));
        caller.memory().write(*place, piece)?;
        rest = later;
    }
    Ok(())
}

fn last() -> Errno {
    Errno(nix::errno::Errno::last_raw())
}
