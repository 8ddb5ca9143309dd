//! Calls that change files.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use mirrord_config::handoff::DataPath;
use mirrord_core::rules::fs::FsMode;

use super::{Session, set};

#[test]
fn what_is_written_is_written_there() {
    let session = Session::new(FsMode::Write);
    for name in ["write", "writeat", "creat", "creat64"] {
        session.each(&[(&format!("{name} /data/{name} words"), "written")]);
        let path = session.root.path().join("data").join(name);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "words", "{name}");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o644, "{name}: the umask is the guest's");
    }
    session.each(&[
        ("append /data/write more", "written"),
        ("open /data/write", "3 stays wordsmore"),
        ("fopen-write /data/stream words", "done"),
        ("fopen /data/stream", "words"),
        ("truncate /data/stream ; stat /data/stream", "done\n100644 2"),
        ("truncate64 /data/stream ; stat /data/stream", "done\n100644 1"),
        ("write /data/none/x y", "ENOENT"),
        ("write /data y", "EISDIR"),
    ]);
}

#[test]
fn names_are_made_and_removed_there() {
    let session = Session::new(FsMode::Write);
    session.each(&[
        ("mkdir /data/a ; stat /data/a ; mkdir /data/a ; rmdir /data/a", "done\n40755 4096\nEEXIST\ndone"),
        ("at /data ; mkdirat b ; unlinkat b ; unlinkat-dir b", "0\ndone\nEISDIR\ndone"),
        ("mknod /data/n ; stat /data/n ; unlink /data/n ; unlink /data/n", "done\n100600 0\ndone\nENOENT"),
        ("at /data ; mknodat n ; unlinkat n", "0\ndone\ndone"),
        ("mkfifo /data/f ; stat /data/f ; remove /data/f", "done\n10600 0\ndone"),
        ("at /data ; mkfifoat f ; remove /data/f", "0\ndone\ndone"),
        ("mkdir /data/d ; remove /data/d ; remove /data/d", "done\ndone\nENOENT"),
        ("rename /data/folder/one.txt /data/1 ; open /data/1", "done\n3 stays 1"),
        (
            "renameat /data/1 /data/2 ; renameat2 /data/2 /data/file ; renameat2 /data/2 /data/1",
            "done\nEEXIST\ndone",
        ),
        ("link /data/1 /data/l ; linkat /data/1 /data/m ; linkat /data/1 /data/m", "done\ndone\nEEXIST"),
        (
            "symlink 1 /data/s ; readlink /data/s ; symlinkat /etc/x /data/t ; readlink /data/t",
            "done\n1\ndone\n/etc/x",
        ),
    ]);
}

