//! Files of the pod, as kernel objects.

use std::{
    fs::File,
    io::Read,
    os::{fd::AsRawFd, unix::fs::MetadataExt},
};

use mirrord_config::handoff::DataPath;
use mirrord_tests::pod::root::pattern;

use crate::stage::Stage;

#[test]
fn a_passed_file_is_the_file_itself() {
    let stage = Stage::new(DataPath::Passed);
    let layer = stage.layer();
    let mut file = File::from(layer.open("/data/one-mebibyte", libc::O_RDONLY, 0).unwrap());
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    assert!(bytes == pattern(1 << 20));
    let (stat, metadata) = (layer.stat("/data/one-mebibyte").unwrap(), file.metadata().unwrap());
    assert_eq!((stat.device, stat.inode), (metadata.dev(), metadata.ino()));
    let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    assert_eq!(link, std::path::Path::new("/data/one-mebibyte"));
}

#[test]
fn a_file_that_is_not_there_is_not_there() {
    let stage = Stage::new(DataPath::Passed);
    let layer = stage.layer();
    assert_eq!(layer.open("/no/such/file", libc::O_RDONLY, 0).unwrap_err().errno, libc::ENOENT);
    assert_eq!(layer.stat("/data/dangling").unwrap_err().errno, libc::ENOENT);
    assert_eq!(layer.open("/data/loop-a", libc::O_RDONLY, 0).unwrap_err().errno, libc::ELOOP);
}
