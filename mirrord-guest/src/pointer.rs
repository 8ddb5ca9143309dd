//! Pointers of the guest: whether there is memory behind one, which the kernel is asked.
//!
//! Where the kernel would answer `EFAULT`, we must not touch. It is asked once for each page, and a page that was there
//! is believed to stay: one that is unmapped and then said again by the guest ends it, as reading it there would.

use std::sync::atomic::{AtomicUsize, Ordering};

use mirrord_core::verdict::Errno;

use crate::{Outcome, kernel};

/// The smallest pages of all machines.
pub const PAGE: usize = 4096;

/// The memory of programs ends before.
const BEYOND: usize = 1 << 56;

/// Pages on which there was memory, each at the place that its number has.
static KNOWN: [AtomicUsize; 256] = [const { AtomicUsize::new(0) }; 256];

/// Whether all of so many bytes can be read; of none, whether one could.
#[must_use]
pub fn is_there(address: usize, length: usize) -> bool {
    let last = address.saturating_add(length.saturating_sub(1));
    if address < PAGE || last >= BEYOND {
        return false;
    }
    (address / PAGE..=last / PAGE).all(has_page)
}

fn has_page(number: usize) -> bool {
    let place = &KNOWN[number % KNOWN.len()];
    if place.load(Ordering::Relaxed) == number {
        return true;
    }
    // The kernel reads the mask before it refuses to do with it what there is not.
    let arguments = [kernel::int(-1), number * PAGE, 0, 8, 0, 0];
    // SAFETY: nothing is written, and what is read the kernel checks.
    if unsafe { kernel::call(libc::SYS_rt_sigprocmask, arguments) } == Err(Errno(libc::EFAULT)) {
        return false;
    }
    place.store(number, Ordering::Relaxed);
    true
}

/// Writes to the guest's memory, as far as it is there to be written.
///
/// # Errors
/// `EFAULT`.
///
/// # Safety
/// If it is memory of this process, it is the guest's to give.
pub unsafe fn write(to: usize, bytes: &[u8]) -> Outcome<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let ours = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let theirs = libc::iovec { iov_base: std::ptr::without_provenance_mut(to), iov_len: bytes.len() };
    // SAFETY: the call takes nothing.
    let process = unsafe { kernel::call(libc::SYS_getpid, [0; 6]) }?;
    let arguments = [process, (&raw const ours).addr(), 1, (&raw const theirs).addr(), 1, 0];
    // SAFETY: ours is as long as it says; theirs is the guest's, and the kernel checks it.
    match unsafe { kernel::call(libc::SYS_process_vm_writev, arguments) } {
        Ok(n_written) if n_written == bytes.len() => Ok(()),
        // Where that call is forbidden, it is at least seen whether there is memory.
        Err(Errno(libc::EPERM | libc::ENOSYS | libc::EACCES)) if is_there(to, bytes.len()) => {
            let to = std::ptr::with_exposed_provenance_mut::<u8>(to);
            // SAFETY: the caller promises the guest's memory, which does not overlap with ours.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
            Ok(())
        }
        _ => Err(Errno(libc::EFAULT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(protection: i32) -> usize {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping replaces nothing.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), 2 * PAGE, protection, flags, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED);
        page.expose_provenance()
    }

    #[test]
    fn what_is_not_there_is_told_from_what_is() {
        let local = 7_u64;
        assert!(is_there((&raw const local).addr(), 8));
        for address in [0, 1, PAGE - 1, usize::MAX, usize::MAX - 100, BEYOND, page(libc::PROT_NONE)] {
            assert!(!is_there(address, 1), "{address:x}");
        }
    }

    #[test]
    fn memory_ends_at_the_end_of_its_last_page() {
        let start = page(libc::PROT_READ);
        // SAFETY: the second page is ours.
        let closed = unsafe {
            libc::mprotect(std::ptr::with_exposed_provenance_mut(start + PAGE), PAGE, libc::PROT_NONE)
        };
        assert_eq!(closed, 0);
        assert!(is_there(start, PAGE) && is_there(start + PAGE - 1, 1));
        assert!(!is_there(start, PAGE + 1) && !is_there(start + PAGE - 1, 2));
    }

    #[test]
    fn what_cannot_be_written_is_not_written() {
        let mut room = [0_u8; 4];
        // SAFETY: the room is ours.
        unsafe { write(room.as_mut_ptr().expose_provenance(), b"word") }.unwrap();
        assert_eq!(&room, b"word");
        for address in [1, usize::MAX, page(libc::PROT_NONE), page(libc::PROT_READ)] {
            // SAFETY: nobody's memory, or that of the mapping.
            assert_eq!(unsafe { write(address, b"word") }, Err(Errno(libc::EFAULT)));
        }
    }
}
