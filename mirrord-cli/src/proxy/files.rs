//! Files of the target as kernel objects: passed, or made here (DESIGN 2).

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use mirrord_core::proxy::{lost, window::AHEAD};
use mirrord_protocol::{
    GuestPath,
    agent::{
        AgentAnswer, AgentCall,
        fs::{FileStat, FsAnswer, FsCall, Want},
    },
    fault::Fault,
    id::RemoteFd,
    proxy::Looked,
};
use rustix::fs::{FileType, Timespec, Timestamps, futimens};

use super::{
    agent::Agent,
    fuse::{Fuse, Renaming},
    memfd::{self, Copies},
    settings::write_all_at,
};

/// The most bytes of a file that comes as memory: so many ride along with the answer to its open.
const MOST_IN_MEMORY: u32 = 1 << 20;

/// Files.
pub(crate) enum Files {
    /// Opened there, and passed.
    Passed(Agent),
    /// Made here; with a file system, if this machine lets us have one.
    Proxied(Agent, Option<Fuse>, Copies),
}

/// A file that the agent has opened.
struct Opened {
    file: Option<RemoteFd>,
    stat: FileStat,
    path: GuestPath,
    contents: Option<Vec<u8>>,
}

impl Files {
    /// A kernel object for a file.
    pub(crate) async fn open(&self, path: GuestPath, flags: i32, mode: u32) -> Result<OwnedFd, Fault> {
        match self {
            Self::Passed(agent) => {
                let open = FsCall::Open { path, flags, mode, want: Want::Descriptor };
                match agent.call(AgentCall::Fs(open), None).await? {
                    (AgentAnswer::Fs(FsAnswer::Descriptor), Some(descriptor)) => Ok(descriptor),
                    _ => Err(nonsense()),
                }
            }
            Self::Proxied(agent, fuse, copies) => {
                if flags & libc::O_TMPFILE == libc::O_TMPFILE {
                    return Err(Fault::os(libc::EOPNOTSUPP));
                }
                let opened = open_handle(agent, path, flags, mode).await?;
                if let Some(fuse) = fuse {
                    let number = fuse.attributes().numbers.number(opened.stat.device, opened.stat.inode);
                    fuse.surveyor().handle_opened(&opened.path, number, flags);
                }
                make(agent, fuse.as_ref(), copies, opened, flags).await
            }
        }
    }

    /// A file call by path.
    pub(crate) async fn call(&self, call: FsCall) -> Result<FsAnswer, Fault> {
        let (agent, fuse) = match self {
            Self::Passed(agent) => (agent, None),
            Self::Proxied(agent, fuse, _) => (agent, fuse.as_ref()),
        };
        if needs_handle(&call) {
            return Err(Fault::with_words(libc::EINVAL, "layers have no handles"));
        }
        if let FsCall::StatNames { .. } = call {
            return Err(Fault::with_words(libc::EINVAL, "layers ask for one file at a time"));
        }
        let changed = fuse.and_then(|_| changed(&call));
        let renaming = fuse.and_then(|fuse| Some((fuse.clone(), Renaming::of(&call)?)));
        if let Some((fuse, renaming)) = renaming.clone()
            && tokio::task::spawn_blocking(move || fuse.perform(&renaming)).await.is_ok_and(|it| it)
        {
            return Ok(FsAnswer::Done);
        }
        let mut answer = match (fuse, call) {
            (Some(fuse), FsCall::Stat { path, follow }) => {
                FsAnswer::Stat(fuse.surveyor().ask(path, follow).await?)
            }
            (fuse, call) => {
                let call = AgentCall::Fs(call);
                // What changes nothing must not make guests forget what they know.
                let change =
                    fuse.filter(|_| !lost::may_repeat(&call)).map(|fuse| (fuse.surveyor(), call.clone()));
                let outcome = agent.call(call, None).await;
                if let Some((surveyor, AgentCall::Fs(call))) = change {
                    surveyor.handle_called(&call);
                }
                let (AgentAnswer::Fs(answer), _) = outcome? else { return Err(nonsense()) };
                answer
            }
        };
        if let Some(fuse) = fuse {
            if let FsAnswer::Stat(stat) = &mut answer {
                fuse.attributes().translate(stat);
            }
            if let Some(path) = changed {
                fuse.forget_attributes(&path);
            }
        }
        if let Some((fuse, renaming)) = renaming {
            // A thread that is cancelled has nothing to tell; the kernel asks again by itself, a little later.
            drop(tokio::task::spawn_blocking(move || fuse.handle_done(&renaming)).await);
        }
        Ok(answer)
    }

