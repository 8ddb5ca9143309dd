//! Which calls are caught: a program for the kernel (`seccomp(2)`), which all that the guest starts inherit.
//!
//! A call that is caught costs microseconds, one that is not nothing: the kernel remembers calls that are always let
//! through. So calls are told apart by their arguments where a number says enough.

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO,
    SECCOMP_RET_USER_NOTIF, c_long, sock_filter,
};

use serde::{Deserialize, Serialize};

use super::calls;

/// This machine, as the kernel's audit numbers it.
#[cfg(target_arch = "x86_64")]
pub(super) const MACHINE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
pub(super) const MACHINE: u32 = 0xC000_00B7;

/// The machine of 32 bits that this one plays, too.
#[cfg(target_arch = "x86_64")]
const NARROW: u32 = 0x4000_0003;
#[cfg(target_arch = "aarch64")]
const NARROW: u32 = 0x4000_0028;

/// Calls of the x32 interface begin here. Hardly a kernel has them, and ours then seem to be on one without.
const X32: u32 = 0x4000_0000;

/// Where the number and the machine of a call lie.
const NUMBER: u32 = 0;
const AUDIT: u32 = 4;

/// Where the low half of an argument lies.
const fn low(argument: u32) -> u32 {
    16 + 8 * argument
}

/// What the session needs caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a group of calls that are caught or not")]
pub(super) struct Wanted {
    /// There is a target, and so a network there.
    pub(super) reaches: bool,
    /// Connections may arrive from there.
    pub(super) arrives: bool,
    /// Files are proxied: more calls see the difference.
    pub(super) proxied: bool,
    /// Sockets are, or queries for names.
    pub(super) relays: bool,
    /// The host's name is the target's.
    pub(super) hostname: bool,
    /// Rings are refused.
    pub(super) refuses_rings: bool,
    /// All sockets are made by us.
    pub(super) keeps_sockets: bool,
}

/// The program.
pub(super) fn program(wanted: Wanted) -> Vec<sock_filter> {
    let narrow = narrow();
    let mut program = vec![load(AUDIT), jump(BPF_JEQ, NARROW, 0, u8::try_from(narrow.len()).unwrap_or(0))];
    program.extend(narrow);
    program.extend([
        // Calls of any further machine have other numbers.
        jump(BPF_JEQ, MACHINE, 1, 0),
        finish(SECCOMP_RET_ALLOW),
        load(NUMBER),
        jump(BPF_JGE, X32, 0, 1),
        finish(SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned()),
    ]);
    calls::of_files().for_each(|number| catch(&mut program, number));
    if wanted.reaches {
        catch_sockets(&mut program, wanted);
    }
    if wanted.proxied {
        calls::of_the_copied().for_each(|number| catch(&mut program, number));
    }
    if wanted.hostname {
        catch(&mut program, libc::SYS_uname);
    }
    if wanted.refuses_rings {
        catch(&mut program, libc::SYS_io_uring_setup);
    }
    program.push(finish(SECCOMP_RET_ALLOW));
    program
}

/// Catches calls on sockets.
fn catch_sockets(program: &mut Vec<sock_filter>, wanted: Wanted) {
    calls::of_sockets().for_each(|number| catch(program, number));
    let domains: &[i32] = &[libc::AF_INET, libc::AF_INET6, libc::AF_UNIX];
    let n_domains = if wanted.keeps_sockets { 3 } else { 2 };
    catch_if(program, libc::SYS_socket, 0, &domains[..n_domains]);
    catch_if_given(program, libc::SYS_sendto, 4);
    if wanted.arrives || wanted.keeps_sockets {
        calls::of_arrivals().for_each(|number| catch(program, number));
    }
    if wanted.arrives || wanted.keeps_sockets || wanted.relays {
        calls::of_addresses().for_each(|number| catch(program, number));
    }
    if wanted.relays {
        calls::of_the_relayed().for_each(|number| catch(program, number));
        catch_if_given(program, libc::SYS_recvfrom, 4);
        catch_if(program, libc::SYS_getsockopt, 2, &[libc::SO_ERROR]);
    }
}

