//! Which numbers of this process stand for a socket, and which sets of `epoll(7)` watch them: told by `/proc`.

use std::{
    ffi::CStr,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
};

use mirrord_guest::watch::{parse, socket_inode};
use rustix::fs::{Mode, OFlags, RawDir};

use crate::abi::{
    kernel::{self, int},
    socket::Socket,
};

const N_NUMBERS: usize = 16;
const N_WATCHES: usize = 32;

/// The numbers of one socket, and who watches them.
pub(super) struct Numbers {
    known: [RawFd; N_NUMBERS],
    n_known: usize,
    watches: [Watch; N_WATCHES],
    n_watches: usize,
}

/// A number in a set.
#[derive(Clone, Copy)]
struct Watch {
    set: RawFd,
    number: RawFd,
    event: libc::epoll_event,
}

const NO_WATCH: Watch = Watch { set: -1, number: -1, event: libc::epoll_event { events: 0, u64: 0 } };

impl Numbers {
    /// Those of a socket: its own, and what else the process calls it.
    pub(super) fn of(socket: Socket) -> Self {
        let mut numbers =
            Self { known: [socket.0; N_NUMBERS], n_known: 1, watches: [NO_WATCH; N_WATCHES], n_watches: 0 };
        let Ok(inode) = socket.inode() else { return numbers };
        // Numbers first: a set names those that it watches.
        each_link(|number, link| {
            if number != socket.0 && socket_inode(link) == Some(inode.0) {
                numbers.add_number(number);
            }
        });
        each_link(|number, link| {
            if link == b"anon_inode:[eventpoll]" {
                numbers.add_watches(number, inode.0);
            }
        });
        numbers
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = Socket> {
        self.known.iter().take(self.n_known).map(|number| Socket(*number))
    }

    /// Takes them out of the sets.
    pub(super) fn withdraw(&self) {
        self.watches().for_each(|watch| change(libc::EPOLL_CTL_DEL, watch));
    }

    /// Puts them into the sets again, for what stands behind them now.
    pub(super) fn register(&self) {
        self.watches().for_each(|watch| change(libc::EPOLL_CTL_ADD, watch));
    }

    fn watches(&self) -> impl Iterator<Item = &Watch> {
        self.watches.iter().take(self.n_watches)
    }

    fn add_number(&mut self, number: RawFd) {
        if let Some(place) = self.known.get_mut(self.n_known) {
            *place = number;
            self.n_known += 1;
        }
    }

    fn add_watches(&mut self, set: RawFd, inode: u64) {
        let mut path = [0; 40];
        let Some(path) = write_path(&mut path, b"/proc/self/fdinfo/", set) else { return };
        each_line(path, |line| {
            let Some(mirrord_guest::watch::Watch { number, events, data }) = parse(line, inode) else {
                return;
            };
            let event = libc::epoll_event { events, u64: data };
            let known = self.known[..self.n_known].contains(&number);
            if let Some(place) = self.watches.get_mut(self.n_watches).filter(|_| known) {
                *place = Watch { set, number, event };
                self.n_watches += 1;
            }
        });
    }
}

fn change(operation: libc::c_int, watch: &Watch) {
    let event = watch.event;
    let arguments = [int(watch.set), int(operation), int(watch.number), (&raw const event).addr(), 0, 0];
    // SAFETY: the event is ours, and only read.
    let _ = unsafe { kernel::call(libc::SYS_epoll_ctl, arguments) };
}

/// Every open number of this process, with what `/proc/self/fd` says of it.
fn each_link(mut deed: impl FnMut(RawFd, &[u8])) {
    let Some(folder) = open(c"/proc/self/fd", OFlags::DIRECTORY) else { return };
    let mut room = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(folder.as_fd(), &mut room);
    while let Some(Ok(entry)) = entries.next() {
        let Some(number) = decimal(entry.file_name().to_bytes()) else { continue };
        if number == folder.as_raw_fd() {
            continue;
        }
        let mut link = [MaybeUninit::uninit(); 64];
        if let Ok((link, _)) = rustix::fs::readlinkat_raw(folder.as_fd(), entry.file_name(), &mut link) {
            deed(number, link);
        }
    }
}

/// Every line of a file, a piece at a time: a set may watch thousands.
fn each_line(path: &CStr, mut deed: impl FnMut(&[u8])) {
    let Some(file) = open(path, OFlags::empty()) else { return };
    let (mut room, mut kept) = ([0; 4096], 0);
    while let Ok(n_read @ 1..) = rustix::io::read(&file, &mut room[kept..]) {
        let filled = kept + n_read;
        let mut start = 0;
        while let Some(length) = room[start..filled].iter().position(|byte| *byte == b'\n') {
            deed(&room[start..start + length]);
            start += length + 1;
        }
        room.copy_within(start..filled, 0);
        kept = filled - start;
        if kept == room.len() {
            return;
        }
    }
}

fn open(path: &CStr, flags: OFlags) -> Option<OwnedFd> {
    rustix::fs::open(path, flags | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

fn decimal(text: &[u8]) -> Option<RawFd> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn write_path<'a>(room: &'a mut [u8; 40], prefix: &[u8], number: RawFd) -> Option<&'a CStr> {
    use std::io::Write;
    let mut rest = room.as_mut_slice();
    rest.write_all(prefix).ok()?;
    write!(rest, "{number}\0").ok()?;
    CStr::from_bytes_until_nul(room).ok()
}
