//! `char *const envp[]`: the environment of a program that is about to start, completed without a heap: a child of
//! `vfork(2)` runs in its parent's memory.

use std::{
    ffi::{CStr, c_char},
    ptr::null,
};

const N_VARIABLES: usize = 1024;
const PRELOAD_ROOM: usize = 4096;
const PRELOAD: &[u8] = b"LD_PRELOAD=";

/// What every guest needs to be one, each as `NAME=value`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// Where the proxy listens.
    pub(crate) address: &'static CStr,
    /// The session.
    pub(crate) session: Option<&'static CStr>,
    /// Our own file, alone.
    pub(crate) preload: &'static CStr,
}

/// An environment in the caller's own frame.
pub(crate) struct Environment {
    variables: [*const c_char; N_VARIABLES],
    preload: [u8; PRELOAD_ROOM],
}

impl Environment {
    /// An empty frame.
    pub(crate) const fn new() -> Self {
        Self { variables: [null(); N_VARIABLES], preload: [0; PRELOAD_ROOM] }
    }

    /// The environment with what it lacks; nothing if it lacks nothing, or must not be touched.
    ///
    /// # Safety
    /// `given` is null, or a list of strings that ends with null.
    pub(crate) unsafe fn complete(
        &mut self,
        given: *const *const c_char,
        needs: &Needs,
        forbids: &[u8],
    ) -> Option<*const *const c_char> {
        let mut n_variables = 0;
        let mut preload = None;
        let (mut has_address, mut has_session) = (false, needs.session.is_none());
        // SAFETY: the caller's duty.
        for variable in unsafe { each(given) } {
            // SAFETY: as above.
            let text = unsafe { CStr::from_ptr(variable) }.to_bytes();
            if name(text) == forbids {
                return None;
            }
            has_address |= name(text) == name(needs.address.to_bytes());
            has_session |= needs.session.is_some_and(|session| name(text) == name(session.to_bytes()));
            if text.starts_with(PRELOAD) {
                preload = Some((n_variables, text));
            }
            // Room is left for what may be added, and the null behind it.
            *self.variables.get_mut(n_variables).filter(|_| n_variables + 4 < N_VARIABLES)? = variable;
            n_variables += 1;
        }
        let ours = needs.preload.to_bytes().strip_prefix(PRELOAD)?;
        let is_loaded = preload.is_some_and(|(_, text)| has_entry(text, ours));
        if has_address && has_session && is_loaded {
            return None;
        }
        let mut add = |wanted: bool, variable: &'static CStr| {
            if wanted {
                self.variables[n_variables] = variable.as_ptr();
                n_variables += 1;
            }
        };
        add(!has_address, needs.address);
        if let Some(session) = needs.session {
            add(!has_session, session);
        }
        match preload {
            None => add(true, needs.preload),
            Some((at, text)) if !is_loaded => {
                join(&mut self.preload, needs.preload.to_bytes(), text)?;
                self.variables[at] = self.preload.as_ptr().cast();
            }
            Some(_) => {}
        }
        self.variables[n_variables] = null();
        Some(self.variables.as_ptr())
    }

    /// The environment without our library, but with what else makes a guest; nothing if it is so already. What the
    /// guest preloads besides stays.
    ///
    /// # Safety
    /// As of [`Environment::complete`].
    pub(crate) unsafe fn without_preload(
        &mut self,
        given: *const *const c_char,
        needs: &Needs,
    ) -> Option<*const *const c_char> {
        let ours = needs.preload.to_bytes().strip_prefix(PRELOAD)?;
        let (mut n_variables, mut is_loaded) = (0, false);
        let mut lacks = [Some(needs.address), needs.session];
        // SAFETY: the caller's duty.
        for variable in unsafe { each(given) } {
            // SAFETY: as above.
            let text = unsafe { CStr::from_ptr(variable) }.to_bytes();
            let mut kept = variable;
            if text.starts_with(PRELOAD) && has_entry(text, ours) {
                is_loaded = true;
                leave_out(&mut self.preload, text, ours)?;
                kept = self.preload.as_ptr().cast();
            }
            for lack in &mut lacks {
                *lack = lack.filter(|needed| name(needed.to_bytes()) != name(text));
            }
            // Room is left for what may be added, and the null behind it.
            *self.variables.get_mut(n_variables).filter(|_| n_variables + 3 < N_VARIABLES)? = kept;
            n_variables += 1;
        }
        for needed in lacks.iter().flatten() {
            self.variables[n_variables] = needed.as_ptr();
            n_variables += 1;
        }
        self.variables[n_variables] = null();
        (is_loaded || lacks.iter().any(Option::is_some)).then_some(self.variables.as_ptr())
    }
}

/// `LD_PRELOAD=theirs`, without ours.
fn leave_out(room: &mut [u8], preload: &[u8], ours: &[u8]) -> Option<()> {
    let mut rest = room;
    let mut put = |piece: &[u8]| -> Option<()> {
        let (place, after) = std::mem::take(&mut rest).split_at_mut_checked(piece.len())?;
        place.copy_from_slice(piece);
        rest = after;
        Some(())
    };
    put(PRELOAD)?;
    let list = preload.strip_prefix(PRELOAD).unwrap_or_default();
    for entry in list.split(|byte| matches!(byte, b':' | b' ')).filter(|entry| *entry != ours) {
        put(entry)?;
        put(b":")?;
    }
    put(b"\0")
}

/// `LD_PRELOAD=ours:theirs`.
fn join(room: &mut [u8], ours: &[u8], theirs: &[u8]) -> Option<()> {
    let theirs = theirs.strip_prefix(PRELOAD)?;
    let whole = [ours, b":", theirs, b"\0"];
    let mut rest = room;
    for piece in whole {
        let (place, after) = rest.split_at_mut_checked(piece.len())?;
        place.copy_from_slice(piece);
        rest = after;
    }
    Some(())
}

fn has_entry(preload: &[u8], ours: &[u8]) -> bool {
    let list = preload.strip_prefix(PRELOAD).unwrap_or_default();
    list.split(|byte| matches!(byte, b':' | b' ')).any(|entry| entry == ours)
}

fn name(variable: &[u8]) -> &[u8] {
    variable.split(|byte| *byte == b'=').next().unwrap_or_default()
}

/// The items of a list that ends with null.
///
/// # Safety
/// It is null, or such a list.
pub(crate) unsafe fn each(mut list: *const *const c_char) -> impl Iterator<Item = *const c_char> {
    std::iter::from_fn(move || {
        if list.is_null() {
            return None;
        }
        // SAFETY: the caller's duty: the list goes on until null was read.
        let item = unsafe { list.read() };
        list = if item.is_null() { null() } else { list.wrapping_add(1) };
        (!item.is_null()).then_some(item)
    })
}