/// What becomes of a 32-bit program: the first calls that would be ours are caught, so that they can be told of.
fn narrow() -> Vec<sock_filter> {
    let mut block = vec![load(NUMBER)];
    calls::of_narrow().for_each(|number| catch(&mut block, number.into()));
    block.push(finish(SECCOMP_RET_ALLOW));
    block
}

/// Catches a call.
fn catch(program: &mut Vec<sock_filter>, number: c_long) {
    program.extend([jump(BPF_JEQ, word(number), 0, 1), finish(SECCOMP_RET_USER_NOTIF)]);
}

/// Catches a call whose argument is one of these numbers.
fn catch_if(program: &mut Vec<sock_filter>, number: c_long, argument: u32, values: &[i32]) {
    let mut block = vec![load(low(argument))];
    for value in values {
        block.extend([jump(BPF_JEQ, value.cast_unsigned(), 0, 1), finish(SECCOMP_RET_USER_NOTIF)]);
    }
    block.push(finish(SECCOMP_RET_ALLOW));
    guard(program, number, block);
}

/// Catches a call whose argument, a pointer, is not null.
fn catch_if_given(program: &mut Vec<sock_filter>, number: c_long, argument: u32) {
    let block = vec![
        load(low(argument)),
        jump(BPF_JEQ, 0, 1, 0),
        finish(SECCOMP_RET_USER_NOTIF),
        load(low(argument) + 4),
        jump(BPF_JEQ, 0, 1, 0),
        finish(SECCOMP_RET_USER_NOTIF),
        finish(SECCOMP_RET_ALLOW),
    ];
    guard(program, number, block);
}

/// A block for one call. It ends the program, so that the number need not be loaded again behind it.
fn guard(program: &mut Vec<sock_filter>, number: c_long, block: Vec<sock_filter>) {
    let length = u8::try_from(block.len()).unwrap_or(0);
    program.push(jump(BPF_JEQ, word(number), 0, length));
    program.extend(block);
}

fn word(number: c_long) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn load(offset: u32) -> sock_filter {
    sock_filter { code: code(BPF_LD | BPF_W | BPF_ABS), jt: 0, jf: 0, k: offset }
}

fn jump(test: u32, value: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: code(BPF_JMP | test | BPF_K), jt, jf, k: value }
}

fn finish(action: u32) -> sock_filter {
    sock_filter { code: code(BPF_RET | BPF_K), jt: 0, jf: 0, k: action }
}

