//! A file's attributes as the kernel is to show them: with the device and the numbers of the mount.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo};
use mirrord_core::proxy::nodes::Numbers;
use mirrord_protocol::agent::fs::{FileStat, Time};

/// How attributes of there are told here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes {
    /// The mount's device.
    pub(crate) device: u64,
    /// The files' numbers.
    pub(crate) numbers: Numbers,
    /// Whether owners have no number here: then all is ours.
    pub(crate) only_us: bool,
}

impl Attributes {
    /// The attributes that a path must show to agree with its descriptors.
    pub(crate) fn translate(&self, stat: &mut FileStat) {
        stat.inode = self.numbers.number(stat.device, stat.inode);
        stat.device = self.device;
        if self.only_us {
            stat.uid = nix::unistd::geteuid().as_raw();
            stat.gid = nix::unistd::getegid().as_raw();
        }
    }

    /// The same for the kernel.
    pub(super) fn lower(&self, stat: &FileStat) -> FileAttr {
        // Within the mount's own namespace we are its root.
        let (uid, gid) = if self.only_us { (0, 0) } else { (stat.uid, stat.gid) };
        FileAttr {
            ino: INodeNo(self.numbers.number(stat.device, stat.inode)),
            size: stat.size,
            blocks: stat.n_blocks,
            atime: moment(stat.accessed),
            mtime: moment(stat.modified),
            ctime: moment(stat.changed),
            crtime: UNIX_EPOCH,
            kind: kind_of_mode(stat.mode),
            perm: u16::try_from(stat.mode & 0o7777).unwrap_or_default(),
            nlink: stat.n_links,
            uid,
            gid,
            rdev: u32::try_from(stat.special).unwrap_or_default(),
            blksize: stat.block_size,
            flags: 0,
        }
    }
}

/// A moment as the standard library tells it.
fn moment(time: Time) -> SystemTime {
    let nanoseconds = Duration::from_nanos(time.nanoseconds.into());
    let seconds = Duration::from_secs(time.seconds.unsigned_abs());
    if time.seconds < 0 { UNIX_EPOCH - seconds + nanoseconds } else { UNIX_EPOCH + seconds + nanoseconds }
}

/// And back.
pub(super) fn time(moment: SystemTime) -> Time {
    match moment.duration_since(UNIX_EPOCH) {
        Ok(since) => Time { seconds: since.as_secs().cast_signed(), nanoseconds: since.subsec_nanos() },
        Err(before) => {
            let before = before.duration();
            let (seconds, nanoseconds) = (before.as_secs().cast_signed(), before.subsec_nanos());
            match nanoseconds {
                0 => Time { seconds: -seconds, nanoseconds },
                _ => Time { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
            }
        }
    }
}

/// The type within a mode.
pub(super) fn kind_of_mode(mode: u32) -> FileType {
    match mode & libc::S_IFMT {
        libc::S_IFDIR => FileType::Directory,
        libc::S_IFLNK => FileType::Symlink,
        libc::S_IFIFO => FileType::NamedPipe,
        libc::S_IFSOCK => FileType::Socket,
        libc::S_IFCHR => FileType::CharDevice,
        libc::S_IFBLK => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}

/// The type that an entry tells (`DT_*`).
pub(super) fn kind_of_entry(kind: u8) -> FileType {
    kind_of_mode(u32::from(kind) << 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_before_1970_are_moments_too() {
        for original in [
            Time { seconds: 0, nanoseconds: 0 },
            Time { seconds: 1_600_000_000, nanoseconds: 123_456_789 },
            Time { seconds: -2, nanoseconds: 250_000_000 },
            Time { seconds: -1, nanoseconds: 0 },
        ] {
            assert_eq!(time(moment(original)), original);
        }
    }
}
