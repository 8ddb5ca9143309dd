//! A guest is made to stand in a directory, as it asked for by a path that the kernel does not know.
//!
//! Nobody can change the working directory of another process, and the kernel's truth is wanted, which children
//! inherit. So for the length of one call the thread is traced (`ptrace(2)`): its `chdir(2)` is answered, it stops before
//! it goes on, is made to call `fchdir(2)` at the very instruction of its own call, and goes on with the answer. So it is
//! with a program that is only there, which it is made to run.

use std::{cell::Cell, os::fd::OwnedFd};

use libc::{c_int, c_long, c_void, pid_t};
use mirrord_core::verdict::Errno;

use super::{
    caller::{Caller, Outcome},
    guests,
    notify::Answer,
};

/// How long the instruction of a system call is.
#[cfg(target_arch = "x86_64")]
const INSTRUCTION: u64 = 2;
#[cfg(not(target_arch = "x86_64"))]
const INSTRUCTION: u64 = 4;

const STOPPED_BY_CALL: c_int = libc::SIGTRAP | 0x80;
const NT_PRSTATUS: c_int = 1;

/// Makes the thread stand there; it has its answer when this ends.
pub(super) fn stand(caller: &Caller<'_>, dir: &OwnedFd) -> Outcome<Answer> {
    caller.turn.hand_over();
    let lent = caller.listener.lend(caller.call, dir)?;
    let Some(traced) = Traced::seize(caller.call.thread) else {
        caller.warn(format!("{} cannot change to a folder of the target's", untraceable(caller)));
        return Err(Errno(libc::EPERM));
    };
    // The call itself is over; what follows is between its end and the next instruction.
    if caller.listener.answer(caller.call, Answer::Done(0)).is_err() {
        return Err(Errno(libc::EINTR));
    }
    traced.make(caller.call.instruction, lent);
    Ok(Answer::Done(0))
}

/// What a thread is to run.
pub(super) struct Run<'a> {
    /// The program.
    pub(super) file: &'a OwnedFd,
    /// An empty string in its memory.
    pub(super) empty: u64,
    /// Where its words are.
    pub(super) words: u64,
    /// Where its environment is.
    pub(super) environment: u64,
}

/// Makes the thread run a program in the place of its own `execve(2)`. One that cannot be traced goes on, and does not
/// find it.
pub(super) fn run(caller: &Caller<'_>, run: &Run<'_>) -> Outcome<Answer> {
    let lent = caller.listener.lend(caller.call, run.file)?;
    let Some(traced) = Traced::seize(caller.call.thread) else {
        let who = untraceable(caller);
        caller.warn(format!("{who} cannot run a program that is only there"));
        return Ok(Answer::Continue);
    };
    if caller.listener.answer(caller.call, Answer::Failed(Errno::ENOENT)).is_err() {
        return Err(Errno(libc::EINTR));
    }
    traced.make_run(caller.call.instruction, lent, run);
    Ok(Answer::Done(0))
}

