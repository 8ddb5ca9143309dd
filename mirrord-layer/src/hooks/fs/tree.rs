//! `fts(3)` for trees that are there: the same traversal, by our own symbols, so that each path of it goes where it
//! belongs. It never changes the working directory. Its entries live on the guest's heap, as those of the C library.

use std::ffi::{c_char, c_int};

use libc::PATH_MAX;
use mirrord_core::verdict::Errno;

use super::{
    entry::{
        self, Compare, Entry, FTS_AGAIN, FTS_D, FTS_DC, FTS_DNR, FTS_DP, FTS_FOLLOW, FTS_SKIP, FTS_SL, Root,
    },
    way,
};
use crate::{abi::text, answer, engine::table::fs::original, process::Process};

const FTS_XDEV: c_int = 0x40;
const FTS_SEEDOT: c_int = 0x20;
const FTS_COMFOLLOW: c_int = 1;
pub(super) const FTS_LOGICAL: c_int = 2;

/// Twice the longest path: a root and what is beneath it.
const ROOM: usize = 2 * PATH_MAX as usize;

/// A traversal, as the guest holds it: `FTS`, whose fields are nobody's business.
#[repr(C)]
pub(crate) struct Tree {
    /// What no traversal of the C library begins with.
    mark: *const u8,
    current: *mut Entry,
    /// Those of the current directory that were made before their time, by `fts_children`.
    children: *mut Entry,
    roots: *mut Entry,
    above: *mut Entry,
    options: c_int,
    compare: Compare,
    pub(super) path: [u8; ROOM],
}

static MARK: u8 = 0;

/// The traversal, if it is one of ours.
///
/// # Safety
/// `tree` is null, or what an `fts_open` gave.
unsafe fn ours<'a>(tree: *mut Tree) -> Option<&'a mut Tree> {
    if tree.is_null() {
        return None;
    }
    // SAFETY: every traversal begins with a pointer.
    let mark = unsafe { tree.cast::<*const u8>().read() };
    if !std::ptr::eq(mark, &raw const MARK) {
        return None;
    }
    // SAFETY: only ours begin with this one.
    unsafe { tree.as_mut() }
}

pub(crate) unsafe fn open(
    process: &Process,
    roots: *const *mut c_char,
    options: c_int,
    compare: Compare,
) -> *mut Tree {
    // SAFETY: the guest's own arguments.
    let mut paths = unsafe { entry::roots(roots) };
    // SAFETY: each is a string.
    if !paths.any(|path| unsafe { way::leads_there(process, path) }) {
        // SAFETY: as above.
        return unsafe { original::fts_open()(roots, options, compare) };
    }
    // SAFETY: memory is asked for; what is all zero is a traversal, but for its mark.
    let place: *mut Tree = unsafe { libc::calloc(1, size_of::<Tree>()) }.cast();
    // SAFETY: null, or large enough and zeroed.
    let Some(tree) = (unsafe { place.as_mut() }) else {
        answer::set_errno(Errno(libc::ENOMEM));
        return place;
    };
    (tree.mark, tree.options, tree.compare) = (&raw const MARK, options, compare);
    // SAFETY: as above.
    tree.plant(unsafe { entry::roots(roots) });
    place
}

pub(crate) unsafe fn read(_: &Process, tree: *mut Tree) -> *mut Entry {
    // SAFETY: the guest's own argument.
    match unsafe { ours(tree) } {
        Some(tree) => tree.next(),
        // SAFETY: as above.
        None => unsafe { original::fts_read()(tree) },
    }
}

pub(crate) unsafe fn children(_: &Process, tree: *mut Tree, what: c_int) -> *mut Entry {
    // SAFETY: the guest's own argument.
    match unsafe { ours(tree) } {
        Some(tree) => tree.look_ahead(),
        // SAFETY: as above.
        None => unsafe { original::fts_children()(tree, what) },
    }
}

