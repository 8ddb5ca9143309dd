//! Threads that open files of the mount, with tables of descriptors of their own.
//!
//! Whoever opens waits in the kernel until we, the same process, have answered. A process that is killed meanwhile is
//! gone only when that wait ends; the wait ends when the device of the mount is closed; and the device is closed when
//! the last table that has it is gone. So a thread that waits there must not share the table that has the device: it
//! would keep itself, the process, and every guest that asks for a file waiting for ever.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::{Mutex, PoisonError},
    thread,
};

use mirrord_protocol::GuestPath;
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{RenameFlags, renameat_with},
    io::Errno,
    net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair},
};

use super::{
    belief::{name_of, parent_of},
    mount,
};
use crate::proxy::rights;

/// The stack of a thread.
const STACK: usize = 128 << 10;

/// The two longest paths that the kernel takes, and the flags before them.
const MOST: usize = 4 + 2 * 4096;

/// Among flags: two names are meant, behind each other with a nought between, of which one is to become the other.
const RENAME: i32 = i32::MIN;

/// How many threads wait for work; more are there only as long as there is work for them.
const N_IDLE: usize = 4;

/// All of them.
#[derive(Debug)]
pub(super) struct Openers {
    root: OwnedFd,
    idle: Mutex<Vec<Opener>>,
}

/// Our end of the socket to one, which ends with it.
#[derive(Debug)]
struct Opener(OwnedFd);

impl Openers {
    /// For a mount with this root.
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root, idle: Mutex::default() }
    }

    /// Opens a file by its path, in which no link may be left. Waits for it.
    pub(super) fn open(&self, path: &GuestPath, flags: i32) -> io::Result<OwnedFd> {
        self.ask(path.as_bytes(), flags)
    }

    /// Renames a file by its path, in which no link may be left. Waits for it.
    pub(super) fn rename(&self, from: &GuestPath, to: &GuestPath, flags: u32) -> io::Result<()> {
        let names = [from.as_bytes(), b"\0", to.as_bytes()].concat();
        match self.ask(&names, RENAME | flags.cast_signed()) {
            Err(error) if error.raw_os_error() != Some(0) => Err(error),
            _ => Ok(()),
        }
    }

    fn ask(&self, path: &[u8], flags: i32) -> io::Result<OwnedFd> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let opener = match idle {
            Some(opener) => opener,
            None => Opener::start(self.root.as_raw_fd())?,
        };
        // One that cannot be asked any more is not kept.
        let file = opener.ask(path, flags)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < N_IDLE {
            idle.push(opener);
        }
        file
    }
}

impl Opener {
    fn start(root: RawFd) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let opener = Self(ours);
        let number = theirs.as_raw_fd();
        thread::Builder::new().name("opener".into()).stack_size(STACK).spawn(move || {
            // SAFETY: both are open in the table of the process until we have said a word, and from then on in ours.
            let socket = unsafe { BorrowedFd::borrow_raw(number) };
            // SAFETY: as above; in the table of the process it stays open for as long as there is a mount.
            let root = unsafe { BorrowedFd::borrow_raw(root) };
            match keep_only(root.as_raw_fd(), number) {
                Ok(()) => serve(root, socket),
                Err(_) => drop(shutdown(socket, Shutdown::Both)),
            }
        })?;
        wait(opener.0.as_fd())?;
        let told = rights::receive(&opener.0, &mut [0; 1], &mut VecDeque::new());
        // It has its own by now.
        drop(theirs);
        match told? {
            0 => Err(io::Error::from_raw_os_error(libc::EIO)),
            _ => Ok(opener),
        }
    }

    fn ask(&self, path: &[u8], flags: i32) -> io::Result<io::Result<OwnedFd>> {
        let flags = flags.to_le_bytes();
        if flags.len() + path.len() > MOST {
            return Ok(Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG)));
        }
        rights::send(&self.0, &[IoSlice::new(&flags), IoSlice::new(path)], None)?;
        wait(self.0.as_fd())?;
        let (mut errno, mut descriptors) = ([0; 4], VecDeque::new());
        let n_read = rights::receive(&self.0, &mut errno, &mut descriptors)?;
        match (n_read, descriptors.pop_front()) {
            (4, Some(file)) => Ok(Ok(file)),
            (4, None) => Ok(Err(io::Error::from_raw_os_error(i32::from_le_bytes(errno)))),
            _ => Err(io::Error::from_raw_os_error(libc::EIO)),
        }
    }
}

