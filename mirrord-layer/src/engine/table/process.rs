//! The rows of processes: how a guest's children stay guests.

use libc::{c_char, c_int, c_void, pid_t};

waiting_rows! {
    before fn execve(path: *const c_char, arguments: *const *const c_char, variables: *const *const c_char) -> c_int
        = process::exec::execve, "always";
    before fn execv(path: *const c_char, arguments: *const *const c_char) -> c_int = process::exec::execv, "always";
    before fn execvp(file: *const c_char, arguments: *const *const c_char) -> c_int
        = process::exec::execvp, "always";
    before fn execvpe(file: *const c_char, arguments: *const *const c_char, variables: *const *const c_char) -> c_int
        = process::exec::execvpe, "always";
    before fn fexecve(fd: c_int, arguments: *const *const c_char, variables: *const *const c_char) -> c_int
        = process::exec::fexecve, "always";
    before fn execveat(
        dir: c_int, path: *const c_char, arguments: *const *const c_char, variables: *const *const c_char,
        flags: c_int,
    ) -> c_int = process::exec::execveat, "always";
    before fn posix_spawn(
        child: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void,
        arguments: *const *const c_char, variables: *const *const c_char,
    ) -> c_int = process::spawn::posix_spawn, "always";
    before fn posix_spawnp(
        child: *mut pid_t, file: *const c_char, actions: *const c_void, attributes: *const c_void,
        arguments: *const *const c_char, variables: *const *const c_char,
    ) -> c_int = process::spawn::posix_spawnp, "always";
    before fn system(command: *const c_char) -> c_int = process::spawn::system, "always";
    before fn popen(command: *const c_char, mode: *const c_char) -> *mut libc::FILE
        = process::spawn::popen, "always";
}

listed_rows! {
    fn execl(...) = process::listed::execl, "always";
    fn execlp(...) = process::listed::execlp, "always";
    fn execle(...) = process::listed::execle, "always";
}
