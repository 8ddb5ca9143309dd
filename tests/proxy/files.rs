//! Files of the pod, as kernel objects.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use mirrord_config::handoff::DataPath;
use mirrord_protocol::{GuestPath, agent::fs::FsCall};
use mirrord_tests::{
    eventually::eventually,
    pod::root::{BIG_SIZE, pattern},
};

use crate::{layer::Layer, stage::Stage};

const SOON: Duration = Duration::from_secs(10);

/// Runs a story in both data paths.
fn both(story: impl Fn(&Stage, &Layer)) {
    for data_path in [DataPath::Passed, DataPath::Proxied] {
        let stage = Stage::new(data_path);
        story(&stage, &stage.layer());
    }
}

fn link_of(file: &impl AsRawFd) -> PathBuf {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
}

fn beneath(directory: &OwnedFd, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))
}

#[test]
fn a_file_has_its_bytes_and_its_attributes() {
    both(|stage, layer| {
        for name in ["/data/one-mebibyte", "/data/big", "/data/empty", "/data/orders.txt", "/data/link"] {
            let mut file = File::from(layer.open(name, libc::O_RDONLY, 0).unwrap());
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            assert!(bytes == fs::read(stage.pod.path(name)).unwrap(), "{name}");
            let (stat, metadata) = (layer.stat(name).unwrap(), file.metadata().unwrap());
            assert_eq!(stat.size, metadata.len());
            assert_eq!(stat.mode & 0o7777, metadata.mode() & 0o7777);
            assert_eq!(
                (stat.modified.seconds, i64::from(stat.modified.nanoseconds)),
                (metadata.mtime(), metadata.mtime_nsec())
            );
        }
    });
}

#[test]
fn a_passed_file_is_the_file_itself() {
    let stage = Stage::new(DataPath::Passed);
    let layer = stage.layer();
    let file = File::from(layer.open("/data/one-mebibyte", libc::O_RDONLY, 0).unwrap());
    let (stat, metadata) = (layer.stat("/data/one-mebibyte").unwrap(), file.metadata().unwrap());
    assert_eq!((stat.device, stat.inode), (metadata.dev(), metadata.ino()));
    assert_eq!(link_of(&file), Path::new("/data/one-mebibyte"));
}

#[test]
fn paths_descriptors_and_names_of_memory_tell_the_same_device_and_inode() {
    let stage = Stage::new(DataPath::Proxied);
    let layer = stage.layer();
    let (big, small) = (layer.stat("/data/big").unwrap(), layer.stat("/data/one-mebibyte").unwrap());
    let file = File::from(layer.open("/data/big", libc::O_RDONLY, 0).unwrap());
    let metadata = file.metadata().unwrap();
    assert_eq!((big.device, big.inode), (metadata.dev(), metadata.ino()));
    assert_eq!(link_of(&file), Path::new("/data/big"));
    let memory = layer.open("/data/one-mebibyte", libc::O_RDONLY, 0).unwrap();
    let (device, inode) = (small.device, small.inode);
    let expected = format!("/memfd:mirrord:{device:x}:{inode:x}:1:0:0:/data/one-mebibyte (deleted)");
    assert_eq!(link_of(&memory), Path::new(&expected));
    let directory = layer.open("/data", libc::O_RDONLY | libc::O_DIRECTORY, 0).unwrap();
    assert_eq!(link_of(&directory), Path::new("/data"));
    let below = fs::metadata(beneath(&directory, "one-mebibyte")).unwrap();
    assert_eq!((small.device, small.inode), (below.dev(), below.ino()));
}

#[test]
fn a_file_that_is_not_there_is_not_there() {
    both(|_, layer| {
        assert_eq!(layer.open("/no/such/file", libc::O_RDONLY, 0).unwrap_err().errno, libc::ENOENT);
        assert_eq!(layer.stat("/data/dangling").unwrap_err().errno, libc::ENOENT);
        assert_eq!(layer.open("/data/loop-a", libc::O_RDONLY, 0).unwrap_err().errno, libc::ELOOP);
        assert_eq!(layer.open("/data", libc::O_WRONLY, 0).unwrap_err().errno, libc::EISDIR);
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        assert_eq!(layer.open("/data/orders.txt", flags, 0).unwrap_err().errno, libc::ENOTDIR);
    });
}

