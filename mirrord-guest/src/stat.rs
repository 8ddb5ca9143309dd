//! `struct stat` and its kin, filled from what was told.

use libc::{c_uint, mode_t};
use mirrord_protocol::agent::fs::{FileStat, FileSystemStat, Time};

/// A signed field takes a number that was unsigned on the wire: the kernel's own limits are far below.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A field that is of another width on each machine: what does not fit is far above the kernel's own limits.
fn field<T: TryFrom<u64> + Default>(number: u64) -> T {
    T::try_from(number).unwrap_or_default()
}

/// A `struct stat`.
pub fn stat(told: &FileStat) -> libc::stat {
    // SAFETY: the structure is made of integers.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    stat.st_dev = told.device;
    stat.st_ino = told.inode;
    stat.st_mode = told.mode;
    stat.st_nlink = field(told.n_links.into());
    stat.st_uid = told.uid;
    stat.st_gid = told.gid;
    stat.st_rdev = told.special;
    stat.st_size = signed(told.size);
    stat.st_blksize = field(told.block_size.into());
    stat.st_blocks = signed(told.n_blocks);
    stat.st_atime = told.accessed.seconds;
    stat.st_atime_nsec = told.accessed.nanoseconds.into();
    stat.st_mtime = told.modified.seconds;
    stat.st_mtime_nsec = told.modified.nanoseconds.into();
    stat.st_ctime = told.changed.seconds;
    stat.st_ctime_nsec = told.changed.nanoseconds.into();
    stat
}

/// A `struct statx` with everything that is known.
pub fn statx(told: &FileStat) -> libc::statx {
    // SAFETY: the structure is made of integers.
    let mut statx: libc::statx = unsafe { std::mem::zeroed() };
    statx.stx_mask = libc::STATX_BASIC_STATS;
    statx.stx_blksize = told.block_size;
    statx.stx_nlink = told.n_links;
    statx.stx_uid = told.uid;
    statx.stx_gid = told.gid;
    statx.stx_mode = u16::try_from(told.mode & 0xFFFF).unwrap_or(0);
    statx.stx_ino = told.inode;
    statx.stx_size = told.size;
    statx.stx_blocks = told.n_blocks;
    statx.stx_atime = moment(told.accessed);
    statx.stx_mtime = moment(told.modified);
    statx.stx_ctime = moment(told.changed);
    if let Some(born) = told.born {
        statx.stx_mask |= libc::STATX_BTIME;
        statx.stx_btime = moment(born);
    }
    (statx.stx_dev_major, statx.stx_dev_minor) = device(told.device);
    (statx.stx_rdev_major, statx.stx_rdev_minor) = device(told.special);
    statx
}

/// A device's two halves.
pub fn device(number: u64) -> (c_uint, c_uint) {
    (libc::major(number), libc::minor(number))
}

fn moment(time: Time) -> libc::statx_timestamp {
    // SAFETY: the structure is made of integers.
    let mut moment: libc::statx_timestamp = unsafe { std::mem::zeroed() };
    moment.tv_sec = time.seconds;
    moment.tv_nsec = time.nanoseconds;
    moment
}

/// In the flags of a file system: they mean something.
const ST_VALID: u64 = 0x20;

/// A `struct statfs`.
pub fn statfs(told: &FileSystemStat) -> libc::statfs {
    // SAFETY: the structure is made of integers.
    let mut statfs: libc::statfs = unsafe { std::mem::zeroed() };
    statfs.f_type = signed(told.kind);
    statfs.f_bsize = signed(told.block_size);
    statfs.f_frsize = signed(told.fragment_size);
    statfs.f_blocks = told.n_blocks;
    statfs.f_bfree = told.n_free;
    statfs.f_bavail = told.n_available;
    statfs.f_files = told.n_files;
    statfs.f_ffree = told.n_files_free;
    statfs.f_namelen = signed(told.name_length);
    let flags: *mut i64 = (&raw mut statfs.f_frsize).wrapping_add(1);
    // SAFETY: the flags, which the `libc` crate hides, follow the fragment size.
    unsafe { flags.write(signed(told.flags | ST_VALID)) };
    let id: *mut libc::fsid_t = &raw mut statfs.f_fsid;
    // SAFETY: the identity is two integers, as large as one of 64 bits, whatever its alignment.
    unsafe { id.cast::<u64>().write_unaligned(told.id) };
    statfs
}

