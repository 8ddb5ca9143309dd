//! Looks at the program first: static, set-uid, not glibc, another machine's, Go without libc, scrubbed environment.
//!
//! Silence is an error: whatever the engine cannot enter is told before the guest starts.

mod elf;
mod script;

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use elf::Elf;
use mirrord_core::rules::process::ProcessRules;
use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::program;

/// As deep as the kernel follows interpreters, and as we follow `env`.
const DEEPEST: usize = 5;

/// Something that will not work, and what can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What will not work, and why.
    pub(crate) what: String,
    /// What the developer can do.
    pub(crate) hint: String,
}

/// A program that the layer cannot enter, and the supervisor can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// Why, in a clause.
    pub(crate) why: String,
    /// What does not work by the layer.
    pub(crate) finding: Finding,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// What the developer should read, whatever the engine.
    pub(crate) findings: Vec<Finding>,
    /// What the layer cannot enter.
    pub(crate) beyond_layer: Vec<Beyond>,
    /// Whether the program's loader may be told of the layer. Another C library's loader would fail on it.
    pub(crate) takes_layer: bool,
}

/// Looks at a command: the file that it means, and what that file in turn starts.
pub(crate) fn inspect(
    program: &Path,
    command: &[OsString],
    path: Option<&OsStr>,
    rules: &ProcessRules,
) -> Inspection {
    let mut inspector = Inspector {
        path,
        rules,
        found: Inspection { findings: Vec::new(), beyond_layer: Vec::new(), takes_layer: true },
        chain: Vec::new(),
    };
    inspector.follow(program.to_owned(), command);
    inspector.found
}

struct Inspector<'a> {
    path: Option<&'a OsStr>,
    rules: &'a ProcessRules,
    found: Inspection,
    /// What has been followed.
    chain: Vec<PathBuf>,
}

impl Inspector<'_> {
    fn say(&mut self, what: String, hint: impl Into<String>) {
        self.found.findings.push(Finding { what, hint: hint.into() });
    }

    /// What only the supervisor can enter.
    fn beyond(&mut self, why: String, hint: &str) {
        let what = format!("{why}; mirrord cannot see its file and network calls");
        self.found.beyond_layer.push(Beyond { why, finding: Finding { what, hint: hint.to_owned() } });
    }

    /// Looks at one program and its words; goes on with what it starts in its own place.
    fn follow(&mut self, program: PathBuf, words: &[OsString]) {
        self.look_at_name(&program, words);
        self.look_at_privileges(&program);
        let next = if let Some(interpreter) = script::interpreter(&program) {
            Some(interpreter.with_script(&program, words))
        } else {
            self.look_at_elf(&program);
            script::started_by_env(&program, words).and_then(|words| self.of_env(&program, words))
        };
        self.chain.push(program);
        if let Some((program, words)) = next
            && self.chain.len() < DEEPEST
        {
            self.follow(program, &words);
        }
    }

    /// What `env` starts, after a word about what it takes away.
    fn of_env(&mut self, program: &Path, started: script::Started) -> Option<(PathBuf, Vec<OsString>)> {
        if started.is_scrubbed {
            self.say(
                format!("`{}` clears the environment; what it starts is not a guest", program.display()),
                "leave out `-i`, or put mirrord behind it: `env -i … mirrord exec …`",
            );
        }
        let program = program::find(started.words.first()?, self.path).ok()?;
        Some((program, started.words))
    }

    fn look_at_name(&mut self, program: &Path, words: &[OsString]) {
        let last = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let called = words.first().map(|word| last(Path::new(word))).unwrap_or_default();
        let file = last(&fs::canonicalize(program).unwrap_or_else(|_| program.to_owned()));
        if self.rules.skips(&file, &called) {
            let hint = "take it out of `skip_processes`, or set `skip_build_tools` to false, if it should be a guest";
            self.say(
                format!("`{called}` is one of the programs to skip; only what it starts is a guest"),
                hint,
            );
        }
        match called.as_str() {
            "sudo" | "doas" | "pkexec" | "su" | "runuser" => self.say(
                format!("`{called}` starts its command with another user's environment; that is not a guest"),
                format!("put mirrord behind it: `{called} … mirrord exec …`"),
            ),
            "docker" | "podman" | "nerdctl" => self.say(
                format!("`{called}` starts containers; what runs in them is not a guest"),
                "run the program itself, without a container",
            ),
            "systemd-run" | "at" | "batch" => self.say(
                format!("`{called}` lets a service start its command; that is not a guest"),
                format!("put mirrord behind it: `{called} … mirrord exec …`"),
            ),
            _ => {}
        }
    }

    fn look_at_privileges(&mut self, program: &Path) {
        if let Some(gains) = gained_privileges(program) {
            self.say(
                format!(
                    "`{}` {gains}, so its loader ignores the layer; it is not a guest",
                    program.display()
                ),
                format!("run a copy, which is yours: `cp {} /tmp`", program.display()),
            );
        }
    }

    fn look_at_elf(&mut self, program: &Path) {
        let name = program.display();
        let Some(elf) = Elf::read(program) else { return };
        match elf {
            Elf { is_of_this_machine: false, .. } => {
                self.found.takes_layer = false;
                self.say(
                    format!("`{name}` is built for another kind of machine; mirrord cannot see its calls"),
                    "build it for this one",
                );
            }
            Elf { is_go: true, .. } => self.beyond(
                format!("`{name}` is written in Go, which calls the kernel without libc"),
                "only its environment is the target's; built with `gccgo`, it is a guest like any other",
            ),
            Elf { interpreter: None, .. } if is_loader(program) => {}
            Elf { interpreter: None, .. } => self.beyond(
                format!("`{name}` is statically linked"),
                "build it with dynamic linking; only its environment is the target's",
            ),
            Elf { interpreter: Some(interpreter), .. } if !is_glibc(&interpreter) => {
                self.found.takes_layer = false;
                self.beyond(
                    format!(
                        "`{name}` is linked with another C library than glibc (its loader is `{interpreter}`)"
                    ),
                    "build it for glibc; only its environment is the target's",
                );
            }
            Elf { .. } => {}
        }
    }
}

/// What a program gains when it is run, which makes its loader careful (`AT_SECURE` of `getauxval(3)`).
fn gained_privileges(program: &Path) -> Option<&'static str> {
    let metadata = fs::metadata(program).ok()?;
    if statvfs(program).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOSUID)) {
        return None;
    }
    let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let mode = metadata.mode();
    if mode & libc::S_ISUID != 0 && metadata.uid() != user {
        return Some("runs as its owner (set-uid)");
    }
    // Without the right to run it for the group, the bit means something else.
    if mode & libc::S_ISGID != 0 && mode & libc::S_IXGRP != 0 && metadata.gid() != group {
        return Some("runs as its group (set-gid)");
    }
    let has_capabilities = rustix::fs::getxattr(program, "security.capability", &mut [0_u8; 64]).is_ok();
    (has_capabilities && user != 0).then_some("has capabilities of its own")
}

fn is_glibc(interpreter: &str) -> bool {
    is_loader(Path::new(interpreter))
}

/// Whether a file is the loader of glibc, which loads the layer itself when it is run as a program.
fn is_loader(program: &Path) -> bool {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("ld-linux") || name.starts_with("ld64") || name == "ld.so" || name.starts_with("ld-2.")
}

#[cfg(test)]
mod tests;