/// Waits until there is something to receive.
fn wait(socket: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        match poll(&mut [PollFd::new(&socket, PollFlags::IN)], None) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Gives this thread a table of its own, in which there are only these two.
fn keep_only(one: RawFd, other: RawFd) -> io::Result<()> {
    let (low, high) = (one.min(other).cast_unsigned(), one.max(other).cast_unsigned());
    close(high + 1, u32::MAX, libc::CLOSE_RANGE_UNSHARE)?;
    if low + 1 < high {
        close(low + 1, high - 1, 0)?;
    }
    if low > 0 { close(0, low - 1, 0) } else { Ok(()) }
}

fn close(first: u32, last: u32, flags: u32) -> io::Result<()> {
    // SAFETY: what is closed is this thread's own copy, of which nothing here knows the number.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    nix::errno::Errno::result(closed).map(drop).map_err(io::Error::from)
}

/// Says that it is there, and then opens what it is asked for.
fn serve(root: BorrowedFd<'_>, socket: BorrowedFd<'_>) {
    let mut is_first = true;
    let mut question = [0; MOST];
    if rights::send(socket, &[IoSlice::new(&[0])], None).is_err() {
        return;
    }
    while wait(socket).is_ok() {
        let Ok(n_read @ 4..) = rights::receive(socket, &mut question, &mut VecDeque::new()) else { return };
        let Some((flags, path)) = question[..n_read].split_first_chunk() else { return };
        let flags = i32::from_le_bytes(*flags);
        let opened = match flags & RENAME {
            0 => mount::open_beneath(root, &GuestPath::from(path), flags),
            // Nothing comes of it but its outcome.
            _ => Err(rename(root, path, flags).err().unwrap_or_else(|| io::Error::from_raw_os_error(0))),
        };
        if is_first
            && flags & libc::O_PATH == 0
            && let Ok(file) = &opened
        {
            // The first close of a file asks us, too; once it is known that nobody wants to hear of it, none does.
            drop(file.try_clone());
            is_first = false;
        }
        let errno = opened.as_ref().map_or_else(|error| error.raw_os_error().unwrap_or(libc::EIO), |_| 0);
        let told = rights::send(
            socket,
            &[IoSlice::new(&errno.to_le_bytes())],
            opened.as_ref().ok().map(AsFd::as_fd),
        );
        if told.is_err() {
            return;
        }
    }
}

/// Renames within directories in whose paths no link is left.
fn rename(root: BorrowedFd<'_>, names: &[u8], flags: i32) -> io::Result<()> {
    let mut names = names.split(|byte| *byte == 0).map(GuestPath::from);
    let (Some(from), Some(to)) = (names.next(), names.next()) else { return Err(Errno::INVAL.into()) };
    let directory = |path: &GuestPath| {
        mount::open_beneath(root, &parent_of(path), libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW)
    };
    let flags = RenameFlags::from_bits_retain((flags & !RENAME).cast_unsigned());
    Ok(renameat_with(directory(&from)?, name_of(&from), directory(&to)?, name_of(&to), flags)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many descriptors a thread has.
    fn n_open(thread: &str) -> usize {
        std::fs::read_dir(format!("/proc/self/task/{thread}/fd")).map_or(0, Iterator::count)
    }

    fn threads() -> Vec<String> {
        let names = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let names = names.map(|entry| entry.file_name().into_string().unwrap());
        let is_opener = |id: &String| {
            let name = std::fs::read_to_string(format!("/proc/self/task/{id}/comm"));
            name.is_ok_and(|name| name == "opener\n")
        };
        names.filter(is_opener).collect()
    }

    #[test]
    fn whoever_opens_has_nothing_but_the_mount_and_who_asks() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "bytes").unwrap();
        let root = OwnedFd::from(std::fs::File::open(folder.path()).unwrap());
        let openers = Openers::new(root);
        for _ in 0..3 {
            let file = openers.open(&GuestPath::from("/file"), libc::O_RDONLY).unwrap();
            assert_eq!(std::io::read_to_string(std::fs::File::from(file)).unwrap(), "bytes");
            let error = openers.open(&GuestPath::from("/none"), libc::O_RDONLY).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        }
        openers.rename(&GuestPath::from("/file"), &GuestPath::from("/moved"), 0).unwrap();
        assert!(folder.path().join("moved").exists());
        let error = openers.rename(&GuestPath::from("/file"), &GuestPath::from("/x"), 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        let long = GuestPath::from("/".repeat(9000).as_str());
        let error = openers.open(&long, libc::O_RDONLY).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENAMETOOLONG));
        let threads = threads();
        assert_eq!(threads.len(), 1);
        assert_eq!(n_open(&threads[0]), 2);
    }
}