/// A `struct statvfs`.
pub fn statvfs(told: &FileSystemStat) -> libc::statvfs {
    // SAFETY: the structure is made of integers.
    let mut statvfs: libc::statvfs = unsafe { std::mem::zeroed() };
    statvfs.f_bsize = told.block_size;
    statvfs.f_frsize = if told.fragment_size == 0 { told.block_size } else { told.fragment_size };
    statvfs.f_blocks = told.n_blocks;
    statvfs.f_bfree = told.n_free;
    statvfs.f_bavail = told.n_available;
    statvfs.f_files = told.n_files;
    statvfs.f_ffree = told.n_files_free;
    statvfs.f_favail = told.n_files_free;
    statvfs.f_fsid = told.id;
    statvfs.f_flag = told.flags & !ST_VALID;
    statvfs.f_namemax = told.name_length;
    statvfs
}

/// What a memory file that stands for a file there is to show of itself. The kernel keeps its times, size and mode, its
/// name says the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Links.
    pub n_links: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The longest name of a memory file (`memfd_create(2)`).
const LONGEST_NAME: usize = 249;

impl Identity {
    /// How the kernel begins what it says of a descriptor that is such a memory file.
    pub const MARK: &[u8] = b"/memfd:mirrord:";

    /// The name of a memory file that stands for the file at this path there; nothing if both do not fit.
    pub fn name(&self, path: &[u8]) -> Option<Vec<u8>> {
        let Self { device, inode, n_links, uid, gid } = self;
        let mut name = format!("mirrord:{device:x}:{inode:x}:{n_links:x}:{uid:x}:{gid:x}:").into_bytes();
        name.extend(path);
        (name.len() <= LONGEST_NAME).then_some(name)
    }

    /// Reads `/memfd:mirrord:<device>:<inode>:<links>:<uid>:<gid>:<path> (deleted)`, numbers in hexadecimal; and the
    /// path, which is empty if the file there has none.
    pub fn parse(name: &[u8]) -> Option<(Self, &[u8])> {
        let name = name.strip_prefix(Self::MARK)?;
        let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
        let mut parts = name.splitn(6, |byte| *byte == b':');
        let mut next = || u64::from_str_radix(std::str::from_utf8(parts.next()?).ok()?, 16).ok();
        let identity = Self {
            device: next()?,
            inode: next()?,
            n_links: next()?,
            uid: u32::try_from(next()?).ok()?,
            gid: u32::try_from(next()?).ok()?,
        };
        Some((identity, parts.next().unwrap_or_default()))
    }

    /// Whether a file there is the one.
    pub fn is_of(&self, told: &FileStat) -> bool {
        (self.device, self.inode) == (told.device, told.inode)
    }

    /// Puts it into a `struct stat`.
    pub fn mark_stat(&self, stat: &mut libc::stat) {
        stat.st_dev = self.device;
        stat.st_ino = self.inode;
        stat.st_nlink = field(self.n_links);
        stat.st_uid = self.uid;
        stat.st_gid = self.gid;
    }

    /// Puts it into a `struct statx`.
    pub fn mark_statx(&self, statx: &mut libc::statx) {
        (statx.stx_dev_major, statx.stx_dev_minor) = device(self.device);
        statx.stx_ino = self.inode;
        statx.stx_nlink = u32::try_from(self.n_links).unwrap_or(u32::MAX);
        statx.stx_uid = self.uid;
        statx.stx_gid = self.gid;
    }
}

/// The mode's permissions, without what the kernel ignores.
pub fn permissions(mode: mode_t) -> u32 {
    mode & 0o7777
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity { device: 0x2a, inode: 0xabc, n_links: 2, uid: 1000, gid: 0 };

    #[test]
    fn a_name_is_read_as_it_was_written() {
        for path in [&b"/data/a file: \xff (deleted)"[..], b"/", b""] {
            let shown = [b"/memfd:", IDENTITY.name(path).unwrap().as_slice(), b" (deleted)"].concat();
            assert_eq!(Identity::parse(&shown), Some((IDENTITY, path)));
        }
    }

    #[test]
    fn a_path_that_does_not_fit_makes_no_name() {
        assert!(IDENTITY.name(&[b'x'; 200]).is_some());
        assert!(IDENTITY.name(&[b'x'; 249]).is_none());
    }

    #[test]
    fn other_memory_files_stand_for_nothing() {
        for name in ["/memfd:mirrord:settings (deleted)", "/memfd:x (deleted)", "/data/x"] {
            assert_eq!(Identity::parse(name.as_bytes()), None);
        }
    }
}
