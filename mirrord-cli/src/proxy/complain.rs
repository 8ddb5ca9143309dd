//! Words for the developer while the guest runs: a line on the guest's own standard error, if it is still the command's.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    sync::{Mutex, PoisonError},
};

use rustix::fs::OFlags;

use super::start::StandardError;

/// After so many different texts, nobody reads them any more.
const MOST_TEXTS: usize = 64;

/// Where the developer reads.
#[derive(Debug)]
pub(crate) struct Complaints {
    guest_pid: i32,
    screen: Option<StandardError>,
    told: Mutex<HashSet<String>>,
}

impl Complaints {
    /// Nothing was told yet; without a screen nothing ever is.
    pub(crate) fn new(guest_pid: i32, screen: Option<StandardError>) -> Self {
        Self { guest_pid, screen, told: Mutex::default() }
    }

    /// Tells a text, once.
    pub(crate) fn tell(&self, text: &str) {
        let Some(screen) = self.screen else { return };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < MOST_TEXTS && told.insert(text.to_owned()) {
            let line = format!("warning: {}\n", text.replace(char::is_control, " "));
            if let Some(mut file) = self.open(screen) {
                // Whoever does not read it does not want to know.
                let _ = file.write_all(line.as_bytes());
            }
        }
    }

    /// The guest's standard error, for this one line: held open, it would keep a pipe from its end.
    fn open(&self, screen: StandardError) -> Option<File> {
        let path = format!("/proc/{}/fd/2", self.guest_pid);
        let found = std::fs::metadata(&path).ok()?;
        // A socket cannot be opened; and in a file that is not appended to, the guest would write over our line.
        let is_ours = StandardError::of(&found) == screen
            && (found.file_type().is_fifo() || found.file_type().is_char_device() || self.appends());
        if !is_ours {
            return None;
        }
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let file = OpenOptions::new().append(true).custom_flags(flags).open(path).ok()?;
        (StandardError::of(&file.metadata().ok()?) == screen).then_some(file)
    }

    /// Whether the guest's descriptor writes at the end, wherever that is by then.
    fn appends(&self) -> bool {
        let info = std::fs::read_to_string(format!("/proc/{}/fdinfo/2", self.guest_pid));
        let flags = info.ok().and_then(|info| {
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?.trim().to_owned();
            u32::from_str_radix(&flags, 8).ok()
        });
        flags.is_some_and(|flags| flags & OFlags::APPEND.bits() != 0)
    }
}

impl StandardError {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), special: metadata.rdev() }
    }
}
