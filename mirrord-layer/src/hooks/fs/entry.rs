//! An entry of a traversal: `FTSENT` of `fts(3)`, as the C library lays it out.

use std::ffi::{c_char, c_int, c_long, c_ushort, c_void};

use libc::{dev_t, ino_t, nlink_t};

use crate::{abi::text, answer, engine::table::fs as symbols};

type CompareEntries = unsafe extern "C-unwind" fn(*mut *const Entry, *mut *const Entry) -> c_int;
type ComparePlaces = Option<unsafe extern "C" fn(*const c_void, *const c_void) -> c_int>;
pub(crate) type Compare = Option<CompareEntries>;

pub(super) const FTS_D: u16 = 1;
pub(super) const FTS_DC: u16 = 2;
const FTS_DEFAULT: u16 = 3;
pub(super) const FTS_DNR: u16 = 4;
pub(super) const FTS_DOT: u16 = 5;
pub(super) const FTS_DP: u16 = 6;
const FTS_F: u16 = 8;
const FTS_NS: u16 = 10;
pub(super) const FTS_SL: u16 = 12;
const FTS_SLNONE: u16 = 13;

pub(super) const FTS_AGAIN: u16 = 1;
pub(super) const FTS_FOLLOW: u16 = 2;
pub(super) const FTS_NOINSTR: u16 = 3;
pub(super) const FTS_SKIP: u16 = 4;

/// `FTSENT`. Its name goes on behind it.
#[repr(C)]
pub(crate) struct Entry {
    pub(super) cycle: *mut Entry,
    pub(super) parent: *mut Entry,
    pub(super) link: *mut Entry,
    number: c_long,
    pointer: *mut c_void,
    access_path: *mut c_char,
    path: *mut c_char,
    pub(super) errno: c_int,
    descriptor: c_int,
    pub(super) path_length: c_ushort,
    name_length: c_ushort,
    inode: ino_t,
    pub(super) device: dev_t,
    n_links: nlink_t,
    pub(super) level: i16,
    pub(super) info: u16,
    flags: c_ushort,
    pub(super) instruction: u16,
    stat: *mut libc::stat,
    name: [c_char; 1],
}

/// What an entry needs to know of its traversal.
pub(super) trait Root {
    /// The path, as far as it is written.
    fn path(&self) -> *const c_char;
    /// Has a word about an entry that was looked at.
    fn judge(&self, entry: &mut Entry);
}

/// An entry and its attributes, which the guest reaches by their pointer.
#[repr(C)]
struct Node {
    stat: libc::stat,
    entry: Entry,
}

impl Entry {
    /// A new one; null if there is no memory.
    pub(super) fn make(name: &[u8], parent: *mut Self, level: i16) -> *mut Self {
        // SAFETY: memory is asked for; what is all zero is a node.
        let node: *mut Node = unsafe { libc::calloc(1, size_of::<Node>() + name.len()) }.cast();
        // SAFETY: null, or large enough and zeroed.
        let Some(node) = (unsafe { node.as_mut() }) else { return std::ptr::null_mut() };
        let entry: *mut Self = &raw mut node.entry;
        node.entry.stat = &raw mut node.stat;
        node.entry.parent = parent;
        node.entry.level = level;
        node.entry.instruction = FTS_NOINSTR;
        node.entry.name_length = c_ushort::try_from(name.len()).unwrap_or(c_ushort::MAX);
        let place: *mut c_char = (&raw mut node.entry.name).cast();
        // SAFETY: the node was made with room for the name, and zeroed behind it.
        unsafe { text::write_letters(place, 0, name) };
        entry
    }

    pub(super) fn name(&self) -> &[u8] {
        // SAFETY: so many bytes follow the entry.
        unsafe { text::some((&raw const self.name).cast(), usize::from(self.name_length)) }
    }

    /// Tells its path to the guest.
    pub(super) fn tell(&mut self, path: *mut c_char, length: usize) {
        (self.access_path, self.path) = (path, path);
        self.path_length = c_ushort::try_from(length).unwrap_or(c_ushort::MAX);
    }

