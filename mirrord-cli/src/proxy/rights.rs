//! Bytes with descriptors on unix sockets, and never a wait in the kernel.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use tokio::io::unix::AsyncFd;

/// Watches a descriptor for readiness.
pub(crate) fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is the same open descriptor for as long as it lives.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}

/// The most descriptors that one message brings.
const MOST: usize = 8;

/// Sends bytes, and with the first of them a descriptor. Tells how many bytes the kernel took.
pub(crate) fn send(
    socket: impl AsFd,
    bytes: &[IoSlice<'_>],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = descriptor.into_iter().collect();
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    Ok(rustix::net::sendmsg(socket, bytes, &mut control, flags)?)
}

/// Receives bytes and appends the descriptors that came with them. Tells how many bytes came; 0 is the end.
pub(crate) fn receive(
    socket: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut VecDeque<OwnedFd>,
) -> io::Result<usize> {
    let received = receive_told(socket, buffer, descriptors)?;
    // There was no number for a descriptor, so that it is lost.
    if received.is_cut { Err(io::Error::from_raw_os_error(libc::ENFILE)) } else { Ok(received.n_bytes) }
}

/// What has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) n_bytes: usize,
    /// A descriptor came for which there was no number.
    pub(crate) is_cut: bool,
}

/// The same, where it is told that a descriptor was lost.
pub(crate) fn receive_told(
    socket: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut VecDeque<OwnedFd>,
) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    let is_cut = received.flags.contains(ReturnFlags::CTRUNC);
    Ok(Received { n_bytes: received.bytes, is_cut })
}
