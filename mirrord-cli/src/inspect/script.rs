//! What starts something else in its own place: a script its interpreter, `env` its command.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::Read,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// As much of a script's first line as the kernel reads (`execve(2)`).
const LONGEST_LINE: u64 = 256;

/// What a script's first line names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interpreter {
    program: PathBuf,
    argument: Option<OsString>,
}

/// What a script says that runs it; nothing if the file is no script.
pub(super) fn interpreter(script: &Path) -> Option<Interpreter> {
    let mut start = Vec::new();
    File::open(script).ok()?.take(LONGEST_LINE).read_to_end(&mut start).ok()?;
    parse(&start)
}

fn parse(start: &[u8]) -> Option<Interpreter> {
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?.trim_ascii();
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (program, rest) = line.split_at(end);
    let argument = rest.trim_ascii();
    (!program.is_empty()).then(|| Interpreter {
        program: PathBuf::from(OsStr::from_bytes(program)),
        // The kernel hands on the rest of the line as one argument.
        argument: (!argument.is_empty()).then(|| OsStr::from_bytes(argument).to_owned()),
    })
}

impl Interpreter {
    /// What the kernel runs instead of the script, and with which words.
    pub(super) fn with_script(self, script: &Path, words: &[OsString]) -> (PathBuf, Vec<OsString>) {
        let mut all = vec![self.program.clone().into_os_string()];
        all.extend(self.argument);
        all.push(script.into());
        all.extend(words.iter().skip(1).cloned());
        (self.program, all)
    }
}

/// What `env` starts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Started {
    /// The command.
    pub(super) words: Vec<OsString>,
    /// Whether it gets none of our environment, or not the part that makes it a guest.
    pub(super) is_scrubbed: bool,
}

/// What a command starts, if it is `env(1)`.
pub(super) fn started_by_env(program: &Path, words: &[OsString]) -> Option<Started> {
    (program.file_name()? == "env").then(|| parse_env(words.iter().skip(1).cloned().collect()))
}

fn parse_env(words: Vec<OsString>) -> Started {
    let mut started = Started::default();
    let mut left = words.into_iter().collect::<std::collections::VecDeque<_>>();
    while let Some(word) = left.pop_front() {
        let text = word.to_string_lossy().into_owned();
        match text.as_str() {
            "-" | "-i" | "--ignore-environment" | "-uLD_PRELOAD" | "--unset=LD_PRELOAD" => {
                started.is_scrubbed = true;
            }
            "-u" | "--unset" => {
                started.is_scrubbed |= left.pop_front().is_some_and(|name| name == "LD_PRELOAD");
            }
            "-C" | "--chdir" => drop(left.pop_front()),
            "-S" | "--split-string" => {
                let line = left.pop_front().unwrap_or_default();
                put_first(&mut left, &line.to_string_lossy());
            }
            "--" => {
                started.words = left.into();
                return started;
            }
            _ if text.starts_with("-S") => put_first(&mut left, &text[2..]),
            _ if text.starts_with('-') => {}
            _ if text.contains('=') => {}
            _ => {
                left.push_front(word);
                started.words = left.into();
                return started;
            }
        }
    }
    started
}

fn put_first(left: &mut std::collections::VecDeque<OsString>, line: &str) {
    for word in line.split_whitespace().rev() {
        left.push_front(word.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn a_first_line_names_a_program_and_one_argument() {
        let named = |line: &str| {
            parse(line.as_bytes()).map(|found| {
                (found.program.display().to_string(), found.argument.map(|word| word.into_string().unwrap()))
            })
        };
        assert_eq!(named("#!/bin/sh\necho"), Some(("/bin/sh".into(), None)));
        assert_eq!(
            named("#! /usr/bin/env  -S python3 -u \n"),
            Some(("/usr/bin/env".into(), Some("-S python3 -u".into())))
        );
        assert_eq!(named("#!\n"), None);
        assert_eq!(named("echo"), None);
        assert_eq!(named(""), None);
    }

    #[test]
    fn what_env_starts_is_behind_its_options_and_variables() {
        for (line, expected, is_scrubbed) in [
            ("A=1 B=2 ls -l", "ls -l", false),
            ("-i ls", "ls", true),
            ("- ls", "ls", true),
            ("-u HOME ls", "ls", false),
            ("-u LD_PRELOAD ls", "ls", true),
            ("-C / ls", "ls", false),
            ("-- ls", "ls", false),
            ("-S python3 x.py", "python3 x.py", false),
            ("A=1", "", false),
        ] {
            assert_eq!(parse_env(words(line)), Started { words: words(expected), is_scrubbed }, "{line}");
        }
        let one_argument = vec!["-S python3 -u".into(), "x.py".into()];
        assert_eq!(parse_env(one_argument).words, words("python3 -u x.py"));
    }
}
