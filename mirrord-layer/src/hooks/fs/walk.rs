//! `nftw(3)` and `ftw(3)`, for trees that are there: the same walk, by our own symbols, so that each path of it goes
//! where it belongs. It allocates nothing: the guest's functions run inside of it.

use std::ffi::{c_char, c_int};

use libc::{DIR, O_CLOEXEC, O_DIRECTORY, O_PATH, PATH_MAX};

use super::way;
use crate::{
    abi::text,
    answer,
    engine::table::fs::{self as symbols, original},
    process::Process,
};

pub(crate) type Visit = Option<unsafe extern "C-unwind" fn(*const c_char, *const libc::stat, c_int) -> c_int>;
pub(crate) type VisitPlace =
    Option<unsafe extern "C-unwind" fn(*const c_char, *const libc::stat, c_int, *mut Place) -> c_int>;

/// `struct FTW`.
#[repr(C)]
pub(crate) struct Place {
    base: c_int,
    level: c_int,
}

const FTW_F: c_int = 0;
const FTW_D: c_int = 1;
const FTW_DNR: c_int = 2;
const FTW_NS: c_int = 3;
const FTW_SL: c_int = 4;
const FTW_DP: c_int = 5;
const FTW_SLN: c_int = 6;

const FTW_PHYS: c_int = 1;
const FTW_MOUNT: c_int = 2;
const FTW_CHDIR: c_int = 4;
const FTW_DEPTH: c_int = 8;
const FTW_ACTIONRETVAL: c_int = 16;

const FTW_SKIP_SUBTREE: c_int = 2;
const FTW_SKIP_SIBLINGS: c_int = 3;

const LONGEST: usize = PATH_MAX as usize;

pub(crate) unsafe fn ftw(process: &Process, root: *const c_char, visit: Visit, n_open: c_int) -> c_int {
    // SAFETY: the guest's own arguments.
    match (visit, unsafe { way::leads_there(process, root) }) {
        // SAFETY: as above.
        (Some(visit), true) => unsafe { Walk::begin(root, 0, Visitor::Plain(visit)) },
        // SAFETY: as above.
        _ => unsafe { original::ftw()(root, visit, n_open) },
    }
}

pub(crate) unsafe fn nftw(
    process: &Process,
    root: *const c_char,
    visit: VisitPlace,
    n_open: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: the guest's own arguments.
    match (visit, unsafe { way::leads_there(process, root) }) {
        // SAFETY: as above.
        (Some(visit), true) => unsafe { Walk::begin(root, flags, Visitor::Place(visit)) },
        // SAFETY: as above.
        _ => unsafe { original::nftw()(root, visit, n_open, flags) },
    }
}

enum Visitor {
    Plain(unsafe extern "C-unwind" fn(*const c_char, *const libc::stat, c_int) -> c_int),
    Place(unsafe extern "C-unwind" fn(*const c_char, *const libc::stat, c_int, *mut Place) -> c_int),
}

struct Walk {
    visitor: Visitor,
    flags: c_int,
    device: libc::dev_t,
    /// Where the walk began, if it changes the working directory.
    start: c_int,
    path: [u8; LONGEST],
}

/// A directory on the way down.
struct Step<'a> {
    above: Option<&'a Step<'a>>,
    device: libc::dev_t,
    inode: libc::ino_t,
    stream: *mut DIR,
}

/// What the guest's function says ends the walk.
struct Stop(c_int);

