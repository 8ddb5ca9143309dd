//! Network namespaces with a name, as `ip-netns(8)` keeps them.

use std::{fs, path::Path};

use mirrord_core::near::near;

use super::{TargetError, process};
use crate::proxy::start::Place;

/// Where they are.
const FOLDER: &str = "/run/netns";

/// `NSFS_MAGIC` of `linux/magic.h`.
const NAMESPACE_FILE_SYSTEM: i64 = 0x6e73_6673;

pub(super) fn find(name: &str) -> Result<Place, TargetError> {
    let file = Path::new(FOLDER).join(name);
    if name.starts_with('.') || !file.exists() {
        return Err(TargetError::NoNetwork { name: name.to_owned(), near: near(name, all()) });
    }
    let is_namespace = rustix::fs::statfs(&file).is_ok_and(|found| found.f_type == NAMESPACE_FILE_SYSTEM);
    if !is_namespace {
        return Err(TargetError::NotANetwork(name.to_owned()));
    }
    if !process::may_administer() {
        return Err(TargetError::MayNotEnter(format!("netns/{name}")));
    }
    Ok(Place::Network { file, name: name.to_owned() })
}

fn all() -> impl Iterator<Item = String> {
    let entries = fs::read_dir(FOLDER).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}
