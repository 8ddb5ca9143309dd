//! `posix_spawn_file_actions_t`: what a child does before it starts, as the GNU C library lays it out on 64 bits.

use std::{
    ffi::{c_char, c_int, c_void},
    os::fd::{AsRawFd, OwnedFd},
    ptr::null,
};

use libc::mode_t;

const N_ACTIONS: usize = 16;
const DUPLICATE: c_int = 1;
const OPEN: c_int = 2;
const CHANGE_DIRECTORY: c_int = 3;
const CHANGE_DIRECTORY_TO: c_int = 4;

/// The list, as its owner sees it.
#[derive(Clone, Copy)]
#[repr(C)]
struct List {
    n_allocated: c_int,
    n_used: c_int,
    first: *const Action,
    reserved: [c_int; 16],
}

/// One action, with the fields of an open; of a duplication, `second` is the number that it gets, and of a change of
/// directory, the two numbers are one path.
#[derive(Clone, Copy)]
#[repr(C)]
struct Action {
    tag: c_int,
    padding: c_int,
    fd: c_int,
    second: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
}

impl Action {
    /// Where a change of directory leads.
    fn directory(&self) -> *const c_char {
        // Both fields lie where the union of the actions begins, which holds a pointer then.
        let [low, high] = [self.fd, self.second].map(|half| half.cast_unsigned() as usize);
        std::ptr::with_exposed_provenance(low | (high << 32))
    }
}

const NOTHING: Action = Action { tag: 0, padding: 0, fd: -1, second: -1, path: null(), flags: 0, mode: 0 };

/// A list of which some opens are done already: the child only puts their descriptors in place.
pub(crate) struct Actions {
    list: List,
    places: [Action; N_ACTIONS],
    opened: [Option<OwnedFd>; N_ACTIONS],
}

impl Actions {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        let list = List { n_allocated: 0, n_used: 0, first: null(), reserved: [0; 16] };
        Self { list, places: [NOTHING; N_ACTIONS], opened: [const { None }; N_ACTIONS] }
    }

    /// Fills it with a guest's list. `open` opens a file, says nothing about one that the child is to open itself, and
    /// fails as the child would. Nothing if the guest's own list will do.
    ///
    /// # Safety
    /// `given` is the guest's list, or null.
    pub(crate) unsafe fn fill<E>(
        &mut self,
        given: *const c_void,
        mut open: impl FnMut(*const c_char, c_int, mode_t) -> Option<Result<OwnedFd, E>>,
    ) -> Option<Result<*const c_void, E>> {
        // SAFETY: the caller's duty.
        let list = *unsafe { given.cast::<List>().as_ref() }?;
        let n_used = usize::try_from(list.n_used).ok().filter(|n_used| (1..=N_ACTIONS).contains(n_used))?;
        // SAFETY: the list has so many actions.
        let actions = unsafe { std::slice::from_raw_parts(list.first, n_used) };
        let mut is_changed = false;
        for (index, action) in actions.iter().enumerate() {
            self.places[index] = *action;
            let outcome = match action.tag {
                OPEN => open(action.path, action.flags, action.mode),
                CHANGE_DIRECTORY => open(action.directory(), libc::O_PATH | libc::O_DIRECTORY, 0),
                _ => None,
            };
            match outcome {
                None => {}
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(opened)) => {
                    let fd = opened.as_raw_fd();
                    self.places[index] = match action.tag {
                        OPEN => Action { tag: DUPLICATE, fd, second: action.fd, ..NOTHING },
                        _ => Action { tag: CHANGE_DIRECTORY_TO, fd, ..NOTHING },
                    };
                    self.opened[index] = Some(opened);
                    is_changed = true;
                }
            }
        }
        self.list = List { first: self.places.as_ptr(), ..list };
        is_changed.then(|| Ok((&raw const self.list).cast()))
    }
}
