//! Files by path: what is made, renamed, linked, removed and given other attributes.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use mirrord_protocol::agent::fs::{FsAnswer, FsCall, Time};
use serde_bytes::ByteBuf;

use crate::envoy::{Agent, POD, path};

fn there(name: &str) -> std::fs::Metadata {
    std::fs::symlink_metadata(POD.path(name)).unwrap()
}

#[test]
fn directories_are_made_and_removed() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let mut make = |name: &str| session.done(FsCall::MakeDir { path: path(name), mode: 0o1750 });
    assert_eq!(make("/data/out/folder/"), Ok(()));
    assert_eq!(there("/data/out/folder").mode() & 0o7777, 0o1750);
    assert_eq!(make("/data/out/folder"), Err(libc::EEXIST));
    assert_eq!(make("/data/out/folder/.."), Err(libc::EEXIST));
    assert_eq!(make("/"), Err(libc::EEXIST));
    assert_eq!(make("/data/none/folder"), Err(libc::ENOENT));
    assert_eq!(make("/data/orders.txt/folder"), Err(libc::ENOTDIR));
    let long = format!("/data/out/{}", "x".repeat(256));
    assert_eq!(make(&long), Err(libc::ENAMETOOLONG));
    let mut remove = |name: &str| session.done(FsCall::RemoveDir(path(name)));
    assert_eq!(remove("/data"), Err(libc::ENOTEMPTY));
    assert_eq!(remove("/"), Err(libc::EBUSY));
    assert_eq!(remove("/data/out/folder/."), Err(libc::EINVAL));
    assert_eq!(remove("/data/orders.txt"), Err(libc::ENOTDIR));
    assert_eq!(remove("/data/out/folder/"), Ok(()));
    assert_eq!(remove("/data/out/folder"), Err(libc::ENOENT));
}

#[test]
fn a_name_is_made_where_a_link_leads_beneath_the_root() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    session.done(FsCall::Symlink { text: path("/../../data/out"), path: path("/data/out/up") }).unwrap();
    session.done(FsCall::MakeDir { path: path("/data/out/up/made"), mode: 0o755 }).unwrap();
    assert!(there("/data/out/made").is_dir());
    session.done(FsCall::RemoveDir(path("/data/out/up/made"))).unwrap();
    session.done(FsCall::Unlink(path("/data/out/up"))).unwrap();
    assert!(!POD.path("/data/out/made").exists());
}

#[test]
fn nodes_are_made_but_devices() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let mut make = |name: &str, mode: u32| session.done(FsCall::MakeNode { path: path(name), mode });
    assert_eq!(make("/data/out/fifo", libc::S_IFIFO | 0o622), Ok(()));
    assert!(there("/data/out/fifo").file_type().is_fifo());
    assert_eq!(there("/data/out/fifo").mode() & 0o777, 0o622);
    assert_eq!(make("/data/out/plain", 0o600), Ok(()));
    assert!(there("/data/out/plain").is_file());
    assert_eq!(make("/data/out/null", libc::S_IFCHR | 0o600), Err(libc::EPERM));
}

#[test]
fn names_are_given_exchanged_and_taken() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let root = POD.path("/data/out/names");
    std::fs::create_dir(&root).unwrap();
    for name in ["a", "b"] {
        std::fs::write(root.join(name), name).unwrap();
    }
    let at = |name: &str| path(&format!("/data/out/names/{name}"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).ok();
    let rename = |from, to, flags| FsCall::Rename { from: at(from), to: at(to), flags };
    assert_eq!(session.done(rename("a", "b", libc::RENAME_NOREPLACE)), Err(libc::EEXIST));
    session.done(rename("a", "b", libc::RENAME_EXCHANGE)).unwrap();
    assert_eq!((read("a").as_deref(), read("b").as_deref()), (Some("b"), Some("a")));
    session.done(rename("a", "c", 0)).unwrap();
    assert_eq!((read("a"), read("c").as_deref()), (None, Some("b")));
    assert_eq!(session.done(rename("none", "d", 0)), Err(libc::ENOENT));
    session.done(FsCall::Link { from: at("b"), to: at("hard"), follow: false }).unwrap();
    assert_eq!(std::fs::metadata(root.join("b")).unwrap().nlink(), 2);
    session.done(FsCall::Symlink { text: path("any \u{fc} text"), path: at("soft") }).unwrap();
    assert_eq!(std::fs::read_link(root.join("soft")).unwrap().to_str(), Some("any \u{fc} text"));
    session.done(FsCall::Link { from: at("soft"), to: at("soft-too"), follow: false }).unwrap();
    assert!(there("/data/out/names/soft-too").is_symlink());
    let followed = FsCall::Link { from: at("soft"), to: at("never"), follow: true };
    assert_eq!(session.done(followed), Err(libc::ENOENT));
    for name in ["b", "c", "hard", "soft", "soft-too"] {
        session.done(FsCall::Unlink(at(name))).unwrap();
    }
    assert_eq!(session.done(FsCall::Unlink(path("/data/out/names"))), Err(libc::EISDIR));
    std::fs::remove_dir(root).unwrap();
}

