//! Which file a number of the FUSE file system means, and which number a file has.

use std::collections::HashMap;

use mirrord_protocol::{GuestPath, agent::fs::FileStat};

/// The names of a file: each in which directory.
pub type Names = Vec<(u64, Vec<u8>)>;

/// The number of the root, by the kernel's own rule.
pub const ROOT: u64 = 1;

/// How the target's files are numbered here. On the device of the target's root a file keeps its inode; others get a
/// number that their device and inode always make again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    root_device: u64,
    root_inode: u64,
}

impl Numbers {
    /// By the attributes of the target's root.
    #[must_use]
    pub fn new(root: &FileStat) -> Self {
        Self { root_device: root.device, root_inode: root.inode }
    }

    /// The number of a file.
    #[must_use]
    pub fn number(&self, device: u64, inode: u64) -> u64 {
        const FOREIGN: u64 = 1 << 63;
        if device != self.root_device || inode == ROOT || inode & FOREIGN != 0 {
            return FOREIGN | mix(mix(device) ^ inode);
        }
        if inode == self.root_inode { ROOT } else { inode }
    }
}

/// A path that has gone along with a directory, or that of the directory itself.
fn moved(path: &GuestPath, from: &GuestPath, to: &GuestPath) -> Option<GuestPath> {
    let rest = path.as_bytes().strip_prefix(from.as_bytes())?;
    (rest.is_empty() || rest.starts_with(b"/")).then(|| GuestPath([to.as_bytes(), rest].concat()))
}

/// Spreads every bit of a number over all bits (the last steps of `SplitMix64`).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The files that the kernel knows by number.
#[derive(Debug)]
pub struct Nodes {
    known: HashMap<u64, Node>,
}

#[derive(Debug)]
struct Node {
    /// Every path by which it was found, the last one last.
    paths: Vec<GuestPath>,
    n_lookups: u64,
}

impl Default for Nodes {
    fn default() -> Self {
        let root = Node { paths: vec![GuestPath::from("/")], n_lookups: 1 };
        Self { known: HashMap::from([(ROOT, root)]) }
    }
}

impl Nodes {
    /// The kernel has found a file at a path, and will forget it as often as it has found it.
    pub fn handle_lookup(&mut self, number: u64, path: GuestPath) {
        let node = self.known.entry(number).or_insert_with(|| Node { paths: Vec::new(), n_lookups: 0 });
        node.n_lookups += 1;
        if number != ROOT {
            node.paths.retain(|known| *known != path);
            node.paths.push(path);
        }
    }

    /// The kernel forgets so many of its lookups.
    pub fn handle_forget(&mut self, number: u64, n_lookups: u64) {
        let Some(node) = self.known.get_mut(&number) else { return };
        node.n_lookups = node.n_lookups.saturating_sub(n_lookups);
        if node.n_lookups == 0 && number != ROOT {
            self.known.remove(&number);
        }
    }

    /// A path is no more.
    pub fn handle_removed(&mut self, path: &GuestPath) {
        for node in self.known.values_mut() {
            node.paths.retain(|known| known != path);
        }
    }

    /// A file, and all that is below it, has another path.
    pub fn handle_renamed(&mut self, from: &GuestPath, to: &GuestPath) {
        self.handle_removed(to);
        self.change_paths(|path| moved(path, from, to));
    }

    /// Two files, and all that is below them, have each other's path.
    pub fn handle_exchanged(&mut self, one: &GuestPath, other: &GuestPath) {
        self.change_paths(|path| moved(path, one, other).or_else(|| moved(path, other, one)));
    }

    fn change_paths(&mut self, change: impl Fn(&GuestPath) -> Option<GuestPath>) {
        for path in self.known.values_mut().flat_map(|node| &mut node.paths) {
            if let Some(changed) = change(path) {
                *path = changed;
            }
        }
    }

    /// Where a file is found; nothing if it has no path any more.
    #[must_use]
    pub fn path(&self, number: u64) -> Option<&GuestPath> {
        self.known.get(&number)?.paths.last()
    }

    /// Which file was found at a path.
    #[must_use]
    pub fn find(&self, path: &GuestPath) -> Option<u64> {
        self.known.iter().find(|(_, node)| node.paths.contains(path)).map(|(number, _)| *number)
    }