pub(crate) unsafe fn close(_: &Process, tree: *mut Tree) -> c_int {
    // SAFETY: the guest's own argument.
    match unsafe { ours(tree) } {
        Some(tree) => {
            tree.fell();
            0
        }
        // SAFETY: as above.
        None => unsafe { original::fts_close()(tree) },
    }
}

impl Tree {
    fn plant(&mut self, roots: impl Iterator<Item = *const c_char>) {
        self.above = Entry::make(b"", std::ptr::null_mut(), -1);
        let mut list = std::ptr::null_mut();
        for root in roots {
            // SAFETY: each is a string.
            let name = unsafe { text::bytes(root) }.unwrap_or_default();
            let new = Entry::make(name, self.above, 0);
            // SAFETY: null, or just made.
            if let Some(new) = unsafe { new.as_mut() } {
                let end = self.write_path(new);
                new.look(self, end, self.options & (FTS_LOGICAL | FTS_COMFOLLOW) != 0);
                new.link = list;
                list = new;
            }
        }
        self.roots = entry::arrange(list, self.compare);
    }

    /// The next entry; null with an errno of 0 at the end.
    fn next(&mut self) -> *mut Entry {
        // SAFETY: null, or an entry of ours.
        let Some(current) = (unsafe { self.current.as_mut() }) else {
            let first = std::mem::replace(&mut self.roots, std::ptr::null_mut());
            return self.stand_on(first);
        };
        let instruction = std::mem::replace(&mut current.instruction, entry::FTS_NOINSTR);
        let end = usize::from(current.path_length);
        if instruction == FTS_AGAIN || (instruction == FTS_FOLLOW && current.info == FTS_SL) {
            current.look(self, end, instruction == FTS_FOLLOW || self.options & FTS_LOGICAL != 0);
            return current;
        }
        if current.info == FTS_D {
            return self.descend(current, instruction);
        }
        self.go_on(current)
    }

    /// Into a directory, or to its end if there is nothing in it, or nothing of it is wanted.
    fn descend(&mut self, current: &mut Entry, instruction: u16) -> *mut Entry {
        // SAFETY: null, or the root's entry of ours.
        let root = unsafe { entry::root_of(current) };
        let is_elsewhere =
            self.options & FTS_XDEV != 0 && root.is_some_and(|root| root.device != current.device);
        let ready = std::mem::replace(&mut self.children, std::ptr::null_mut());
        if instruction == FTS_SKIP || is_elsewhere {
            entry::free_all(ready);
            current.info = FTS_DP;
            return current;
        }
        let first = if ready.is_null() { self.list(current) } else { ready };
        if first.is_null() {
            if current.info != FTS_DNR {
                current.info = FTS_DP;
            }
            return current;
        }
        self.stand_on(first)
    }

    /// To the next one beside it, or up.
    fn go_on(&mut self, current: &mut Entry) -> *mut Entry {
        let (beside, above) = (current.link, current.parent);
        entry::free(current);
        if !beside.is_null() {
            return self.stand_on(beside);
        }
        // SAFETY: an entry's parent is one of ours, and there as long as it.
        let Some(parent) = (unsafe { above.as_mut() }) else { return std::ptr::null_mut() };
        if parent.level < 0 {
            self.current = std::ptr::null_mut();
            answer::set_errno(Errno(0));
            return std::ptr::null_mut();
        }
        self.path[usize::from(parent.path_length)] = 0;
        parent.info = FTS_DP;
        self.current = above;
        above
    }

    /// Makes an entry the current one, and its path the one that is told. One that the guest skips is passed by.
    fn stand_on(&mut self, place: *mut Entry) -> *mut Entry {
        // SAFETY: null, or an entry of ours.
        let Some(this) = (unsafe { place.as_mut() }) else {
            answer::set_errno(Errno(0));
            return place;
        };
        if this.instruction == FTS_SKIP {
            return self.go_on(this);
        }
        let end = self.write_path(this);
        if this.instruction == FTS_FOLLOW {
            this.instruction = entry::FTS_NOINSTR;
            this.look(self, end, true);
        }
        this.tell(self.path.as_mut_ptr().cast(), end);
        self.current = place;
        place
    }

