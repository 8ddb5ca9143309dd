//! Memory of the layer's own: bump arenas that take no lock, so that a hook may run in a signal handler, in a forked
//! child or while the guest's heap is locked.
//!
//! A taken call works in an arena that is emptied when the call ends ([`Scope`]); what is allocated outside of one
//! stays for ever (settings, made once). Freeing is a no-op but for the last piece of an arena.
//! An arena that another thread has taken when its process forks stays taken in the child: there are enough, and when
//! there are not, a call maps its own.

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    ptr::null_mut,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering},
};

use rustix::mm::{MapFlags, ProtFlags};

const SCOPE_SIZE: usize = 1 << 20;
const PERMANENT_SIZE: usize = 8 << 20;
const N_SCOPES: usize = 32;

/// The layer's allocator.
pub(crate) struct Arenas;

struct Arena {
    base: AtomicPtr<u8>,
    used: AtomicUsize,
    taken: AtomicBool,
}

static SCOPES: [Arena; N_SCOPES] = [const { Arena::new() }; N_SCOPES];
static PERMANENT: Arena = Arena::new();

thread_local! {
    static CURRENT: Cell<*const Arena> = const { Cell::new(std::ptr::null()) };
}

impl Arena {
    const fn new() -> Self {
        Self { base: AtomicPtr::new(null_mut()), used: AtomicUsize::new(0), taken: AtomicBool::new(false) }
    }

    /// An arena that lies at the start of its own memory.
    fn within(base: *mut u8) -> Self {
        Self { base: AtomicPtr::new(base), used: AtomicUsize::new(size_of::<Self>()), ..Self::new() }
    }

    fn base(&self, size: usize) -> *mut u8 {
        let base = self.base.load(Ordering::Acquire);
        if !base.is_null() {
            return base;
        }
        let Some(fresh) = map(size) else { return null_mut() };
        match self.base.compare_exchange(null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fresh,
            Err(theirs) => {
                unmap(fresh, size);
                theirs
            }
        }
    }

    fn allocate(&self, layout: Layout, size: usize) -> *mut u8 {
        let base = self.base(size);
        if base.is_null() {
            return base;
        }
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            // The base is page-aligned, so an aligned offset is an aligned address.
            let start = used.next_multiple_of(layout.align());
            let Some(end) = start.checked_add(layout.size()).filter(|end| *end <= size) else {
                return null_mut();
            };
            match self.used.compare_exchange_weak(used, end, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return base.wrapping_add(start),
                Err(now) => used = now,
            }
        }
    }

    fn free_last(&self, piece: *mut u8, layout: Layout) {
        let start = piece.addr().wrapping_sub(self.base.load(Ordering::Relaxed).addr());
        let end = start.wrapping_add(layout.size());
        let _ = self.used.compare_exchange(end, start, Ordering::Relaxed, Ordering::Relaxed);
    }
}

fn map(size: usize) -> Option<*mut u8> {
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: a fresh anonymous mapping replaces nothing.
    unsafe { rustix::mm::mmap_anonymous(null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, flags) }
        .ok()
        .map(<*mut std::ffi::c_void>::cast)
}

fn unmap(base: *mut u8, size: usize) {
    // SAFETY: the mapping was made by `map` with this size, and nothing points into it.
    let _ = unsafe { rustix::mm::munmap(base.cast(), size) };
}

// SAFETY: pieces of an arena never overlap, live as long as the mapping, and are aligned as asked.
unsafe impl GlobalAlloc for Arenas {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let current = CURRENT.get();
        // SAFETY: the pointer is null or points to an arena that the `Scope` of this thread keeps.
        let piece = match unsafe { current.as_ref() } {
            Some(arena) => arena.allocate(layout, SCOPE_SIZE),
            None => PERMANENT.allocate(layout, PERMANENT_SIZE),
        };
        // What no arena holds is mapped for ever: failing here would end the guest.
        if piece.is_null() { map(layout.size()).unwrap_or(null_mut()) } else { piece }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        match unsafe { CURRENT.get().as_ref() } {
            Some(arena) => arena.free_last(piece, layout),
            None => PERMANENT.free_last(piece, layout),
        }
    }
}

/// A taken call: until it is dropped, this thread allocates in an arena that is then emptied.
pub(crate) struct Scope(Place);

enum Place {
    /// Within another scope of this thread.
    Inner,
    /// One of the arenas that are kept.
    Kept(&'static Arena),
    /// All of them are taken: a mapping of its own, with the arena at its start.
    Own(*mut Arena),
}

impl Scope {
    /// Begins one. Within another one of the same thread (a signal handler that interrupted it) nothing changes.
    pub(crate) fn enter() -> Self {
        if !CURRENT.get().is_null() {
            return Self(Place::Inner);
        }
        let take = |arena: &&Arena| {
            arena.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        if let Some(arena) = SCOPES.iter().find(take) {
            CURRENT.set(arena);
            return Self(Place::Kept(arena));
        }
        let Some(base) = map(SCOPE_SIZE) else { return Self(Place::Inner) };
        let arena: *mut Arena = base.cast();
        // SAFETY: the mapping is fresh, page-aligned and larger than an arena.
        unsafe { arena.write(Arena::within(base)) };
        CURRENT.set(arena);
        Self(Place::Own(arena))
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        const KEPT: usize = 64 << 10;
        match self.0 {
            Place::Inner => {}
            Place::Own(arena) => {
                CURRENT.set(std::ptr::null());
                unmap(arena.cast(), SCOPE_SIZE);
            }
            Place::Kept(arena) => {
                CURRENT.set(std::ptr::null());
                let used = arena.used.swap(0, Ordering::Relaxed);
                if used > KEPT {
                    let rest = arena.base.load(Ordering::Relaxed).wrapping_add(KEPT);
                    // SAFETY: these pages are the arena's own, and nothing of them is in use.
                    let _ = unsafe {
                        rustix::mm::madvise(rest.cast(), used - KEPT, rustix::mm::Advice::LinuxDontNeed)
                    };
                }
                arena.taken.store(false, Ordering::Release);
            }
        }
    }
}