    /// Every file that is known, with the names by which it was found: each in which directory, where that is known.
    #[must_use]
    pub fn all(&self) -> Vec<(u64, Names)> {
        let numbers: HashMap<&[u8], u64> = self
            .known
            .iter()
            .flat_map(|(number, node)| node.paths.iter().map(|path| (path.as_bytes(), *number)))
            .collect();
        let name = |path: &GuestPath| {
            let at = path.as_bytes().iter().rposition(|byte| *byte == b'/')?;
            let (parent, name) = (&path.as_bytes()[..at.max(1)], &path.as_bytes()[at + 1..]);
            let parent = numbers.get(parent).filter(|_| !name.is_empty())?;
            Some((*parent, name.to_vec()))
        };
        self.known
            .iter()
            .map(|(number, node)| (*number, node.paths.iter().filter_map(name).collect()))
            .collect()
    }

    /// The path of a name in a directory.
    #[must_use]
    pub fn child(&self, parent: u64, name: &[u8]) -> Option<GuestPath> {
        let parent = self.path(parent)?.as_bytes();
        let slash = if parent == b"/" { &b""[..] } else { b"/" };
        Some(GuestPath([parent, slash, name].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> GuestPath {
        GuestPath::from(text)
    }

    fn known() -> Nodes {
        let mut nodes = Nodes::default();
        nodes.handle_lookup(10, path("/data"));
        nodes.handle_lookup(11, path("/data/x"));
        nodes.handle_lookup(12, path("/database"));
        nodes
    }

    #[test]
    fn all_files_are_told_with_their_names() {
        let mut nodes = known();
        nodes.handle_lookup(13, path("/unknown/y"));
        let mut all = nodes.all();
        all.sort();
        let named = |parent, name: &[u8]| vec![(parent, name.to_vec())];
        let expected = [
            (ROOT, vec![]),
            (10, named(ROOT, b"data")),
            (11, named(10, b"x")),
            (12, named(ROOT, b"database")),
            (13, vec![]),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_file_keeps_its_inode_unless_another_device_has_it_too() {
        let root = FileStat { device: 7, inode: 2, ..FileStat::default() };
        let numbers = Numbers::new(&root);
        assert_eq!(numbers.number(7, 2), ROOT);
        assert_eq!(numbers.number(7, 99), 99);
        let foreign = [numbers.number(8, 99), numbers.number(8, 2), numbers.number(7, ROOT)];
        assert!(foreign.iter().all(|number| *number > 1 << 62));
        assert_eq!(numbers.number(8, 99), foreign[0]);
        assert_ne!(foreign[0], foreign[1]);
    }

    #[test]
    fn names_are_found_below_their_directory() {
        let nodes = known();
        assert_eq!(nodes.child(ROOT, b"etc"), Some(path("/etc")));
        assert_eq!(nodes.child(10, b"y"), Some(path("/data/y")));
        assert_eq!(nodes.child(77, b"y"), None);
    }

    #[test]
    fn a_renamed_directory_takes_what_is_below_it_along() {
        let mut nodes = known();
        nodes.handle_renamed(&path("/data"), &path("/moved"));
        assert_eq!(nodes.path(11), Some(&path("/moved/x")));
        assert_eq!(nodes.path(12), Some(&path("/database")));
        assert_eq!(nodes.find(&path("/moved/x")), Some(11));
    }

    #[test]
    fn exchanged_directories_keep_what_is_below_them() {
        let mut nodes = known();
        nodes.handle_exchanged(&path("/data"), &path("/database"));
        assert_eq!(nodes.path(10), Some(&path("/database")));
        assert_eq!(nodes.path(11), Some(&path("/database/x")));
        assert_eq!(nodes.path(12), Some(&path("/data")));
    }

    #[test]
    fn a_file_of_two_names_survives_the_loss_of_one() {
        let mut nodes = known();
        nodes.handle_lookup(11, path("/data/second"));
        nodes.handle_removed(&path("/data/second"));
        assert_eq!(nodes.path(11), Some(&path("/data/x")));
        nodes.handle_removed(&path("/data/x"));
        assert_eq!(nodes.path(11), None);
    }

    #[test]
    fn what_is_forgotten_as_often_as_it_was_found_is_gone() {
        let mut nodes = known();
        nodes.handle_lookup(11, path("/data/x"));
        nodes.handle_forget(11, 1);
        assert!(nodes.path(11).is_some());
        nodes.handle_forget(11, 1);
        assert!(nodes.path(11).is_none());
        nodes.handle_forget(ROOT, 99);
        assert!(nodes.path(ROOT).is_some());
    }
}
