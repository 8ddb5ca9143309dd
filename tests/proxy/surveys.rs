//! Attributes of names in a folder that was listed: they come together, and are right all the same.

use std::{
    fs::{self, File},
    io::Write,
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use mirrord_config::handoff::DataPath;
use mirrord_protocol::{
    GuestPath,
    agent::fs::{FileStat, FsAnswer, FsCall, Time},
    proxy::{FromProxy, Looked, ToProxy, sockets::CHANGES},
};
use mirrord_tests::eventually::eventually;
use serde_bytes::ByteBuf;

use crate::{layer::Layer, stage::Stage};

const SOON: Duration = Duration::from_secs(10);

fn path(name: &str) -> GuestPath {
    GuestPath::from(format!("/data/out/{name}").as_str())
}

/// What is told of a name in `/data/out`.
fn told(layer: &Layer, name: &str, follow: bool) -> Result<FileStat, i32> {
    match layer.fs(FsCall::Stat { path: path(name), follow }) {
        Ok(FsAnswer::Stat(stat)) => Ok(stat),
        Ok(answer) => panic!("{answer:?}"),
        Err(fault) => Err(fault.errno),
    }
}

/// The same for what may be compared with [`truth`].
fn known(layer: &Layer, name: &str, follow: bool) -> Result<[u64; 8], i32> {
    told(layer, name, follow).map(|stat| {
        let moment = |time: Time| [time.seconds.unsigned_abs(), time.nanoseconds.into()];
        let ([modified, fraction], [changed, _]) = (moment(stat.modified), moment(stat.changed));
        let (mode, n_links, uid) = (stat.mode.into(), stat.n_links.into(), stat.uid.into());
        [mode, n_links, uid, stat.size, modified, fraction, changed, stat.inode]
    })
}

fn truth(path: &Path, follow: bool) -> Result<[u64; 8], i32> {
    let found = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
    let stat = found.map_err(|error| error.raw_os_error().unwrap())?;
    let [modified, fraction, changed] =
        [stat.mtime(), stat.mtime_nsec(), stat.ctime()].map(i64::unsigned_abs);
    let (mode, uid) = (stat.mode().into(), stat.uid().into());
    Ok([mode, stat.nlink(), uid, stat.size(), modified, fraction, changed, stat.ino()])
}

/// A folder with all that a folder may have, listed through a descriptor whose path it gives, too.
struct Listed {
    stage: Stage,
    layer: Layer,
    here: PathBuf,
    there: PathBuf,
    names: Vec<String>,
    _folder: std::os::fd::OwnedFd,
}

impl Listed {
    fn new() -> Self {
        let stage = Stage::new(DataPath::Proxied);
        let layer = stage.layer();
        let there = stage.pod.path("/data/out");
        for n in 0..40 {
            fs::write(there.join(format!("file-{n:02}")), vec![b'x'; n]).unwrap();
        }
        fs::create_dir(there.join("folder")).unwrap();
        fs::write(there.join("folder/below"), "words").unwrap();
        symlink("file-07", there.join("link")).unwrap();
        symlink("folder", there.join("link-to-folder")).unwrap();
        symlink("nowhere", there.join("dangling")).unwrap();
        fs::hard_link(there.join("file-03"), there.join("second-name")).unwrap();
        let folder = layer.open("/data/out", libc::O_RDONLY | libc::O_DIRECTORY, 0).unwrap();
        let here = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        let mut this = Self { stage, layer, here, there, names: Vec::new(), _folder: folder };
        this.list();
        this
    }

    /// Lists it, and looks at every name.
    fn list(&mut self) {
        let names = fs::read_dir(&self.here).unwrap();
        self.names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        self.names.sort();
        self.look();
    }

    /// Every name has what it has there.
    fn look(&self) {
        for name in &self.names {
            for follow in [false, true] {
                let there = truth(&self.there.join(name), follow);
                assert_eq!(known(&self.layer, name, follow), there, "{name}, follow: {follow}");
            }
        }
    }
}

#[test]
fn each_name_of_a_listed_folder_has_the_attributes_that_it_has_there() {
    let listed = Listed::new();
    assert_eq!(listed.names.len(), 45);
    listed.look();
    assert_eq!(told(&listed.layer, "never", false), Err(libc::ENOENT));
    assert_eq!(told(&listed.layer, "folder/below", false).unwrap().size, 5);
}

#[test]
fn what_a_session_changes_by_path_is_seen_at_once_by_all_of_it() {
    let mut listed = Listed::new();
    let times = [Time { seconds: 1_000_000, nanoseconds: 5 }; 2];
    let name = ByteBuf::from("user.word");
    let by_link = || GuestPath::from("/data/out/link-to-folder/below");
    let changes = [
        FsCall::ChangeMode { path: path("file-01"), mode: 0o600, follow: true },
        FsCall::ChangeMode { path: path("link"), mode: 0o611, follow: true },
        FsCall::SetTimes { path: path("file-02"), times, follow: false },
        FsCall::SetTimes { path: path("link"), times, follow: false },
        FsCall::ChangeMode { path: path("second-name"), mode: 0o640, follow: true },
        FsCall::Truncate { path: path("file-39"), size: 3 },
        FsCall::Truncate { path: path("link"), size: 70_000 },
        FsCall::SetAttribute {
            path: path("file-04"),
            name,
            value: ByteBuf::from("x"),
            flags: 0,
            follow: true,
        },
        FsCall::Link { from: path("file-05"), to: path("third-name"), follow: false },
        FsCall::Unlink(path("second-name")),
        FsCall::MakeDir { path: path("folder/more"), mode: 0o755 },
        FsCall::ChangeMode { path: by_link(), mode: 0o600, follow: true },
        FsCall::Unlink(by_link()),
        FsCall::Rename { from: path("file-10"), to: path("file-11"), flags: 0 },
        FsCall::Rename { from: path("file-12"), to: path("file-13"), flags: libc::RENAME_EXCHANGE },
        FsCall::Rename { from: path("folder"), to: path("moved"), flags: 0 },
        FsCall::Symlink { text: GuestPath::from("file-20"), path: path("folder") },
        FsCall::MakeNode { path: path("new"), mode: 0o100_644 },
    ];
    for change in changes {
        listed.list();
        let outcome = listed.stage.layer().fs(change.clone());
        // Not every file system has attributes of one's own.
        assert!(outcome.is_ok() || matches!(change, FsCall::SetAttribute { .. }), "{change:?}: {outcome:?}");
        listed.look();
    }
    for (flags, name) in [(libc::O_TRUNC, "file-30"), (libc::O_CREAT, "file-31"), (libc::O_CREAT, "newer")] {
        listed.list();
        listed.stage.layer().open(&format!("/data/out/{name}"), flags | libc::O_WRONLY, 0o600).unwrap();
        listed.look();
    }
}

#[test]
fn what_a_session_changes_through_a_descriptor_is_seen_at_once_by_all_of_it() {
    let mut listed = Listed::new();
    let here = listed.here.clone();
    let open = |name: &str| File::options().write(true).open(here.join(name)).unwrap();
    let changes: [(&str, &dyn Fn()); 9] = [
        ("written", &|| open("file-01").write_all(b"more than it was").unwrap()),
        ("written anywhere", &|| open("file-02").write_all_at(b"x", 100_000).unwrap()),
        ("cut", &|| open("file-30").set_len(2).unwrap()),
        ("mode", &|| open("file-03").set_permissions(PermissionsExt::from_mode(0o604)).unwrap()),
        ("created", &|| drop(File::create(here.join("new")).unwrap())),
        ("created anew", &|| drop(File::create(here.join("file-31")).unwrap())),
        ("removed", &|| fs::remove_file(here.join("second-name")).unwrap()),
        ("linked", &|| fs::hard_link(here.join("file-04"), here.join("third-name")).unwrap()),
        ("renamed", &|| fs::rename(here.join("folder"), here.join("moved")).unwrap()),
    ];
    for (words, change) in changes {
        listed.list();
        change();
        listed.look();
        assert!(!words.is_empty());
    }
}

#[test]
fn what_the_target_changes_is_seen_soon() {
    let listed = Listed::new();
    fs::write(listed.there.join("file-20"), "of another size altogether").unwrap();
    fs::remove_file(listed.there.join("file-21")).unwrap();
    fs::remove_file(listed.there.join("file-22")).unwrap();
    fs::create_dir(listed.there.join("file-22")).unwrap();
    for name in ["file-20", "file-21", "file-22"] {
        let there = truth(&listed.there.join(name), false);
        eventually(name, SOON, || (known(&listed.layer, name, false) == there).then_some(()));
    }
}

fn look(layer: &Layer, name: &str, follow: bool, n_more: u16) -> Looked {
    match layer.ask(&ToProxy::Look { path: path(name), follow, n_more }) {
        FromProxy::Looked(looked) => looked,
        answer => panic!("{answer:?}"),
    }
}

/// How often the session has changed a file, as guests see it.
fn n_changes(layer: &Layer) -> u64 {
    let (shared, mut count) = (File::from(layer.handed[1].try_clone().unwrap()), [0; 8]);
    shared.read_exact_at(&mut count, CHANGES as u64).unwrap();
    u64::from_ne_bytes(count)
}

#[test]
fn the_next_names_come_along_for_as_long_as_the_session_changes_nothing() {
    let mut listed = Listed::new();
    // Whoever is slow lists it again.
    let looked = eventually("names that come along", SOON, || {
        listed.list();
        let looked = look(&listed.layer, "file-20", true, 5);
        (looked.more.len() == 5).then_some(looked)
    });
    assert!((1..=1000).contains(&looked.milliseconds));
    assert_eq!(looked.n_changes, n_changes(&listed.layer));
    let find = |name: &[u8]| told(&listed.layer, str::from_utf8(name).unwrap(), false).unwrap();
    assert_eq!(looked.stat, find(b"file-20"));
    for (name, stat) in &looked.more {
        assert_eq!(*stat, find(name));
    }
    let alone = [look(&listed.layer, "link", true, 5), look(&listed.layer, "folder/below", true, 5)];
    for looked in alone {
        assert_eq!((looked.milliseconds, looked.more.len()), (0, 0), "{looked:?}");
    }
    assert!(look(&listed.layer, "file-02", false, 5).stat.size == 2);
}

#[test]
fn every_change_is_counted_before_it_is_answered() {
    let listed = Listed::new();
    let here = |name: &str| listed.here.join(name);
    let layer = listed.stage.layer();
    let by_path = |call: FsCall| drop(layer.fs(call).unwrap());
    let changes: [&dyn Fn(); 8] = [
        &|| by_path(FsCall::ChangeMode { path: path("link"), mode: 0o600, follow: true }),
        &|| by_path(FsCall::Rename { from: path("file-01"), to: path("file-02"), flags: 0 }),
        &|| by_path(FsCall::Unlink(path("file-03"))),
        &|| drop(layer.open("/data/out/file-04", libc::O_WRONLY | libc::O_TRUNC, 0).unwrap()),
        &|| fs::write(here("new"), "x").unwrap(),
        &|| fs::create_dir(here("newer")).unwrap(),
        &|| fs::set_permissions(here("file-05"), PermissionsExt::from_mode(0o600)).unwrap(),
        &|| fs::remove_file(here("file-06")).unwrap(),
    ];
    for (n, change) in changes.iter().enumerate() {
        let before = n_changes(&listed.layer);
        change();
        assert!(n_changes(&listed.layer) > before, "change {n}");
    }
    let before = n_changes(&listed.layer);
    listed.layer.open("/data/out/file-07", libc::O_RDONLY, 0).unwrap();
    by_path(FsCall::ReadLink(path("link")));
    by_path(FsCall::Canonicalize(path("link")));
    by_path(FsCall::Access { path: path("file-07"), mode: libc::R_OK, follow: true });
    by_path(FsCall::ListAttributes { path: path("file-07"), follow: true });
    assert_eq!(n_changes(&listed.layer), before, "what changes nothing is not counted");
}
