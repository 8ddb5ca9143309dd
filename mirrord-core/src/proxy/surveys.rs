//! What is believed of the names of folders that were listed lately: attributes that were asked for many names at once.
//!
//! Whoever lists a folder and then looks at its names one by one would ask a question for each. So the second of them
//! asks for as many names as were worth it so far, in the order of the listing, and the next ones are answered by what
//! came. A listing is only a hint which names to ask for; what is *told* of a name is believed for [`LIFETIME`], and
//! not at all once the session has changed it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use mirrord_protocol::{
    GuestPath,
    agent::fs::{Entry, FileStat, MOST_NAMES},
};
use serde_bytes::{ByteBuf, Bytes};

use super::nodes::Numbers;

/// For how long attributes are believed.
pub const LIFETIME: Duration = Duration::from_secs(1);

/// For how long a listing that nobody uses is a hint.
const LISTED: Duration = Duration::from_secs(5);

/// The most folders whose listings are kept.
const MOST_FOLDERS: usize = 32;

/// How many names are asked for before it is known whether that is worth it.
const FIRST: usize = 32;

/// How many more are, for each that somebody wanted.
const MORE: usize = 8;

/// Who looks at so many names within [`LIFETIME`] looks at all of them, in whatever order.
const HURRY: usize = 16;

/// And how many more names are asked for then, for each that was looked at.
const MORE_IN_HURRY: usize = 64;

/// How many bytes the attributes of a file may take.
const MOST_OF_STAT: usize = 140;

/// How many bytes of names and attributes are told to a guest at once: they fit a packet.
const MOST_BYTES: usize = 48 << 10;

/// The fewest that are worth a question of their own.
const FEWEST: usize = 8;

/// What is believed. `W` is one who waits for the attributes of a name.
#[derive(Debug)]
pub struct Surveys<W> {
    numbers: Numbers,
    folders: HashMap<GuestPath, Folder>,
    pieces: HashMap<u64, Piece<W>>,
    last_piece: u64,
    /// The files of which something may be told.
    told: HashSet<u64>,
}

/// A folder that was listed.
#[derive(Debug)]
struct Folder {
    listing: Arc<Vec<Entry>>,
    /// Where each name is in it; made when somebody looks at names.
    index: HashMap<ByteBuf, usize>,
    told: HashMap<usize, Told>,
    used_at: Duration,
    n_asked: usize,
    n_told: usize,
    n_wanted: usize,
    /// How many were asked since when, of late.
    lately: (usize, Duration),
    asking: Option<u64>,
}

/// What was told of a name, and when it was asked for.
#[derive(Clone, Copy, Debug)]
struct Told {
    stat: FileStat,
    at: Duration,
}

/// Names that are being asked for.
#[derive(Debug)]
struct Piece<W> {
    folder: GuestPath,
    names: Vec<usize>,
    asked_at: Duration,
    waiting: Vec<(usize, bool, W)>,
    doubts: Doubts,
}

/// What may have changed while it was asked for.
#[derive(Debug, Default)]
struct Doubts {
    all: bool,
    linked: bool,
    numbers: HashSet<u64>,
    names: HashSet<usize>,
}

/// What becomes of a question for the attributes of a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked<W> {
    /// These are the attributes, to be believed for so long.
    Known(FileStat, Duration, W),
    /// Others ask for them already.
    Waits,
    /// They must be asked for with others, and settled with [`Surveys::finish`].
    Survey {
        /// What it is settled by.
        piece: u64,
        /// In which folder.
        folder: GuestPath,
        /// Which names.
        names: Vec<ByteBuf>,
    },
    /// They must be asked for alone.
    Alone(W),
}

/// What is believed of a name and of those behind it.
#[derive(Debug, PartialEq, Eq)]
pub struct Around {
    /// Its attributes.
    pub stat: FileStat,
    /// For how long all of them are believed.
    pub left: Duration,
    /// The others.
    pub more: Vec<(ByteBuf, FileStat)>,
}