#[test]
fn what_a_file_says_of_itself_is_changed_there() {
    let session = Session::new(FsMode::Write);
    let file = session.root.path().join("data/file");
    session.each(&[("chmod /data/file", "done")]);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    session.each(&[
        ("fchmodat /data/file ; lchmod /data/none", "done\nENOENT"),
        (
            "chown /data/file ; lchown /data/file ; fchownat /data/file ; chown /data/none",
            "done\ndone\ndone\nENOENT",
        ),
        ("utime /data/file ; mtime /data/file", "done\n7"),
        ("utimes /data/file ; mtime /data/file", "done\n8"),
        ("lutimes /data/file ; mtime /data/file", "done\n9"),
        ("futimesat /data/file ; mtime /data/file", "done\n10"),
        ("utimensat /data/file ; mtime /data/file", "done\n11"),
        ("utimensat-now /data/none", "ENOENT"),
        ("setxattr /data/file user.x ; lsetxattr /data/file user.x", "done\ndone"),
        ("removexattr /data/file user.x ; lremovexattr /data/file user.x", "done\ndone"),
    ]);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_copy_in_memory_changes_its_file_there() {
    for data_path in [DataPath::Passed, DataPath::Proxied] {
        let session = Session::with(FsMode::Write, data_path, |_| {});
        let file = session.root.path().join("data/file");
        let said = || {
            let metadata = file.metadata().unwrap();
            (metadata.mode() & 0o7777, metadata.mtime())
        };
        session.each(&[("fd-fchmod /data/file", "done\n610")]);
        assert_eq!(said().0, 0o610, "{data_path:?}");
        session.each(&[("fd-syscall-fchmod /data/file", "done\n611")]);
        assert_eq!(said().0, 0o611, "{data_path:?}");
        for (call, expected) in [
            ("futimens", 21),
            ("syscall-utimensat", 22),
            ("utimensat", 21),
            ("futimes", 23),
            ("futimesat", 24),
        ] {
            session.each(&[(&format!("fd-{call} /data/file"), &format!("done\n{expected}"))]);
            assert_eq!(said().1, expected, "{call} {data_path:?}");
        }
        session.each(&[("fd-fchown /data/file ; fd-fchownat /data/file", "done\ndone")]);
    }
}

#[test]
fn a_copy_in_memory_has_the_attributes_of_its_file() {
    let session = Session::with(FsMode::Write, DataPath::Proxied, |_| {});
    session.each(&[
        ("fd-fgetxattr /data/file user.there", "value"),
        ("fd-fgetxattr /data/file user.none", "ENODATA"),
        ("fd-flistxattr /data/file", "11"),
        ("fd-fsetxattr /data/file user.x ; fd-fremovexattr /data/file user.x", "done\ndone"),
        ("fd-fstatfs /data/file ; fd-fstatvfs /data/file", "4711\n143"),
    ]);
}

#[test]
fn what_a_copy_in_memory_cannot_change_fails() {
    let session = Session::with(FsMode::Read, DataPath::Proxied, |_| {});
    session.each(&[
        ("fd-fchownat /data/file ; fd-fchown /data/file", "EROFS\nEROFS"),
        ("fd-fsetxattr /data/file user.x", "EROFS"),
    ]);
    let session = Session::with(FsMode::Write, DataPath::Proxied, |_| {});
    let file = session.root.path().join("data/file");
    let before = file.metadata().unwrap().mode();
    session.each(&[("write /data/other words ; fd-fchmod /data/file /data/other", "written\nESTALE\n777")]);
    assert_eq!(file.metadata().unwrap().mode(), before & !0o777 | 0o644, "the file that took its place");
}

#[test]
fn names_that_nobody_has_are_found_there() {
    let session = Session::new(FsMode::Write);
    let n_before = std::fs::read_dir(session.root.path().join("data")).unwrap().count();
    session.each(&[
        ("mkstemp /data/a-XXXXXX", "14 0"),
        ("mkostemp /data/a-XXXXXX", "14 1"),
        ("mkstemps /data/XXXXXX.txt", ".txt"),
        ("mkostemps /data/XXXXXX.log", ".log"),
        ("mkdtemp /data/d-XXXXXX", "made"),
        ("mktemp /data/XXXXXX", "made"),
        ("mkstemp /data/none/XXXXXX", "ENOENT"),
        ("mkdtemp /data/XXX", "EINVAL"),
    ]);
    assert_eq!(std::fs::read_dir(session.root.path().join("data")).unwrap().count(), n_before + 5);
}

#[test]
fn what_is_written_in_reading_mode_is_written_here() {
    let session = Session::new(FsMode::Read);
    let here = tempfile::tempdir_in("/tmp").unwrap();
    let path = here.path().join("x").display().to_string();
    session.each(&[
        (&format!("write {path} words ; open {path} ; unlink {path}"), "written\n3 stays words\ndone"),
        (&format!("mkdir {path} ; rmdir {path}"), "done\ndone"),
        (&format!("mkstemp {path}-XXXXXX"), &format!("{} 0", path.len() + 7)),
        // What would be written there is tried here, where the folder is not.
        ("write /data/new words", "ENOENT"),
        ("mkdir /data/new ; unlink /data/file ; chmod /data/file", "ENOENT\nENOENT\nENOENT"),
        ("at /data ; writeat new words ; mkdirat new ; unlinkat file", "0\nENOENT\nENOENT\nENOENT"),
        ("access /data/file 2 ; access /data/file 4", "ENOENT\ndone"),
    ]);
    assert_eq!(std::fs::read_to_string(session.root.path().join("data/file")).unwrap(), "of the target");
}

#[test]
fn here_and_there_are_different_file_systems() {
    let session = Session::new(FsMode::Write);
    let here = tempfile::tempdir_in("/tmp").unwrap();
    let path = here.path().join("x").display().to_string();
    session.each(&[
        (&format!("rename /data/file {path}"), "EXDEV"),
        (&format!("write {path} y ; rename {path} /data/x ; link {path} /data/x"), "written\nEXDEV\nEXDEV"),
    ]);
    assert_eq!(
        session.shell(&format!("mv {path} /data/moved && cat /data/moved && ls {path} 2>&1 | wc -l")),
        "y1"
    );
}

#[test]
fn a_listed_path_is_written_there_in_every_mode() {
    let change = |fs: &mut mirrord_core::rules::fs::FsRules| fs.read_write = set(&["^/data/folder"]);
    for mode in [FsMode::Read, FsMode::LocalWithOverrides] {
        let session = Session::with(mode, DataPath::Passed, change);
        session.each(&[("write /data/folder/new words ; open /data/folder/new", "written\n3 stays words")]);
    }
}

#[test]
fn hidden_names_cannot_be_made() {
    let session = Session::new(FsMode::Write);
    session.each(&[
        ("write /hidden/x y", "ENOENT"),
        ("mkdir /hidden", "ENOENT"),
        ("rename /data/file /hidden", "ENOENT"),
        ("mkstemp /hidden-XXXXXX", "ENOENT"),
    ]);
}
