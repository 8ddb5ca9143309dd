//! Lays the session into the environment, then becomes the guest.

use std::{
    convert::Infallible,
    ffi::{CString, NulError, OsStr, OsString},
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use mirrord_protocol::proxy::names::{PROXY_ADDRESS, SESSION_ID};
use nix::{errno::Errno, unistd::execve};
use thiserror::Error;

use crate::{
    environment::Variables,
    inherited,
    report::{CANNOT_BE_RUN, Explain, NOT_FOUND},
    supervisor::start::{SuperviseError, Supervision},
};

/// What the dynamic loader loads before the program (`ld.so(8)`).
pub(crate) const PRELOAD: &str = "LD_PRELOAD";

/// What runs a script that does not say what runs it, as in `execvp(3)`.
const SHELL: &str = "/bin/sh";

/// Why the command did not become the guest.
#[derive(Debug, Error)]
pub(crate) enum BecomeError {
    /// Arguments and environment are more than the kernel takes.
    #[error("cannot run `{}`: its arguments and its environment, of {n_bytes} bytes, are too large", program.display())]
    TooLarge { program: PathBuf, n_bytes: usize },
    /// A script whose interpreter is missing, a program of another machine.
    #[error("cannot run `{}`", program.display())]
    Refused {
        program: PathBuf,
        #[source]
        why: Errno,
    },
    /// Nobody would answer its calls.
    #[error(transparent)]
    Unsupervised(#[from] SuperviseError),
    /// The user's argument, or the target's variable, has a zero inside.
    #[error("an argument or a variable of `{}` has a zero byte inside", program.display())]
    Zero {
        program: PathBuf,
        #[source]
        why: NulError,
    },
}

impl Explain for BecomeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::TooLarge { .. } => Some(
                "take fewer of the target's variables, with `feature.env.include` or `exclude`".to_owned(),
            ),
            Self::Refused { why: Errno::ENOENT, .. } => {
                Some("it is there, but what it names as its interpreter or loader is not".to_owned())
            }
            Self::Refused { why: Errno::ENOEXEC, .. } => {
                Some("it is no program of this machine: build it for this one".to_owned())
            }
            Self::Unsupervised(why) => why.hint(),
            _ => None,
        }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Refused { why: Errno::ENOENT, .. } => NOT_FOUND,
            _ => CANNOT_BE_RUN,
        }
    }
}

/// What the guest needs to know of its session.
#[derive(Debug)]
pub(crate) struct Injection<'a> {
    /// The layer's file; none if the program cannot take it.
    pub(crate) layer: Option<&'a Path>,
    /// Where the proxy listens.
    pub(crate) address: &'a str,
    /// The session's id.
    pub(crate) session_id: &'a str,
}

impl Injection<'_> {
    /// Adds what the session adds. A preloaded library of the user's stays, before ours.
    pub(crate) fn lay_into(&self, variables: &mut Variables) {
        if let Some(layer) = self.layer {
            let mut preload = match variables.get(PRELOAD) {
                Some(theirs) if !theirs.is_empty() => {
                    let mut theirs = theirs.to_owned();
                    theirs.push(":");
                    theirs
                }
                _ => OsString::new(),
            };
            preload.push(layer);
            variables.set(PRELOAD, preload);
        }
        variables.set(PROXY_ADDRESS, self.address);
        variables.set(SESSION_ID, self.session_id);
        variables.set(crate::progress::MODE_VARIABLE, "off");
    }
}

/// Becomes the program: the same process, terminal, group, descriptors, signals; supervised, if it is to be.
pub(crate) fn become_guest(
    program: &Path,
    command: &[OsString],
    variables: Variables,
    supervision: Option<Supervision>,
) -> Result<Infallible, BecomeError> {
    let zero = |why| BecomeError::Zero { program: program.to_owned(), why };
    let n_bytes = variables.size() + command.iter().map(|word| word.len() + 1).sum::<usize>();
    let path = text(program.as_os_str()).map_err(zero)?;
    let mut words = command.iter().map(|word| text(word)).collect::<Result<Vec<_>, _>>().map_err(zero)?;
    let assignments =
        variables.into_assignments().map(CString::new).collect::<Result<Vec<_>, _>>().map_err(zero)?;
    if let Some(supervision) = supervision {
        supervision.begin()?;
    }
    inherited::give_back();
    let mut why = execve(&path, &words, &assignments).err().unwrap_or(Errno::UnknownErrno);
    if why == Errno::ENOEXEC && is_text(program) {
        let shell = text(OsStr::new(SHELL)).map_err(zero)?;
        words.splice(..1.min(words.len()), [shell.clone(), path]);
        why = execve(&shell, &words, &assignments).err().unwrap_or(Errno::UnknownErrno);
    }
    inherited::take_again();
    let program = program.to_owned();
    Err(match why {
        Errno::E2BIG => BecomeError::TooLarge { program, n_bytes },
        why => BecomeError::Refused { program, why },
    })
}

fn text(words: &OsStr) -> Result<CString, NulError> {
    CString::new(words.to_owned().into_vec())
}

/// Whether a shell could make anything of a file: as shells themselves judge, there is no zero in its first line.
fn is_text(program: &Path) -> bool {
    let mut start = [0; 128];
    let read = std::fs::File::open(program).and_then(|mut file| std::io::Read::read(&mut file, &mut start));
    read.is_ok_and(|n_read| {
        let first_line = start[..n_read].split(|byte| *byte == b'\n').next().unwrap_or_default();
        !first_line.contains(&0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_the_user_preloads_stays_before_ours() {
        let injection = Injection { layer: Some(Path::new("/x/layer.so")), address: "@a", session_id: "1f" };
        let mut variables = Variables::default();
        injection.lay_into(&mut variables);
        assert_eq!(variables.get(PRELOAD).unwrap(), "/x/layer.so");
        variables.set(PRELOAD, "/their.so");
        injection.lay_into(&mut variables);
        assert_eq!(variables.get(PRELOAD).unwrap(), "/their.so:/x/layer.so");
        assert_eq!(variables.get(PROXY_ADDRESS).unwrap(), "@a");
        assert_eq!(variables.get("MIRRORD_PROGRESS_MODE").unwrap(), "off");
    }

    #[test]
    fn a_program_that_the_layer_cannot_enter_is_not_given_it() {
        let injection = Injection { layer: None, address: "@a", session_id: "1f" };
        let mut variables = Variables::default();
        injection.lay_into(&mut variables);
        assert_eq!(variables.get(PRELOAD), None);
    }
}
