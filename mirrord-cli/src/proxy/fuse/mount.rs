//! A mount without a place: made through descriptors, attached to no tree, gone with its last descriptor.

use std::{
    ffi::CString,
    fs,
    io::{self, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use mirrord_protocol::GuestPath;
use nix::{
    sched::{CloneFlags, unshare},
    sys::wait::waitpid,
    unistd::{ForkResult, fork, getegid, geteuid},
};
use rustix::{
    fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags, makedev, open, openat2, statx},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
        fsmount, fsopen,
    },
};

use crate::proxy::rights;

/// A mount, and the device by which it is served.
#[derive(Debug)]
pub(crate) struct Mount {
    /// Its root.
    pub(crate) root: OwnedFd,
    /// Where the kernel asks.
    pub(crate) device: OwnedFd,
    /// Whether only our own user has a number in it.
    pub(crate) only_us: bool,
}

impl Mount {
    /// Makes a mount. Must be called before any thread is started: without privileges, a child in a user namespace of
    /// its own makes it.
    pub(crate) fn new() -> io::Result<Self> {
        if geteuid().is_root()
            && let Ok((root, device)) = make(true)
        {
            return Ok(Self { root, device, only_us: false });
        }
        let (ours, theirs) = UnixStream::pair()?;
        // SAFETY: there is one thread, so the child is as whole as its parent.
        match unsafe { fork() }? {
            ForkResult::Child => {
                let code = i32::from(make_in_namespace(&theirs).is_err());
                // SAFETY: the child ends here; nothing of the parent's is undone by it.
                unsafe { libc::_exit(code) }
            }
            ForkResult::Parent { child } => {
                drop(theirs);
                waitpid(child, None)?;
                let mut descriptors = std::collections::VecDeque::new();
                drop(rights::receive(&ours, &mut [0; 2], &mut descriptors));
                drop(rights::receive(&ours, &mut [0; 2], &mut descriptors));
                match (descriptors.pop_front(), descriptors.pop_front()) {
                    (Some(root), Some(device)) => Ok(Self { root, device, only_us: true }),
                    _ => Err(io::Error::from_raw_os_error(libc::EPERM)),
                }
            }
        }
    }

    /// The device number that its files show. The kernel knows it without asking us.
    pub(crate) fn device_number(&self) -> io::Result<u64> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let stat = statx(&self.root, c"", flags, StatxFlags::empty())?;
        Ok(makedev(stat.stx_dev_major, stat.stx_dev_minor))
    }
}

/// Opens a file beneath a directory by its path, in which no link may be left.
pub(crate) fn open_beneath(root: impl AsFd, path: &GuestPath, flags: i32) -> io::Result<OwnedFd> {
    let relative = path.as_bytes().strip_prefix(b"/").unwrap_or(path.as_bytes());
    let relative = CString::new(if relative.is_empty() { b"." } else { relative })?;
    let unwanted = libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC;
    let flags = OFlags::from_bits_retain((flags & !unwanted).cast_unsigned()) | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(root, &relative, flags, Mode::empty(), resolve)?)
}

/// Makes the mount for us alone, or for everybody: which the kernel takes as everybody in the namespace that it was made
/// in, so that a mount made in one below ours must not ask for it.
fn make(for_everybody: bool) -> io::Result<(OwnedFd, OwnedFd)> {
    let device = open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let context = fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", "mirrord")?;
    fsconfig_set_string(&context, "fd", device.as_raw_fd().to_string())?;
    fsconfig_set_string(&context, "rootmode", "40000")?;
    fsconfig_set_string(&context, "user_id", geteuid().to_string())?;
    fsconfig_set_string(&context, "group_id", getegid().to_string())?;
    if for_everybody {
        fsconfig_set_flag(&context, "allow_other")?;
    }
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let root = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    Ok((root, device))
}

/// The child's part: makes the mount as the root of a namespace, and passes it on.
fn make_in_namespace(parent: &UnixStream) -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::File::options().write(true).open("/proc/self/uid_map")?.write_all(format!("0 {uid} 1").as_bytes())?;
    fs::File::options().write(true).open("/proc/self/gid_map")?.write_all(format!("0 {gid} 1").as_bytes())?;
    let (root, device) = make(false)?;
    for descriptor in [root, device] {
        rights::send(parent, &[io::IoSlice::new(&[0])], Some(descriptor.as_fd()))?;
    }
    Ok(())
}