    /// Looks at the file whose path is written, and says what it is.
    pub(super) fn look(&mut self, root: &impl Root, length: usize, follow: bool) {
        self.path_length = c_ushort::try_from(length).unwrap_or(c_ushort::MAX);
        let look = if follow { symbols::stat } else { symbols::lstat };
        // SAFETY: the path is a C string, and the attributes are ours.
        let mut found = unsafe { look(root.path(), self.stat) } == 0;
        let why = answer::errno();
        if !found && follow {
            // SAFETY: as above.
            found = unsafe { symbols::lstat(root.path(), self.stat) } == 0;
            self.info = FTS_SLNONE;
        }
        if !found {
            (self.errno, self.info) = (why.0, FTS_NS);
            return;
        }
        // SAFETY: the attributes are the node's own.
        let stat = unsafe { &*self.stat };
        (self.device, self.inode, self.n_links) = (stat.st_dev, stat.st_ino, stat.st_nlink);
        self.errno = 0;
        self.info = match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => FTS_D,
            libc::S_IFREG => FTS_F,
            libc::S_IFLNK if self.info == FTS_SLNONE => FTS_SLNONE,
            libc::S_IFLNK => FTS_SL,
            _ => FTS_DEFAULT,
        };
        root.judge(self);
    }
}

/// The paths of a list that ends with null.
///
/// # Safety
/// It is such a list, of strings.
pub(super) unsafe fn roots(list: *const *mut c_char) -> impl Iterator<Item = *const c_char> {
    (0..).map_while(move |index| {
        // SAFETY: the list goes on until null.
        let place = unsafe { list.add(index) };
        // SAFETY: as above.
        let path = unsafe { place.read() };
        (!path.is_null()).then_some(path.cast_const())
    })
}

/// The entry at the start of this one's tree.
///
/// # Safety
/// The entry's ancestors are ours.
pub(super) unsafe fn root_of(entry: &Entry) -> Option<&Entry> {
    let mut this = entry;
    // SAFETY: the caller promises it.
    while let Some(parent) = unsafe { this.parent.as_ref() } {
        if parent.level < 0 {
            return Some(this);
        }
        this = parent;
    }
    None
}

/// An ancestor that is the same directory.
///
/// # Safety
/// The entry's ancestors are ours.
pub(super) unsafe fn ancestor_like(entry: &Entry) -> Option<*mut Entry> {
    let mut place = entry.parent;
    // SAFETY: the caller promises it.
    while let Some(this) = unsafe { place.as_ref() } {
        if this.level >= 0 && this.inode == entry.inode && this.device == entry.device {
            return Some(place);
        }
        place = this.parent;
    }
    None
}

/// A list turned round, which it was made in, or put in the guest's order.
pub(super) fn arrange(list: *mut Entry, compare: Compare) -> *mut Entry {
    let mut turned = std::ptr::null_mut();
    let mut n_entries = 0;
    let mut place = list;
    // SAFETY: null, or an entry of ours.
    while let Some(this) = unsafe { place.as_mut() } {
        place = std::mem::replace(&mut this.link, turned);
        turned = this;
        n_entries += 1;
    }
    match compare {
        Some(compare) if n_entries > 1 => sort(turned, n_entries, compare),
        _ => turned,
    }
}

fn sort(list: *mut Entry, n_entries: usize, compare: CompareEntries) -> *mut Entry {
    // SAFETY: memory is asked for.
    let array: *mut *mut Entry = unsafe { libc::calloc(n_entries, size_of::<*mut Entry>()) }.cast();
    if array.is_null() {
        return list;
    }
    // SAFETY: so many pointers were just made.
    let places = unsafe { std::slice::from_raw_parts_mut(array, n_entries) };
    let mut next = list;
    for place in places.iter_mut() {
        *place = next;
        // SAFETY: the list has so many entries.
        next = unsafe { &*next }.link;
    }
    // SAFETY: the guest's own function takes two places of the array, as the C library's sorting gives them; a sort of
    // ours would have its own opinion of an order that contradicts itself.
    let compare = unsafe { std::mem::transmute::<CompareEntries, ComparePlaces>(compare) };
    // SAFETY: the array has so many pointers.
    unsafe { libc::qsort(array.cast(), n_entries, size_of::<*mut Entry>(), compare) };
    let mut first = std::ptr::null_mut();
    for place in places.iter().rev() {
        // SAFETY: the array has entries of ours.
        unsafe { &mut **place }.link = first;
        first = *place;
    }
    // SAFETY: it was made above.
    unsafe { libc::free(array.cast()) };
    first
}

/// Gives an entry back.
pub(super) fn free(entry: *mut Entry) {
    let node = entry.cast::<u8>().wrapping_sub(std::mem::offset_of!(Node, entry));
    // SAFETY: the entry lies in a node of ours, and is used no more.
    unsafe { libc::free(node.cast()) };
}

/// Gives an entry back, and those beside it.
pub(super) fn free_all(mut list: *mut Entry) {
    // SAFETY: null, or an entry of ours.
    while let Some(this) = unsafe { list.as_ref() } {
        let next = this.link;
        free(list);
        list = next;
    }
}
