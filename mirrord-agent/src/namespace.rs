//! The way into the target's namespaces.
//!
//! The whole process enters the network namespace, and before it the user namespace where that is another one: its
//! owner may enter it without being root, and gets there the rights that the rest needs. The mount namespace is never
//! entered: files are reached through a descriptor of the target's root. A bare network namespace has files of its own
//! in `/etc/netns/NAME`; they are laid over `/etc` as `ip netns exec` does it (`ip-netns(8)`), in a mount namespace
//! that nobody else sees.

use std::{
    error::Error,
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

use nix::mount::{MsFlags, mount};
use rustix::{
    fs::{CWD, Mode, OFlags},
    process::{Pid, PidfdFlags},
    thread::{CapabilitySet, LinkNameSpaceType},
};
use thiserror::Error;

use crate::{
    args::{Container, Place},
    container::{self, FindError},
    fs::Root,
    rights::{self, Deed, Lacks},
    target::{Credentials, Main, Standing},
};

/// Why the agent cannot stand where it is told.
#[derive(Debug, Error)]
pub(crate) enum EnterError {
    /// The process is not there, or is not for us.
    #[error("cannot reach process `{0}`")]
    Process(i32, #[source] io::Error),
    /// A file of `/proc` cannot be read.
    #[error("cannot read `{}`", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// A namespace cannot be entered.
    #[error("cannot enter the {0} namespace of `{1}`")]
    Enter(&'static str, String, #[source] io::Error),
    /// The root cannot be opened.
    #[error("cannot open the root directory of `{0}`")]
    Root(String, #[source] io::Error),
    /// The target's main process cannot be found.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The rights that an agent in a cluster was left do not suffice.
    #[error("{1}")]
    Forbidden(#[source] Box<Self>, String),
}

/// An error and its causes in a line.
pub(crate) fn chain(error: &EnterError) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

/// Steps into the target. Must be called while the process has a single thread.
///
/// # Errors
/// When the target is gone, or may not be entered.
pub(crate) fn enter(place: &Place) -> Result<Standing, EnterError> {
    match place {
        Place::Process(pid) => enter_process(*pid, false),
        Place::Container(container) => enter_container(container),
        Place::Netns { file, name } => enter_netns(file, name),
        Place::Here => {
            Ok(Standing { main: None, root: open_root("/", "this machine")?, lacks: Lacks::default() })
        }
    }
}

fn enter_container(container: &Container) -> Result<Standing, EnterError> {
    let pid = container::find(&container.proc, container.id.as_deref(), container.ephemeral)?;
    tracing::info!(pid, "found the target's main process");
    let entered = if container.ephemeral { stand_beside(pid) } else { enter_process(pid, true) };
    entered.map_err(|error| match error.deed() {
        Some(deed) => {
            let words = deed.why(rights::ours());
            EnterError::Forbidden(
                Box::new(error),
                format!("the agent cannot reach its target, because {words}"),
            )
        }
        None => error,
    })
}

/// The target is a container of our own pod: its network is ours, and its files may be.
fn stand_beside(pid: i32) -> Result<Standing, EnterError> {
    let watch = watch(pid)?;
    let credentials = credentials(pid)?;
    let ours = rights::ours();
    let mut lacks = lacks(ours, credentials.as_ref());
    let root = match open_root(format!("/proc/{pid}/root"), &pid.to_string()) {
        Err(EnterError::Root(_, error)) if is_forbidden(&error) => {
            lacks.note(Deed::Look, ours);
            // Names are asked for by the files that the whole pod has.
            open_root("/", "the agent")?
        }
        root => root?,
    };
    Ok(Standing { main: Some(Main { pid, watch, uts: None, credentials }), root, lacks })
}

impl EnterError {
    /// What the kernel forbids, if that is why.
    fn deed(&self) -> Option<Deed> {
        match self {
            Self::Read(_, error) | Self::Root(_, error) if is_forbidden(error) => Some(Deed::Look),
            Self::Enter(_, _, error) if is_forbidden(error) => Some(Deed::Reach),
            _ => None,
        }
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

fn lacks(ours: CapabilitySet, target: Option<&Credentials>) -> Lacks {
    let us = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    Lacks::of(ours, target, us)
}

/// What is readable once a process has ended (`pidfd_open(2)`).
fn watch(pid: i32) -> Result<OwnedFd, EnterError> {
    let gone = |error: io::Error| EnterError::Process(pid, error);
    let number = Pid::from_raw(pid).ok_or_else(|| gone(io::ErrorKind::InvalidInput.into()))?;
    rustix::process::pidfd_open(number, PidfdFlags::empty()).map_err(|error| gone(error.into()))
}

fn credentials(pid: i32) -> Result<Option<Credentials>, EnterError> {
    let status = PathBuf::from(format!("/proc/{pid}/status"));
    let text = std::fs::read_to_string(&status).map_err(|error| EnterError::Read(status, error))?;
    Ok(Credentials::parse(&text))
}

/// Enters the namespaces of a process. An agent in a pod says what it has too few rights for, and does without it.
fn enter_process(pid: i32, in_pod: bool) -> Result<Standing, EnterError> {
    // The descriptor comes first: whatever is read afterwards is of this process, or the watch says that it is gone.
    let watch = watch(pid)?;
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let [user, net, uts] = ["user", "net", "uts"].map(|kind| {
        let path = folder.join("ns").join(kind);
        File::open(&path).map_err(|error| EnterError::Read(path, error))
    });
    let (user, net, uts) = (user?, net?, uts?);
    let name = pid.to_string();
    let entered = enter_network(&user, &net, &name);
    let root = open_root(folder.join("root"), &name)?;
    let credentials = credentials(pid)?;
    let ours = rights::ours();
    let mut lacks = if in_pod { lacks(ours, credentials.as_ref()) } else { Lacks::default() };
    match entered {
        Err(EnterError::Enter(_, _, error)) if in_pod && is_forbidden(&error) => {
            lacks.note(Deed::Reach, ours);
        }
        entered => entered?,
    }
    let uts = is_another(&uts, "uts")?.then(|| OwnedFd::from(uts));
    Ok(Standing { main: Some(Main { pid, watch, uts, credentials }), root, lacks })
}

fn enter_network(user: &File, net: &File, name: &str) -> Result<(), EnterError> {
    if is_another(net, "net")? {
        if is_another(user, "user")? {
            step(user, LinkNameSpaceType::User, "user", name)?;
        }
        step(net, LinkNameSpaceType::Network, "network", name)?;
    }
    Ok(())
}

fn enter_netns(file: &Path, name: &str) -> Result<Standing, EnterError> {
    let net = File::open(file).map_err(|error| EnterError::Read(file.to_owned(), error))?;
    step(&net, LinkNameSpaceType::Network, "network", name)?;
    if let Err(error) = overlay(&Path::new("/etc/netns").join(name)) {
        tracing::warn!(%error, name, "the files of `/etc/netns` cannot be laid over those of `/etc`");
    }
    Ok(Standing { main: None, root: open_root("/", name)?, lacks: Lacks::default() })
}

fn overlay(folder: &Path) -> io::Result<()> {
    const NOTHING: Option<&str> = None;
    // A mount namespace of our own even without such files: a directory of this target is told from one of this
    // machine by the number of its mount.
    // SAFETY: The process has a single thread, so nobody else's view of the mounts changes.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }?;
    mount(NOTHING, "/", NOTHING, MsFlags::MS_SLAVE | MsFlags::MS_REC, NOTHING)?;
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let place = Path::new("/etc").join(entry.file_name());
        if let Err(error) = mount(Some(&entry.path()), &place, NOTHING, MsFlags::MS_BIND, NOTHING) {
            tracing::warn!(%error, place = %place.display(), "a file of `/etc/netns` cannot be laid there");
        }
    }
    Ok(())
}

/// Whether a namespace is not the one in which we are.
fn is_another(namespace: &File, kind: &str) -> Result<bool, EnterError> {
    let ours = PathBuf::from(format!("/proc/self/ns/{kind}"));
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let theirs = namespace.metadata().map(identity);
    let known = std::fs::metadata(&ours).map(identity);
    match (theirs, known) {
        (Ok(theirs), Ok(known)) => Ok(theirs != known),
        (Err(error), _) | (_, Err(error)) => Err(EnterError::Read(ours, error)),
    }
}

fn step(file: &File, kind: LinkNameSpaceType, word: &'static str, name: &str) -> Result<(), EnterError> {
    rustix::thread::move_into_link_name_space(file.as_fd(), Some(kind))
        .map_err(|error| EnterError::Enter(word, name.to_owned(), error.into()))
}

fn open_root(path: impl AsRef<Path>, name: &str) -> Result<Root, EnterError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path.as_ref(), flags, Mode::empty())
        .and_then(Root::new)
        .map_err(|error| EnterError::Root(name.to_owned(), error.into()))
}