    /// The attributes of a file, and of as many of the next names in its folder as are known.
    pub(crate) async fn look(&self, path: GuestPath, follow: bool, n_more: u16) -> Result<Looked, Fault> {
        if let Self::Proxied(_, Some(fuse), _) = self {
            let mut looked = fuse.surveyor().look(path, follow, n_more).await?;
            let stats = looked.more.iter_mut().map(|(_, stat)| stat);
            for stat in stats.chain([&mut looked.stat]) {
                fuse.attributes().translate(stat);
            }
            return Ok(looked);
        }
        match self.call(FsCall::Stat { path, follow }).await? {
            FsAnswer::Stat(stat) => Ok(Looked { stat, ..Looked::default() }),
            _ => Err(nonsense()),
        }
    }

    /// Another target's files are meant from now on: what the kernel believes of the last one's is forgotten, in time.
    pub(crate) fn forget(&self) {
        if let Self::Proxied(_, Some(fuse), _) = self {
            fuse.surveyor().forget();
            let fuse = fuse.clone();
            drop(tokio::task::spawn_blocking(move || fuse.forget_all()));
        }
    }

    /// What the kernel puts before the target's paths when it tells the path of a descriptor.
    pub(crate) async fn path_prefix(&self) -> Result<Vec<u8>, Fault> {
        if let Self::Proxied(..) = self {
            return Ok(Vec::new());
        }
        let root = self.open(GuestPath::from("/"), libc::O_PATH | libc::O_DIRECTORY, 0).await?;
        let link = format!("/proc/self/fd/{}", root.as_raw_fd());
        let path = std::fs::read_link(link)?.into_os_string().into_encoded_bytes();
        Ok(if path == b"/" { Vec::new() } else { path })
    }
}

/// The fault of an answer to another question than the one that was asked.
pub(crate) fn nonsense() -> Fault {
    Fault::with_words(libc::EPROTO, "the agent answered another question")
}

/// The attributes of a file there.
pub(crate) async fn stat(agent: &Agent, path: GuestPath) -> Result<FileStat, Fault> {
    match agent.call(AgentCall::Fs(FsCall::Stat { path, follow: true }), None).await? {
        (AgentAnswer::Fs(FsAnswer::Stat(stat)), _) => Ok(stat),
        _ => Err(nonsense()),
    }
}

fn needs_handle(call: &FsCall) -> bool {
    matches!(
        call,
        FsCall::Open { .. }
            | FsCall::ReadAt { .. }
            | FsCall::WriteAt { .. }
            | FsCall::StatFile(_)
            | FsCall::TruncateFile { .. }
            | FsCall::Sync { .. }
            | FsCall::List { .. }
    )
}

/// The file whose attributes a call changes.
fn changed(call: &FsCall) -> Option<GuestPath> {
    match call {
        FsCall::ChangeMode { path, .. }
        | FsCall::ChangeOwner { path, .. }
        | FsCall::SetTimes { path, .. }
        | FsCall::Truncate { path, .. }
        | FsCall::Link { from: path, .. } => Some(path.clone()),
        _ => None,
    }
}

async fn open_handle(agent: &Agent, path: GuestPath, flags: i32, mode: u32) -> Result<Opened, Fault> {
    let open = FsCall::Open { path, flags, mode, want: Want::Handle(MOST_IN_MEMORY) };
    match agent.call(AgentCall::Fs(open), None).await? {
        (AgentAnswer::Fs(FsAnswer::Opened { file, stat, path, contents }), _) => {
            let contents = contents.map(serde_bytes::ByteBuf::into_vec);
            Ok(Opened { file, stat, path, contents })
        }
        _ => Err(nonsense()),
    }
}

