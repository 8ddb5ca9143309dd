//! Where the workspace stands, and how cargo is run in it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// Where cargo puts what it has built.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), |it| workspace().join(it))
}

/// Cargo, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// Runs a command, and makes its failure ours.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let words = words_of(command);
    let status = command.status().map_err(|error| format!("cannot run `{words}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{words}` failed ({status})")) }
}

/// A command, as one would type it.
pub(crate) fn words_of(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    command.get_args().fold(program.into_owned(), |words, it| words + " " + &it.to_string_lossy())
}

/// Where a program is, if it is anywhere.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let extra = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(extra).map(|folder| folder.join(program)).find(|it| it.is_file())
}

/// Sends a signal. A small Debian has no program for that, but every shell has a command.
pub(crate) fn signal(name: &str, pid: &str) -> std::io::Result<()> {
    Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, pid]).status().map(drop)
}
