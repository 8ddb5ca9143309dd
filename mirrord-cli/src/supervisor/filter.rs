//! Which calls are caught: a program for the kernel (`seccomp(2)`), which all that the guest starts inherit.
//!
//! A call that is caught costs microseconds, one that is not nothing: the kernel remembers calls that are always let
//! through. So calls are told apart by their arguments where a number says enough.

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW,
    SECCOMP_RET_USER_NOTIF, c_long, sock_filter,
};

use super::calls;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;

/// Calls of the x32 interface begin here; hardly a kernel has them.
const X32: u32 = 0x4000_0000;

const NUMBER: u32 = 0;
const MACHINE: u32 = 4;

/// Where the low half of an argument lies.
const fn low(argument: u32) -> u32 {
    16 + 8 * argument
}

/// What the session needs caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Sockets and files are proxied: more calls see the difference.
    pub(super) proxied: bool,
    /// The host's name is the target's.
    pub(super) hostname: bool,
    /// Rings are refused.
    pub(super) refuses_rings: bool,
}

/// The program.
pub(super) fn program(wanted: Wanted) -> Vec<sock_filter> {
    let mut program = vec![
        load(MACHINE),
        // Another machine's calls have other numbers.
        jump(BPF_JEQ, ARCHITECTURE, 1, 0),
        finish(SECCOMP_RET_ALLOW),
        load(NUMBER),
        jump(BPF_JGE, X32, 0, 1),
        finish(SECCOMP_RET_ALLOW),
    ];
    for number in calls::of_files().chain(calls::of_sockets()) {
        catch(&mut program, number);
    }
    catch_if(&mut program, libc::SYS_socket, 0, &[libc::AF_INET, libc::AF_INET6]);
    catch_if_given(&mut program, libc::SYS_sendto, 4);
    if wanted.proxied {
        calls::of_the_proxied().for_each(|number| catch(&mut program, number));
        catch_if_given(&mut program, libc::SYS_recvfrom, 4);
        catch_if(&mut program, libc::SYS_getsockopt, 2, &[libc::SO_ERROR]);
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

    const ALL: Wanted = Wanted { proxied: true, hostname: true, refuses_rings: true };
    const LEAST: Wanted = Wanted { proxied: false, hostname: false, refuses_rings: false };

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
                    MACHINE => machine,
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
        run(wanted, ARCHITECTURE, number, arguments) == SECCOMP_RET_USER_NOTIF
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
    fn another_machines_calls_are_let_through() {
        assert_eq!(run(ALL, 0x4000_0003, libc::SYS_openat, [0; 6]), SECCOMP_RET_ALLOW);
        assert_eq!(run(ALL, ARCHITECTURE, 0x4000_0000 | libc::SYS_openat, [0; 6]), SECCOMP_RET_ALLOW);
    }
}
