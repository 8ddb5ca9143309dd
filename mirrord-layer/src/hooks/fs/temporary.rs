//! Names that nobody has yet: `mkstemp(3)` and its family.

use std::{
    ffi::{CStr, c_char, c_int},
    os::fd::IntoRawFd,
};

use libc::{AT_FDCWD, O_ACCMODE, O_CREAT, O_EXCL, O_RDWR};
use mirrord_core::{rules::fs::Deed, verdict::Errno};
use mirrord_protocol::GuestPath;

use super::{change, open, stat, way};
use crate::{
    abi::text,
    answer::{Answer, Outcome},
    engine::table::fs::original,
    process::Process,
};

/// How many letters of a template are replaced.
const N_LETTERS: usize = 6;

pub(crate) unsafe fn mkstemp(process: &Process, template: *mut c_char) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |template| unsafe { original::mkstemp()(template) };
    // SAFETY: as above.
    unsafe { make(process, template, 0, here, |path| open_new(path, 0)) }
}

pub(crate) unsafe fn mkostemp(process: &Process, template: *mut c_char, flags: c_int) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |template| unsafe { original::mkostemp()(template, flags) };
    // SAFETY: as above.
    unsafe { make(process, template, 0, here, |path| open_new(path, flags)) }
}

pub(crate) unsafe fn mkstemps(process: &Process, template: *mut c_char, n_suffix: c_int) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |template| unsafe { original::mkstemps()(template, n_suffix) };
    // SAFETY: as above.
    unsafe { make(process, template, n_suffix, here, |path| open_new(path, 0)) }
}

pub(crate) unsafe fn mkostemps(
    process: &Process,
    template: *mut c_char,
    n_suffix: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |template| unsafe { original::mkostemps()(template, n_suffix, flags) };
    // SAFETY: as above.
    unsafe { make(process, template, n_suffix, here, |path| open_new(path, flags)) }
}

fn open_new(path: GuestPath, flags: c_int) -> Outcome<c_int> {
    const MODE: libc::mode_t = 0o600;
    open::there(path, (flags & !O_ACCMODE) | O_RDWR | O_CREAT | O_EXCL, MODE).map(IntoRawFd::into_raw_fd)
}

pub(crate) unsafe fn mkdtemp(process: &Process, template: *mut c_char) -> *mut c_char {
    const MODE: libc::mode_t = 0o700;
    let here = |path: *mut c_char| {
        // SAFETY: the guest's own arguments.
        let made = unsafe { original::mkdtemp()(path) };
        if made.is_null() { made } else { template }
    };
    let there = |path| change::make_dir(path, MODE).map(|_| template);
    // SAFETY: as above.
    unsafe { make(process, template, 0, here, there) }
}

/// `mktemp(3)`, which only finds a name; one that begins with NUL says that there is none.
pub(crate) unsafe fn mktemp(process: &Process, template: *mut c_char) -> *mut c_char {
    let here = |path| {
        // SAFETY: the guest's own arguments.
        unsafe { original::mktemp()(path) };
        template
    };
    let there = |path| match stat::there(path, false) {
        Err(Errno::ENOENT) => Ok(template),
        Err(errno) => Err(errno),
        Ok(_) => Err(Errno(libc::EEXIST)),
    };
    // SAFETY: as above.
    let made = unsafe { make(process, template, 0, here, there) };
    if made.is_null() {
        // SAFETY: a template has at least six letters; a shorter one was refused by the C library, which wrote this.
        unsafe { text::write_letters(template, 0, b"\0") };
    }
    template
}

/// Finds a name that is free, by making it.
///
/// # Safety
/// `template` is a string that may be written.
unsafe fn make<T: Answer>(
    process: &Process,
    template: *mut c_char,
    n_suffix: c_int,
    here: impl Fn(*mut c_char) -> T,
    try_name: impl Fn(GuestPath) -> Outcome<T>,
) -> T {
    // SAFETY: the caller promises a string.
    let length = unsafe { text::bytes(template) }.unwrap_or_default().len();
    let place = usize::try_from(n_suffix).ok().and_then(|suffix| length.checked_sub(suffix + N_LETTERS));
    let here = |path: *const c_char| {
        let made = here(path.cast_mut());
        if let Some(place) = place.filter(|_| path != template.cast_const()) {
            // SAFETY: the C library has written a string.
            let path = unsafe { CStr::from_ptr(path) }.to_bytes();
            let start = path.len() - (length - place);
            // SAFETY: the template is at least as long.
            unsafe { text::write_letters(template, place, &path[start..start + N_LETTERS]) };
        }
        made
    };
    let there = |path: GuestPath| {
        let place = place.filter(|_| ends_in_letters(&path.0, n_suffix)).ok_or(Errno(libc::EINVAL))?;
        let start = path.0.len() - (length - place);
        let (letters, made) = try_names(&path.0, start, &try_name)?;
        // SAFETY: the template is at least as long.
        unsafe { text::write_letters(template, place, &letters) };
        Ok(made)
    };
    // SAFETY: the caller promises a string.
    unsafe { way::follow(process, AT_FDCWD, template, Deed::Write, here, there) }
}

fn ends_in_letters(path: &[u8], n_suffix: c_int) -> bool {
    let end = path.len().checked_sub(usize::try_from(n_suffix).unwrap_or(usize::MAX));
    end.is_some_and(|end| path[..end].ends_with(b"XXXXXX"))
}

fn try_names<T>(
    path: &[u8],
    start: usize,
    try_name: impl Fn(GuestPath) -> Outcome<T>,
) -> Outcome<([u8; N_LETTERS], T)> {
    const N_TRIES: usize = 1000;
    let mut path = path.to_vec();
    for _ in 0..N_TRIES {
        let letters = letters()?;
        path[start..start + N_LETTERS].copy_from_slice(&letters);
        match try_name(GuestPath::from(path.as_slice())) {
            Ok(made) => return Ok((letters, made)),
            Err(Errno(libc::EEXIST)) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno(libc::EEXIST))
}

fn letters() -> Outcome<[u8; N_LETTERS]> {
    const ALPHABET: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut random = [0; N_LETTERS];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Errno(error.raw_os_error()))?;
    Ok(random.map(|byte| ALPHABET[usize::from(byte) % ALPHABET.len()]))
}
