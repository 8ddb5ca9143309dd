//! The guests of parity: real programs, to be run bare inside a pod and as guests outside.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use crate::{
    pod::Pod,
    programs::{self, built, repository, system},
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
    /// node, asked to have its files read by `io_uring(7)`.
    NodeRings,
    /// Debian's Ruby.
    Ruby,
    /// Perl.
    Perl,
    /// PHP, with curl.
    Php,
    /// Java 17.
    Java,
    /// cargo, as a program of this package that stands on tokio.
    Rust,
    /// The C compiler, first.
    C,
    /// The same, without a loader.
    Static,
    /// The compiler of another C library, without a loader.
    Musl,
    /// The same, with a loader of its own.
    MuslLoaded,
    /// The C compiler for 32 bits, without any library.
    Narrow,
    /// Rust's compiler, without a loader.
    RustStatic,
    /// Go's compiler, without libc.
    Go,
    /// The newest that a registry has.
    GoNewest,
    /// The same, without a word of what is in it.
    GoStripped,
    /// Go's compiler, beside libc.
    GoWithC,
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
            (Tongue::Shell, "git") => &["bash", "git"],
            (Tongue::Shell, "wget") => &["bash", "wget"],
            (Tongue::Shell, "tar") => &["bash", "tar"],
            (Tongue::Shell, "psql") => &["bash", "psql", "postgres"],
            (Tongue::Shell, _) => &["bash"],
            (Tongue::Python, "queries") => &["python3", "dig"],
            (Tongue::Python, _) => &["python3"],
            (Tongue::Node | Tongue::NodeRings, _) => &["node"],
            (Tongue::Ruby, _) => &["ruby"],
            (Tongue::Perl, _) => &["perl"],
            (Tongue::Php, _) => &["php"],
            (Tongue::Java, _) => &["java", "javac", "jar"],
            (Tongue::C | Tongue::Static | Tongue::Narrow | Tongue::RustStatic, _) => &["gcc"],
            (Tongue::Musl | Tongue::MuslLoaded, _) => &["musl-gcc"],
            (Tongue::Go | Tongue::GoStripped, _) => &["go"],
            (Tongue::GoWithC, _) => &["go", "gcc"],
            (Tongue::GoNewest, _) if !newest_go().exists() => {
                return Some(format!("{} needs the newest Go, which was not to be had", self.name));
            }
            (Tongue::Rust | Tongue::GoNewest, _) => &[],
        };
        let missing: Vec<&str> = programs.iter().copied().filter(|it| system(it).is_none()).collect();
        (!missing.is_empty()).then(|| format!("{} needs {}", self.name, missing.join(" and ")))
    }

    /// Inside the pod, bare.
    #[must_use]
    pub fn inside(&self, pod: &Pod) -> Command {
        let carry = |program: &Path| {
            let there = format!("/opt/{}", program.file_name().unwrap().to_string_lossy());
            fs::create_dir_all(pod.path("/opt")).unwrap();
            let copy = pod.path(&there);
            if !copy.exists() {
                programs::copy(program, &copy);
            }
            there
        };
        match (self.interpreter(), self.tongue) {
            (Some(interpreter), Tongue::Java) => {
                let mut command = pod.command_in("/tmp", interpreter);
                command.args(JAVA).arg("-cp").arg(carry(&self.compile())).arg("Main");
                command
            }
            (Some(interpreter), _) => {
                let mut command = pod.command_in("/tmp", interpreter);
                command.args(self.text());
                command
            }
            (None, _) => pod.command_in("/tmp", carry(&self.compile())),
        }
    }

    /// Outside, as a guest.
    #[must_use]
    pub fn outside(&self, session: &Session) -> Command {
        let mut command = session.command(&self.program());
        if self.name == "git" {
            // It counts as a tool that builds, which is left alone unless somebody asks for it.
            command.env("MIRRORD_SKIP_BUILD_TOOLS", "false");
        }
        match self.tongue {
            Tongue::Java => command.args(JAVA).arg("-cp").arg(self.compile()).arg("Main"),
            _ => command.args(self.text()),
        };
        command
    }

    /// The file that is run.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.interpreter().unwrap_or_else(|| self.compile())
    }

    /// Compiles it, once for each run of the tests.
    fn compile(&self) -> PathBuf {
        let c: &[&str] = &["-O1", "-w"];
        let libraries: &[&str] = &["-lresolv", "-lpthread"];
        match self.tongue {
            Tongue::Rust => return built().join(format!("{}-guest", self.name)),
            Tongue::Java => return archive(self.name),
            _ => {}
        }
        let bare =
            ["-m32", "-nostdlib", "-ffreestanding", "-fno-pie", "-no-pie", "-fno-stack-protector", "-static"];
        let rust = ["--edition=2024", "-O", "-C", "target-feature=+crt-static"];
        let newest = newest_go().display().to_string();
        let (how, compiler, before, behind): (_, &str, Vec<&str>, &[&str]) = match self.tongue {
            Tongue::Static => ("static", "gcc", [c, &["-static"]].concat(), libraries),
            Tongue::Musl => ("musl", "musl-gcc", [c, &["-static"]].concat(), &["-lpthread"]),
            Tongue::MuslLoaded => ("musl-loaded", "musl-gcc", c.to_vec(), &["-lpthread"]),
            Tongue::Narrow => ("narrow", "gcc", [c, &bare].concat(), &[]),
            Tongue::RustStatic => ("static", "rustc", rust.to_vec(), &[]),
            Tongue::Go => ("go", "go", vec!["build"], &[]),
            Tongue::GoNewest => ("newest", &newest, vec!["build"], &[]),
            Tongue::GoStripped => ("stripped", "go", vec!["build", "-ldflags=-s -w"], &[]),
            Tongue::GoWithC => ("cgo", "go", vec!["build", "-tags=netcgo"], &[]),
            _ => ("", "gcc", c.to_vec(), libraries),
        };
        let (folder, ending) = match self.tongue {
            Tongue::RustStatic => ("rust", "rs"),
            Tongue::Go | Tongue::GoNewest | Tongue::GoStripped | Tongue::GoWithC => ("go", "go"),
            _ => ("c", "c"),
        };
        let source = guests().join(folder).join(format!("{}.{ending}", self.name));
        build(&source, how, Command::new(compiler).args(before), behind)
    }

    fn interpreter(&self) -> Option<PathBuf> {
        let name = match self.tongue {
            Tongue::Shell => "bash",
            Tongue::Python => "python3",
            Tongue::Node => "node",
            Tongue::NodeRings => "env",
            Tongue::Ruby => "ruby",
            Tongue::Perl => "perl",
            Tongue::Php => "php",
            Tongue::Java => "java",
            _ => return None,
        };
        Some(system(name).unwrap())
    }

    /// The text goes as an argument, so that it need not be a file in two places.
    fn text(&self) -> Vec<String> {
        let (flags, folder, ending): (&[&str], _, _) = match self.tongue {
            Tongue::Shell => (&["-c"], "sh", "sh"),
            Tongue::Python => (&["-c"], "python", "py"),
            Tongue::Node => (&["-e"], "node", "js"),
            Tongue::NodeRings => (&["UV_USE_IO_URING=1", "node", "-e"], "node", "js"),
            Tongue::Ruby => (&["-e"], "ruby", "rb"),
            Tongue::Perl => (&["-e"], "perl", "pl"),
            // Without the settings of this machine, which the pod does not have.
            Tongue::Php => (&["-n", "-d", "extension=curl", "-r"], "php", "php"),
            _ => return Vec::new(),
        };
        let text = text_of(folder, &format!("{}.{ending}", self.name));
        let text = text.strip_prefix("<?php").unwrap_or(&text).to_owned();
        flags.iter().map(|flag| (*flag).to_owned()).chain([text]).collect()
    }
}

