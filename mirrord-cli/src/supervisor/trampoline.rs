//! A program of a few instructions that becomes a script's interpreter.
//!
//! A guest that runs a script by a descriptor would tell its interpreter that the script is `/dev/fd/N`. It is to be told
//! the path that the guest has said. But the words of the guest are in its memory, where no place is ours (a child of
//! `vfork(2)` is in its parent's), so that they can be changed only by a program that has its own: this one, which lies in
//! a memory file. It puts the interpreter's words before those that it was started with, in the place of the first, and
//! makes an `execve(2)` like any other's.

use std::{
    fs::File,
    io::Write,
    os::fd::{FromRawFd, OwnedFd},
};

use mirrord_core::verdict::Errno;

use super::caller::Outcome;

/// Where it is put in memory.
const BASE: u64 = 0x40_0000;

/// `elf(5)`: the head of a program, and of a segment.
const N_HEAD: usize = 64;
const N_SEGMENT: usize = 56;
const N_BEFORE: usize = N_HEAD + 2 * N_SEGMENT;

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

// Behind it stand three addresses: of the interpreter's path, of the word for it or 0, and of the script's path.
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".pushsection .rodata.mirrord_trampoline, \"a\"",
    ".balign 8",
    "mirrord_trampoline_begin:",
    // How many words there are; behind them is the environment.
    "pop rax",
    "lea rdx, [rsp + rax * 8 + 8]",
    // The first word, in whose place the others come.
    "pop rcx",
    "lea rbx, [rip + 3f]",
    "push qword ptr [rbx + 16]",
    "mov rcx, qword ptr [rbx + 8]",
    "test rcx, rcx",
    "jz 2f",
    "push rcx",
    "2:",
    "mov rdi, qword ptr [rbx]",
    "push rdi",
    "mov rsi, rsp",
    "mov eax, 59",
    "syscall",
    "mov edi, 126",
    "mov eax, 231",
    "syscall",
    "ud2",
    ".balign 8",
    "3:",
    "mirrord_trampoline_end:",
    ".popsection",
);

#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    ".pushsection .rodata.mirrord_trampoline, \"a\"",
    ".balign 8",
    "mirrord_trampoline_begin:",
    "mov x9, sp",
    // How many words there are; behind them is the environment.
    "ldr x0, [x9]",
    "add x2, x9, x0, lsl #3",
    "add x2, x2, #16",
    "adr x10, 3f",
    // In the place of the first word and of their number, and before it.
    "ldr x3, [x10, #16]",
    "str x3, [x9, #8]",
    "mov x1, x9",
    "ldr x3, [x10, #8]",
    "cbz x3, 2f",
    "str x3, [x9]",
    "sub sp, sp, #16",
    "sub x1, x9, #8",
    "2:",
    "ldr x0, [x10]",
    "str x0, [x1]",
    "mov x8, #221",
    "svc #0",
    "mov x0, #126",
    "mov x8, #94",
    "svc #0",
    "brk #0",
    ".balign 8",
    "3:",
    "mirrord_trampoline_end:",
    ".popsection",
);

unsafe extern "C" {
    static mirrord_trampoline_begin: u8;
    static mirrord_trampoline_end: u8;
}

/// Its instructions.
fn instructions() -> &'static [u8] {
    let (begin, end) = (&raw const mirrord_trampoline_begin, &raw const mirrord_trampoline_end);
    // SAFETY: both are of the one section above, whose bytes never change.
    unsafe { std::slice::from_raw_parts(begin, end.addr() - begin.addr()) }
}

/// A file that becomes this interpreter, with a word for it, and the path of the script that it is to run.
pub(super) fn make(interpreter: &[u8], word: Option<&[u8]>, script: &[u8]) -> Outcome<OwnedFd> {
    let mut file = memory()?;
    file.write_all(&image(interpreter, word, script)).map_err(|_| Errno(libc::ENOMEM))?;
    Ok(file.into())
}

