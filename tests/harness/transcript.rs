//! What a program said and how it ended, so that two runs can be compared.

use std::{
    fmt,
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Longer than this takes no guest: it hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// A run of a program, told by itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Transcript {
    /// What it said.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
    /// Its exit code, or 128 and the signal that ended it; none if it had to be ended.
    pub code: Option<i32>,
}

impl Transcript {
    /// Runs a program to its end. Its words go to files, so that a child that outlives it holds nobody up.
    pub fn of(command: &mut Command) -> Self {
        let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(err.try_clone().unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if start.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Self { stdout: text_of(&mut out), stderr: text_of(&mut err), code: status.map(code_of) }
    }

    /// What differs from another run, if anything does: line by line.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self == other {
            return None;
        }
        let mut lines = Vec::new();
        for (name, mine, theirs) in
            [("err", &self.stderr, &other.stderr), ("out", &self.stdout, &other.stdout)]
        {
            let (mine, theirs): (Vec<_>, Vec<_>) = (mine.lines().collect(), theirs.lines().collect());
            for index in 0..mine.len().max(theirs.len()) {
                let (inside, outside) = (mine.get(index), theirs.get(index));
                if inside != outside && lines.len() < 30 {
                    let shown = |line: Option<&&str>| line.map_or("(nothing)", |it| it).to_owned();
                    lines.push(format!("{name} {}: inside  {}", index + 1, shown(inside)));
                    lines.push(format!("{name} {}: outside {}", index + 1, shown(outside)));
                }
            }
        }
        if self.code != other.code {
            lines.push(format!(
                "code: inside {:?}, outside {:?} (none: it did not end)",
                self.code, other.code
            ));
        }
        Some(lines.join("\n"))
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code {:?}\n--- out\n{}--- err\n{}", self.code, self.stdout, self.stderr)
    }
}

fn text_of(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn code_of(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
