//! Files of the target: by path, beneath its root; by handle, where descriptors cannot be passed.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{GuestPath, id::RemoteFd};

/// The most names that [`FsCall::StatNames`] may ask for at once.
pub const MOST_NAMES: usize = 1024;

/// A file call. Paths are resolved beneath the target's root and never leave it. Flags, modes and errnos are Linux
/// numbers of x86-64 and aarch64, which agree in all that are used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FsCall {
    /// `open(2)`.
    Open {
        /// Which file.
        path: GuestPath,
        /// Its flags; `O_CLOEXEC` and `O_NOCTTY` are the agent's own affair.
        flags: i32,
        /// The mode of a created file, the guest's umask already applied.
        mode: u32,
        /// In which form it is wanted.
        want: Want,
    },
    /// `stat(2)`, or `lstat(2)` if links are not followed.
    Stat {
        /// Which file.
        path: GuestPath,
        /// Whether a final symbolic link is followed.
        follow: bool,
    },
    /// `readlink(2)`.
    ReadLink(GuestPath),
    /// `realpath(3)`: every component must exist.
    Canonicalize(GuestPath),
    /// `faccessat2(2)`, as the target's user.
    Access {
        /// Which file.
        path: GuestPath,
        /// `R_OK`, `W_OK`, `X_OK`, `F_OK`.
        mode: i32,
        /// Whether a final symbolic link is followed.
        follow: bool,
    },
    /// `mkdir(2)`, the guest's umask already applied.
    MakeDir {
        /// Which directory.
        path: GuestPath,
        /// Its mode.
        mode: u32,
    },
    /// `mknod(2)`: regular files, sockets and fifos only.
    MakeNode {
        /// Which file.
        path: GuestPath,
        /// Its type and mode.
        mode: u32,
    },
    /// `rmdir(2)`.
    RemoveDir(GuestPath),
    /// `unlink(2)`.
    Unlink(GuestPath),
    /// `renameat2(2)`.
    Rename {
        /// What is renamed.
        from: GuestPath,
        /// Its new name.
        to: GuestPath,
        /// `RENAME_*`.
        flags: u32,
    },
    /// `linkat(2)`.
    Link {
        /// The existing file.
        from: GuestPath,
        /// Its second name.
        to: GuestPath,
        /// Whether a final symbolic link of `from` is followed.
        follow: bool,
    },
    /// `symlink(2)`.
    Symlink {
        /// What the link says; any bytes.
        text: GuestPath,
        /// The link.
        path: GuestPath,
    },
    /// `fchmodat(2)`.
    ChangeMode {
        /// Which file.
        path: GuestPath,
        /// Its new mode.
        mode: u32,
        /// Whether a final symbolic link is followed.
        follow: bool,
    },
    /// `fchownat(2)`.
    ChangeOwner {
        /// Which file.
        path: GuestPath,
        /// The new owner; `u32::MAX` keeps.
        uid: u32,
        /// The new group; `u32::MAX` keeps.
        gid: u32,
        /// Whether a final symbolic link is followed.
        follow: bool,
    },
    /// `utimensat(2)`.
    SetTimes {
        /// Which file.
        path: GuestPath,
        /// Access and modification; `UTIME_NOW` and `UTIME_OMIT` in the nanoseconds.
        times: [Time; 2],
        /// Whether a final symbolic link is followed.
        follow: bool,
    },
    /// `truncate(2)`.
    Truncate {
        /// Which file.
        path: GuestPath,
        /// Its new size in bytes.
        size: u64,
    },
    /// `statfs(2)`.
    StatFs(GuestPath),
    /// `getxattr(2)`, or `lgetxattr(2)`.
    GetAttribute {
        /// Which file.
        path: GuestPath,
        /// The attribute's name.
        name: ByteBuf,
        /// Whether a final symbolic link is followed.
        follow: bool,
    },
    /// `listxattr(2)`, or `llistxattr(2)`.
    ListAttributes {
        /// Which file.
        path: GuestPath,
        /// Whether a final symbolic link is followed.
        follow: bool,
    },
    /// `setxattr(2)`, or `lsetxattr(2)`.
    SetAttribute {
        /// Which file.
        path: GuestPath,
        /// The attribute's name.
        name: ByteBuf,
        /// Its value.
        value: ByteBuf,
        /// `XATTR_*`.
        flags: i32,
        /// Whether a final symbolic link is followed.
        follow: bool,
    },
    /// `removexattr(2)`, or `lremovexattr(2)`.
    RemoveAttribute {
        /// Which file.
        path: GuestPath,
        /// The attribute's name.
        name: ByteBuf,
        /// Whether a final symbolic link is followed.
        follow: bool,
    },
    /// `pread(2)`.
    ReadAt {
        /// Which open file.
        file: RemoteFd,
        /// From where.
        offset: u64,
        /// How many bytes at most; beyond one MiB is cut.
        length: u32,
    },
    /// `pwrite(2)`; a file opened with `O_APPEND` appends.
    WriteAt {
        /// Which open file.
        file: RemoteFd,
        /// To where.
        offset: u64,
        /// What.
        bytes: ByteBuf,
    },
    /// `fstat(2)`.
    StatFile(RemoteFd),
    /// `ftruncate(2)`.
    TruncateFile {
        /// Which open file.
        file: RemoteFd,
        /// Its new size in bytes.
        size: u64,
    },
    /// `fsync(2)`, or `fdatasync(2)`.
    Sync {
        /// Which open file.
        file: RemoteFd,
        /// Whether times may stay behind.
        data_only: bool,
    },
    /// All entries of a directory from a position on, as many as fit an answer.
    List {
        /// Which open directory.
        file: RemoteFd,
        /// 0, or what the last answer said.
        position: u64,
    },
    /// `lstat(2)` of many names of one directory. Since version 1.3.
    StatNames {
        /// Which directory.
        folder: GuestPath,
        /// Its names, at most [`MOST_NAMES`]; none has a slash, or is `.` or `..`.
        names: Vec<ByteBuf>,
    },
}

