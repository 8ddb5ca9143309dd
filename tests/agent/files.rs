//! Files by path: what is opened and looked at, and that no path leaves the root.

use std::{
    fs::File,
    io::{Read, Write},
};

use mirrord_protocol::agent::{
    AgentAnswer, AgentCall,
    fs::{FileStat, FsAnswer, FsCall, Want},
};

use crate::envoy::{Agent, POD, Session, path};

fn open(session: &mut Session, name: &str, flags: i32) -> Result<File, i32> {
    let call = FsCall::Open { path: path(name), flags, mode: 0o640, want: Want::Descriptor };
    match session.call(AgentCall::Fs(call)) {
        Ok((AgentAnswer::Fs(FsAnswer::Descriptor), Some(descriptor))) => Ok(File::from(descriptor)),
        Ok(other) => panic!("that opens nothing: {other:?}"),
        Err(fault) => Err(fault.errno),
    }
}

fn text(session: &mut Session, name: &str) -> Result<String, i32> {
    let mut text = String::new();
    open(session, name, libc::O_RDONLY)?.read_to_string(&mut text).unwrap();
    Ok(text)
}

fn stat(session: &mut Session, name: &str, follow: bool) -> Result<FileStat, i32> {
    match session.fs(FsCall::Stat { path: path(name), follow })? {
        FsAnswer::Stat(stat) => Ok(stat),
        other => panic!("that is no stat: {other:?}"),
    }
}

#[test]
fn an_opened_file_is_the_targets_own() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    assert!(text(&mut session, "/app/config.toml").unwrap().contains("Corner Shop"));
    assert_eq!(open(&mut session, "/no/such/file", libc::O_RDONLY).unwrap_err(), libc::ENOENT);
    assert_eq!(open(&mut session, "/app/config.toml/x", libc::O_RDONLY).unwrap_err(), libc::ENOTDIR);
    assert_eq!(open(&mut session, "/data", libc::O_RDWR).unwrap_err(), libc::EISDIR);
    assert_eq!(open(&mut session, "", libc::O_RDONLY).unwrap_err(), libc::ENOENT);
    assert_eq!(open(&mut session, "/data/loop-a", libc::O_RDONLY).unwrap_err(), libc::ELOOP);
    assert_eq!(open(&mut session, "/data/link", libc::O_RDONLY | libc::O_NOFOLLOW).unwrap_err(), libc::ELOOP);
}

#[test]
fn flags_that_open_ignores_are_ignored() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    // An unknown bit, and a mode without O_CREAT: openat2(2) alone would refuse both.
    assert!(open(&mut session, "/app/config.toml", libc::O_RDONLY | 1 << 30).is_ok());
    assert!(open(&mut session, "/app/config.toml", libc::O_PATH | libc::O_RDWR | libc::O_APPEND).is_ok());
}

#[test]
fn no_way_leads_out_of_the_root() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let expected = "name = Corner Shop\nopen = true\n";
    for way in [
        "/etc/shop/shop.conf",
        "/../../../etc/shop/shop.conf",
        "/data/deep/out-of-root",
        "/data/../../../../etc/./shop//shop.conf",
        "etc/shop/shop.conf",
    ] {
        assert_eq!(text(&mut session, way).unwrap(), expected, "{way}");
    }
    assert!(text(&mut session, "/data/absolute-link").unwrap().contains("Corner Shop"));
    // A link that the target lays after us leads beneath the root, too.
    let link =
        FsCall::Symlink { text: path("/proc/1/root/proc/1/root/etc/hostname"), path: path("/data/out/far") };
    session.done(link).unwrap();
    assert_ne!(text(&mut session, "/data/out/far").ok(), std::fs::read_to_string("/etc/hostname").ok());
    // The root has no parent.
    let (up, root) = (stat(&mut session, "/..", true).unwrap(), stat(&mut session, "/", true).unwrap());
    assert_eq!((up.device, up.inode), (root.device, root.inode));
}

#[test]
fn a_created_file_has_the_mode_that_was_said() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    let mut file = open(&mut session, "/data/out/created", flags).unwrap();
    file.write_all(b"written from far").unwrap();
    assert_eq!(std::fs::read(POD.path("/data/out/created")).unwrap(), b"written from far");
    assert_eq!(stat(&mut session, "/data/out/created", true).unwrap().mode, libc::S_IFREG | 0o640);
    assert_eq!(open(&mut session, "/data/out/created", flags).unwrap_err(), libc::EEXIST);
}

