//! The guests of parity: real programs, to be run bare inside a pod and as guests outside.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use crate::{
    pod::Pod,
    programs::{built, repository, system},
    session::Session,
};

/// Who runs a guest's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tongue {
    /// bash.
    Shell,
    /// Debian's Python 3.
    Python,
    /// node.
    Node,
    /// The C compiler, first.
    C,
}

/// A program of `tests/guests`.
#[derive(Clone, Copy, Debug)]
pub struct Guest {
    /// Who runs it.
    pub tongue: Tongue,
    /// Its file, without the ending.
    pub name: &'static str,
}

impl Guest {
    /// Why it cannot run on this machine, if it cannot.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let programs: &[&str] = match (self.tongue, self.name) {
            (Tongue::Shell, "curl") => &["bash", "curl"],
            (Tongue::Shell, "redis") => &["bash", "redis-cli", "redis-server"],
            (Tongue::Shell, "names") => &["bash", "dig"],
            (Tongue::Shell, _) => &["bash"],
            (Tongue::Python, _) => &["python3"],
            (Tongue::Node, _) => &["node"],
            (Tongue::C, _) => &["gcc"],
        };
        let missing: Vec<&str> = programs.iter().copied().filter(|it| system(it).is_none()).collect();
        (!missing.is_empty()).then(|| format!("{} needs {}", self.name, missing.join(" and ")))
    }

    /// Inside the pod, bare.
    #[must_use]
    pub fn inside(&self, pod: &Pod) -> Command {
        let mut command = match self.tongue {
            Tongue::C => {
                let there = format!("/opt/{}", self.name);
                fs::create_dir_all(pod.path("/opt")).unwrap();
                let copy = pod.path(&there);
                if !copy.exists() {
                    fs::copy(compile(self.name), &copy).unwrap();
                }
                pod.command_in("/tmp", there)
            }
            _ => pod.command_in("/tmp", self.interpreter()),
        };
        command.args(self.text());
        command
    }

    /// Outside, as a guest.
    #[must_use]
    pub fn outside(&self, session: &Session) -> Command {
        let program = if self.tongue == Tongue::C { compile(self.name) } else { self.interpreter() };
        let mut command = session.command(&program);
        command.args(self.text());
        command
    }

    fn interpreter(&self) -> PathBuf {
        let name = match self.tongue {
            Tongue::Shell => "bash",
            Tongue::Python => "python3",
            Tongue::Node => "node",
            Tongue::C => "cc",
        };
        system(name).unwrap()
    }

    /// The text goes as an argument, so that it need not be a file in two places.
    fn text(&self) -> Vec<String> {
        let (flag, folder, ending) = match self.tongue {
            Tongue::Shell => ("-c", "sh", "sh"),
            Tongue::Python => ("-c", "python", "py"),
            Tongue::Node => ("-e", "node", "js"),
            Tongue::C => return Vec::new(),
        };
        let path = guests().join(folder).join(format!("{}.{ending}", self.name));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        vec![flag.to_owned(), text]
    }
}

/// The folder of the guests' texts.
#[must_use]
pub fn guests() -> PathBuf {
    repository().join("tests/guests")
}

/// Compiles a guest in C, once for each run of the tests.
///
/// # Panics
/// When the compiler has something against it.
#[must_use]
pub fn compile(name: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _held = ONE_AT_A_TIME.lock();
    let source = guests().join("c").join(format!("{name}.c"));
    let folder = built().join("guests");
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join(name);
    let changed = |path: &Path| path.metadata().and_then(|it| it.modified()).ok();
    if changed(&program) < changed(&source) || changed(&program) < changed(&guests().join("c/story.h")) {
        let fresh = folder.join(format!("{name}.{}", std::process::id()));
        let mut compiler = Command::new("gcc");
        compiler.args(["-O1", "-w", "-o"]).arg(&fresh).arg(&source).args(["-lresolv", "-lpthread"]);
        assert!(compiler.status().unwrap().success(), "cannot compile {}", source.display());
        fs::rename(fresh, &program).unwrap();
    }
    program
}
