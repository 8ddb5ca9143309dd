//! Ports on which this program, its forebears and their children answer datagrams here: loopback means them.
//!
//! The page is shared with every forked child, in both directions. A bit says that a port was bound; whether it still
//! is, the kernel tells.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicPtr, AtomicU8, Ordering},
};

use mirrord_guest::servers::is_bound;
use rustix::mm::{MapFlags, ProtFlags};

const N_BYTES: usize = 8192;

static PAGE: AtomicPtr<[AtomicU8; N_BYTES]> = AtomicPtr::new(std::ptr::null_mut());

/// Makes the page. Called once, before there is anything to share.
pub(crate) fn prepare() {
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: a fresh anonymous mapping replaces nothing.
    let page = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), N_BYTES, protection, flags) };
    PAGE.store(page.unwrap_or(std::ptr::null_mut()).cast(), Ordering::Release);
}

/// Notes that a port was bound here.
pub(super) fn record(port: u16) {
    if let Some(byte) = byte(port) {
        byte.fetch_or(1 << (port % 8), Ordering::Relaxed);
    }
}

/// Whether somebody of ours answers there.
pub(super) fn answers(at: SocketAddr) -> bool {
    let Some(byte) = byte(at.port()) else { return false };
    let bit = 1 << (at.port() % 8);
    if byte.load(Ordering::Relaxed) & bit == 0 {
        return false;
    }
    let is_bound = is_bound(at);
    if !is_bound {
        byte.fetch_and(!bit, Ordering::Relaxed);
    }
    is_bound
}

fn byte(port: u16) -> Option<&'static AtomicU8> {
    // SAFETY: the pointer is null or the page, which is never unmapped; its bytes are atomic, and zero at first.
    unsafe { PAGE.load(Ordering::Acquire).as_ref() }.map(|page| &page[usize::from(port / 8)])
}
