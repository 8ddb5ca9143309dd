//! Which paths are read there, written there, kept here, or hidden.

use serde::{Deserialize, Serialize};

use super::{kept, pattern::PatternSet};
use crate::verdict::{Errno, Reason, Verdict};

/// `feature.fs.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FsMode {
    /// Everything stays here.
    Local,
    /// Everything stays here but what a list names.
    LocalWithOverrides,
    /// Reading goes there, writing stays here.
    #[default]
    Read,
    /// Reading and writing go there.
    Write,
}

/// What `feature.fs` says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FsRules {
    /// What happens to paths that no list has.
    pub mode: FsMode,
    /// Paths that are read and written there.
    pub read_write: PatternSet,
    /// Paths that are read there, and written here.
    pub read_only: PatternSet,
    /// Paths that stay here.
    pub local: PatternSet,
    /// Paths that do not exist.
    pub not_found: PatternSet,
    /// Paths that the proxy maps to others before anything is decided.
    pub mapping: PatternSet,
}

/// What a call would do to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Look at it.
    Read,
    /// Change it, or make it.
    Write,
}

/// What this machine knows of itself, which the default lists need. Plain paths, without a slash at the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Here<'a> {
    /// `HOME`, if set.
    pub home: Option<&'a [u8]>,
    /// `TMPDIR`, if set.
    pub temp_dir: Option<&'a [u8]>,
    /// The working directory in which the session was started, if it was not `/`.
    pub start_dir: Option<&'a [u8]>,
    /// The running program.
    pub executable: Option<&'a [u8]>,
}

impl FsRules {
    /// Whether everything beneath a plain folder stays here, whatever is done to it: then it need not be decided again.
    #[must_use]
    pub fn keeps_all_beneath(&self, folder: &[u8], here: &Here<'_>) -> bool {
        let lists = [&self.read_write, &self.read_only, &self.not_found, &self.mapping];
        lists.iter().all(|list| list.is_empty()) && kept::keeps_all_beneath(folder, here)
    }

    /// What becomes of a call on a path; `path` is plain ([`crate::path::plain`]) and mapping is already applied.
    ///
    /// The user's lists come before ours, what is hidden before what goes there, what goes there before what stays.
    #[must_use]
    pub fn decide(&self, path: &[u8], deed: Deed, here: &Here<'_>) -> Verdict<()> {
        let reads = deed == Deed::Read;
        if self.mode == FsMode::Local {
            return Verdict::Leave(Reason::Off);
        }
        if self.not_found.is_match(path) {
            return Verdict::Refuse(Errno::ENOENT);
        }
        if self.read_write.is_match(path) {
            return Verdict::Take(());
        }
        if self.read_only.is_match(path) {
            return if reads { Verdict::Take(()) } else { Verdict::Leave(Reason::WritesStayHere) };
        }
        if self.local.is_match(path) {
            return Verdict::Leave(Reason::KeptByUser);
        }
        if kept::is_hidden(path, here) {
            return Verdict::Refuse(Errno::ENOENT);
        }
        if reads && kept::is_read_there(path) {
            return Verdict::Take(());
        }
        if kept::stays_here(path, here) {
            return Verdict::Leave(Reason::KeptByDefault);
        }
        match self.mode {
            FsMode::Write => Verdict::Take(()),
            FsMode::Read if reads => Verdict::Take(()),
            FsMode::Read => Verdict::Leave(Reason::WritesStayHere),
            FsMode::LocalWithOverrides | FsMode::Local => Verdict::Leave(Reason::NotListed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Here<'_> = Here {
        home: Some(b"/root"),
        temp_dir: Some(b"/scratch"),
        start_dir: Some(b"/srv/project"),
        executable: Some(b"/srv/tool"),
    };

    fn rules(mode: FsMode) -> FsRules {
        let set = |pattern: &str| PatternSet::compile(&[pattern]).unwrap();
        FsRules {
            mode,
            read_write: set("^/both"),
            read_only: set("^/(both|look)"),
            local: set("^/(look/mine|mine)"),
            not_found: set(r"\.secret$"),
            mapping: PatternSet::default(),
        }
    }

    fn check(mode: FsMode, path: &str, reading: Verdict<()>, writing: Verdict<()>) {
        let rules = rules(mode);
        assert_eq!(rules.decide(path.as_bytes(), Deed::Read, &HERE), reading, "reading {path} in {mode:?}");
        assert_eq!(rules.decide(path.as_bytes(), Deed::Write, &HERE), writing, "writing {path} in {mode:?}");
    }

    const TAKE: Verdict<()> = Verdict::Take(());
    const HIDDEN: Verdict<()> = Verdict::Refuse(Errno::ENOENT);
    const KEPT: Verdict<()> = Verdict::Leave(Reason::KeptByDefault);
    const NO_WRITING: Verdict<()> = Verdict::Leave(Reason::WritesStayHere);

    #[test]
    fn a_path_that_no_list_has_follows_the_mode() {
        check(FsMode::Write, "/data/x", TAKE, TAKE);
        check(FsMode::Read, "/data/x", TAKE, NO_WRITING);
        let unlisted = Verdict::Leave(Reason::NotListed);
        check(FsMode::LocalWithOverrides, "/data/x", unlisted, unlisted);
    }

    #[test]
    fn nothing_goes_there_in_local_mode() {
        for path in ["/both/x", "/data", "/etc/hosts", "/x.secret"] {
            let off = Verdict::Leave(Reason::Off);
            check(FsMode::Local, path, off, off);
        }
    }

    #[test]
    fn the_lists_of_the_user_are_asked_in_their_order() {
        for mode in [FsMode::LocalWithOverrides, FsMode::Read, FsMode::Write] {
            check(mode, "/both/x.secret", HIDDEN, HIDDEN);
            check(mode, "/both/x", TAKE, TAKE);
            check(mode, "/look/mine", TAKE, NO_WRITING);
            let mine = Verdict::Leave(Reason::KeptByUser);
            check(mode, "/mine/.kube", mine, mine);
            check(mode, "/BOTH/x", TAKE, TAKE);
        }
    }

    #[test]
    fn the_default_lists_come_after_the_users() {
        check(FsMode::Write, "/root/.kube/config", HIDDEN, HIDDEN);
        check(FsMode::Read, "/etc/hosts", TAKE, KEPT);
        check(FsMode::LocalWithOverrides, "/etc/ssl/certs/ca.pem", TAKE, KEPT);
        check(FsMode::Write, "/etc/passwd", KEPT, KEPT);
        check(FsMode::Write, "/srv/project/src", KEPT, KEPT);
        check(FsMode::Write, "/srv/projects", TAKE, TAKE);
    }
}
