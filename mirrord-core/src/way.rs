//! Which way a call on a path goes: here as it was said, here under another path, or there.

use mirrord_protocol::GuestPath;

use crate::{
    path,
    rules::fs::{Deed, FsMode, FsRules, Here},
    verdict::{Errno, Verdict},
};

/// Longer paths are refused by the kernel (`PATH_MAX`).
const MAX_PATH: usize = 4096;

/// What becomes of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is left as it was said.
    Here,
    /// It is left, under this path: it was mapped, or said from a directory that lies there.
    HereAt(Vec<u8>),
    /// It goes there, under this absolute path.
    There(GuestPath),
    /// The proxy maps this plain path first; [`judge_mapped`] says what becomes of the other.
    Map(GuestPath),
    /// The guest sees this error.
    Refused(Errno),
}

/// A directory from which a relative path is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whether it lies there.
    pub there: bool,
    /// Its absolute path, there or here.
    pub path: Vec<u8>,
}

/// Whether a path can be left without a closer look: an absolute plain one that stays, or a session without files.
#[must_use]
pub fn stays(rules: &FsRules, here: &Here<'_>, said: &[u8], deed: Deed) -> bool {
    rules.mode == FsMode::Local
        || (path::is_plain(said)
            && !rules.mapping.is_match(said)
            && matches!(rules.decide(said, deed, here), Verdict::Leave(_)))
}

/// Which way a path goes. `seen_from` tells the directory of a relative one; nothing if it is none, which the kernel
/// says better.
pub fn find(
    rules: &FsRules,
    here: &Here<'_>,
    seen_from: impl FnOnce() -> Option<Place>,
    said: &[u8],
    deed: Deed,
) -> Way {
    if said.is_empty() || said.len() >= MAX_PATH {
        return Way::Here;
    }
    let (is_base_there, base) = if said.starts_with(b"/") {
        (false, Vec::new())
    } else {
        match seen_from() {
            Some(place) => (place.there, place.path),
            None => return Way::Here,
        }
    };
    let size = base.len() + said.len() + 2;
    let (mut joined, mut plain) = (vec![0; size], vec![0; size]);
    let Some(joined) = path::join(&base, said, &mut joined) else { return Way::Here };
    let Some(plain) = path::plain(b"/", joined, &mut plain) else { return Way::Here };
    if rules.mode != FsMode::Local && rules.mapping.is_match(plain) {
        return Way::Map(GuestPath::from(plain));
    }
    judge(rules, here, joined, plain, deed, is_base_there)
}

/// Which way a path goes that another was mapped to.
#[must_use]
pub fn judge_mapped(rules: &FsRules, here: &Here<'_>, mapped: &[u8], deed: Deed) -> Way {
    judge(rules, here, mapped, mapped, deed, true)
}

/// Whether a path is one name, which a directory has or has not.
#[must_use]
pub fn is_one_name(said: &[u8]) -> bool {
    !said.is_empty() && !said.contains(&b'/') && said != b"." && said != b".."
}

/// Whether everybody may search a directory of this mode: then it does not matter who looks into it.
#[must_use]
pub fn is_open_to_all(mode: u32) -> bool {
    mode & 0o111 == 0o111
}

/// Whether a file there may be changed by a descriptor that stands for it. Where its path would be left, nothing is
/// written there, and the descriptor is one of a file system that cannot be written (`EROFS`).
///
/// # Errors
/// What the guest is to see.
pub fn permit_change(rules: &FsRules, here: &Here<'_>, path: &[u8]) -> Result<(), Errno> {
    match rules.decide(path, Deed::Write, here) {
        Verdict::Take(()) => Ok(()),
        Verdict::Refuse(errno) => Err(errno),
        Verdict::Leave(_) => Err(Errno::EROFS),
    }
}

fn judge(rules: &FsRules, here: &Here<'_>, path: &[u8], plain: &[u8], deed: Deed, is_moved: bool) -> Way {
    match rules.decide(plain, deed, here) {
        Verdict::Take(()) => Way::There(GuestPath::from(path)),
        Verdict::Refuse(errno) => Way::Refused(errno),
        Verdict::Leave(_) if climbs_out_of_there(rules, here, path) => Way::HereAt(plain.to_vec()),
        Verdict::Leave(_) if is_moved => Way::HereAt(path.to_vec()),
        Verdict::Leave(_) => Way::Here,
    }
}

/// Whether a path that is left climbs by `..` out of a directory that lies there, and may not exist here.
fn climbs_out_of_there(rules: &FsRules, here: &Here<'_>, path: &[u8]) -> bool {
    let components = path.split(|byte| *byte == b'/');
    let Some(before) = components.clone().position(|name| name == b"..") else { return false };
    let length: usize = components.take(before).map(|name| name.len() + 1).sum();
    let mut plain = vec![0; length + 1];
    let Some(plain) = path::plain(b"/", &path[..length], &mut plain) else { return false };
    matches!(rules.decide(plain, Deed::Read, here), Verdict::Take(()))
}