/// How Java starts soonest, and leaves nothing.
const JAVA: [&str; 5] =
    ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData", "-Xmx256m"];

/// A guest's text, or another that a story needs.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn text_of(folder: &str, name: &str) -> String {
    let path = guests().join(folder).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The folder of the guests' texts.
#[must_use]
pub fn guests() -> PathBuf {
    repository().join("tests/guests")
}

/// The newest Go that the Python package index has: `cargo xtask test` puts it there.
#[must_use]
pub fn newest_go() -> PathBuf {
    built().join("../needs/newest-go/go/bin/go")
}

/// What makes the builds of Go's compiler keep to themselves.
fn keep_go_apart(command: &mut Command) -> &mut Command {
    let cache = built().join("guests").join("go-cache");
    command.env("GOCACHE", cache).env("GOFLAGS", "").env("GOTOOLCHAIN", "local").env("GO111MODULE", "off")
}

/// Has a guest in Java compiled into one file, if what there is is older than its text.
fn archive(name: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _held = ONE_AT_A_TIME.lock();
    let source = guests().join("java").join(format!("{name}.java"));
    let folder = built().join("guests");
    let (classes, program) = (folder.join(format!("{name}-classes")), folder.join(format!("{name}.jar")));
    let changed = |path: &Path| path.metadata().and_then(|it| it.modified()).ok();
    if changed(&program) < changed(&source) {
        fs::create_dir_all(&classes).unwrap();
        let fresh = folder.join(format!("{name}-{}.jar", std::process::id()));
        let compiled = Command::new("javac").arg("-d").arg(&classes).arg(&source).status().unwrap();
        assert!(compiled.success(), "cannot compile {}", source.display());
        let packed = Command::new("jar").arg("cf").arg(&fresh).arg("-C").arg(&classes).arg(".").status();
        assert!(packed.unwrap().success(), "cannot pack {}", classes.display());
        fs::rename(fresh, &program).unwrap();
    }
    program
}

/// Has a guest compiled, if what there is is older than its text.
fn build(source: &Path, how: &str, compiler: &mut Command, behind: &[&str]) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _held = ONE_AT_A_TIME.lock();
    let folder = built().join("guests");
    fs::create_dir_all(&folder).unwrap();
    let name = source.file_stem().unwrap().to_string_lossy().into_owned();
    let language = source.extension().unwrap().to_string_lossy().into_owned();
    let program = folder.join(match (how, language.as_str()) {
        ("", _) => name.clone(),
        (_, "rs") => format!("{name}-rust-{how}"),
        _ => format!("{name}-{how}"),
    });
    let changed = |path: &Path| path.metadata().and_then(|it| it.modified()).ok();
    if changed(&program) < changed(source) || changed(&program) < changed(&guests().join("c/story.h")) {
        let fresh = folder.join(format!("{name}.{}", std::process::id()));
        compiler.arg("-o").arg(&fresh).arg(source).args(behind);
        compiler.env("CGO_ENABLED", if how == "cgo" { "1" } else { "0" });
        assert!(keep_go_apart(compiler).status().unwrap().success(), "cannot compile {}", source.display());
        fs::rename(fresh, &program).unwrap();
    }
    program
}
