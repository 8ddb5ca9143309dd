//! Calls that look at files.

use std::os::unix::fs::PermissionsExt;

use mirrord_config::handoff::DataPath;
use mirrord_core::rules::fs::FsMode;
use mirrord_protocol::proxy::ToProxy;

use super::{Session, set};

#[test]
fn every_way_to_open_a_file_opens_the_targets() {
    let session = Session::new(FsMode::Read);
    for name in
        ["open", "open64", "__open_2", "__open64_2", "openat", "openat64", "__openat_2", "__openat64_2"]
    {
        session.each(&[(&format!("{name} /data/file"), "3 stays of the target")]);
    }
    session.each(&[
        ("syscall-openat /data/file", "3 stays of the target"),
        ("open-cloexec /data/link", "3 closes of the target"),
        ("fopen /data/file", "of the target"),
        ("fopen64 /data/file", "of the target"),
        ("freopen /data/file", "of the target"),
        ("freopen64 /data/file", "of the target"),
        ("open /data/none", "ENOENT"),
        ("open /data/file/x", "ENOTDIR"),
        ("fopen /data/none", "ENOENT"),
        ("freopen /data/none", "ENOENT"),
        ("open /data/../data/./file", "3 stays of the target"),
    ]);
}

#[test]
fn attributes_are_the_targets() {
    let session = Session::new(FsMode::Read);
    let file = "100644 13";
    for name in ["stat", "stat64", "fstatat", "__xstat", "__fxstatat", "statx", "syscall-newfstatat"] {
        session.each(&[(&format!("{name} /data/file"), file), (&format!("{name} /data/none"), "ENOENT")]);
        session.each(&[(&format!("{name} /data/link"), file)]);
    }
    for name in ["lstat", "lstat64", "__lxstat", "fstatat64"] {
        session.each(&[(&format!("{name} /data/link"), "120777 4")]);
    }
    for name in ["access", "eaccess", "euidaccess", "faccessat"] {
        session.each(&[(&format!("{name} /data/file"), "done"), (&format!("{name} /data/none"), "ENOENT")]);
    }
    session.each(&[
        ("statfs /data", "4711"),
        ("statfs64 /data", "4711"),
        ("statvfs /data", "143"),
        ("statvfs64 /data", "143"),
        ("statfs /none", "ENOENT"),
        ("pathconf /data", "255"),
        ("inotify /data/file", "0"),
        ("getxattr /data/file user.there", "value"),
        ("lgetxattr /data/file user.there", "value"),
        ("getxattr-size /data/file user.there", "5"),
        ("getxattr-short /data/file user.there", "ERANGE"),
        ("getxattr /data/file user.none", "ENODATA"),
        ("listxattr /data/file", "11"),
        ("llistxattr /data/file", "11"),
    ]);
}

#[test]
fn paths_lead_where_they_lead_there() {
    let session = Session::new(FsMode::Read);
    session.each(&[
        ("readlink /data/link", "file"),
        ("readlink-short /data/link", "fil"),
        ("readlink /data/file", "EINVAL"),
        ("readlinkat /data/link", "file"),
        ("__readlink_chk /data/link", "file"),
        ("__readlinkat_chk /data/link", "file"),
        ("realpath /data/link", "/data/file"),
        ("realpath-null /data/folder/../link", "/data/file"),
        ("__realpath_chk /data/link", "/data/file"),
        ("canonicalize_file_name /data/link", "/data/file"),
        ("realpath /data/none", "ENOENT"),
    ]);
}

#[test]
fn directories_are_listed_as_they_are_there() {
    let session = Session::new(FsMode::Read);
    session.each(&[
        ("opendir /data/folder", "3 entries"),
        ("opendir /data/file", "ENOTDIR"),
        ("opendir /data/none", "ENOENT"),
        ("scandir /data/folder", "deep one.txt two.txt"),
        ("scandirat /data/folder", "deep one.txt two.txt"),
        ("at /data ; scandirat folder", "0\ndeep one.txt two.txt"),
        ("glob /data/folder/*.txt", "/data/folder/one.txt /data/folder/two.txt"),
        ("glob64 /data/*/deep/*", "/data/folder/deep/three"),
        ("glob /data/*.none", "glob 3"),
    ]);
    assert_eq!(
        session.shell("ls /data/folder; echo /data/folder/*"),
        "deep\none.txt\ntwo.txt\n/data/folder/deep /data/folder/one.txt /data/folder/two.txt"
    );
    assert_eq!(session.shell("find /data/folder -name 'o*' -type f"), "/data/folder/one.txt");
    assert_eq!(session.shell("du -ab /data/folder/one.txt | cut -f1"), "1");
}