/// Why a thread cannot be traced: by somebody else, or by nobody.
fn untraceable(caller: &Caller<'_>) -> &'static str {
    let status = guests::status(caller.call.thread).unwrap_or_default();
    let is_traced = guests::field(&status, "TracerPid:").is_some_and(|tracer| tracer != "0");
    if is_traced {
        "a program under a debugger"
    } else {
        "a program cannot be traced here (`ptrace` is forbidden): it"
    }
}

/// Has a guest open a mere path (`O_PATH`) itself, in the place of its own open: one that ends with its NUL.
pub(super) fn open_path(caller: &Caller<'_>, path: &[u8], flags: c_int) -> Outcome<Answer> {
    let flags = u64::from((libc::O_PATH | flags).cast_unsigned());
    let folder = i64::from(libc::AT_FDCWD).cast_unsigned();
    instead(caller, path, libc::SYS_openat, |place| [folder, place, flags])
}

/// Has a guest watch a path itself that stands for the one that it said: one that ends with its NUL.
pub(super) fn watch(caller: &Caller<'_>, path: &[u8], watcher: c_int, mask: u32) -> Outcome<Answer> {
    let watcher = u64::from(watcher.cast_unsigned());
    instead(caller, path, libc::SYS_inotify_add_watch, |place| [watcher, place, mask.into()])
}

/// Has a guest make another call in the place of its own, with a path whose place in its memory is told.
fn instead(
    caller: &Caller<'_>,
    path: &[u8],
    number: c_long,
    arguments: impl FnOnce(u64) -> [u64; 3],
) -> Outcome<Answer> {
    caller.turn.hand_over();
    let Some(traced) = Traced::seize(caller.call.thread) else {
        return Err(Errno(libc::EPERM));
    };
    if caller.listener.answer(caller.call, Answer::Failed(Errno(libc::EACCES))).is_err() {
        return Err(Errno(libc::EINTR));
    }
    traced.make_with_path(caller, path, number, arguments);
    Ok(Answer::Done(0))
}

/// A thread that is traced as long as this lives. Its number changes when it becomes another program than its process,
/// whose first thread it then is.
struct Traced(Cell<pid_t>);

impl Traced {
    /// Begins to trace a thread that waits for an answer; it will stop when it has it.
    fn seize(thread: pid_t) -> Option<Self> {
        request(libc::PTRACE_SEIZE, thread, 0, libc::PTRACE_O_TRACESYSGOOD as usize).ok()?;
        let traced = Self(Cell::new(thread));
        request(libc::PTRACE_INTERRUPT, thread, 0, 0).ok()?;
        Some(traced)
    }

    /// Has the stopped thread make `fchdir(number)` and `close(number)`, and sees to it that its own call tells the
    /// outcome.
    fn make(&self, instruction: u64, number: i32) -> Option<()> {
        let mut signals = Vec::new();
        self.stop(&mut signals)?;
        let own = Registers::of(self.0.get())?;
        let descriptor = [u64::from(number.cast_unsigned()), 0, 0, 0, 0];
        let outcome = self.call(&own, instruction, libc::SYS_fchdir, descriptor, &mut signals)?;
        self.call(&own, instruction, libc::SYS_close, descriptor, &mut signals)?;
        own.answering(outcome).set(self.0.get())?;
        self.tell(&signals);
        Some(())
    }

    /// Has the stopped thread run the program behind a number of its own. If it fails, so does its own call.
    fn make_run(&self, instruction: u64, number: i32, run: &Run<'_>) -> Option<()> {
        let mut signals = Vec::new();
        self.stop(&mut signals)?;
        let own = Registers::of(self.0.get())?;
        let number = u64::from(number.cast_unsigned());
        let flags = u64::from(libc::AT_EMPTY_PATH.cast_unsigned());
        let arguments = [number, run.empty, run.words, run.environment, flags];
        let outcome = self.call(&own, instruction, libc::SYS_execveat, arguments, &mut signals)?;
        if outcome != 0 {
            self.call(&own, instruction, libc::SYS_close, widened([number, 0, 0]), &mut signals)?;
            own.answering(outcome).set(self.0.get())?;
        }
        self.tell(&signals);
        Some(())
    }

    /// Has the stopped thread make a call with a path, which is put where nothing of its own can be: far below its stack.
    fn make_with_path(
        &self,
        caller: &Caller<'_>,
        path: &[u8],
        number: c_long,
        arguments: impl FnOnce(u64) -> [u64; 3],
    ) -> Option<()> {
        const BELOW: u64 = 1024;
        let mut signals = Vec::new();
        self.stop(&mut signals)?;
        let own = Registers::of(self.0.get())?;
        let place = (own.stack() - BELOW) & !15;
        caller.memory().write(place, path).ok()?;
        let outcome =
            self.call(&own, caller.call.instruction, number, widened(arguments(place)), &mut signals)?;
        own.answering(outcome).set(self.0.get())?;
        self.tell(&signals);
        Some(())
    }

    /// Tells the thread of signals that had come for it.
    fn tell(&self, signals: &[c_int]) {
        for signal in signals {
            // SAFETY: the call takes numbers.
            unsafe { libc::syscall(libc::SYS_tkill, self.0.get(), *signal) };
        }
    }

    fn call(
        &self,
        own: &Registers,
        instruction: u64,
        number: c_long,
        arguments: [u64; 5],
        signals: &mut Vec<c_int>,
    ) -> Option<u64> {
        own.calling(instruction - INSTRUCTION, number, arguments).set(self.0.get())?;
        // Once on its way in, once on its way out.
        for _ in 0..2 {
            request(libc::PTRACE_SYSCALL, self.0.get(), 0, 0).ok()?;
            while self.stop(signals)? != STOPPED_BY_CALL {
                request(libc::PTRACE_SYSCALL, self.0.get(), 0, 0).ok()?;
            }
        }
        Some(Registers::of(self.0.get())?.answer())
    }

    /// Waits for its next stop, and tells why; signals wait meanwhile. It is all that this thread of ours traces, and has
    /// for a child, so that it is known by whatever number.
    fn stop(&self, signals: &mut Vec<c_int>) -> Option<c_int> {
        let mut status = 0;
        loop {
            // SAFETY: the place is ours.
            let waited = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
            if waited > 0 {
                self.0.set(waited);
                break;
            } else if nix::errno::Errno::last_raw() != libc::EINTR {
                return None;
            }
        }
        if !libc::WIFSTOPPED(status) {
            return None;
        }
        let why = libc::WSTOPSIG(status);
        let is_event = status >> 16 != 0;
        if !is_event && why != STOPPED_BY_CALL {
            signals.push(why);
        }
        Some(why)
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = request(libc::PTRACE_DETACH, self.0.get(), 0, 0);
    }
}

fn widened([first, second, third]: [u64; 3]) -> [u64; 5] {
    [first, second, third, 0, 0]
}

fn request(what: libc::c_uint, thread: pid_t, address: usize, data: usize) -> Result<(), Errno> {
    let (address, data) = (address as *mut c_void, data as *mut c_void);
    // SAFETY: the requests of this file take numbers, or structures of ours that live as long as the call.
    match unsafe { libc::ptrace(what, thread, address, data) } {
        0.. => Ok(()),
        _ => Err(Errno(nix::errno::Errno::last_raw())),
    }
}

/// The registers of a stopped thread.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Registers(libc::user_regs_struct);

#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy)]
struct Registers(libc::user_regs_struct);

impl Registers {
    fn of(thread: pid_t) -> Option<Self> {
        // SAFETY: a structure of integers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        let mut place = libc::iovec {
            iov_base: (&raw mut registers).cast(),
            iov_len: size_of::<libc::user_regs_struct>(),
        };
        let place = (&raw mut place).addr();
        request(libc::PTRACE_GETREGSET, thread, NT_PRSTATUS as usize, place).ok()?;
        Some(Self(registers))
    }

    fn set(mut self, thread: pid_t) -> Option<()> {
        let mut place =
            libc::iovec { iov_base: (&raw mut self.0).cast(), iov_len: size_of::<libc::user_regs_struct>() };
        let place = (&raw mut place).addr();
        request(libc::PTRACE_SETREGSET, thread, NT_PRSTATUS as usize, place).ok()
    }
}

