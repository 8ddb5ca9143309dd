//! Calls that take a path: which way it goes, and what is done for it there, or here under another one.

mod beneath;
mod here;
mod place;
mod read;
mod there;
mod told;

use std::os::fd::OwnedFd;

use mirrord_core::{
    rules::fs::Deed,
    verdict::Errno,
    way::{self, Way},
};
use mirrord_protocol::{
    GuestPath,
    proxy::{FromProxy, ToProxy},
};

use super::{
    caller::{Caller, Outcome, settle},
    notify::Answer,
};

/// A file call when the proxy is gone: as if the guest's disk were.
const LOST: Errno = Errno(libc::EIO);

/// A path as a guest says it.
#[derive(Debug)]
struct Said {
    /// The directory from which it is seen, or `AT_FDCWD`.
    dir: i32,
    /// Where it stands in the guest's memory.
    place: u64,
}

/// What a call does to one file.
#[derive(Debug)]
enum Work {
    Open { flags: i32, mode: u32 },
    Stat { follow: bool, out: u64 },
    Statx { follow: bool, flags: i32, mask: u32, out: u64 },
    Access { mode: i32, follow: bool },
    ReadLink { out: u64, size: usize },
    MakeDir { mode: u32 },
    MakeNode { mode: u32, device: u64 },
    RemoveDir,
    Unlink,
    Symlink { text: Vec<u8> },
    SetMode { mode: u32, follow: bool },
    SetOwner { uid: u32, gid: u32, follow: bool },
    SetTimes { times: [mirrord_protocol::agent::fs::Time; 2], follow: bool },
    Truncate { size: u64 },
    StatFs { out: u64 },
    GetAttribute { name: Vec<u8>, out: u64, size: usize, follow: bool },
    ListAttributes { out: u64, size: usize, follow: bool },
    SetAttribute { name: Vec<u8>, value: Vec<u8>, flags: i32, follow: bool },
    RemoveAttribute { name: Vec<u8>, follow: bool },
    Watch { watcher: i32, mask: u32 },
    ChangeDir,
}

impl Work {
    fn deed(&self) -> Deed {
        match self {
            Self::Open { flags, .. } => {
                let writes =
                    flags & libc::O_ACCMODE != libc::O_RDONLY || flags & (libc::O_CREAT | libc::O_TRUNC) != 0;
                if writes && flags & libc::O_PATH == 0 { Deed::Write } else { Deed::Read }
            }
            Self::Stat { .. }
            | Self::Statx { .. }
            | Self::Access { .. }
            | Self::ReadLink { .. }
            | Self::StatFs { .. }
            | Self::GetAttribute { .. }
            | Self::ListAttributes { .. }
            | Self::Watch { .. }
            | Self::ChangeDir => Deed::Read,
            _ => Deed::Write,
        }
    }
}

/// What a call does to two.
#[derive(Clone, Copy, Debug)]
enum Pair {
    Rename { flags: u32 },
    Link { follow: bool },
}

/// What is called.
enum Request {
    One(Said, Work),
    Two(Said, Said, Pair),
    /// What a descriptor says of itself.
    Told(told::Told),
    /// What is done by a descriptor.
    ByDescriptor(i32, Work),
    /// `getcwd(2)`.
    WorkingDirectory {
        out: u64,
        size: usize,
    },
}

/// What becomes of a call on a file; nothing if it is another one.
pub(super) fn decide(caller: &Caller<'_>) -> Option<Answer> {
    let request = match read::request(caller)? {
        Ok(request) => request,
        // What cannot be read the kernel cannot read either, and says so in its own order.
        Err(why @ Errno(libc::EFAULT | libc::ENAMETOOLONG | libc::EPERM)) => {
            caller.record_unreadable(why);
            return Some(Answer::Continue);
        }
        Err(errno) => return Some(Answer::Failed(errno)),
    };
    let answer = match request {
        Request::One(said, work) => follow(caller, &said, &work),
        Request::Two(from, to, pair) => follow_both(caller, &from, &to, pair),
        Request::Told(which) => told::answer(caller, &which),
        Request::ByDescriptor(number, work) => told::act(caller, number, &work),
        Request::WorkingDirectory { out, size } => place::tell(caller, out, size),
    };
    Some(answer.unwrap_or_else(Answer::Failed))
}

