//! Words for the developer while the guest runs: a line on the guest's own standard error, if it is still the command's;
//! a report to the command, if that waits for an editor's guest.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::Write,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
        net::UnixStream,
    },
    sync::{Mutex, PoisonError},
};

use mirrord_protocol::frame::encode_frame;
use rustix::fs::OFlags;

use super::start::{Report, StandardError};

/// After so many different texts, nobody reads them any more.
const MOST_TEXTS: usize = 64;

/// Where the developer reads.
#[derive(Debug)]
pub(crate) struct Complaints {
    guest_pid: Option<i32>,
    screen: Option<StandardError>,
    command: Option<UnixStream>,
    told: Mutex<HashSet<String>>,
}

impl Complaints {
    /// Nothing was told yet; without a screen nor a command nothing ever is.
    pub(crate) fn new(
        guest_pid: Option<i32>,
        screen: Option<StandardError>,
        command: Option<UnixStream>,
    ) -> Self {
        Self { guest_pid, screen, command, told: Mutex::default() }
    }

    /// Tells a text, once.
    pub(crate) fn tell(&self, text: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MOST_TEXTS || !told.insert(text.to_owned()) {
            return;
        }
        let text = text.replace(char::is_control, " ");
        // Whoever does not read it does not want to know.
        if let (Some(mut command), Ok(frame)) =
            (self.command.as_ref(), encode_frame(&Report::Warning(text.clone())))
        {
            let _ = command.write_all(&frame);
        }
        if let Some(mut file) = self.screen.and_then(|screen| self.open(screen)) {
            let _ = file.write_all(format!("warning: {text}\n").as_bytes());
        }
    }

    /// The guest's standard error, for this one line: held open, it would keep a pipe from its end.
    fn open(&self, screen: StandardError) -> Option<File> {
        let path = format!("/proc/{}/fd/2", self.guest_pid?);
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
        let info = self.guest_pid.map(|pid| std::fs::read_to_string(format!("/proc/{pid}/fdinfo/2")));
        let flags = info.and_then(Result::ok).and_then(|info| {
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