#[test]
fn a_stat_tells_the_file_or_the_link() {
    use std::os::unix::fs::MetadataExt;
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let there = std::fs::metadata(POD.path("/data/orders.txt")).unwrap();
    for name in ["/data/orders.txt", "/data/link", "/data/hard-link"] {
        let found = stat(&mut session, name, true).unwrap();
        assert_eq!((found.device, found.inode, found.mode), (there.dev(), there.ino(), there.mode()));
        assert_eq!((found.size, u64::from(found.n_links)), (there.size(), there.nlink()));
        assert_eq!(found.modified.seconds, 1_600_000_000);
        assert_eq!(found.modified.nanoseconds, 123_456_789);
    }
    assert_eq!(stat(&mut session, "/data/link", false).unwrap().mode & libc::S_IFMT, libc::S_IFLNK);
    assert_eq!(stat(&mut session, "/data/dangling", true).unwrap_err(), libc::ENOENT);
    assert_eq!(stat(&mut session, "/data/link-to-dir/", false).unwrap().mode & libc::S_IFMT, libc::S_IFDIR);
    let null = stat(&mut session, "/dev/null", true).unwrap();
    assert_eq!(null.special, libc::makedev(1, 3));
}

#[test]
fn links_are_read_and_paths_made_canonical() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let read = |session: &mut Session, name: &str| session.fs(FsCall::ReadLink(path(name)));
    assert_eq!(read(&mut session, "/data/absolute-link"), Ok(FsAnswer::Path(path("/app/config.toml"))));
    assert_eq!(read(&mut session, "/data/orders.txt"), Err(libc::EINVAL));
    assert_eq!(read(&mut session, "/data/none"), Err(libc::ENOENT));
    for (said, whole) in [
        ("/data/absolute-link", "/app/config.toml"),
        ("/data/link-to-dir/still/../still/yet/leaf", "/data/deep/er/still/yet/leaf"),
        ("/data/deep/out-of-root", "/etc/shop/shop.conf"),
        ("/", "/"),
        ("/../..", "/"),
        ("/data/odd/new\nline", "/data/odd/new\nline"),
    ] {
        assert_eq!(session.fs(FsCall::Canonicalize(path(said))), Ok(FsAnswer::Path(path(whole))), "{said}");
    }
    assert_eq!(session.fs(FsCall::Canonicalize(path("/data/dangling"))), Err(libc::ENOENT));
}

#[test]
fn access_is_judged_there() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let mut access =
        |name: &str, mode: i32| session.done(FsCall::Access { path: path(name), mode, follow: true });
    assert_eq!(access("/data/orders.txt", libc::R_OK | libc::W_OK), Ok(()));
    assert_eq!(access("/data/orders.txt", libc::X_OK), Err(libc::EACCES));
    assert_eq!(access("/app/shop", libc::X_OK), Ok(()));
    assert!(matches!(access("/usr/bin/env", libc::W_OK), Err(libc::EROFS | libc::EACCES)));
    assert_eq!(access("/data/none", libc::F_OK), Err(libc::ENOENT));
}

#[test]
fn a_file_system_tells_itself() {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    let agent = Agent::in_pod();
    let mut session = agent.session();
    match session.fs(FsCall::StatFs(path("/data"))).unwrap() {
        FsAnswer::FileSystem(found) => {
            assert_eq!((found.kind, found.name_length), (TMPFS_MAGIC, 255));
            assert!(found.block_size > 0 && found.n_blocks > 0);
        }
        other => panic!("that is no file system: {other:?}"),
    }
}

#[test]
fn files_of_the_kernel_are_opened_but_no_device_of_the_machine() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let mut zeros = [1; 4];
    open(&mut session, "/dev/zero", libc::O_RDONLY).unwrap().read_exact(&mut zeros).unwrap();
    assert_eq!(zeros, [0; 4]);
    assert!(text(&mut session, "/proc/1/cmdline").unwrap().starts_with("/app/shop"));
    let disk = FsCall::MakeNode { path: path("/data/out/disk"), mode: libc::S_IFBLK | 0o600 };
    assert_eq!(session.done(disk), Err(libc::EPERM));
}