/// Somebody whose question is settled: with attributes to be believed for so long, or to be asked alone.
pub type Settled<W> = (W, Option<(FileStat, Duration)>);

fn is_link(mode: u32) -> bool {
    mode & 0o170_000 == 0o120_000
}

fn is_folder(mode: u32) -> bool {
    mode & 0o170_000 == 0o040_000
}

/// Whether there may be other names for the same file.
fn is_linked(stat: &FileStat) -> bool {
    stat.n_links > 1 && !is_folder(stat.mode)
}

/// Whether a name is the folder itself, or the one above.
fn is_dot(name: &[u8]) -> bool {
    matches!(name, b"." | b"..")
}

/// The folder of a path and its name there.
fn split(path: &GuestPath) -> Option<(GuestPath, &[u8])> {
    let bytes = path.as_bytes();
    let slash = bytes.iter().rposition(|byte| *byte == b'/')?;
    let name = &bytes[slash + 1..];
    (!name.is_empty() && !is_dot(name)).then(|| (GuestPath::from(&bytes[..slash.max(1)]), name))
}

impl Folder {
    fn find(&self, name: &[u8]) -> Option<usize> {
        if self.index.is_empty() {
            return self.listing.iter().position(|entry| entry.name.as_slice() == name);
        }
        self.index.get(Bytes::new(name)).copied()
    }

    fn make_index(&mut self) {
        if self.index.is_empty() {
            let names = self.listing.iter().enumerate();
            self.index = names.map(|(at, entry)| (entry.name.clone(), at)).collect();
        }
    }

    fn record_asked(&mut self, now: Duration) {
        self.n_asked += 1;
        if now.saturating_sub(self.lately.1) >= LIFETIME {
            self.lately = (0, now);
        }
        self.lately.0 += 1;
    }

    fn believed(&self, at: usize, now: Duration) -> Option<(FileStat, Duration)> {
        let told = self.told.get(&at)?;
        let left = (told.at + LIFETIME).checked_sub(now).filter(|left| !left.is_zero())?;
        Some((told.stat, left))
    }

    /// Names to ask for, from one on and round, as many as are worth it.
    fn choose(&self, from: usize, now: Duration) -> Vec<usize> {
        let n_lately = Some(self.lately.0).filter(|n| *n >= HURRY).unwrap_or_default();
        let n_worth = FIRST + MORE * self.n_wanted + MORE_IN_HURRY * n_lately;
        let n_worth = n_worth.saturating_sub(self.n_told).min(MOST_NAMES);
        if n_worth < FEWEST {
            return Vec::new();
        }
        let is_wanted = |at: &usize| !is_dot(&self.listing[*at].name) && self.believed(*at, now).is_none();
        (from..self.listing.len()).chain(0..from).filter(is_wanted).take(n_worth).collect()
    }
}

impl<W> Surveys<W> {
    /// Nothing is believed yet; files have these numbers.
    #[must_use]
    pub fn new(numbers: Numbers) -> Self {
        let (folders, pieces, told) = (HashMap::new(), HashMap::new(), HashSet::new());
        Self { numbers, folders, pieces, last_piece: 0, told }
    }

    /// A folder was listed, whose path has no links.
    pub fn handle_listed(&mut self, folder: GuestPath, listing: Arc<Vec<Entry>>, now: Duration) {
        self.folders.retain(|_, folder| now.saturating_sub(folder.used_at) < LISTED);
        if self.folders.len() >= MOST_FOLDERS
            && let Some(oldest) = self.folders.iter().min_by_key(|(_, folder)| folder.used_at)
        {
            let oldest = oldest.0.clone();
            self.folders.remove(&oldest);
        }
        if self.folders.values().all(|folder| folder.told.is_empty()) {
            self.told.clear();
        }
        let (index, told) = (HashMap::new(), HashMap::new());
        let listed = Folder {
            listing,
            index,
            told,
            used_at: now,
            n_asked: 0,
            n_told: 0,
            n_wanted: 0,
            lately: (0, now),
            asking: None,
        };
        self.folders.insert(folder, listed);
    }