/// A path without what the kernel puts before the target's own (`path_prefix`); nothing if it does not lie beneath it.
#[must_use]
pub fn without_prefix<'path>(prefix: &[u8], path: &'path [u8]) -> Option<&'path [u8]> {
    match path.strip_prefix(prefix)? {
        b"" => Some(b"/"),
        rest => rest.starts_with(b"/").then_some(rest),
    }
}

/// Where a directory lies, by what the kernel says of it: whether its mount is none of the guest's own, and its path.
///
/// A target whose root is a folder of ours shares our mounts: there, its folders are known by where they lie.
#[must_use]
pub fn place(prefix: &[u8], is_foreign: bool, path: Vec<u8>) -> Place {
    match without_prefix(prefix, &path) {
        Some(rest) if is_foreign || !prefix.is_empty() => Place { there: true, path: rest.to_vec() },
        _ => Place { there: is_foreign, path },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::pattern::PatternSet;

    fn rules() -> FsRules {
        let mapping = PatternSet::compile(&["^/old"]).unwrap();
        FsRules { mode: FsMode::Read, mapping, ..FsRules::default() }
    }

    fn find_from(base: Option<(bool, &str)>, said: &str) -> Way {
        let place = base.map(|(there, path)| Place { there, path: path.as_bytes().to_vec() });
        find(&rules(), &Here::default(), || place, said.as_bytes(), Deed::Read)
    }

    #[test]
    fn a_path_goes_the_way_of_the_rules() {
        assert_eq!(find_from(None, "/data/x"), Way::There(GuestPath::from(&b"/data/x"[..])));
        assert_eq!(find_from(None, "/usr/x"), Way::Here);
        assert_eq!(find_from(None, ""), Way::Here);
    }

    #[test]
    fn a_plain_path_that_is_neither_taken_nor_mapped_stays_without_a_closer_look() {
        let stays = |said: &str| stays(&rules(), &Here::default(), said.as_bytes(), Deed::Read);
        assert!(stays("/usr/x"));
        for said in ["/data/x", "/old/x", "/usr/../x", "usr/x", ""] {
            assert!(!stays(said), "{said}");
        }
    }

    #[test]
    fn a_relative_path_is_seen_from_its_directory() {
        assert_eq!(find_from(Some((true, "/data")), "x"), Way::There(GuestPath::from(&b"/data/x"[..])));
        assert_eq!(find_from(Some((false, "/usr")), "x"), Way::Here);
        assert_eq!(find_from(None, "x"), Way::Here);
    }

    #[test]
    fn what_stays_but_was_said_from_there_is_left_under_its_own_path() {
        assert_eq!(
            find_from(Some((true, "/data")), "../usr/x"),
            Way::HereAt(b"/usr/x".to_vec()),
            "the folder there may not exist here"
        );
        assert_eq!(find_from(Some((true, "/usr")), "x"), Way::HereAt(b"/usr/x".to_vec()));
    }

    #[test]
    fn a_mapped_path_is_judged_by_what_it_is_mapped_to() {
        assert_eq!(find_from(None, "/old/x"), Way::Map(GuestPath::from(&b"/old/x"[..])));
        let judged = judge_mapped(&rules(), &Here::default(), b"/usr/x", Deed::Read);
        assert_eq!(judged, Way::HereAt(b"/usr/x".to_vec()));
    }

    #[test]
    fn a_descriptor_changes_a_file_only_where_its_path_would() {
        let permit = |rules: &FsRules, path: &str| permit_change(rules, &Here::default(), path.as_bytes());
        assert_eq!(permit(&rules(), "/data/x"), Err(Errno::EROFS), "nothing is written there");
        let rules = FsRules { mode: FsMode::Write, ..rules() };
        assert_eq!(permit(&rules, "/data/x"), Ok(()));
        assert_eq!(permit(&rules, "/usr/x"), Err(Errno::EROFS), "it stays here");
    }

    #[test]
    fn a_name_is_one_that_a_directory_has() {
        assert!(is_one_name(b"x") && is_one_name(b"..."));
        for said in ["", ".", "..", "x/", "/x", "x/y"] {
            assert!(!is_one_name(said.as_bytes()), "{said}");
        }
        assert!(is_open_to_all(0o40755) && is_open_to_all(0o41711));
        assert!(!is_open_to_all(0o40750) && !is_open_to_all(0o40744));
    }

    #[test]
    fn a_folder_is_there_by_its_mount_or_by_where_it_lies() {
        let there = |path: &str| Place { there: true, path: path.as_bytes().to_vec() };
        let here = |path: &str| Place { there: false, path: path.as_bytes().to_vec() };
        assert_eq!(place(b"", true, b"/data".to_vec()), there("/data"));
        assert_eq!(place(b"", false, b"/data".to_vec()), here("/data"));
        assert_eq!(place(b"/pod", false, b"/pod/data".to_vec()), there("/data"));
        assert_eq!(place(b"/pod", true, b"/pod".to_vec()), there("/"));
        assert_eq!(place(b"/pod", true, b"/other".to_vec()), there("/other"));
        assert_eq!(place(b"/pod", false, b"/podium".to_vec()), here("/podium"));
    }
}