fn follow(caller: &Caller<'_>, said: &Said, work: &Work) -> Outcome<Answer> {
    let path = match caller.memory().path(said.place) {
        Ok(path) => path,
        Err(why) => {
            caller.record_unreadable(why);
            return Ok(Answer::Continue);
        }
    };
    match find(caller, said.dir, &path, work.deed())? {
        Way::There(real) => match beneath::tell(caller, said, &path, work) {
            Some(outcome) => outcome,
            None => there::run(caller, work, real),
        },
        Way::HereAt(path) => here::run(caller, work, &path),
        Way::Refused(errno) => Err(errno),
        Way::Here | Way::Map(_) => told::by_path(caller, &path, work),
    }
}

fn follow_both(caller: &Caller<'_>, from: &Said, to: &Said, pair: Pair) -> Outcome<Answer> {
    let Ok(from_path) = caller.memory().path(from.place) else { return Ok(Answer::Continue) };
    let Ok(to_path) = caller.memory().path(to.place) else { return Ok(Answer::Continue) };
    let from_way = find(caller, from.dir, &from_path, Deed::Write)?;
    match (from_way, find(caller, to.dir, &to_path, Deed::Write)?) {
        (Way::Refused(errno), _) | (_, Way::Refused(errno)) => Err(errno),
        (Way::There(from), Way::There(to)) => there::run_both(caller, pair, from, to),
        (Way::There(_), _) | (_, Way::There(_)) => Err(Errno(libc::EXDEV)),
        (Way::Here, Way::Here) => Ok(Answer::Continue),
        (from_way, to_way) => {
            let from = here::absolute(caller, from.dir, from_way, from_path)?;
            here::run_both(caller, pair, &from, &here::absolute(caller, to.dir, to_way, to_path)?)
        }
    }
}

/// The path there of a file that is to be changed; nothing if it is left.
pub(super) fn find_changed(caller: &Caller<'_>, said: &[u8]) -> Outcome<Option<GuestPath>> {
    match find(caller, libc::AT_FDCWD, said, Deed::Write)? {
        Way::There(path) => Ok(Some(path)),
        Way::Refused(errno) => Err(errno),
        Way::Here | Way::HereAt(_) | Way::Map(_) => Ok(None),
    }
}

/// Opens a program for whoever is to run it, if it is none of those that are left.
pub(super) fn open_program(caller: &Caller<'_>, said: &[u8]) -> Outcome<Option<OwnedFd>> {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK;
    match find(caller, libc::AT_FDCWD, said, Deed::Read)? {
        Way::There(path) => there::open(caller, path, flags, 0).map(Some),
        Way::HereAt(path) => here::open_as(caller, &path, flags).map(Some),
        Way::Refused(errno) => Err(errno),
        Way::Here | Way::Map(_) => Ok(None),
    }
}

/// Which way a path goes that the guest still waits for.
fn find(caller: &Caller<'_>, dir: i32, said: &[u8], deed: Deed) -> Outcome<Way> {
    let (rules, here) = (&caller.program.rules, caller.here());
    let resolver_file = resolver_file(caller, said, deed);
    // Of what is left the kernel reads the path itself, so that it does not matter whose it was.
    if resolver_file.map_or_else(|| way::stays(&rules.fs, &here, said, deed), |there| !there) {
        return Ok(Way::Here);
    }
    caller.check().map_err(|_| Errno(libc::EINTR))?;
    if resolver_file.is_some() {
        return Ok(Way::There(GuestPath::from(said)));
    }
    match way::find(&rules.fs, &here, || place::of(caller, dir), said, deed) {
        Way::Map(plain) => match settle(caller.ask(&ToProxy::Map(plain)), LOST)?.0 {
            FromProxy::Path(mapped) => Ok(way::judge_mapped(&rules.fs, &here, &mapped.0, deed)),
            _ => Err(LOST),
        },
        found => Ok(found),
    }
}

/// Where a program that resolves names by itself reads how: where its names are asked. Nothing if it is another file,
/// or the user has said what becomes of it.
fn resolver_file(caller: &Caller<'_>, said: &[u8], deed: Deed) -> Option<bool> {
    use mirrord_core::verdict::{Reason, Verdict};
    let rules = &caller.program.rules;
    let is_there = rules.dns.reads_there(said)?;
    let decided = rules.fs.decide(said, deed, &caller.here());
    let is_users = matches!(decided, Verdict::Refuse(_) | Verdict::Leave(Reason::KeptByUser));
    let is_mapped = rules.fs.mapping.is_match(said);
    (deed == Deed::Read && caller.supervisor.facts.has_target && !is_users && !is_mapped).then_some(is_there)
}