#[test]
fn a_folder_there_is_a_place_to_look_from() {
    let session = Session::new(FsMode::Read);
    session.each(&[
        ("at /data ; openat file", "0\n4 stays of the target"),
        ("at /data ; fstatat file ; readlinkat link ; faccessat file", "0\n100644 13\nfile\ndone"),
        ("at /data ; openat ../etc/hosts", "0\n4 stays hosts of the target"),
        ("chdir /data ; getcwd ; open file", "done\n/data\n3 stays of the target"),
        ("chdir /data/folder ; chdir .. ; getcwd-null ; stat link", "done\ndone\n/data\n100644 13"),
        ("chdir /data ; getcwd-short ; __getcwd_chk ; get_current_dir_name", "done\nERANGE\n/data\n/data"),
        ("at /data/folder ; fchdir ; getcwd ; open one.txt", "0\ndone\n/data/folder\n4 stays 1"),
        ("chdir /data ; chdir /usr ; getcwd", "done\ndone\n/usr"),
        ("chdir /data/none", "ENOENT"),
    ]);
    assert_eq!(
        session.shell("cd /data/folder && pwd && cat one.txt ../file && cd / && pwd"),
        "/data/folder\n1of the target/"
    );
}

#[test]
fn what_stays_here_is_seen_here() {
    let session = Session::new(FsMode::Read);
    session.each(&[
        ("stat /data/file ; errno", "100644 13\n77"),
        ("null", "EFAULT"),
        ("chdir /usr ; getcwd", "done\n/usr"),
    ]);
    let here = std::fs::read_to_string("/etc/passwd").unwrap();
    assert_eq!(session.shell("cat /etc/passwd"), here.trim_end());
    assert_eq!(session.shell("cat /etc/hosts"), "hosts of the target");
    session.each(&[("opendir /var/none", "ENOENT"), ("readlink /proc/self/fd/none", "ENOENT")]);
    assert!(session.proxy.questions().iter().all(|question| !format!("{question:?}").contains("passwd")));
}

#[test]
fn a_session_without_files_asks_nothing() {
    let session = Session::new(FsMode::Local);
    session.each(&[
        ("open /data/file", "ENOENT"),
        ("stat /data/file", "ENOENT"),
        ("opendir /data", "ENOENT"),
    ]);
    assert_eq!(session.proxy.questions(), []);
}

#[test]
fn what_is_hidden_is_nowhere() {
    let session = Session::new(FsMode::Read);
    std::fs::create_dir_all(session.root.path().join("hidden")).unwrap();
    session.each(&[
        ("open /hidden", "ENOENT"),
        ("stat /hidden", "ENOENT"),
        ("opendir /hidden", "ENOENT"),
        ("fopen /hidden/x", "ENOENT"),
        ("open /home/guest/.kube", "ENOENT"),
    ]);
    assert_eq!(session.proxy.questions(), []);
}

#[test]
fn a_mapped_path_is_asked_for_under_its_other_name() {
    let session = Session::new(FsMode::Read);
    session.each(&[("open /mapped/file", "3 stays of the target"), ("stat /mapped/none", "ENOENT")]);
    let session = Session::with(FsMode::Read, DataPath::Passed, |fs| fs.local = set(&["^/data"]));
    session.each(&[("open /mapped/file", "ENOENT")]);
    assert!(matches!(session.proxy.questions()[..], [ToProxy::Map(_)]));
}

