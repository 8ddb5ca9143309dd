//! A session makes itself known: its socket, under its own name, as long as it lives.

use std::{fs, io, os::unix::fs::PermissionsExt, os::unix::net::UnixListener};

use super::{ask::is_dead, folder::Folder};

/// How often the folder may vanish under our hands: whoever ends last removes it.
const N_TRIES: usize = 8;

/// A session that is known. Dropped, it is not any more.
#[derive(Debug)]
pub(crate) struct Announcement {
    folder: Folder,
    session_id: String,
}

impl Announcement {
    /// Makes the socket; removes those that killed proxies left.
    pub(crate) fn make(session_id: &str) -> io::Result<(Self, UnixListener)> {
        for _ in 1..N_TRIES {
            match Self::try_make(session_id) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                made => return made,
            }
        }
        Self::try_make(session_id)
    }

    fn try_make(session_id: &str) -> io::Result<(Self, UnixListener)> {
        let folder = Folder::make()?;
        for session in folder.sessions()? {
            if is_dead(&folder, &session) {
                folder.remove(&session);
            }
        }
        folder.remove_nameless();
        // It gets its name when it listens: before that, others would take it for a dead one.
        let before = format!(".{session_id}");
        let made = Self::listen(&folder, &before).and_then(|listener| {
            folder.name(&before, session_id)?;
            Ok(listener)
        });
        match made {
            Ok(listener) => Ok((Self { folder, session_id: session_id.to_owned() }, listener)),
            Err(error) => {
                drop(fs::remove_file(folder.short(&before)));
                folder.tidy();
                Err(error)
            }
        }
    }

    fn listen(folder: &Folder, name: &str) -> io::Result<UnixListener> {
        let listener = UnixListener::bind(folder.short(name))?;
        fs::set_permissions(folder.short(name), fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.folder.remove(&self.session_id);
    }
}