/// A memory file that may be run, on kernels that ask for it (Linux 6.3), too.
fn memory() -> Outcome<File> {
    for flags in [libc::MFD_CLOEXEC | libc::MFD_EXEC, libc::MFD_CLOEXEC] {
        // SAFETY: the name is a C string.
        let number = unsafe { libc::memfd_create(c"mirrord:script".as_ptr(), flags) };
        if number >= 0 {
            // SAFETY: the descriptor is fresh, and nobody else's.
            return Ok(unsafe { OwnedFd::from_raw_fd(number) }.into());
        }
    }
    Err(Errno(libc::ENOMEM))
}

/// The whole program.
fn image(interpreter: &[u8], word: Option<&[u8]>, script: &[u8]) -> Vec<u8> {
    let code = instructions();
    let texts = BASE + (N_BEFORE + code.len() + 3 * size_of::<u64>()) as u64;
    let mut strings = Vec::new();
    let mut put = |text: &[u8]| {
        let place = texts + strings.len() as u64;
        strings.extend_from_slice(text);
        strings.push(0);
        place
    };
    let addresses = [put(interpreter), word.map_or(0, &mut put), put(script)];
    let n_bytes = N_BEFORE + code.len() + size_of_val(&addresses) + strings.len();
    let mut image = head();
    image.extend(segment(LOADED, READ | RUN, n_bytes as u64));
    // Its stack is as anybody's.
    image.extend(segment(STACK, READ | WRITE, 0));
    image.extend_from_slice(code);
    image.extend(addresses.iter().flat_map(|address| address.to_ne_bytes()));
    image.extend(strings);
    image
}

const LOADED: u32 = 1;
const STACK: u32 = 0x6474_e551;
const RUN: u32 = 1;
const WRITE: u32 = 2;
const READ: u32 = 4;

fn head() -> Vec<u8> {
    // Of 64 bits, little-endian, of version 1, for any system.
    let mut head = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |number: usize| u16::try_from(number).unwrap_or(0).to_ne_bytes();
    head.extend(2_u16.to_ne_bytes());
    head.extend(MACHINE.to_ne_bytes());
    head.extend(1_u32.to_ne_bytes());
    // It begins behind its heads; those of its segments are behind this one, and sections it has none.
    head.extend((BASE + N_BEFORE as u64).to_ne_bytes());
    head.extend((N_HEAD as u64).to_ne_bytes());
    head.extend([0; 8 + 4]);
    for number in [N_HEAD, N_SEGMENT, 2, 0, 0, 0] {
        head.extend(half(number));
    }
    head
}

fn segment(kind: u32, rights: u32, n_bytes: u64) -> Vec<u8> {
    const PAGE: u64 = 0x1_0000;
    let place = if n_bytes == 0 { 0 } else { BASE };
    let numbers = [0, place, place, n_bytes, n_bytes, PAGE];
    let heads = [kind, rights].into_iter().flat_map(u32::to_ne_bytes);
    heads.chain(numbers.into_iter().flat_map(u64::to_ne_bytes)).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        os::{fd::AsRawFd, unix::process::CommandExt},
        process::Command,
    };

    use super::*;

    /// What `echo`, as an interpreter, says of its words.
    fn told(word: Option<&[u8]>, words: &[&str]) -> String {
        let file = make(b"/bin/echo", word, b"/there/script").unwrap();
        let mut command = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let output = command.arg0("as said").args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn an_interpreter_is_told_the_scripts_path_in_the_place_of_its_first_word() {
        assert_eq!(told(None, &[]), "/there/script\n");
        assert_eq!(told(None, &["a", "b c"]), "/there/script a b c\n");
        assert_eq!(told(Some(b"-x y"), &["a"]), "-x y /there/script a\n");
    }

    #[test]
    fn the_environment_stays_as_it_is() {
        let file = make(b"/usr/bin/env", None, b"NAME=of a script").unwrap();
        let mut command = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let output = command.env_clear().env("OTHER", "x").output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "OTHER=x\nNAME=of a script\n");
    }

    #[test]
    fn without_an_interpreter_it_ends_as_a_shell_does() {
        let file = make(b"/nowhere", None, b"x").unwrap();
        let status = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd())).status().unwrap();
        assert_eq!(status.code(), Some(126));
    }
}
