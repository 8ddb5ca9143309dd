//! What is laid out is whole and private, whatever lay there before.

use std::os::unix::fs::symlink;

use super::*;

const BYTES: &[u8] = b"a library";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn what_is_laid_out_is_private_and_found_again() {
    let parent = folder();
    let ours = parent.path().join("mirrord");
    let path = lay_out_in(&ours, "x.so", BYTES).unwrap();
    assert_eq!(fs::read(&path).unwrap(), BYTES);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o500);
    assert_eq!(fs::metadata(&ours).unwrap().mode() & 0o777, 0o700);
    let inode = fs::metadata(&path).unwrap().ino();
    lay_out_in(&ours, "x.so", BYTES).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode, "not written twice");
    assert_eq!(fs::read_dir(&ours).unwrap().count(), 1, "nothing else lies there");
}

#[test]
fn what_was_cut_short_or_changed_is_written_anew() {
    let parent = folder();
    let path = parent.path().join("x.so");
    for wrong in [&b"a lib"[..], b"a librarY", b""] {
        fs::write(&path, wrong).unwrap();
        lay_out_in(parent.path(), "x.so", BYTES).unwrap();
        assert_eq!(fs::read(&path).unwrap(), BYTES);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_file_that_others_may_write_to_is_not_trusted() {
    let parent = folder();
    let path = lay_out_in(parent.path(), "x.so", BYTES).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    let keeper = File::open(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
    lay_out_in(parent.path(), "x.so", BYTES).unwrap();
    assert_ne!(fs::metadata(&path).unwrap().ino(), inode);
    drop(keeper);
}

#[test]
fn a_link_is_not_followed() {
    let parent = folder();
    let elsewhere = parent.path().join("elsewhere");
    fs::write(&elsewhere, BYTES).unwrap();
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o500)).unwrap();
    let ours = parent.path().join("ours");
    fs::create_dir(&ours).unwrap();
    symlink(&elsewhere, ours.join("x.so")).unwrap();
    let path = lay_out_in(&ours, "x.so", BYTES).unwrap();
    assert!(fs::symlink_metadata(path).unwrap().is_file());
    symlink(&ours, parent.path().join("link")).unwrap();
    let refused = lay_out_in(&parent.path().join("link"), "x.so", BYTES);
    assert!(matches!(refused, Err(FolderError::NotOurs(_))));
}

#[test]
fn a_folder_that_the_loader_cannot_be_told_is_passed_over() {
    let parent = folder();
    let refused = lay_out_in(&parent.path().join("a b"), "x.so", BYTES);
    assert!(matches!(refused, Err(FolderError::NotPlain(_))));
}

#[test]
fn files_are_named_by_their_content() {
    assert_eq!(file_name(&Asset::LAYER, "0f"), "libmirrord_layer-0f.so");
    assert_eq!(file_name(&Asset::AGENT, "0f"), "mirrord-agent-0f");
}
