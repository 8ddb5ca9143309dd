//! Reads, attributes and listings of the pod's files.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Instant,
};

use super::{median, nanoseconds, rate};

/// How large the files are.
pub(crate) const LARGE: usize = 64 << 20;
pub(crate) const MIDDLE: usize = 16 << 20;
pub(crate) const SMALL: usize = 7 << 10;

/// How many entries the folder has.
pub(crate) const N_ENTRIES: usize = 10_000;

/// The number of a row, if it is one of these.
pub(super) fn measure(row: &str, root: &str) -> Option<f64> {
    let root = Path::new(root);
    let (small, middle, large) = (root.join("small"), root.join("middle"), root.join("large"));
    Some(match row {
        "open" => median(1000, 1e6, || {
            let mut bytes = [0; 8192];
            assert_eq!(File::open(&small).unwrap().read(&mut bytes).unwrap(), SMALL);
        }),
        "stat" => median(2000, 1e6, || {
            assert_eq!(fs::metadata(&small).unwrap().len(), u64::try_from(SMALL).unwrap());
        }),
        "bytes" => bytes(&small),
        "16m-first" => in_order(&mut File::open(middle).unwrap(), MIDDLE, 64 << 10),
        "16m-again" => {
            let mut file = known(&middle);
            (0..3).map(|_| in_order(&mut file, MIDDLE, 64 << 10)).fold(0.0, f64::max)
        }
        "16m-random" => at_random(&known(&middle), MIDDLE),
        "read-4k" => in_order(&mut File::open(large).unwrap(), LARGE, 4 << 10),
        "read-64k" => in_order(&mut File::open(large).unwrap(), LARGE, 64 << 10),
        "read-1m" => in_order(&mut File::open(large).unwrap(), LARGE, 1 << 20),
        "random" => at_random(&File::open(large).unwrap(), LARGE),
        "list" => list(&root.join("many"), |_| Ok(())),
        "list-stat" => list(&root.join("many"), fs::DirEntry::metadata),
        "list-path" => list(&root.join("many"), |entry| fs::symlink_metadata(entry.path())),
        _ => return None,
    })
}

/// Reading byte by byte, for each byte.
fn bytes(path: &Path) -> f64 {
    let mut file = File::open(path).unwrap();
    let mut byte = [0];
    nanoseconds(4000, || {
        if file.read(&mut byte).unwrap() == 0 {
            file.seek(SeekFrom::Start(0)).unwrap();
        }
    })
}

/// A file that has been read once.
fn known(path: &PathBuf) -> File {
    let mut file = File::open(path).unwrap();
    in_order(&mut file, MIDDLE, 64 << 10);
    file
}

/// Reads all of it, from its start.
fn in_order(file: &mut File, size: usize, length: usize) -> f64 {
    let mut bytes = vec![0; length];
    let start = Instant::now();
    file.seek(SeekFrom::Start(0)).unwrap();
    for _ in 0..size / length {
        file.read_exact(&mut bytes).unwrap();
    }
    rate(size, start)
}

/// Reads here and there, for each read.
fn at_random(file: &File, size: usize) -> f64 {
    let (mut bytes, mut state) = ([0; 4096], 0x9e37_79b9_7f4a_7c15_u64);
    let n_places = u64::try_from(size / bytes.len()).unwrap();
    median(1000, 1e6, || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        file.read_exact_at(&mut bytes, (state >> 20) % n_places * 4096).unwrap();
    })
}

/// A whole folder, in milliseconds, as it is met for the first time.
fn list<T>(folder: &Path, look: impl Fn(&fs::DirEntry) -> io::Result<T>) -> f64 {
    let start = Instant::now();
    let mut n_entries = 0;
    for entry in fs::read_dir(folder).unwrap() {
        look(&entry.unwrap()).unwrap();
        n_entries += 1;
    }
    assert_eq!(n_entries, N_ENTRIES);
    start.elapsed().as_secs_f64() * 1e3
}
