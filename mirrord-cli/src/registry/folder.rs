//! The folder of the sockets: ours alone, there as long as there is a session.

use std::{
    env, fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{DirBuilderExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{Mode, OFlags};

/// What a socket is called after its session's id.
const ENDING: &str = ".sock";

/// No proxy needs so long to give its socket a name.
const NAMING_TIME: Duration = Duration::from_secs(60);

/// The folder, open.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    descriptor: OwnedFd,
}

impl Folder {
    /// The one in the home folder, if it is there.
    pub(crate) fn find() -> io::Result<Self> {
        Self::open(place()?)
    }

    /// The one in the home folder, made if need be: its owner's alone.
    pub(super) fn make() -> io::Result<Self> {
        let path = place()?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        let folder = Self::open(path)?;
        if fs::metadata(&folder.path)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(&folder.path, fs::Permissions::from_mode(0o700))?;
        }
        Ok(folder)
    }

    fn open(path: PathBuf) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(&path, flags, Mode::empty())?;
        if rustix::fs::fstat(&descriptor)?.st_uid != nix::unistd::geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the folder is somebody else's"));
        }
        Ok(Self { path, descriptor })
    }

    /// A name in it, short enough for a socket's address however deep the folder is.
    pub(super) fn short(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.descriptor.as_raw_fd()))
    }

    /// A session's socket, to be connected to.
    pub(crate) fn socket(&self, session_id: &str) -> PathBuf {
        self.short(&format!("{session_id}{ENDING}"))
    }

    /// The ids of the sessions that have a socket, in order.
    pub(crate) fn sessions(&self) -> io::Result<Vec<String>> {
        let mut sessions = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            sessions.extend(name.to_str().and_then(|name| name.strip_suffix(ENDING)).map(str::to_owned));
        }
        sessions.sort();
        Ok(sessions)
    }

    /// Removes sockets that their proxies did not live to name.
    pub(super) fn remove_nameless(&self) {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let is_nameless = entry.file_name().as_encoded_bytes().starts_with(b".");
            let changed = entry.metadata().and_then(|it| it.modified()).ok();
            let age = changed.and_then(|changed| changed.elapsed().ok()).unwrap_or_default();
            if is_nameless && age > NAMING_TIME {
                drop(fs::remove_file(entry.path()));
            }
        }
    }

    /// Gives a socket its session's name.
    pub(super) fn name(&self, before: &str, session_id: &str) -> io::Result<()> {
        fs::rename(self.short(before), self.socket(session_id))
    }

    /// Removes a socket, and the folders if they are empty by then.
    pub(crate) fn remove(&self, session_id: &str) {
        drop(fs::remove_file(self.socket(session_id)));
        self.tidy();
    }

    /// Removes the folders that nothing is in.
    pub(super) fn tidy(&self) {
        if fs::remove_dir(&self.path).is_ok()
            && let Some(parent) = self.path.parent()
        {
            drop(fs::remove_dir(parent));
        }
    }
}

fn place() -> io::Result<PathBuf> {
    let home = env::var_os("HOME").filter(|home| Path::new(home).is_absolute());
    let home = home.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no home folder"))?;
    Ok(Path::new(&home).join(".mirrord").join("sessions"))
}
