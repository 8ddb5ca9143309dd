//! Another socket behind a guest's numbers, and in the sets of `epoll(7)` that watch them.
//!
//! A set knows a socket by its number in the table of whoever adds it. So a thread of ours with a table of its own puts
//! the socket behind the guest's number there, and adds it for the guest.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use mirrord_core::rules::address::Protocol;
use mirrord_guest::{
    Outcome,
    socket::Socket,
    watch::{self, Watch},
};

use crate::supervisor::caller::Caller;

/// Puts a socket behind every number of another one, of which `socket` is our duplicate, and behind that.
pub(super) fn install(caller: &Caller<'_>, socket: Socket, fresh: &OwnedFd) -> Outcome<()> {
    caller.turn.hand_over();
    let inode = socket.inode()?.0;
    let links = links(caller);
    let is_it = |link: &[u8]| watch::socket_inode(link) == Some(inode);
    let mut numbers: Vec<RawFd> = links.iter().filter(|(_, link)| is_it(link)).map(|it| it.0).collect();
    let own = caller.int(0);
    if !numbers.contains(&own) {
        numbers.push(own);
    }
    if let Some(kept) = &caller.supervisor.sockets.kept {
        kept.keep(fresh)?;
        if socket.transport() == Some(Protocol::Tcp) && Socket(fresh.as_raw_fd()).peer().is_ok() {
            kept.let_go(Socket(fresh.as_raw_fd()));
        }
    }
    let sets: Vec<(OwnedFd, Vec<Watch>)> = links
        .iter()
        .filter(|(_, link)| link == b"anon_inode:[eventpoll]")
        .filter_map(|(set, _)| {
            let watches = watches(caller, *set, inode, &numbers);
            (!watches.is_empty()).then(|| caller.duplicate(*set)).flatten().map(|set| (set, watches))
        })
        .collect();
    change_all(&sets, libc::EPOLL_CTL_DEL, socket.0);
    let mut outcome = Ok(());
    for number in &numbers {
        let replaced = caller.listener.put(caller.call, fresh, *number, closes_on_exec(caller, *number));
        if *number == own {
            outcome = replaced;
        }
    }
    change_all(&sets, libc::EPOLL_CTL_ADD, fresh.as_raw_fd());
    socket.replace(fresh, true)?;
    outcome
}

/// Takes a socket out of all sets, or puts it into them.
fn change_all(sets: &[(OwnedFd, Vec<Watch>)], operation: libc::c_int, socket: RawFd) {
    if sets.is_empty() {
        return;
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: from here on, this thread's descriptors are its own; they end with it.
            if unsafe { libc::unshare(libc::CLONE_FILES) } != 0 {
                return None;
            }
            // High numbers, which no guest's number means.
            let socket = high(socket)?;
            let sets: Vec<(RawFd, &Vec<Watch>)> =
                sets.iter().filter_map(|(set, watches)| Some((high(set.as_raw_fd())?, watches))).collect();
            for (set, watches) in &sets {
                watches.iter().for_each(|watch| change(*set, operation, socket, watch));
            }
            Some(())
        });
    });
}

/// A duplicate that only this thread has, and that ends with it.
fn high(number: RawFd) -> Option<RawFd> {
    const HIGH: libc::c_int = 1 << 18;
    for floor in [HIGH, 4096, 1000] {
        // SAFETY: the command takes numbers.
        let duplicate = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, floor) };
        if duplicate >= 0 {
            return Some(duplicate);
        }
    }
    None
}

/// Changes a set as the guest would.
fn change(set: RawFd, operation: libc::c_int, socket: RawFd, watch: &Watch) {
    // SAFETY: this thread's table is its own, so that no other number of ours is replaced.
    if unsafe { libc::dup2(socket, watch.number) } < 0 {
        return;
    }
    let mut event = libc::epoll_event { events: watch.events, u64: watch.data };
    // SAFETY: the event is ours.
    let _ = unsafe { libc::epoll_ctl(set, operation, watch.number, &raw mut event) };
}

/// Every number of the guest's, with what `/proc` says of it.
fn links(caller: &Caller<'_>) -> Vec<(RawFd, Vec<u8>)> {
    let Ok(folder) = std::fs::read_dir(caller.link("fd")) else { return Vec::new() };
    folder
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let number = path.file_name()?.to_str()?.parse().ok()?;
            let link = std::fs::read_link(&path).ok()?;
            Some((number, link.into_os_string().into_encoded_bytes()))
        })
        .collect()
}

fn watches(caller: &Caller<'_>, set: RawFd, inode: u64, numbers: &[RawFd]) -> Vec<Watch> {
    let text = std::fs::read(caller.link(&format!("fdinfo/{set}"))).unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter_map(|line| watch::parse(line, inode)).filter(|it| numbers.contains(&it.number)).collect()
}

fn closes_on_exec(caller: &Caller<'_>, number: RawFd) -> bool {
    let text = std::fs::read_to_string(caller.link(&format!("fdinfo/{number}"))).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|digits| i32::from_str_radix(digits.trim(), 8).ok()).unwrap_or(0);
    flags & libc::O_CLOEXEC != 0
}
