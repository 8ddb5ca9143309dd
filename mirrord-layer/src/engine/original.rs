//! The displaced functions, found behind us in the loader's order, once.

use std::{
    ffi::CStr,
    ptr::null_mut,
    sync::atomic::{AtomicPtr, Ordering},
};

/// A function of the C library.
pub(crate) struct Original {
    name: &'static CStr,
    address: AtomicPtr<libc::c_void>,
}

impl Original {
    /// The function of this name.
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self { name, address: AtomicPtr::new(null_mut()) }
    }

    /// Its address; null if this C library has none.
    pub(crate) fn address(&self) -> *mut libc::c_void {
        let known = self.address.load(Ordering::Relaxed);
        if !known.is_null() {
            return known;
        }
        // SAFETY: the name is a C string; `RTLD_NEXT` asks for the symbol after this library.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        self.address.store(found, Ordering::Relaxed);
        found
    }

    /// From now on it is called there: at the copy that an inline hook leaves of it.
    #[cfg(feature = "frida")]
    pub(crate) fn move_to(&self, address: *mut libc::c_void) {
        self.address.store(address, Ordering::Relaxed);
    }
}

/// The name that these letters and their NUL spell.
pub(crate) const fn name(letters: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(letters.as_bytes()) {
        Ok(name) => name,
        Err(_) => c"",
    }
}