#[test]
fn a_big_file_is_read_from_end_to_end_and_here_and_there() {
    both(|_, layer| {
        let mut file = File::from(layer.open("/data/big", libc::O_RDONLY, 0).unwrap());
        let expected = pattern(BIG_SIZE);
        let mut at = 12_345_u64;
        let mut piece = vec![0; 5000];
        for _ in 0..200 {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let offset = (at >> 20) % (BIG_SIZE as u64 - 5000);
            file.read_exact_at(&mut piece, offset).unwrap();
            let from = usize::try_from(offset).unwrap();
            assert!(piece == expected[from..from + 5000], "at {offset}");
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert!(bytes == expected);
        assert_eq!(file.seek(SeekFrom::End(0)).unwrap(), BIG_SIZE as u64);
    });
}

#[test]
fn what_is_written_here_is_there() {
    both(|stage, layer| {
        let there = stage.pod.path("/data/out/new");
        let create = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR;
        let mut file = File::from(layer.open("/data/out/new", create, 0o640).unwrap());
        assert_eq!(layer.open("/data/out/new", create, 0o640).unwrap_err().errno, libc::EEXIST);
        file.write_all(b"one two three").unwrap();
        file.write_all_at(b"TWO", 4).unwrap();
        file.sync_all().unwrap();
        assert_eq!(fs::read(&there).unwrap(), b"one TWO three");
        assert_eq!(fs::metadata(&there).unwrap().mode() & 0o7777, 0o640);
        file.set_len(7).unwrap();
        assert_eq!(fs::read(&there).unwrap(), b"one TWO");
        assert_eq!(file.metadata().unwrap().len(), 7);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"one TWO");
        let truncated = layer.open("/data/out/new", libc::O_WRONLY | libc::O_TRUNC, 0).unwrap();
        assert_eq!(fs::metadata(&there).unwrap().len(), 0);
        assert_eq!(File::from(truncated).metadata().unwrap().len(), 0);
    });
}

#[test]
fn appending_appends_whoever_else_appends() {
    both(|stage, layer| {
        let there = stage.pod.path("/data/out/log");
        let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_APPEND;
        let mut files: Vec<_> =
            (0..2).map(|_| File::from(layer.open("/data/out/log", flags, 0o600).unwrap())).collect();
        for (index, line) in ["a\n", "b\n", "c\n", "d\n"].iter().enumerate() {
            files[index % 2].write_all(line.as_bytes()).unwrap();
        }
        File::options().append(true).open(&there).unwrap().write_all(b"there\n").unwrap();
        files[0].write_all(b"e\n").unwrap();
        assert_eq!(fs::read_to_string(&there).unwrap(), "a\nb\nc\nd\nthere\ne\n");
    });
}

