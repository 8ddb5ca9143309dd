//! The agent's image, and those of the stories' pods: which files are in them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    archive::{Entry, Image},
    build, cluster,
    ground::{find, run, target, workspace},
    say,
};

const USAGE: &str = "`image` knows `--desk` (as built for the desk, with its libraries), `--tag TAG` and `--load` \
                     (into the cluster of `cargo xtask cluster up`)";

/// Makes the agent's image; where asked, the cluster is given it.
pub(crate) fn image(arguments: &[String]) -> Result<(), String> {
    let (mut is_desk, mut is_loaded, mut tag) = (false, false, env!("CARGO_PKG_VERSION").to_owned());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--desk" => is_desk = true,
            "--load" => is_loaded = true,
            "--tag" => tag.clone_from(words.next().ok_or("`--tag` wants a tag")?),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let archive = agent(&tag, is_desk)?;
    say(&format!("{}: mirrord-agent:{tag}", archive.display()));
    if is_loaded { cluster::load(&archive) } else { Ok(()) }
}

/// The agent's image, as an archive.
pub(crate) fn agent(tag: &str, is_desk: bool) -> Result<PathBuf, String> {
    let program = if is_desk { build::agent_for_the_desk()? } else { build::agent_for_users()? };
    let inside = PathBuf::from("/mirrord-agent");
    let mut entries = vec![(inside, Entry::File(program.clone()))];
    if is_desk {
        entries.extend(libraries(&[program]).into_iter().map(|path| (path.clone(), Entry::File(path))));
    }
    let name = format!("mirrord-agent:{tag}");
    write(Image { name, entries, entrypoint: vec!["/mirrord-agent".to_owned()] })
}

/// What holds the namespaces of a pod.
pub(crate) fn pause() -> Result<PathBuf, String> {
    let program = target().join("pause");
    let source = workspace().join("xtask/cluster/pause.c");
    run(Command::new("gcc").args(["-Os", "-static", "-o"]).arg(&program).arg(source))?;
    let entries = vec![("/pause".into(), Entry::File(program))];
    write(Image { name: "mirrord-pause:1".to_owned(), entries, entrypoint: vec!["/pause".to_owned()] })
}

/// An image in which a story finds a shell and nothing else: what starts as fast as anything can.
pub(crate) fn tiny() -> Result<PathBuf, String> {
    let entries = busybox()?;
    write(Image { name: "mirrord-tiny:1".to_owned(), entries, entrypoint: vec!["/bin/sh".to_owned()] })
}

/// An image with what the stories' pods run: a shell, Python and `PostgreSQL`, each as this machine has it.
pub(crate) fn workload() -> Result<PathBuf, String> {
    let mut entries = busybox()?;
    let mut programs = Vec::new();
    for folder in ["/usr/lib/python3.11", "/usr/lib/postgresql/15", "/usr/share/postgresql/15"] {
        take(Path::new(folder), &mut entries, &mut programs);
    }
    for zone in ["Etc/UTC", "UTC", "GMT"] {
        let path = Path::new("/usr/share/zoneinfo").join(zone);
        if path.is_file() {
            entries.push((path.clone(), Entry::File(path)));
        }
    }
    let python = PathBuf::from("/usr/bin/python3.11");
    entries.push(("/usr/bin/python3".into(), Entry::Link("python3.11".into())));
    entries.push((python.clone(), Entry::File(python.clone())));
    programs.push(python);
    entries.extend(libraries(&programs).into_iter().map(|path| (path.clone(), Entry::File(path))));
    write(Image { name: "mirrord-workload:1".to_owned(), entries, entrypoint: vec!["/bin/sh".to_owned()] })
}

fn write(image: Image) -> Result<PathBuf, String> {
    let path = target().join(format!("{}.tar", image.name.replace(':', "-")));
    image.write(&path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(path)
}

/// A shell and its tools, and the few files that every system has.
fn busybox() -> Result<Vec<(PathBuf, Entry)>, String> {
    let busybox = find("busybox").ok_or("`busybox` is missing (package `busybox-static`)")?;
    let list = Command::new(&busybox).arg("--list").output().map_err(|error| format!("busybox: {error}"))?;
    let mut entries: Vec<(PathBuf, Entry)> = String::from_utf8_lossy(&list.stdout)
        .lines()
        .filter(|applet| *applet != "busybox")
        .map(|applet| (Path::new("/bin").join(applet), Entry::Link("busybox".into())))
        .collect();
    let passwd = "root:x:0:0:root:/:/bin/sh\nstory:x:1000:1000:story:/tmp:/bin/sh\n";
    let group = "root:x:0:\nstory:x:1000:\n";
    entries.extend([
        ("/bin/busybox".into(), Entry::File(busybox)),
        ("/etc/passwd".into(), Entry::Text(passwd.to_owned())),
        ("/etc/group".into(), Entry::Text(group.to_owned())),
        ("/etc/nsswitch.conf".into(), Entry::Text("hosts: files dns\n".to_owned())),
        ("/tmp".into(), Entry::Folder(0o1777)),
        ("/run".into(), Entry::Folder(0o777)),
    ]);
    Ok(entries)
}

/// Everything in a folder; and which of it are programs, whose libraries are wanted, too.
fn take(folder: &Path, entries: &mut Vec<(PathBuf, Entry)>, programs: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        // Caches differ from machine to machine; the compiler of queries is larger than all the rest.
        if name == "__pycache__" || name == "test" || name.starts_with("llvmjit") || name == "bitcode" {
            continue;
        }
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            take(&path, entries, programs);
        } else if kind.is_symlink() {
            let Ok(to) = fs::read_link(&path) else { continue };
            // A link out of the folder is not taken: what it points to would be missing.
            if to.is_relative() && path.exists() {
                entries.push((path, Entry::Link(to)));
            }
        } else {
            if fs::read(&path).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF")) {
                programs.push(path.clone());
            }
            entries.push((path.clone(), Entry::File(path)));
        }
    }
}

/// The shared libraries of programs, and their loader, as `ldd` finds them.
fn libraries(programs: &[PathBuf]) -> BTreeSet<PathBuf> {
    let output = Command::new("ldd").args(programs).output();
    let words = output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default();
    words
        .lines()
        .filter(|line| line.starts_with('\t'))
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect()
}
