//! Extended attributes (`xattr(7)`).

use std::os::fd::{AsFd as _, OwnedFd};

use mirrord_protocol::{
    GuestPath,
    agent::fs::{FsAnswer, FsCall},
};
use rustix::{
    fs::XattrFlags,
    io::{Errno, Result},
};

use super::{
    bytes,
    root::{Root, name},
};

/// The most bytes that the kernel keeps as a value, or as a list of names.
const MAX_VALUE: usize = 64 << 10;

/// Does a call about an attribute.
pub(super) fn attribute(root: &Root, call: &FsCall) -> Result<FsAnswer> {
    let find = |path: &GuestPath, follow: bool| -> Result<OwnedFd> { root.find(path.as_bytes(), follow) };
    match call {
        FsCall::GetAttribute { path, name: key, follow } => {
            let file = find(path, *follow)?;
            let mut value = Vec::with_capacity(MAX_VALUE);
            let place = rustix::buffer::spare_capacity(&mut value);
            rustix::fs::getxattr(name(file.as_fd()), key.as_slice(), place)?;
            Ok(bytes(value))
        }
        FsCall::ListAttributes { path, follow } => {
            let file = find(path, *follow)?;
            let mut names = Vec::with_capacity(MAX_VALUE);
            rustix::fs::listxattr(name(file.as_fd()), rustix::buffer::spare_capacity(&mut names))?;
            Ok(bytes(names))
        }
        FsCall::SetAttribute { path, name: key, value, flags, follow } => {
            let file = find(path, *follow)?;
            let flags = XattrFlags::from_bits_retain(flags.cast_unsigned());
            rustix::fs::setxattr(name(file.as_fd()), key.as_slice(), value, flags)?;
            Ok(FsAnswer::Done)
        }
        FsCall::RemoveAttribute { path, name: key, follow } => {
            let file = find(path, *follow)?;
            rustix::fs::removexattr(name(file.as_fd()), key.as_slice())?;
            Ok(FsAnswer::Done)
        }
        _ => Err(Errno::INVAL),
    }
}