    /// Somebody asks for the attributes of a path; if it is a link that is followed, for those of another file.
    pub fn handle_asked(&mut self, path: &GuestPath, follow: bool, waiter: W, now: Duration) -> Asked<W> {
        let Some((folder_path, name)) = split(path) else { return Asked::Alone(waiter) };
        let Some(folder) = self.folders.get_mut(&folder_path) else { return Asked::Alone(waiter) };
        folder.record_asked(now);
        if folder.n_asked < 2 || now.saturating_sub(folder.used_at) >= LISTED {
            return Asked::Alone(waiter);
        }
        folder.make_index();
        folder.used_at = now;
        let Some(at) = folder.find(name) else { return Asked::Alone(waiter) };
        if let Some((stat, left)) = folder.believed(at, now) {
            if follow && is_link(stat.mode) {
                return Asked::Alone(waiter);
            }
            folder.n_wanted += 1;
            return Asked::Known(stat, left, waiter);
        }
        if let Some(piece) = folder.asking.and_then(|piece| self.pieces.get_mut(&piece)) {
            if piece.doubts.all || !piece.names.contains(&at) {
                return Asked::Alone(waiter);
            }
            piece.waiting.push((at, follow, waiter));
            return Asked::Waits;
        }
        let chosen = folder.choose(at, now);
        if chosen.first() != Some(&at) {
            return Asked::Alone(waiter);
        }
        folder.n_told += chosen.len();
        self.last_piece += 1;
        folder.asking = Some(self.last_piece);
        let names = chosen.iter().map(|at| folder.listing[*at].name.clone()).collect();
        let (waiting, doubts) = (vec![(at, follow, waiter)], Doubts::default());
        let piece = Piece { folder: folder_path.clone(), names: chosen, asked_at: now, waiting, doubts };
        self.pieces.insert(self.last_piece, piece);
        Asked::Survey { piece: self.last_piece, folder: folder_path, names }
    }

    /// What was told of the names of a piece, each by its place; or nothing came of it.
    pub fn finish(&mut self, piece: u64, told: &[Option<FileStat>], now: Duration) -> Vec<Settled<W>> {
        let number = piece;
        let Some(piece) = self.pieces.remove(&number) else { return Vec::new() };
        let Piece { folder, names, asked_at, waiting, doubts } = piece;
        // Whoever tells of more names or fewer than were asked for tells nothing.
        let told = if told.len() == names.len() && !doubts.all { told } else { &[] };
        let numbers = self.numbers;
        let is_doubtful = |at: usize, stat: &FileStat| {
            doubts.names.contains(&at)
                || (doubts.linked && is_linked(stat))
                || doubts.numbers.contains(&numbers.number(stat.device, stat.inode))
        };
        let told: HashMap<usize, Told> = names
            .into_iter()
            .zip(told)
            .filter_map(|(at, stat)| Some((at, (*stat)?)))
            .filter(|(at, stat)| !is_doubtful(*at, stat))
            .map(|(at, stat)| (at, Told { stat, at: asked_at }))
            .collect();
        let left = (asked_at + LIFETIME).saturating_sub(now);
        let settled: Vec<_> = waiting
            .into_iter()
            .map(|(at, follow, waiter)| {
                let stat = told.get(&at).map(|told| told.stat);
                (waiter, stat.filter(|stat| !(follow && is_link(stat.mode))).map(|stat| (stat, left)))
            })
            .collect();
        // It may have been listed anew meanwhile: then its names have other places.
        if let Some(folder) = self.folders.get_mut(&folder).filter(|folder| folder.asking == Some(number)) {
            folder.asking = None;
            folder.n_wanted += settled.iter().filter(|(_, stat)| stat.is_some()).count();
            self.told.extend(told.values().map(|told| numbers.number(told.stat.device, told.stat.inode)));
            folder.told.extend(told);
        }
        settled
    }