#[test]
fn attributes_are_changed() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    std::fs::write(POD.path("/data/out/attributes"), "0123456789").unwrap();
    let name = || path("/data/out/attributes");
    session.done(FsCall::ChangeMode { path: name(), mode: 0o4711, follow: true }).unwrap();
    let times = [Time { seconds: 5, nanoseconds: 7 }, Time { seconds: -1, nanoseconds: 0 }];
    session.done(FsCall::SetTimes { path: name(), times, follow: true }).unwrap();
    let found = there("/data/out/attributes");
    assert_eq!(found.mode() & 0o7777, 0o4711);
    assert_eq!((found.atime(), found.atime_nsec(), found.mtime()), (5, 7, -1));
    session.done(FsCall::Truncate { path: name(), size: 4 }).unwrap();
    assert_eq!(std::fs::read(POD.path("/data/out/attributes")).unwrap(), b"0123");
    assert_eq!(session.done(FsCall::Truncate { path: name(), size: u64::MAX }), Err(libc::EINVAL));
    assert_eq!(session.done(FsCall::Truncate { path: path("/data"), size: 0 }), Err(libc::EISDIR));
    let keep = FsCall::ChangeOwner { path: name(), uid: u32::MAX, gid: u32::MAX, follow: true };
    session.done(keep).unwrap();
    if nix::unistd::geteuid().is_root() {
        session.done(FsCall::ChangeOwner { path: name(), uid: 12, gid: 34, follow: false }).unwrap();
        let found = there("/data/out/attributes");
        assert_eq!((found.uid(), found.gid()), (12, 34));
    }
}

#[test]
fn the_times_of_a_link_are_its_own() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    session.done(FsCall::Symlink { text: path("/data/orders.txt"), path: path("/data/out/timed") }).unwrap();
    let times = [Time { seconds: 9, nanoseconds: 0 }; 2];
    session.done(FsCall::SetTimes { path: path("/data/out/timed"), times, follow: false }).unwrap();
    assert_eq!(there("/data/out/timed").mtime(), 9);
    assert_eq!(there("/data/orders.txt").mtime(), 1_600_000_000);
}

#[test]
fn extended_attributes_are_kept_beside_a_file() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    std::fs::write(POD.path("/data/out/extended"), "").unwrap();
    let (file, key) = (|| path("/data/out/extended"), || ByteBuf::from("user.colour"));
    let value = ByteBuf::from(b"blue \xff".to_vec());
    let set =
        FsCall::SetAttribute { path: file(), name: key(), value: value.clone(), flags: 0, follow: true };
    match session.done(set.clone()) {
        // Before Linux 6.6, a tmpfs keeps none for users.
        Err(libc::EOPNOTSUPP) => return,
        outcome => outcome.unwrap(),
    }
    let get = FsCall::GetAttribute { path: file(), name: key(), follow: true };
    assert_eq!(session.fs(get.clone()), Ok(FsAnswer::Bytes(value)));
    let list = FsCall::ListAttributes { path: file(), follow: true };
    assert_eq!(session.fs(list.clone()), Ok(FsAnswer::Bytes(ByteBuf::from(b"user.colour\0".to_vec()))));
    let FsCall::SetAttribute { path: at, name, value, follow, .. } = set else { unreachable!() };
    let again = FsCall::SetAttribute { path: at, name, value, flags: libc::XATTR_CREATE, follow };
    assert_eq!(session.done(again), Err(libc::EEXIST));
    session.done(FsCall::RemoveAttribute { path: file(), name: key(), follow: true }).unwrap();
    assert_eq!(session.fs(get), Err(libc::ENODATA));
    assert_eq!(session.fs(list), Ok(FsAnswer::Bytes(ByteBuf::default())));
}
