//! Where the programs of a story are found.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The folder in which cargo has put what it built for this test.
#[must_use]
pub fn built() -> PathBuf {
    let this = env::current_exe().expect("a test knows its own program");
    let folder = this.parent().expect("it stands in a folder");
    if folder.ends_with("deps") {
        folder.parent().expect("deps has a parent").to_owned()
    } else {
        folder.to_owned()
    }
}

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package stands in the repository").to_owned()
}

/// `mirrord`, as built for this run.
///
/// # Panics
/// When it was not built: `cargo xtask test` builds it.
#[must_use]
pub fn mirrord() -> PathBuf {
    let path = env::var_os("MIRRORD_TEST_BINARY").map_or_else(|| built().join("mirrord"), PathBuf::from);
    assert!(path.exists(), "`{}` is missing: run `cargo xtask test`, or `cargo xtask build`", path.display());
    path
}

/// What of the surroundings of these tests is not part of a story: what their developer has set, and the folders in
/// which cargo has whatever it runs look for libraries, which each guest would look into on the target.
const NOT_OF_THE_STORY: [&str; 4] = ["MIRRORD_CONFIG_FILE", "MIRRORD_LOG", "LD_PRELOAD", "LD_LIBRARY_PATH"];

/// The command `mirrord`, as a story starts it.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new(mirrord());
    forget_surroundings(&mut command);
    command
}

/// The same for whatever else starts it.
pub fn forget_surroundings(command: &mut Command) {
    for name in NOT_OF_THE_STORY {
        command.env_remove(name);
    }
}

/// A program of this machine that the pod has, too, so that both runs are of the same file.
#[must_use]
pub fn system(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/lib/postgresql/15/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|it| it.exists())
}

/// Copies a program by another process: what a process has open for writing, a child of another thread of it may
/// still hold when the copy is to be started (`ETXTBSY`).
///
/// # Panics
/// When it cannot be copied.
pub fn copy(program: &Path, to: &Path) {
    let status =
        Command::new("cp").arg("--preserve=mode").args([program, to]).status().expect("cp can be started");
    assert!(status.success(), "cannot copy `{}` to `{}`", program.display(), to.display());
}