impl Walk {
    /// # Safety
    /// `root` is a string.
    unsafe fn begin(root: *const c_char, flags: c_int, visitor: Visitor) -> c_int {
        // SAFETY: the caller promises a string.
        let root = unsafe { text::bytes(root) }.unwrap_or_default();
        let mut walk = Self { visitor, flags, device: 0, start: -1, path: [0; LONGEST] };
        let end = root.iter().rposition(|byte| *byte != b'/').map_or(root.len().min(1), |last| last + 1);
        if end + 1 > LONGEST {
            answer::set_errno(mirrord_core::verdict::Errno(libc::ENAMETOOLONG));
            return -1;
        }
        walk.path[..end].copy_from_slice(&root[..end]);
        if flags & FTW_CHDIR != 0 {
            // SAFETY: the path is a C string.
            walk.start = unsafe { symbols::open(c".".as_ptr(), O_PATH | O_DIRECTORY | O_CLOEXEC, 0) };
        }
        let base = root[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let outcome = walk.visit(end, base, 0, None);
        if walk.start >= 0 {
            // SAFETY: the descriptor is ours.
            unsafe { libc::close(walk.start) };
        }
        outcome.map_or_else(|Stop(status)| status, |_| 0)
    }

    /// Visits the file whose path ends at `end`; says what the guest's function said.
    fn visit(
        &mut self,
        end: usize,
        base: usize,
        level: c_int,
        above: Option<&Step<'_>>,
    ) -> Result<c_int, Stop> {
        // SAFETY: the structure is made of integers.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        let kind = self.look(&mut stat, level)?;
        if level == 0 {
            self.device = stat.st_dev;
        }
        let is_elsewhere = self.flags & FTW_MOUNT != 0 && stat.st_dev != self.device;
        if kind != FTW_D {
            return if is_elsewhere && kind != FTW_NS {
                Ok(0)
            } else {
                self.tell(&stat, kind, base, level, above)
            };
        }
        if is_elsewhere || Step::has(above, &stat) {
            return Ok(0);
        }
        // SAFETY: the path is a C string.
        let stream = unsafe { symbols::opendir(self.path.as_ptr().cast()) };
        if stream.is_null() {
            return self.tell(&stat, FTW_DNR, base, level, above);
        }
        let step = Step { above, device: stat.st_dev, inode: stat.st_ino, stream };
        let outcome = self.descend(&step, &stat, end, base, level);
        // SAFETY: the stream is ours, and read no more.
        unsafe { libc::closedir(stream) };
        outcome
    }

    fn descend(
        &mut self,
        step: &Step<'_>,
        stat: &libc::stat,
        end: usize,
        base: usize,
        level: c_int,
    ) -> Result<c_int, Stop> {
        let depth = self.flags & FTW_DEPTH != 0;
        if !depth {
            let said = self.tell(stat, FTW_D, base, level, step.above)?;
            if said != 0 {
                return Ok(said);
            }
        }
        self.visit_entries(step, end, level)?;
        self.path[end] = 0;
        if depth { self.tell(stat, FTW_DP, base, level, step.above) } else { Ok(0) }
    }

    fn visit_entries(&mut self, step: &Step<'_>, end: usize, level: c_int) -> Result<(), Stop> {
        let start = if self.path[..end].ends_with(b"/") { end } else { end + 1 };
        loop {
            // SAFETY: the stream is open.
            let entry = unsafe { libc::readdir(step.stream) };
            // SAFETY: null, or an entry that stays until the next is read.
            let Some(entry) = (unsafe { entry.as_ref() }) else { return Ok(()) };
            // SAFETY: an entry's name is a string.
            let name = unsafe { text::bytes(entry.d_name.as_ptr()) }.unwrap_or_default();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let new_end = start + name.len();
            if new_end + 1 > LONGEST {
                answer::set_errno(mirrord_core::verdict::Errno(libc::ENAMETOOLONG));
                return Err(Stop(-1));
            }
            self.path[end] = b'/';
            self.path[start..new_end].copy_from_slice(name);
            self.path[new_end] = 0;
            if self.visit(new_end, start, level + 1, Some(step))? == FTW_SKIP_SIBLINGS {
                return Ok(());
            }
        }
    }

    /// What kind of file it is. Only the first one must be there.
    fn look(&self, stat: &mut libc::stat, level: c_int) -> Result<c_int, Stop> {
        let path = self.path.as_ptr().cast();
        let is_physical = self.flags & FTW_PHYS != 0;
        let look = if is_physical { symbols::lstat } else { symbols::stat };
        // SAFETY: the path is a C string, and the structure ours.
        if unsafe { look(path, stat) } != 0 {
            // SAFETY: as above.
            if !is_physical && unsafe { symbols::lstat(path, stat) } == 0 {
                let is_link = stat.st_mode & libc::S_IFMT == libc::S_IFLNK;
                return Ok(if is_link && matches!(self.visitor, Visitor::Place(_)) {
                    FTW_SLN
                } else {
                    FTW_NS
                });
            }
            let may_not = matches!(answer::errno().0, libc::EACCES | libc::ENOENT);
            return if may_not && level > 0 { Ok(FTW_NS) } else { Err(Stop(-1)) };
        }
        Ok(match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => FTW_D,
            libc::S_IFLNK => FTW_SL,
            _ => FTW_F,
        })
    }

    fn tell(
        &self,
        stat: &libc::stat,
        kind: c_int,
        base: usize,
        level: c_int,
        above: Option<&Step<'_>>,
    ) -> Result<c_int, Stop> {
        let path = self.path.as_ptr().cast();
        let mut place = Place { base: c_int::try_from(base).unwrap_or(0), level };
        self.go_to(above.map(|step| step.stream));
        let said = match self.visitor {
            // SAFETY: the guest's own function, with what it expects.
            Visitor::Plain(visit) => unsafe { visit(path, stat, kind) },
            // SAFETY: as above.
            Visitor::Place(visit) => unsafe { visit(path, stat, kind, &raw mut place) },
        };
        self.go_to(None);
        match said {
            FTW_SKIP_SUBTREE | FTW_SKIP_SIBLINGS if self.flags & FTW_ACTIONRETVAL != 0 => Ok(said),
            0 => Ok(0),
            stop => Err(Stop(stop)),
        }
    }

    /// Stands in a directory of the walk, or where the walk began.
    fn go_to(&self, stream: Option<*mut DIR>) {
        if self.start >= 0 {
            // SAFETY: the stream is open.
            let dir = stream.map_or(self.start, |stream| unsafe { libc::dirfd(stream) });
            // SAFETY: the kernel checks the descriptor.
            unsafe { libc::fchdir(dir) };
        }
    }
}

impl Step<'_> {
    /// Whether the walk is already inside of this directory, which a link led to.
    fn has(mut step: Option<&Self>, stat: &libc::stat) -> bool {
        while let Some(this) = step {
            if this.device == stat.st_dev && this.inode == stat.st_ino {
                return true;
            }
            step = this.above;
        }
        false
    }
}
