//! The target's root directory: every path is resolved beneath it, and none leaves it.
//!
//! `openat2(2)` with `RESOLVE_IN_ROOT` takes absolute paths, absolute links and `..` as a process would that had
//! changed its root to this directory. What it has found is named afterwards by `/proc/self/fd/N`, or by its parent
//! directory and one name, which the kernel does not resolve any further.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use mirrord_protocol::GuestPath;
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags},
    io::{Errno, Result},
};

/// How often a resolution is tried again that a rename elsewhere has disturbed.
const MAX_TRIES: usize = 128;

/// The most that [`Root::read_small`] reads.
const MAX_SMALL: u64 = 1 << 20;

/// The target's root directory.
#[derive(Debug)]
pub(crate) struct Root {
    directory: OwnedFd,
    /// What the kernel writes before a path beneath this root; empty if nothing.
    prefix: Vec<u8>,
}

impl Root {
    /// The root that this directory is.
    ///
    /// # Errors
    /// When the kernel does not name it.
    pub(crate) fn new(directory: OwnedFd) -> Result<Self> {
        let mut prefix = read_name(directory.as_fd())?;
        if prefix == b"/" {
            prefix.clear();
        }
        Ok(Self { directory, prefix })
    }

    /// From here on, this is the root of whoever calls, and where it stands.
    ///
    /// # Errors
    /// When that is not permitted.
    pub(crate) fn enter(&self) -> Result<()> {
        rustix::process::fchdir(&self.directory)?;
        rustix::process::chroot(".")
    }

    /// Opens a file.
    ///
    /// # Errors
    /// The kernel's, as the target would see it.
    pub(crate) fn open(&self, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        for _ in 0..MAX_TRIES {
            match rustix::fs::openat2(&self.directory, path, flags, mode, ResolveFlags::IN_ROOT) {
                Err(Errno::AGAIN) if !flags.contains(OFlags::NONBLOCK) => {}
                Err(Errno::INTR) => {}
                outcome => return outcome,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Finds a file without opening it (`O_PATH`).
    pub(crate) fn find(&self, path: &[u8], follow: bool) -> Result<OwnedFd> {
        let flags = if follow { OFlags::PATH } else { OFlags::PATH | OFlags::NOFOLLOW };
        self.open(path, flags, Mode::empty())
    }

    /// Finds the directory of a path, and its last name there. The name has no slash but at its end.
    pub(crate) fn find_parent<'path>(&self, path: &'path [u8]) -> Result<(OwnedFd, &'path [u8])> {
        let (parent, name) = split(path)?;
        let directory = self.open(parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        Ok((directory, name))
    }

    /// The path of something beneath the root, every link resolved.
    pub(crate) fn path_of(&self, file: BorrowedFd<'_>) -> Result<GuestPath> {
        let name = read_name(file)?;
        match name.strip_prefix(self.prefix.as_slice()) {
            Some(b"") => Ok(GuestPath::from("/")),
            Some(path) if path.starts_with(b"/") => Ok(GuestPath::from(path)),
            // A pipe, or what was moved away under our hands.
            _ => Err(Errno::NOENT),
        }
    }

    /// All bytes of a small file.
    pub(crate) fn read_small(&self, path: &[u8]) -> std::io::Result<Vec<u8>> {
        use std::io::Read as _;
        // A fifo in its place must not make us wait.
        let file = self.open(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
        let mut bytes = Vec::new();
        std::fs::File::from(file).take(MAX_SMALL).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The name by which a call that takes a path reaches what a descriptor stands for, even without rights to read it.
pub(crate) fn name(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn read_name(file: BorrowedFd<'_>) -> Result<Vec<u8>> {
    rustix::fs::readlinkat(CWD, name(file), Vec::new()).map(std::ffi::CString::into_bytes)
}

/// The directory and the last name of a path. A name keeps the slashes at its end, which mean something to the kernel;
/// the root's own name is `.`.
fn split(path: &[u8]) -> Result<(&[u8], &[u8])> {
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    let Some(last) = path.iter().rposition(|byte| *byte != b'/') else { return Ok((b"/", b".")) };
    match path[..last].iter().rposition(|byte| *byte == b'/') {
        Some(slash) => Ok((&path[..=slash], &path[slash + 1..])),
        None => Ok((b"/", path)),
    }
}

/// What nearly every call on a found file says: the file itself.
pub(crate) const ITSELF: AtFlags = AtFlags::EMPTY_PATH;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, parent: &str, name: &str) {
        assert_eq!(split(path.as_bytes()), Ok((parent.as_bytes(), name.as_bytes())), "{path}");
    }

    #[test]
    fn a_path_is_split_before_its_last_name() {
        check("/a/b", "/a/", "b");
        check("/a/b//", "/a/", "b//");
        check("/a", "/", "a");
        check("a", "/", "a");
        check("/a/..", "/a/", "..");
        check("//", "/", ".");
        assert_eq!(split(b""), Err(Errno::NOENT));
    }
}
