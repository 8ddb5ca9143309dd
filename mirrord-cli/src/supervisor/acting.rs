//! A worker that does something here in the place of a guest does it as the guest's user, with no more rights.

use mirrord_core::verdict::Errno;

use super::{caller::Outcome, guests};

/// Who acts on files.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    user: u32,
    group: u32,
    others: Vec<u32>,
}

impl Identity {
    /// As the kernel tells it of a thread (`proc_pid_status(5)`).
    fn of(status: &str) -> Option<Self> {
        let numbers = |name| {
            let words = guests::field(status, name)?.split_ascii_whitespace();
            words.map(|word| word.parse().ok()).collect::<Option<Vec<u32>>>()
        };
        // The last of four is the one that counts for files.
        let (users, groups) = (numbers("Uid:")?, numbers("Gid:")?);
        Some(Self { user: *users.get(3)?, group: *groups.get(3)?, others: numbers("Groups:")? })
    }

    /// This thread acts so from here on. Without privileges, only what it is already.
    fn assume(&self) -> Outcome<()> {
        let others = self.others.as_ptr();
        // SAFETY: the list is ours, and as long as it says. The call by number changes this thread alone.
        if unsafe { libc::syscall(libc::SYS_setgroups, self.others.len(), others) } != 0 {
            return Err(Errno::EACCES);
        }
        // SAFETY: the call takes a number.
        unsafe { libc::syscall(libc::SYS_setfsgid, self.group) };
        // SAFETY: as above. With its user, the thread's rights to pass by the permissions of files come and go.
        unsafe { libc::syscall(libc::SYS_setfsuid, self.user) };
        // SAFETY: a user that cannot be is refused, and the present one told.
        let user = unsafe { libc::syscall(libc::SYS_setfsuid, u32::MAX) };
        // SAFETY: as above.
        let group = unsafe { libc::syscall(libc::SYS_setfsgid, u32::MAX) };
        let is_assumed = user == i64::from(self.user) && group == i64::from(self.group);
        if is_assumed { Ok(()) } else { Err(Errno::EACCES) }
    }
}

/// As long as this lives, this thread acts as a guest's does.
#[derive(Debug)]
pub(super) struct Acting {
    before: Option<Identity>,
}

impl Acting {
    /// Acts as a thread does that waits for an answer.
    pub(super) fn like(thread: i32) -> Outcome<Self> {
        let identity = |thread: i32| guests::status(thread).and_then(|status| Identity::of(&status));
        let theirs = identity(thread).ok_or(Errno::EACCES)?;
        let ours = identity(nix::unistd::gettid().as_raw()).ok_or(Errno::EACCES)?;
        if theirs == ours {
            return Ok(Self { before: None });
        }
        let acting = Self { before: Some(ours) };
        theirs.assume()?;
        Ok(acting)
    }

    /// Whether it is somebody else than this process.
    pub(super) fn is_another(&self) -> bool {
        self.before.is_some()
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        // The right to become oneself again is not one of those that were laid down.
        if let Some(before) = &self.before {
            let _ = before.assume();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_user_for_files_who_counts() {
        let status = "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \n";
        assert_eq!(Identity::of(status), Some(Identity { user: 4, group: 8, others: vec![9, 10] }));
        assert_eq!(Identity::of("Uid:\t1\n"), None);
    }

    #[test]
    fn whoever_acts_as_itself_changes_nothing() {
        let acting = Acting::like(nix::unistd::gettid().as_raw()).unwrap();
        assert!(!acting.is_another());
    }
}
