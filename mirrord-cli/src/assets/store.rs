//! A private folder that holds what the command carries, by the hash of its content.
//!
//! Whoever can write to this folder can run code as the developer, so a folder or a file of somebody else, or one that
//! others may write to, is never used, and what lies there is compared with what we carry before it is trusted.

use std::{
    env,
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
        process::parent_id,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, StatVfsMountFlags},
    io::Errno,
};
use thiserror::Error;

use super::{Asset, is_plain};

/// Why no folder can be used: what was wrong with each.
#[derive(Debug, Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub(crate) struct StoreError(Vec<FolderError>);

/// Why a folder cannot be used.
#[derive(Debug, Error)]
pub(super) enum FolderError {
    #[error("cannot use `{}`: {why}", folder.display())]
    Io { folder: PathBuf, why: io::Error },
    #[error("cannot use `{}`: it is not a folder of yours alone", .0.display())]
    NotOurs(PathBuf),
    #[error("cannot use `{}`: no program may be run from there", .0.display())]
    NoPrograms(PathBuf),
    #[error("cannot use `{}`: the dynamic loader does not take a path with a space or a colon", .0.display())]
    NotPlain(PathBuf),
}

/// The path of a file with this content, in the first folder that takes it.
pub(super) fn lay_out(asset: &Asset, hash: &str, bytes: &[u8]) -> Result<PathBuf, StoreError> {
    let mut refused = Vec::new();
    for folder in folders() {
        match lay_out_in(&folder, &file_name(asset, hash), bytes) {
            Ok(path) => return Ok(path),
            Err(why) => refused.push(why),
        }
    }
    Err(StoreError(refused))
}

/// `libmirrord_layer-0123456789abcdef.so`.
fn file_name(asset: &Asset, hash: &str) -> String {
    match asset.file_name.split_once('.') {
        Some((stem, extension)) => format!("{stem}-{hash}.{extension}"),
        None => format!("{}-{hash}", asset.file_name),
    }
}

/// Where to try, in this order.
fn folders() -> Vec<PathBuf> {
    let named = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let of_user = format!("mirrord-{}", rustix::process::geteuid().as_raw());
    let mut folders = Vec::new();
    match (named("XDG_CACHE_HOME"), named("HOME")) {
        (Some(cache), _) => folders.push(cache.join("mirrord")),
        (None, Some(home)) => folders.push(home.join(".cache/mirrord")),
        (None, None) => {}
    }
    folders.extend(named("XDG_RUNTIME_DIR").map(|runtime| runtime.join("mirrord")));
    let temporary = [named("TMPDIR"), Some("/tmp".into()), Some("/var/tmp".into()), Some("/dev/shm".into())];
    folders.extend(temporary.into_iter().flatten().map(|folder| folder.join(&of_user)));
    folders.dedup();
    folders
}

fn lay_out_in(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, FolderError> {
    let io = |why: io::Error| FolderError::Io { folder: folder.to_owned(), why };
    if !is_plain(folder) {
        return Err(FolderError::NotPlain(folder.to_owned()));
    }
    prepare(folder)?;
    let path = folder.join(name);
    if holds(&path, bytes) {
        return Ok(path);
    }
    // What lies there was cut short by a full disk, or is not ours.
    match fs::remove_file(&path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(io(why)),
        _ => {}
    }
    write(folder, &path, bytes).map_err(io)?;
    if holds(&path, bytes) { Ok(path) } else { Err(io(io::ErrorKind::InvalidData.into())) }
}

/// Makes the folder, or sees that it is ours alone.
fn prepare(folder: &Path) -> Result<(), FolderError> {
    let io = |why: io::Error| FolderError::Io { folder: folder.to_owned(), why };
    if fs::symlink_metadata(folder).is_err() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
    }
    let metadata = fs::symlink_metadata(folder).map_err(io)?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(FolderError::NotOurs(folder.to_owned()));
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(io)?;
    }
    let mount = rustix::fs::statvfs(folder).map_err(|errno| io(errno.into()))?;
    if mount.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Err(FolderError::NoPrograms(folder.to_owned()));
    }
    Ok(())
}

/// Whether a file is ours, nobody else's to write to, and has exactly this content.
fn holds(path: &Path, bytes: &[u8]) -> bool {
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let Ok(mut file) = OpenOptions::new().read(true).custom_flags(no_follow).open(path) else { return false };
    let Ok(metadata) = file.metadata() else { return false };
    metadata.is_file()
        && metadata.uid() == rustix::process::geteuid().as_raw()
        && metadata.mode() & 0o777 == 0o500
        && metadata.len() == bytes.len() as u64
        && reads_as(&mut file, bytes)
}

fn reads_as(file: &mut File, bytes: &[u8]) -> bool {
    let mut buffer = vec![0; 256 << 10];
    bytes.chunks(buffer.len()).all(|expected| {
        let piece = &mut buffer[..expected.len()];
        file.read_exact(piece).is_ok() && piece == expected
    })
}

/// Writes a file that appears under its name when it is whole, or never: also when we are killed meanwhile.
fn write(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, folder, flags, Mode::RWXU) {
        Ok(file) => write_nameless(file.into(), path, bytes),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => write_beside(folder, path, bytes),
        Err(errno) => Err(errno.into()),
    }
}

fn write_nameless(mut file: File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(0o500))?;
    // A program that somebody still writes to cannot be run (ETXTBSY), so the name comes after the last writer.
    let readable = File::open(by_descriptor(&file))?;
    drop(file);
    match rustix::fs::linkat(CWD, by_descriptor(&readable), CWD, path, AtFlags::SYMLINK_FOLLOW) {
        // Another command was faster; its file is verified like ours.
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn by_descriptor(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// The same where files cannot be nameless.
fn write_beside(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let beside = folder.join(format!(".{name}.{}.{}", std::process::id(), parent_id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o500).open(&beside)?;
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(0o500))?;
        drop(file);
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests;