#[test]
fn a_shared_mapping_writes_through() {
    both(|stage, layer| {
        let there = stage.pod.path("/data/out/mapped");
        fs::write(&there, pattern(10_000)).unwrap();
        let file = layer.open("/data/out/mapped", libc::O_RDWR, 0).unwrap();
        let length = 10_000;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of a file of that length.
        let memory = unsafe {
            libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert_ne!(memory, libc::MAP_FAILED);
        // SAFETY: the mapping is that long, and nothing else uses it.
        let bytes = unsafe { std::slice::from_raw_parts_mut(memory.cast::<u8>(), length) };
        assert!(*bytes == pattern(length));
        bytes[5000..5005].copy_from_slice(b"hello");
        // SAFETY: the mapping is that long.
        assert_eq!(unsafe { libc::msync(memory, length, libc::MS_SYNC) }, 0);
        assert_eq!(&fs::read(&there).unwrap()[5000..5005], b"hello");
        // SAFETY: nobody uses it any more.
        assert_eq!(unsafe { libc::munmap(memory, length) }, 0);
    });
}

#[test]
fn a_directory_of_ten_thousand_is_listed_whole() {
    both(|stage, layer| {
        let there = stage.pod.path("/data/out");
        let expected: BTreeSet<_> = (0..10_000).map(|n| format!("a-file-with-the-number-{n}")).collect();
        for name in &expected {
            File::create(there.join(name)).unwrap();
        }
        let directory = layer.open("/data/out", libc::O_RDONLY | libc::O_DIRECTORY, 0).unwrap();
        let listed: Vec<_> = fs::read_dir(format!("/proc/self/fd/{}", directory.as_raw_fd()))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(listed.len(), 10_000);
        assert!(listed.into_iter().collect::<BTreeSet<_>>() == expected);
    });
}

#[test]
fn a_directory_is_worked_in_through_its_descriptor() {
    let stage = Stage::new(DataPath::Proxied);
    let layer = stage.layer();
    let there = stage.pod.path("/data/out");
    let directory = layer.open("/data/out", libc::O_RDONLY | libc::O_DIRECTORY, 0).unwrap();
    let here = |name: &str| beneath(&directory, name);
    fs::create_dir(here("folder")).unwrap();
    fs::write(here("folder/file"), "words").unwrap();
    assert_eq!(fs::read_to_string(there.join("folder/file")).unwrap(), "words");
    fs::rename(here("folder"), here("moved")).unwrap();
    assert_eq!(fs::read_to_string(here("moved/file")).unwrap(), "words");
    fs::hard_link(here("moved/file"), here("second")).unwrap();
    assert_eq!(fs::metadata(there.join("second")).unwrap().nlink(), 2);
    std::os::unix::fs::symlink("second", here("link")).unwrap();
    assert_eq!(fs::read_link(here("link")).unwrap(), Path::new("second"));
    assert_eq!(fs::read_to_string(here("link")).unwrap(), "words");
    let open = File::open(here("second")).unwrap();
    fs::remove_file(here("second")).unwrap();
    fs::remove_file(here("moved/file")).unwrap();
    fs::remove_dir(here("moved")).unwrap();
    let mut words = String::new();
    (&open).read_to_string(&mut words).unwrap();
    assert_eq!(words, "words");
    assert!(!there.join("moved").exists());
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o604);
    fs::write(here("mode"), "").unwrap();
    fs::set_permissions(here("mode"), permissions).unwrap();
    assert_eq!(fs::metadata(there.join("mode")).unwrap().mode() & 0o7777, 0o604);
}

#[test]
fn a_replaced_file_is_the_new_one_at_once() {
    both(|stage, layer| {
        let path = "/data/out/config";
        let there = stage.pod.path(path);
        // Larger than what comes as memory.
        let contents = |byte: u8| vec![byte; 2 << 20];
        for byte in 0..5 {
            fs::write(there.with_extension("new"), contents(byte)).unwrap();
            let from = GuestPath::from("/data/out/config.new");
            layer.fs(FsCall::Rename { from, to: GuestPath::from(path), flags: 0 }).unwrap();
            let mut bytes = Vec::new();
            File::from(layer.open(path, libc::O_RDONLY, 0).unwrap()).read_to_end(&mut bytes).unwrap();
            assert!(bytes == contents(byte), "version {byte}");
        }
    });
}

#[test]
fn what_is_added_there_is_seen_by_a_reader_who_stays() {
    both(|stage, layer| {
        let there = stage.pod.path("/data/out/growing");
        fs::write(&there, pattern(2 << 20)).unwrap();
        let mut file = File::from(layer.open("/data/out/growing", libc::O_RDONLY, 0).unwrap());
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        File::options().append(true).open(&there).unwrap().write_all(b"and more").unwrap();
        let more = eventually("the new bytes", SOON, || {
            let mut more = String::new();
            file.read_to_string(&mut more).unwrap();
            (!more.is_empty()).then_some(more)
        });
        assert_eq!(more, "and more");
    });
}

#[test]
fn devices_that_mean_the_same_everywhere_are_devices() {
    both(|_, layer| {
        let mut null = File::from(layer.open("/dev/null", libc::O_RDWR, 0).unwrap());
        null.write_all(b"gone").unwrap();
        assert_eq!(null.read(&mut [0; 4]).unwrap(), 0);
    });
}

#[test]
fn files_that_tell_no_size_are_read_all_the_same() {
    both(|_, layer| {
        let mut words = String::new();
        File::from(layer.open("/proc/1/status", libc::O_RDONLY, 0).unwrap())
            .read_to_string(&mut words)
            .unwrap();
        assert!(words.contains("Pid:\t1\n"), "{words}");
    });
}

#[test]
fn a_path_only_descriptor_is_a_place() {
    both(|_, layer| {
        let place = layer.open("/data/deep", libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
        assert_eq!(link_of(&place), Path::new("/data/deep"));
        assert_eq!(fs::read(beneath(&place, "er/still/yet/leaf")).unwrap(), b"a leaf\n");
    });
}
