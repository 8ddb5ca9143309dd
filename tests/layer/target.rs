//! A folder that plays the target's root: file calls are done beneath it.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use mirrord_protocol::{
    GuestPath,
    agent::fs::{FileStat, FileSystemStat, FsAnswer, FsCall, Time},
    fault::Fault,
    proxy::{FromProxy, ToProxy},
};

use crate::scripted_proxy::{Answer, named_memory};

/// A target that only has files.
pub(crate) struct Target {
    root: PathBuf,
    /// Whether small files are given as memory, as where no descriptor can be passed.
    in_memory: bool,
}

fn check(status: i64) -> io::Result<i64> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(status) }
}

impl Target {
    /// A target with this root.
    pub(crate) fn new(root: &Path, in_memory: bool) -> Self {
        Self { root: root.to_owned(), in_memory }
    }

    fn path(&self, path: &GuestPath) -> PathBuf {
        assert!(path.as_path().is_absolute(), "`{path}` is not absolute");
        self.root.join(path.as_path().strip_prefix("/").unwrap())
    }

    fn text(&self, path: &GuestPath) -> CString {
        CString::new(self.path(path).into_os_string().into_encoded_bytes()).unwrap()
    }

    /// Answers a question of files.
    pub(crate) fn answer(&self, question: &ToProxy) -> Answer {
        let failed = |error: io::Error| FromProxy::Failed(Fault::from(error)).into();
        match question {
            ToProxy::Open { path, flags, mode } => match self.open(path, *flags, *mode) {
                Ok(file) => Answer::with(FromProxy::Object, file),
                Err(error) => failed(error),
            },
            ToProxy::Fs(call) => self.call(call).map_or_else(failed, |answer| FromProxy::Fs(answer).into()),
            other => panic!("not of files: {other:?}"),
        }
    }

    fn open(&self, path: &GuestPath, flags: i32, mode: u32) -> io::Result<OwnedFd> {
        let text = self.text(path);
        // SAFETY: the path is a C string.
        let fd = unsafe { libc::open(text.as_ptr(), flags | libc::O_CLOEXEC, mode) };
        check(fd.into())?;
        // SAFETY: the descriptor was just made, and nobody else has it.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        let stat = std::fs::metadata(self.path(path));
        match stat {
            Ok(stat) if self.in_memory && stat.is_file() && flags & libc::O_ACCMODE == libc::O_RDONLY => {
                let name = format!(
                    "mirrord:{:x}:{:x}:{:x}:{:x}:{:x}:{path}",
                    stat.dev(),
                    stat.ino(),
                    stat.nlink(),
                    stat.uid(),
                    stat.gid()
                );
                Ok(named_memory(&name, &std::fs::read(self.path(path))?))
            }
            _ => Ok(file),
        }
    }

    fn call(&self, call: &FsCall) -> io::Result<FsAnswer> {
        let nofollow = |follow: &bool| if *follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
        let done = |status: i32| check(status.into()).map(|_| FsAnswer::Done);
        match call {
            FsCall::Stat { path, follow } => {
                let path = self.path(path);
                let found = if *follow { path.metadata() } else { path.symlink_metadata() };
                Ok(FsAnswer::Stat(stat(&found?)))
            }
            FsCall::ReadLink(path) => {
                Ok(FsAnswer::Path(GuestPath::from(std::fs::read_link(self.path(path))?.as_path())))
            }
            FsCall::Canonicalize(path) => {
                let real = self.path(path).canonicalize()?;
                let inside = Path::new("/").join(real.strip_prefix(&self.root).unwrap());
                Ok(FsAnswer::Path(GuestPath::from(inside.as_path())))
            }
            FsCall::Access { path, mode, follow } => {
                // SAFETY: the path is a C string.
                done(unsafe {
                    libc::faccessat(libc::AT_FDCWD, self.text(path).as_ptr(), *mode, nofollow(follow))
                })
            }
            FsCall::MakeDir { path, mode } => {
                std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), *mode)
                    .create(self.path(path))?;
                Ok(FsAnswer::Done)
            }
            FsCall::MakeNode { path, mode } => {
                // SAFETY: the path is a C string.
                done(unsafe { libc::mknod(self.text(path).as_ptr(), *mode, 0) })
            }
            FsCall::RemoveDir(path) => std::fs::remove_dir(self.path(path)).map(|()| FsAnswer::Done),
            FsCall::Unlink(path) => std::fs::remove_file(self.path(path)).map(|()| FsAnswer::Done),
            FsCall::Rename { from, to, flags } => {
                let (from, to) = (self.text(from), self.text(to));
                // SAFETY: the paths are C strings.
                done(unsafe {
                    libc::renameat2(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), *flags)
                })
            }
            FsCall::Link { from, to, .. } => {
                std::fs::hard_link(self.path(from), self.path(to)).map(|()| FsAnswer::Done)
            }
            FsCall::Symlink { text, path } => {
                std::os::unix::fs::symlink(text.as_path(), self.path(path)).map(|()| FsAnswer::Done)
            }
            FsCall::ChangeMode { path, mode, .. } => {
                // SAFETY: the path is a C string.
                done(unsafe { libc::chmod(self.text(path).as_ptr(), *mode) })
            }
            FsCall::ChangeOwner { path, uid, gid, .. } => {
                // SAFETY: the path is a C string.
                done(unsafe { libc::lchown(self.text(path).as_ptr(), *uid, *gid) })
            }
            FsCall::SetTimes { path, times, follow } => {
                let times = times
                    .map(|time| libc::timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() });
                let (path, flags) = (self.text(path), nofollow(follow));
                // SAFETY: the path is a C string, and the times are two.
                done(unsafe { libc::utimensat(libc::AT_FDCWD, path.as_ptr(), times.as_ptr(), flags) })
            }
            FsCall::Truncate { path, size } => {
                std::fs::File::options().write(true).open(self.path(path))?.set_len(*size)?;
                Ok(FsAnswer::Done)
            }
            FsCall::StatFs(path) => {
                std::fs::metadata(self.path(path))?;
                Ok(FsAnswer::FileSystem(FileSystemStat {
                    kind: 4711,
                    name_length: 143,
                    ..Default::default()
                }))
            }
            FsCall::GetAttribute { path, name, .. } if self.path(path).exists() => match &name[..] {
                b"user.there" => Ok(FsAnswer::Bytes(b"value".to_vec().into())),
                _ => Err(io::Error::from_raw_os_error(libc::ENODATA)),
            },
            FsCall::ListAttributes { .. } => Ok(FsAnswer::Bytes(b"user.there\0".to_vec().into())),
            FsCall::SetAttribute { .. } | FsCall::RemoveAttribute { .. } => Ok(FsAnswer::Done),
            _ => Err(io::Error::from_raw_os_error(libc::ENOENT)),
        }
    }
}

fn stat(found: &std::fs::Metadata) -> FileStat {
    let time = |seconds, nanoseconds: i64| Time { seconds, nanoseconds: u32::try_from(nanoseconds).unwrap() };
    FileStat {
        device: found.dev(),
        inode: found.ino(),
        mode: found.mode(),
        n_links: u32::try_from(found.nlink()).unwrap(),
        uid: found.uid(),
        gid: found.gid(),
        special: found.rdev(),
        size: found.size(),
        block_size: 4096,
        n_blocks: found.blocks(),
        accessed: time(found.atime(), found.atime_nsec()),
        modified: time(found.mtime(), found.mtime_nsec()),
        changed: time(found.ctime(), found.ctime_nsec()),
        born: None,
    }
}

/// The bytes of a path, for facts.
pub(crate) fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}