#[test]
fn programs_that_are_only_there_run_from_there() {
    for data_path in [DataPath::Passed, DataPath::Proxied] {
        let session = Session::with(FsMode::Read, data_path, |_| {});
        let data = session.root.path().join("data");
        let script = |name: &str, text: &str, mode| {
            std::fs::write(data.join(name), text).unwrap();
            std::fs::set_permissions(data.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        script("run", "#! /bin/sh -e \necho \"$0 $*\"; cat /data/file; false; echo not reached", 0o755);
        script("plain", "echo plainly", 0o755);
        script("closed", "#!/bin/sh\necho no", 0o644);
        script("lost", "#!/none/interpreter\n", 0o755);
        mirrord_tests::programs::copy(std::path::Path::new("/bin/cat"), &data.join("tool"));
        assert_eq!(
            session.shell("/data/run a 'b c'; echo $?"),
            "/data/run a b c\nof the target1\n".trim_end()
        );
        assert_eq!(session.shell("/data/tool /data/file"), "of the target", "{data_path:?}");
        assert_eq!(session.shell("/data/plain"), "plainly");
        assert_eq!(
            session.shell("/data/none 2> /dev/null; echo $?; /data/lost 2> /dev/null; echo $?"),
            "127\n127"
        );
        if data_path == DataPath::Passed {
            assert_eq!(session.shell("/data/closed 2> /dev/null; echo $?"), "126");
        }
    }
}

#[test]
fn names_in_an_open_folder_are_told_by_the_kernel() {
    let session = Session::new(FsMode::Read);
    session.each(&[
        (
            "at /data/folder ; fstatat one.txt ; fstatat64 one.txt ; __fxstatat one.txt",
            "0\n100644 1\n100644 1\n100644 1",
        ),
        ("at /data ; fstatat64 link ; fstatat none", "0\n120777 4\nENOENT"),
    ]);
    let n_asked = |session: &Session| {
        session.proxy.questions().iter().filter(|it| format!("{it:?}").contains("Stat")).count()
    };
    assert_eq!(n_asked(&session), 0);
    session.each(&[("at /data ; fstatat link ; fstatat folder/one.txt", "0\n100644 13\n100644 1")]);
    assert_eq!(
        n_asked(&session),
        2,
        "a link leads elsewhere here, and what is deeper may have one in its way"
    );
    let closed = std::fs::Permissions::from_mode(0o750);
    std::fs::set_permissions(session.root.path().join("data/folder"), closed).unwrap();
    session.each(&[("at /data/folder ; fstatat one.txt", "0\n100644 1")]);
    assert_eq!(n_asked(&session), 3, "it matters who looks into that folder");
}

#[test]
fn a_file_in_memory_says_what_it_is() {
    let session = Session::with(FsMode::Read, DataPath::Proxied, |_| {});
    session.each(&[
        ("open /data/file", "3 stays of the target"),
        ("fstat-same /data/file", "same"),
        ("fstat-same /etc/passwd", "same"),
    ]);
}

#[test]
fn without_the_proxy_what_belongs_there_fails_and_the_rest_works() {
    let mut session = Session::new(FsMode::Read);
    session.proxy.address.push_str("-gone");
    session.each(&[
        ("open /data/file", "EIO"),
        ("stat /data/file", "EIO"),
        ("opendir /data", "EIO"),
        ("chdir /usr ; getcwd", "done\n/usr"),
    ]);
}

#[test]
fn a_walk_through_a_tree_there_meets_its_files() {
    let session = Session::new(FsMode::Read);
    let sorted = |calls: &str| {
        let said = session.calls(calls);
        let mut words: Vec<&str> = said.split_whitespace().collect();
        words.sort_unstable();
        words.join(" ")
    };
    let (one, two) = ("/data/folder/one.txt:0:1", "/data/folder/two.txt:0:1");
    let three = "/data/folder/deep/three:0:2";
    assert_eq!(
        sorted("nftw /data/folder"),
        format!("{three} /data/folder/deep:1:1 {one} {two} /data/folder:1:0")
    );
    assert_eq!(sorted("nftw-depth /data/folder/deep"), "/data/folder/deep/three:0:1 /data/folder/deep:5:0");
    assert_eq!(sorted("ftw /data/folder/deep"), "/data/folder/deep/three:0 /data/folder/deep:1");
    let deep = "/data/folder/deep:1:1 /data/folder/deep/three:8:2 /data/folder/deep:6:1";
    let files = "/data/folder/one.txt:8:1 /data/folder/two.txt:8:1";
    let whole = format!("/data/folder:1:0 {deep} {files} /data/folder:6:0");
    session.each(&[
        ("fts /data/folder", &whole),
        ("fts /data/link", "/data/link:12:0"),
        ("fts /none", "/none:10:0"),
    ]);
    session.each(&[("nftw /data/none", "ENOENT"), ("nftw /data/link", "/data/link:4:0")]);
}

#[test]
fn calls_by_number_pass_with_all_their_arguments_but_rings() {
    let session = Session::new(FsMode::Read);
    session.each(&[("syscall-seven", "mapped"), ("io_uring_setup", "ENOSYS")]);
}

#[test]
fn a_thread_that_waits_in_a_call_that_is_left_can_be_cancelled() {
    let session = Session::new(FsMode::Read);
    let here = tempfile::tempdir_in("/tmp").unwrap();
    let path = here.path().join("fifo").display().to_string();
    let climbing = format!("cancel ..{path}");
    session.each(&[(&format!("mkfifo {path} ; cancel {path} ; {climbing}"), "done\ncancelled\ncancelled")]);
    session.each(&[(&format!("at /data ; chdir /data/folder ; cancel ../..{path}"), "0\ndone\ncancelled")]);
}
