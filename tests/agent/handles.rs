//! Files by handle, for a data path that passes no descriptors.

use mirrord_protocol::{
    GuestPath,
    agent::{
        AgentCall,
        fs::{FileStat, FsAnswer, FsCall, MOST_NAMES, Want},
    },
    id::RemoteFd,
};
use mirrord_tests::pod::root::{BIG_SIZE, pattern};
use serde_bytes::ByteBuf;

use crate::envoy::{Agent, POD, Session, path};

struct Opened {
    file: Option<RemoteFd>,
    stat: FileStat,
    path: GuestPath,
    contents: Option<ByteBuf>,
}

fn open(session: &mut Session, name: &str, flags: i32, limit: u32) -> Opened {
    let call = FsCall::Open { path: path(name), flags, mode: 0o644, want: Want::Handle(limit) };
    match session.fs(call).unwrap() {
        FsAnswer::Opened { file, stat, path, contents } => Opened { file, stat, path, contents },
        other => panic!("that opens nothing: {other:?}"),
    }
}

fn read(session: &mut Session, file: RemoteFd, offset: u64, length: u32) -> Vec<u8> {
    match session.fs(FsCall::ReadAt { file, offset, length }).unwrap() {
        FsAnswer::Bytes(bytes) => bytes.into_vec(),
        other => panic!("those are no bytes: {other:?}"),
    }
}

#[test]
fn a_small_file_comes_whole_with_the_answer() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let opened = open(&mut session, "/data/link", libc::O_RDONLY, 1 << 20);
    assert_eq!(opened.file, None);
    assert_eq!(opened.path, path("/data/orders.txt"));
    let contents = opened.contents.unwrap();
    assert_eq!(contents.as_slice(), std::fs::read(POD.path("/data/orders.txt")).unwrap());
    assert_eq!(opened.stat.size, contents.len() as u64);
    let empty = open(&mut session, "/data/empty", libc::O_RDONLY, 1);
    assert_eq!((empty.file, empty.contents.as_deref()), (None, Some(&Vec::new())));
    // A file of /proc says that it is empty, and is not.
    let status = open(&mut session, "/proc/1/status", libc::O_RDONLY, 1 << 20).contents.unwrap();
    assert!(status.starts_with(b"Name:"));
}

#[test]
fn what_is_large_or_written_or_no_file_comes_by_handle() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    for (name, flags, limit) in [
        ("/data/one-mebibyte", libc::O_RDONLY, (1 << 20) - 1),
        ("/data/orders.txt", libc::O_RDWR, 1 << 20),
        ("/data/empty", libc::O_RDONLY, 0),
        ("/data", libc::O_RDONLY, 1 << 20),
        ("/data/big", libc::O_RDONLY, u32::MAX),
    ] {
        let opened = open(&mut session, name, flags, limit);
        assert!(opened.file.is_some() && opened.contents.is_none(), "{name}");
        assert_eq!(opened.path, path(name));
    }
    assert!(open(&mut session, "/data/one-mebibyte", libc::O_RDONLY, 1 << 20).contents.is_some());
}

#[test]
fn a_file_is_read_in_pieces_and_never_more_than_fits() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let file = open(&mut session, "/data/big", libc::O_RDONLY, 0).file.unwrap();
    let expected = pattern(BIG_SIZE);
    let mut offset = 0;
    while offset < BIG_SIZE {
        let piece = read(&mut session, file, offset as u64, u32::MAX);
        assert!(!piece.is_empty() && piece.len() <= 1 << 20);
        assert!(piece == expected[offset..offset + piece.len()], "the bytes at {offset} differ");
        offset += piece.len();
    }
    assert_eq!(read(&mut session, file, BIG_SIZE as u64, 10), b"");
    assert_eq!(read(&mut session, file, 0, 0), b"");
    assert_eq!(session.fs(FsCall::ReadAt { file, offset: u64::MAX, length: 1 }), Err(libc::EINVAL));
}

#[test]
fn what_is_written_is_there() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let file = open(&mut session, "/data/out/by-handle", libc::O_RDWR | libc::O_CREAT, 0).file.unwrap();
    let write = |offset, bytes: &[u8]| FsCall::WriteAt { file, offset, bytes: ByteBuf::from(bytes) };
    assert_eq!(session.fs(write(3, b"def")), Ok(FsAnswer::Written(3)));
    assert_eq!(session.fs(write(0, b"abc")), Ok(FsAnswer::Written(3)));
    session.done(FsCall::Sync { file, data_only: true }).unwrap();
    session.done(FsCall::Sync { file, data_only: false }).unwrap();
    assert_eq!(std::fs::read(POD.path("/data/out/by-handle")).unwrap(), b"abcdef");
    session.done(FsCall::TruncateFile { file, size: 2 }).unwrap();
    match session.fs(FsCall::StatFile(file)).unwrap() {
        FsAnswer::Stat(stat) => assert_eq!(stat.size, 2),
        other => panic!("that is no stat: {other:?}"),
    }
    let appended =
        open(&mut session, "/data/out/by-handle", libc::O_WRONLY | libc::O_APPEND, 0).file.unwrap();
    let append = FsCall::WriteAt { file: appended, offset: 0, bytes: ByteBuf::from("!") };
    assert_eq!(session.fs(append), Ok(FsAnswer::Written(1)));
    assert_eq!(read(&mut session, file, 0, 10), b"ab!");
}