    /// What is believed of a path and of the next names in its folder's listing, and for how long all of it is.
    pub fn around(&mut self, path: &GuestPath, n_more: usize, now: Duration) -> Option<Around> {
        let (folder, name) = split(path)?;
        let folder = self.folders.get_mut(&folder)?;
        let at = folder.find(name)?;
        let (stat, mut left) = folder.believed(at, now)?;
        let (mut more, mut n_bytes) = (Vec::new(), 0);
        for (at, entry) in folder.listing.iter().enumerate().skip(at + 1).take(n_more) {
            if is_dot(&entry.name) {
                continue;
            }
            let Some((stat, its)) = folder.believed(at, now) else { break };
            n_bytes += entry.name.len() + MOST_OF_STAT;
            if n_bytes > MOST_BYTES {
                break;
            }
            left = left.min(its);
            more.push((entry.name.clone(), stat));
        }
        // Who takes them along wants them.
        folder.n_wanted += more.len();
        Some(Around { stat, left, more })
    }

    /// Whether nothing is believed, nor about to be.
    fn is_idle(&self) -> bool {
        self.told.is_empty() && self.pieces.is_empty()
    }

    /// The session has changed a file.
    pub fn handle_file_changed(&mut self, number: u64) {
        for piece in self.pieces.values_mut() {
            piece.doubts.numbers.insert(number);
        }
        if self.told.remove(&number) {
            let numbers = self.numbers;
            self.distrust(|told| numbers.number(told.device, told.inode) == number);
        }
    }

    fn distrust(&mut self, is_doubtful: impl Fn(&FileStat) -> bool) {
        for folder in self.folders.values_mut() {
            folder.told.retain(|_, told| !is_doubtful(&told.stat));
        }
    }

    /// The session has changed a file, and said this path, in which there may be links.
    pub fn handle_attributes_changed(&mut self, path: &GuestPath, follow: bool) {
        if self.is_idle() {
            return;
        }
        let known = split(path).and_then(|(folder, name)| {
            let folder = self.folders.get(&folder)?;
            let at = folder.find(name)?;
            let is_itself = !follow || !matches!(folder.listing[at].kind, 0 | 10);
            is_itself.then(|| folder.told.get(&at).map(|told| told.stat))
        });
        let Some(stat) = known else { return self.forget_told() };
        if let Some(stat) = stat {
            self.handle_file_changed(self.numbers.number(stat.device, stat.inode));
        }
        self.distrust_name(path);
    }

    /// The session has made a name, or taken it away; the path has no links, if it `is_straight`.
    pub fn handle_name_changed(&mut self, path: &GuestPath, is_straight: bool) {
        let is_within = |folder: &GuestPath| {
            let rest = folder.as_bytes().strip_prefix(path.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        self.folders.retain(|folder, _| !is_within(folder));
        if self.is_idle() {
            return;
        }
        let folder = split(path).map(|(folder, _)| folder);
        let Some(folder) = folder.filter(|folder| is_straight || self.folders.contains_key(folder)) else {
            return self.forget_told();
        };
        // The file may have other names, and tells how many; and its folder when it was changed.
        self.distrust(is_linked);
        for piece in self.pieces.values_mut() {
            piece.doubts.linked = true;
        }
        self.distrust_name(path);
        self.distrust_name(&folder);
    }

    fn distrust_name(&mut self, path: &GuestPath) {
        let Some((path, name)) = split(path) else { return };
        let Some(folder) = self.folders.get_mut(&path) else { return };
        let Some(at) = folder.find(name) else { return };
        folder.told.remove(&at);
        if let Some(piece) = folder.asking.and_then(|piece| self.pieces.get_mut(&piece)) {
            piece.doubts.names.insert(at);
        }
    }

    /// Nothing that was told is believed any more.
    pub fn forget_told(&mut self) {
        self.told.clear();
        for folder in self.folders.values_mut() {
            folder.told.clear();
        }
        for piece in self.pieces.values_mut() {
            piece.doubts.all = true;
        }
    }

    /// Another target is meant.
    pub fn forget(&mut self) {
        self.forget_told();
        self.folders.clear();
    }
}

#[cfg(test)]
mod tests;