/// In which form an opened file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Want {
    /// The descriptor itself; only an agent on the same machine can.
    Descriptor,
    /// A handle; and, if the file is regular and not larger than so many bytes (at most one MiB), all of them.
    Handle(u32),
}

/// The answer to an [`FsCall`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FsAnswer {
    /// It is done.
    Done,
    /// To `Open` with [`Want::Descriptor`]: it rides along.
    Descriptor,
    /// To `Open` with [`Want::Handle`].
    Opened {
        /// The handle, to be closed; none if all bytes are here.
        file: Option<RemoteFd>,
        /// Its attributes.
        stat: FileStat,
        /// Its path with every link resolved, beneath the root.
        path: GuestPath,
        /// All bytes, if they were wanted and it is a regular file of that size.
        contents: Option<ByteBuf>,
    },
    /// To the `Stat` family.
    Stat(FileStat),
    /// To `ReadLink` and `Canonicalize`.
    Path(GuestPath),
    /// To `StatFs`.
    FileSystem(FileSystemStat),
    /// To `ReadAt` (empty at the end), `GetAttribute`, `ListAttributes`.
    Bytes(ByteBuf),
    /// To `WriteAt`: how many bytes were written.
    Written(u32),
    /// To `List`.
    Entries {
        /// Name, type and inode, `.` and `..` included.
        entries: Vec<Entry>,
        /// Where the next call goes on; none at the end.
        next: Option<u64>,
    },
    /// To `StatNames`: of each name, in their order; none where it must be asked alone, for whatever reason.
    Stats(Vec<Option<FileStat>>),
}

/// A moment (`timespec`): seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Seconds.
    pub seconds: i64,
    /// Nanoseconds, or `UTIME_NOW`, `UTIME_OMIT`.
    pub nanoseconds: u32,
}

/// A file's attributes (`statx(2)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// Device, as `makedev(3)` composes it for 64 bits.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Type and mode.
    pub mode: u32,
    /// Links.
    pub n_links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// What a device file stands for.
    pub special: u64,
    /// Size in bytes.
    pub size: u64,
    /// Preferred size of a read.
    pub block_size: u32,
    /// Blocks of 512 bytes.
    pub n_blocks: u64,
    /// Last access.
    pub accessed: Time,
    /// Last modification.
    pub modified: Time,
    /// Last change.
    pub changed: Time,
    /// Birth, where the file system knows it.
    pub born: Option<Time>,
}

/// A file system's attributes (`statfs(2)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystemStat {
    /// Magic number.
    pub kind: u64,
    /// Block size.
    pub block_size: u64,
    /// Fragment size.
    pub fragment_size: u64,
    /// Blocks.
    pub n_blocks: u64,
    /// Free ones.
    pub n_free: u64,
    /// Free ones for users.
    pub n_available: u64,
    /// Inodes.
    pub n_files: u64,
    /// Free ones.
    pub n_files_free: u64,
    /// Identity.
    pub id: u64,
    /// The longest name.
    pub name_length: u64,
    /// Mount flags (`ST_*`).
    pub flags: u64,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: ByteBuf,
    /// Its type (`DT_*`).
    pub kind: u8,
    /// Its inode.
    pub inode: u64,
}