fn code(bits: u32) -> u16 {
    u16::try_from(bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Wanted = Wanted {
        reaches: true,
        arrives: true,
        proxied: true,
        relays: true,
        hostname: true,
        refuses_rings: true,
        keeps_sockets: true,
    };
    const LEAST: Wanted = Wanted {
        reaches: true,
        arrives: false,
        proxied: false,
        relays: false,
        hostname: false,
        refuses_rings: false,
        keeps_sockets: false,
    };

    /// Runs the program as the kernel does.
    fn run(wanted: Wanted, machine: u32, number: c_long, arguments: [u64; 6]) -> u32 {
        let program = program(wanted);
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            let is = |bits: u32| step.code == code(bits);
            if is(BPF_RET | BPF_K) {
                return step.k;
            } else if is(BPF_LD | BPF_W | BPF_ABS) {
                let index = step.k.saturating_sub(16);
                accumulator = match step.k {
                    NUMBER => word(number),
                    AUDIT => machine,
                    _ => (arguments[index as usize / 8] >> (index % 8 * 8) & 0xFFFF_FFFF) as u32,
                };
            } else {
                let holds =
                    if is(BPF_JMP | BPF_JEQ | BPF_K) { accumulator == step.k } else { accumulator >= step.k };
                at += usize::from(if holds { step.jt } else { step.jf });
            }
        }
    }

    fn catches(wanted: Wanted, number: c_long, arguments: [u64; 6]) -> bool {
        run(wanted, MACHINE, number, arguments) == SECCOMP_RET_USER_NOTIF
    }

    #[test]
    fn calls_that_take_a_path_are_caught_and_those_on_descriptors_are_not() {
        for number in [libc::SYS_openat, libc::SYS_statx, libc::SYS_connect, libc::SYS_renameat2] {
            assert!(catches(LEAST, number, [0; 6]), "{number}");
        }
        for number in
            [libc::SYS_read, libc::SYS_write, libc::SYS_mmap, libc::SYS_epoll_pwait, libc::SYS_fstat]
        {
            assert!(!catches(LEAST, number, [0; 6]), "{number}");
        }
        assert!(catches(ALL, libc::SYS_fstat, [0; 6]), "a memory file says of itself what the file there is");
    }

    #[test]
    fn only_sockets_of_the_internet_are_caught_when_they_are_made() {
        assert!(catches(LEAST, libc::SYS_socket, [2, 1, 0, 0, 0, 0]));
        assert!(catches(LEAST, libc::SYS_socket, [10, 1, 0, 0, 0, 0]));
        assert!(!catches(LEAST, libc::SYS_socket, [1, 1, 0, 0, 0, 0]));
        assert!(catches(ALL, libc::SYS_socket, [1, 1, 0, 0, 0, 0]), "unless we must make them all");
    }

    #[test]
    fn addresses_are_only_asked_for_where_they_may_be_others_than_the_kernels() {
        let asked = [libc::SYS_getsockname, libc::SYS_getpeername];
        for wanted in [ALL, Wanted { arrives: true, ..LEAST }, Wanted { relays: true, ..LEAST }] {
            assert!(asked.iter().all(|number| catches(wanted, *number, [0; 6])), "{wanted:?}");
        }
        assert!(!asked.iter().any(|number| catches(LEAST, *number, [0; 6])));
        assert!(!catches(Wanted { relays: true, ..LEAST }, libc::SYS_accept4, [0; 6]));
        assert!(catches(Wanted { arrives: true, ..LEAST }, libc::SYS_accept4, [0; 6]));
    }

    #[test]
    fn without_a_target_sockets_are_left_alone() {
        let nowhere = Wanted { reaches: false, ..ALL };
        for number in [libc::SYS_connect, libc::SYS_socket, libc::SYS_recvmsg, libc::SYS_bind] {
            assert!(!catches(nowhere, number, [2, 0, 0, 0, 0, 0]), "{number}");
        }
        assert!(catches(nowhere, libc::SYS_openat, [0; 6]));
    }

    #[test]
    fn a_send_without_an_address_is_not_caught() {
        assert!(!catches(LEAST, libc::SYS_sendto, [3, 4, 5, 0, 0, 0]));
        assert!(catches(LEAST, libc::SYS_sendto, [3, 4, 5, 0, 1 << 40, 16]));
        assert!(catches(LEAST, libc::SYS_sendto, [3, 4, 5, 0, 0x1000, 16]));
    }

    #[test]
    fn rings_and_names_are_caught_where_they_are_to_be() {
        assert!(catches(ALL, libc::SYS_io_uring_setup, [0; 6]) && catches(ALL, libc::SYS_uname, [0; 6]));
        assert!(
            !catches(LEAST, libc::SYS_io_uring_setup, [0; 6]) && !catches(LEAST, libc::SYS_uname, [0; 6])
        );
    }

    #[test]
    fn calls_of_32_bits_are_told_of_and_those_of_other_machines_let_through() {
        for number in calls::of_narrow() {
            assert_eq!(run(ALL, NARROW, number.into(), [0; 6]), SECCOMP_RET_USER_NOTIF);
        }
        assert_eq!(run(ALL, NARROW, 1, [0; 6]), SECCOMP_RET_ALLOW);
        assert_eq!(run(ALL, 0x4000_0099, libc::SYS_openat, [0; 6]), SECCOMP_RET_ALLOW);
    }

    #[test]
    fn there_is_no_x32() {
        let refused = SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
        assert_eq!(run(ALL, MACHINE, 0x4000_0000 | libc::SYS_openat, [0; 6]), refused);
    }
}