    /// Writes an entry's path; its parent's is there already. Says where it ends.
    fn write_path(&mut self, this: &Entry) -> usize {
        // SAFETY: null, or an entry of ours.
        let start = match unsafe { this.parent.as_ref() } {
            Some(parent) if parent.level >= 0 => {
                let end = usize::from(parent.path_length);
                let slash = end > 0 && self.path[end - 1] == b'/';
                if !slash && end < ROOM {
                    self.path[end] = b'/';
                }
                end + usize::from(!slash)
            }
            _ => 0,
        };
        let name = this.name();
        // What is too long is cut, and then not found.
        let start = start.min(ROOM - 1);
        let end = (start + name.len()).min(ROOM - 1);
        self.path[start..end].copy_from_slice(&name[..end - start]);
        self.path[end] = 0;
        end
    }

    /// The entries of a directory, arranged. Null, and a word in its entry, if it cannot be read.
    fn list(&mut self, dir: &mut Entry) -> *mut Entry {
        // SAFETY: the path is a C string.
        let stream = unsafe { crate::engine::table::fs::opendir(self.path.as_ptr().cast()) };
        if stream.is_null() {
            dir.errno = answer::errno().0;
            dir.info = FTS_DNR;
            return std::ptr::null_mut();
        }
        let mut list = std::ptr::null_mut();
        loop {
            // SAFETY: the stream is open.
            let found = unsafe { libc::readdir(stream) };
            // SAFETY: null, or an entry that stays until the next is read.
            let Some(found) = (unsafe { found.as_ref() }) else { break };
            // SAFETY: an entry's name is a string.
            let name = unsafe { text::bytes(found.d_name.as_ptr()) }.unwrap_or_default();
            let is_dot = matches!(name, b"." | b"..");
            if is_dot && self.options & FTS_SEEDOT == 0 {
                continue;
            }
            let new = Entry::make(name, dir, dir.level + 1);
            // SAFETY: null, or just made.
            if let Some(new) = unsafe { new.as_mut() } {
                let end = self.write_path(new);
                new.look(self, end, self.options & FTS_LOGICAL != 0);
                new.info = if is_dot { entry::FTS_DOT } else { new.info };
                new.link = list;
                list = new;
            }
        }
        // SAFETY: the stream is ours, and read no more.
        unsafe { libc::closedir(stream) };
        self.path[usize::from(dir.path_length)] = 0;
        entry::arrange(list, self.compare)
    }

    /// The children of the current directory, before they are visited.
    fn look_ahead(&mut self) -> *mut Entry {
        answer::set_errno(Errno(0));
        // SAFETY: null, or an entry of ours.
        let Some(current) = (unsafe { self.current.as_mut() }) else { return self.roots };
        if current.info != FTS_D {
            return std::ptr::null_mut();
        }
        if self.children.is_null() {
            self.children = self.list(current);
        }
        self.children
    }

    fn fell(&mut self) {
        entry::free_all(self.children);
        entry::free_all(self.roots);
        let mut place = self.current;
        // SAFETY: null, or an entry of ours.
        while let Some(this) = unsafe { place.as_mut() } {
            let above = this.parent;
            entry::free_all(place);
            place = above;
        }
        if self.current.is_null() {
            entry::free_all(self.above);
        }
        self.mark = std::ptr::null();
        // SAFETY: the traversal is the C library's memory, and used no more.
        unsafe { libc::free(std::ptr::from_mut(self).cast()) };
    }
}

impl Root for Tree {
    fn path(&self) -> *const c_char {
        self.path.as_ptr().cast()
    }

    /// A directory that is its own ancestor.
    fn judge(&self, this: &mut Entry) {
        if this.info == FTS_D
            // SAFETY: an entry's ancestors are ours.
            && let Some(cycle) = unsafe { entry::ancestor_like(this) }
        {
            this.cycle = cycle;
            this.info = FTS_DC;
        }
    }
}