async fn make(
    agent: &Agent,
    fuse: Option<&Fuse>,
    copies: &Copies,
    opened: Opened,
    flags: i32,
) -> Result<OwnedFd, Fault> {
    let Opened { file, mut stat, path, contents } = opened;
    let shown = |mut stat: FileStat| {
        if let Some(fuse) = fuse {
            fuse.attributes().translate(&mut stat);
        }
        stat
    };
    if let Some(contents) = contents {
        let plain = stat;
        // A file of `proc(5)` has more bytes than it says.
        stat.size = contents.len() as u64;
        let shown = shown(stat);
        match (memfd::name(&shown, &path), fuse) {
            (Some(name), _) => return Ok(copies.open(&contents, &shown, &name)?),
            // By its descriptor alone nobody could change it there.
            (None, None) => {
                let name = memfd::name(&shown, &GuestPath::from("")).unwrap_or_default();
                return Ok(copies.open(&contents, &shown, &name)?);
            }
            (None, Some(_)) => stat = plain,
        }
    }
    let is_path = flags & libc::O_PATH != 0;
    let kind = FileType::from_raw_mode(stat.mode);
    if !is_path && !matches!(kind, FileType::RegularFile | FileType::Directory) {
        close(agent, file);
        return special(kind, &stat, flags);
    }
    if let Some(fuse) = fuse {
        let fuse = fuse.clone();
        let opening = move || fuse.open(&path, &stat, flags | libc::O_NOFOLLOW, file);
        let opened = tokio::task::spawn_blocking(opening).await;
        return opened.map_err(|_| Fault::os(libc::EIO))?.map_err(Fault::from);
    }
    let made = match file {
        Some(file) if kind == FileType::RegularFile && !is_path => temporary(agent, file, &stat, flags).await,
        _ => Err(Fault::with_words(libc::EOPNOTSUPP, "this machine has no FUSE for directories")),
    };
    close(agent, file);
    made
}

fn close(agent: &Agent, file: Option<RemoteFd>) {
    if let Some(file) = file {
        agent.ask(AgentCall::Close(file), None, |_| {});
    }
}

/// A device that means the same everywhere is the one here; a fifo or another device cannot be carried.
fn special(kind: FileType, stat: &FileStat, flags: i32) -> Result<OwnedFd, Fault> {
    let number = (rustix::fs::major(stat.special), rustix::fs::minor(stat.special));
    let name = match (kind, number) {
        (FileType::CharacterDevice, (1, 3)) => "/dev/null",
        (FileType::CharacterDevice, (1, 5)) => "/dev/zero",
        (FileType::CharacterDevice, (1, 7)) => "/dev/full",
        (FileType::CharacterDevice, (1, 8)) => "/dev/random",
        (FileType::CharacterDevice, (1, 9)) => "/dev/urandom",
        _ => return Err(Fault::with_words(libc::EOPNOTSUPP, "neither a file nor a directory")),
    };
    let flags = rustix::fs::OFlags::from_bits_retain((flags & libc::O_ACCMODE).cast_unsigned());
    let cloexec = rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open(name, flags | cloexec, rustix::fs::Mode::empty())
        .map_err(|errno| Fault::os(errno.raw_os_error()))
}

/// A whole copy without a name, where there is no file system: for reading only.
async fn temporary(agent: &Agent, file: RemoteFd, stat: &FileStat, flags: i32) -> Result<OwnedFd, Fault> {
    if flags & libc::O_ACCMODE != libc::O_RDONLY {
        return Err(Fault::with_words(libc::EROFS, "this machine has no FUSE, so nothing is written there"));
    }
    let copy = memfd::unnamed()?;
    let mut offset = 0;
    loop {
        let call = AgentCall::Fs(FsCall::ReadAt { file, offset, length: AHEAD });
        let (AgentAnswer::Fs(FsAnswer::Bytes(bytes)), _) = agent.call(call, None).await? else {
            return Err(nonsense());
        };
        if bytes.is_empty() {
            break;
        }
        write_all_at(&copy, &bytes, offset)?;
        offset += bytes.len() as u64;
    }
    Ok(reopened(&copy, stat)?)
}

fn reopened(copy: &File, stat: &FileStat) -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags, fchmod, open};
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    let readable = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    fchmod(copy, Mode::from_raw_mode(stat.mode & 0o777))?;
    let moment = |time: mirrord_protocol::agent::fs::Time| Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanoseconds.into(),
    };
    futimens(
        copy,
        &Timestamps { last_access: moment(stat.accessed), last_modification: moment(stat.modified) },
    )?;
    Ok(readable)
}