fn list(session: &mut Session, file: RemoteFd) -> (Vec<Vec<u8>>, usize) {
    let (mut names, mut position, mut n_calls) = (Vec::new(), 0, 0);
    loop {
        n_calls += 1;
        match session.fs(FsCall::List { file, position }).unwrap() {
            FsAnswer::Entries { entries, next } => {
                names.extend(entries.into_iter().map(|entry| entry.name.into_vec()));
                match next {
                    Some(next) => position = next,
                    None => return (names, n_calls),
                }
            }
            other => panic!("those are no entries: {other:?}"),
        }
    }
}

#[test]
fn a_directory_is_listed_whole_however_often() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let file = open(&mut session, "/data/many", libc::O_RDONLY | libc::O_DIRECTORY, 0).file.unwrap();
    for _ in 0..2 {
        let (mut names, n_calls) = list(&mut session, file);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 302, "300 files, and both dots");
        assert!(n_calls < 10);
    }
    let odd = open(&mut session, "/data/odd", libc::O_RDONLY, 0).file.unwrap();
    let (names, _) = list(&mut session, odd);
    for name in [&b"."[..], b"..", b"new\nline", b"not-\xff-text"] {
        assert!(names.iter().any(|it| it == name), "{name:?} in {names:?}");
    }
}

#[test]
fn the_entries_tell_their_types() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let file = open(&mut session, "/data", libc::O_RDONLY, 0).file.unwrap();
    let FsAnswer::Entries { entries, .. } = session.fs(FsCall::List { file, position: 0 }).unwrap() else {
        panic!("a directory has entries")
    };
    for (name, kind) in [("orders.txt", libc::DT_REG), ("link", libc::DT_LNK), ("deep", libc::DT_DIR)] {
        let entry = entries.iter().find(|it| it.name.as_slice() == name.as_bytes()).unwrap();
        assert_eq!(entry.kind, kind, "{name}");
        assert_ne!(entry.inode, 0);
    }
}

#[test]
fn a_handle_is_the_sessions_own_and_ends_when_it_is_closed() {
    let agent = Agent::in_pod();
    let (mut ann, mut ben) = (agent.session(), agent.session());
    let file = open(&mut ann, "/data/big", libc::O_RDONLY, 0).file.unwrap();
    let read = FsCall::ReadAt { file, offset: 0, length: 1 };
    assert_eq!(ben.fs(read.clone()), Err(libc::EBADF));
    assert!(ann.fs(read.clone()).is_ok());
    ann.call(AgentCall::Close(file)).unwrap();
    assert_eq!(ann.fs(read), Err(libc::EBADF));
    // What is closed twice is closed.
    ann.call(AgentCall::Close(file)).unwrap();
}

#[test]
fn a_file_is_no_directory_and_a_directory_no_file() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let file = open(&mut session, "/data/big", libc::O_RDONLY, 0).file.unwrap();
    let folder = open(&mut session, "/data", libc::O_RDONLY, 0).file.unwrap();
    assert_eq!(session.fs(FsCall::List { file, position: 0 }), Err(libc::ENOTDIR));
    assert_eq!(session.fs(FsCall::ReadAt { file: folder, offset: 0, length: 9 }), Err(libc::EISDIR));
}

fn stats(session: &mut Session, folder: &str, names: &[&[u8]]) -> Result<Vec<Option<FileStat>>, i32> {
    let names = names.iter().map(|name| ByteBuf::from(*name)).collect();
    match session.fs(FsCall::StatNames { folder: path(folder), names })? {
        FsAnswer::Stats(stats) => Ok(stats),
        other => panic!("those are no attributes: {other:?}"),
    }
}

#[test]
fn many_names_of_a_folder_have_the_attributes_that_each_has() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let names: [&[u8]; 7] = [b"orders.txt", b"link", b"dangling", b"deep", b"gone", b"big", b"loop-a"];
    let told = stats(&mut session, "/data", &names).unwrap();
    assert_eq!(told.len(), names.len());
    for (name, told) in names.iter().zip(told) {
        let path = path(&format!("/data/{}", str::from_utf8(name).unwrap()));
        match session.fs(FsCall::Stat { path, follow: false }) {
            Ok(FsAnswer::Stat(stat)) => assert_eq!(told, Some(stat), "{name:?}"),
            outcome => assert_eq!((told, outcome.is_err()), (None, true), "{name:?}"),
        }
    }
    // The folder itself may be reached by a link.
    std::os::unix::fs::symlink("../deep", POD.path("/data/out/link-to-deep")).unwrap();
    assert!(stats(&mut session, "/data/out/link-to-deep", &[b"er"]).unwrap()[0].is_some());
    assert_eq!(stats(&mut session, "/data/orders.txt", &[b"x"]), Err(libc::ENOTDIR));
    assert_eq!(stats(&mut session, "/data/gone", &[b"x"]), Err(libc::ENOENT));
    assert_eq!(stats(&mut session, "/data/many", &[]), Ok(Vec::new()));
}

#[test]
fn what_is_no_name_of_the_folder_is_not_looked_at() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let names: [&[u8]; 7] = [b"", b".", b"..", b"../etc", b"/etc", b"data/big", b"da\0ta"];
    assert_eq!(stats(&mut session, "/", &names), Ok(vec![None; names.len()]));
    assert!(stats(&mut session, "/", &vec![&b"data"[..]; MOST_NAMES]).is_ok());
    assert_eq!(stats(&mut session, "/", &vec![&b"data"[..]; MOST_NAMES + 1]), Err(libc::E2BIG));
}
