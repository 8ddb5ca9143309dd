//! Where the program of a command is: through `PATH`, as `execvp(3)` looks for it.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};
use thiserror::Error;

use crate::report::{CANNOT_BE_RUN, Explain, NOT_FOUND};

/// Where `execvp(3)` looks if there is no `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Why there is nothing to run: the user's fault.
#[derive(Debug, Error)]
#[expect(clippy::enum_variant_names, reason = "each says what was not so")]
pub(crate) enum FindError {
    /// Nowhere on the path.
    #[error("cannot find the command `{}`", .0.display())]
    NotOnPath(OsString),
    /// Not where its path points to.
    #[error("cannot find the command `{}`", program.display())]
    NotThere {
        program: PathBuf,
        #[source]
        why: io::Error,
    },
    /// It is there, but no program, or not ours to run.
    #[error("cannot run `{}`", program.display())]
    NotRunnable {
        program: PathBuf,
        #[source]
        why: io::Error,
    },
}

impl Explain for FindError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotOnPath(_) => "check its spelling and `PATH`, or give its path".to_owned(),
            Self::NotThere { .. } => "give the path of a program that exists".to_owned(),
            Self::NotRunnable { why, .. } if why.kind() == io::ErrorKind::IsADirectory => {
                "name a program, not a folder".to_owned()
            }
            Self::NotRunnable { program, .. } => {
                format!("make it executable with `chmod +x {}`", program.display())
            }
        })
    }

    fn code(&self) -> u8 {
        match self {
            Self::NotOnPath(_) | Self::NotThere { .. } => NOT_FOUND,
            Self::NotRunnable { .. } => CANNOT_BE_RUN,
        }
    }
}

/// The file that a command's first word means.
pub(crate) fn find(word: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, FindError> {
    if word.as_bytes().contains(&b'/') {
        let program = PathBuf::from(word);
        return match check(&program) {
            Ok(()) => Ok(program),
            Err(why) if is_missing(&why) => Err(FindError::NotThere { program, why }),
            Err(why) => Err(FindError::NotRunnable { program, why }),
        };
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let mut not_runnable = None;
    for folder in path.as_bytes().split(|byte| *byte == b':').filter(|_| !word.is_empty()) {
        let folder = if folder.is_empty() { b"." } else { folder };
        let program = Path::new(OsStr::from_bytes(folder)).join(word);
        match check(&program) {
            Ok(()) => return Ok(program),
            Err(why) if is_missing(&why) => {}
            Err(why) => not_runnable = not_runnable.or(Some(FindError::NotRunnable { program, why })),
        }
    }
    // A folder on the path that is called like the command does not hide that there is no such command.
    Err(match not_runnable {
        Some(FindError::NotRunnable { program, why }) if why.kind() != io::ErrorKind::IsADirectory => {
            FindError::NotRunnable { program, why }
        }
        _ => FindError::NotOnPath(word.to_owned()),
    })
}

fn check(program: &Path) -> io::Result<()> {
    if fs::metadata(program)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    access(program, Access::EXEC_OK).map_err(io::Error::from)
}

fn is_missing(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_word_is_found_in_the_first_folder_that_has_a_program_of_that_name() {
        let folder = tempfile::tempdir().unwrap();
        let [plain, program] = ["plain", "program"].map(|name| folder.path().join(name));
        for path in [&plain, &program] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("tool"), "").unwrap();
        }
        fs::set_permissions(program.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        let both = format!("/nowhere::{}:{}", plain.display(), program.display());
        assert_eq!(find("tool".as_ref(), Some(both.as_ref())).unwrap(), program.join("tool"));
        let only_plain = find("tool".as_ref(), Some(plain.as_ref())).unwrap_err();
        assert_eq!(only_plain.code(), CANNOT_BE_RUN);
        assert_eq!(find("plain".as_ref(), Some(folder.path().as_ref())).unwrap_err().code(), NOT_FOUND);
    }

    #[test]
    fn what_is_not_there_is_127_and_what_cannot_be_run_126() {
        let code = |word: &str| find(word.as_ref(), None).unwrap_err().code();
        assert_eq!(code("no-such-command-at-all"), NOT_FOUND);
        assert_eq!(code(""), NOT_FOUND);
        assert_eq!(code("/no/such/command"), NOT_FOUND);
        assert_eq!(code("/etc"), CANNOT_BE_RUN);
        assert_eq!(code("/etc/passwd"), CANNOT_BE_RUN);
        assert_eq!(code("/etc/passwd/x"), NOT_FOUND);
    }
}