#[cfg(target_arch = "x86_64")]
impl Registers {
    fn calling(mut self, instruction: u64, number: c_long, arguments: [u64; 5]) -> Self {
        self.0.rip = instruction;
        self.0.rax = number.cast_unsigned();
        [self.0.rdi, self.0.rsi, self.0.rdx, self.0.r10, self.0.r8] = arguments;
        self.0.orig_rax = u64::MAX;
        self
    }

    /// As they were, with another answer, and no call that a signal would repeat.
    fn answering(mut self, answer: u64) -> Self {
        self.0.rax = answer;
        self.0.orig_rax = u64::MAX;
        self
    }

    fn answer(&self) -> u64 {
        self.0.rax
    }

    fn stack(&self) -> u64 {
        self.0.rsp
    }
}

#[cfg(target_arch = "aarch64")]
impl Registers {
    fn calling(mut self, instruction: u64, number: c_long, arguments: [u64; 5]) -> Self {
        self.0.pc = instruction;
        self.0.regs[8] = number.cast_unsigned();
        self.0.regs[..5].copy_from_slice(&arguments);
        self
    }

    /// As they were, with another answer.
    fn answering(mut self, answer: u64) -> Self {
        self.0.regs[0] = answer;
        self
    }

    fn answer(&self) -> u64 {
        self.0.regs[0]
    }

    fn stack(&self) -> u64 {
        self.0.sp
    }
}
