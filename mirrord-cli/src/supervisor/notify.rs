//! Notifications of `seccomp_unotify(2)`: a caught call comes, an answer goes.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use mirrord_core::verdict::Errno;

const RECV: libc::Ioctl = 0xc050_2100;
const SEND: libc::Ioctl = 0xc018_2101;
const ID_VALID: libc::Ioctl = 0x4008_2102;
const ADDFD: libc::Ioctl = 0x4018_2103;
const SET_FLAGS: libc::Ioctl = 0x4008_2104;

/// The supervisor and its guest stay on one processor while they speak (Linux 6.6).
const SYNC_WAKE_UP: u64 = 1;

const ADDFD_SETFD: u32 = 1;
const ADDFD_SEND: u32 = 2;
const CONTINUE: u32 = 1;

/// A caught call, and the thread that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// By which the kernel knows it.
    pub(super) id: u64,
    /// The thread.
    pub(super) thread: i32,
    /// Of which machine the call is, as the kernel's audit numbers them.
    pub(super) machine: u32,
    /// What is called.
    pub(super) number: i64,
    /// With what.
    pub(super) arguments: [u64; 6],
    /// Behind the instruction that called.
    pub(super) instruction: u64,
}

/// What becomes of a call.
#[derive(Debug)]
pub(super) enum Answer {
    /// The kernel does it, as if nobody had looked.
    Continue,
    /// It is done, and this comes of it.
    Done(i64),
    /// The guest sees this error.
    Failed(Errno),
    /// The guest gets this descriptor, which closes on `exec` or does not.
    Descriptor(OwnedFd, bool),
    /// A signal comes first: the call begins anew after it, or fails by `EINTR`, as its handler wants.
    Interrupted,
}

impl From<Errno> for Answer {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

/// Where notifications come from.
#[derive(Debug)]
pub(super) struct Listener(OwnedFd);

/// Nobody waits for the answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl Listener {
    /// A listener, made ready.
    pub(super) fn new(descriptor: OwnedFd) -> Self {
        // An older kernel knows nothing of it, and is only slower.
        // SAFETY: the flags are a number.
        let _ = unsafe { libc::ioctl(descriptor.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) };
        Self(descriptor)
    }

    /// The next call. Nothing if the one that was to come is gone again.
    pub(super) fn receive(&self) -> io::Result<Option<Call>> {
        // SAFETY: a structure of integers; the kernel wants zeroes.
        let mut told: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        match self.control(RECV, (&raw mut told).cast()) {
            Ok(_) => {}
            Err(Errno(libc::EINTR | libc::ENOENT | libc::EAGAIN)) => return Ok(None),
            Err(Errno(errno)) => return Err(io::Error::from_raw_os_error(errno)),
        }
        Ok(Some(Call {
            id: told.id,
            thread: told.pid.cast_signed(),
            machine: told.data.arch,
            number: told.data.nr.into(),
            arguments: told.data.args,
            instruction: told.data.instruction_pointer,
        }))
    }

    /// Whether the thread still waits for the answer. What was read from it before is then its own.
    pub(super) fn check(&self, call: &Call) -> Result<(), Gone> {
        let mut id = call.id;
        self.control(ID_VALID, (&raw mut id).cast()).map(drop).map_err(|_| Gone)
    }

    /// Answers.
    pub(super) fn answer(&self, call: &Call, answer: Answer) -> Result<(), Gone> {
        /// `ERESTARTSYS`: the kernel's own word, which no program ever sees.
        const RESTART: i32 = 512;
        match answer {
            Answer::Continue => self.send(call, 0, 0, CONTINUE),
            Answer::Done(value) => self.send(call, value, 0, 0),
            Answer::Failed(errno) => self.send(call, 0, -errno.0, 0),
            Answer::Interrupted => self.send(call, 0, -RESTART, 0),
            Answer::Descriptor(file, close_on_exec) => self.give(call, &file, close_on_exec),
        }
    }

    fn send(&self, call: &Call, value: i64, error: i32, flags: u32) -> Result<(), Gone> {
        let mut response = libc::seccomp_notif_resp { id: call.id, val: value, error, flags };
        self.control(SEND, (&raw mut response).cast()).map(drop).map_err(|_| Gone)
    }

    fn give(&self, call: &Call, file: &OwnedFd, close_on_exec: bool) -> Result<(), Gone> {
        match self.add(call, file, None, close_on_exec, ADDFD_SEND) {
            // A kernel before 5.14 adds and answers in two steps.
            Err(Errno(libc::EINVAL)) => match self.add(call, file, None, close_on_exec, 0) {
                Ok(number) => self.send(call, number.into(), 0, 0),
                Err(Errno(libc::ENOENT)) => Err(Gone),
                Err(errno) => self.send(call, 0, -errno.0, 0),
            },
            Ok(_) => Ok(()),
            Err(Errno(libc::ENOENT)) => Err(Gone),
            Err(errno) => self.send(call, 0, -errno.0, 0),
        }
    }

    /// Puts a descriptor behind a number of the guest's.
    pub(super) fn put(
        &self,
        call: &Call,
        file: &OwnedFd,
        number: RawFd,
        close_on_exec: bool,
    ) -> Result<(), Errno> {
        self.add(call, file, Some(number), close_on_exec, ADDFD_SETFD).map(drop)
    }

    /// Gives the guest one descriptor more, and tells its number.
    pub(super) fn lend(&self, call: &Call, file: &OwnedFd) -> Result<RawFd, Errno> {
        self.add(call, file, None, true, 0)
    }

    fn add(
        &self,
        call: &Call,
        file: &OwnedFd,
        number: Option<RawFd>,
        close_on_exec: bool,
        flags: u32,
    ) -> Result<RawFd, Errno> {
        let mut wanted = libc::seccomp_notif_addfd {
            id: call.id,
            flags,
            srcfd: file.as_raw_fd().cast_unsigned(),
            newfd: number.unwrap_or(0).cast_unsigned(),
            newfd_flags: if close_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 },
        };
        self.control(ADDFD, (&raw mut wanted).cast())
    }

    fn control(&self, request: libc::Ioctl, argument: *mut libc::c_void) -> Result<i32, Errno> {
        // SAFETY: every request of this file comes with the structure that it takes, which lives as long as the call.
        let answer = unsafe { libc::ioctl(self.0.as_raw_fd(), request, argument) };
        if answer < 0 { Err(Errno(nix::errno::Errno::last_raw())) } else { Ok(answer) }
    }

    /// For a wait until nobody is left.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.0)
    }
}
