//! Attributes that came along with those of another name: a table without locks, for whoever asks for many.
//!
//! What it holds is believed until its time is over, or the session changes a file: each entry has the count of the
//! session's changes for which it is true. A signal, a fork or another thread may come between anything; an entry that is
//! being written is not there.

use std::{
    hash::{DefaultHasher, Hasher},
    sync::atomic::{AtomicU32, AtomicU64, Ordering, fence},
};

use mirrord_protocol::agent::fs::{FileStat, Time};

/// The fewest and the most names that are worth asking for along with another.
const WORTH: std::ops::RangeInclusive<u32> = 4..=256;

const N_SETS: usize = 256;
const N_WAYS: usize = 4;
const N_WORDS: usize = 19;

/// When it is, as its user tells time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// How often the session has changed a file.
    pub n_changes: u64,
    /// Of a clock that never goes back.
    pub milliseconds: u64,
}

/// The table.
#[derive(Debug)]
pub struct Known {
    sets: [[Slot; N_WAYS]; N_SETS],
    n_wanted: AtomicU32,
    n_used: AtomicU32,
    /// How many entries were written: the oldest of a set makes room. All begins as nought, so that no file holds it.
    n_recorded: AtomicU64,
}

#[derive(Debug)]
struct Slot {
    /// Odd while it is written.
    turn: AtomicU32,
    words: [AtomicU64; N_WORDS],
}

/// What a slot holds.
#[derive(Clone, Copy)]
struct Entry([u64; N_WORDS]);

#[expect(clippy::new_without_default, reason = "it is made for statics")]
impl Known {
    /// Nothing is known.
    #[must_use]
    #[expect(clippy::large_stack_arrays, reason = "a static has no stack")]
    pub const fn new() -> Self {
        let sets = [const { [const { Slot::new() }; N_WAYS] }; N_SETS];
        Self { sets, n_wanted: AtomicU32::new(0), n_used: AtomicU32::new(0), n_recorded: AtomicU64::new(0) }
    }

    /// The attributes of a path, not of what a link leads to.
    pub fn find(&self, path: &[u8], now: Moment) -> Option<FileStat> {
        let key = key([path, b""]);
        let entries = self.set(key).iter().filter_map(Slot::read);
        let entry = entries.into_iter().find(|entry| entry.key() == key && entry.is_believed(now))?;
        self.n_used.fetch_add(1, Ordering::Relaxed);
        Some(entry.stat())
    }

    /// Takes note of the attributes of a name in a folder, whose path ends with a slash.
    pub fn record(&self, folder: &[u8], name: &[u8], stat: &FileStat, until: Moment, now: Moment) {
        let key = key([folder, name]);
        let set = self.set(key);
        let worth = |slot: &Slot| match slot.read() {
            Some(entry) if entry.key() == key => 0,
            Some(entry) if entry.is_believed(now) => entry.0[N_WORDS - 1],
            _ => 1,
        };
        if let Some(slot) = set.iter().min_by_key(|slot| worth(slot)) {
            let number = self.n_recorded.fetch_add(1, Ordering::Relaxed) + 2;
            slot.write(&Entry::new(key, stat, until, number));
        }
    }

    /// How many names to ask for along with another: more, as long as most of them are used.
    pub fn begin_asking(&self) -> u16 {
        let (n_used, n_wanted) =
            (self.n_used.swap(0, Ordering::Relaxed), self.n_wanted.load(Ordering::Relaxed));
        let n_worth = if n_used * 2 >= n_wanted { n_wanted.max(n_used) * 2 } else { n_used * 2 };
        let n_worth = n_worth.clamp(*WORTH.start(), *WORTH.end());
        self.n_wanted.store(n_worth, Ordering::Relaxed);
        u16::try_from(n_worth).unwrap_or_default()
    }

    fn set(&self, key: [u64; 2]) -> &[Slot; N_WAYS] {
        &self.sets[usize::from(key[0].to_le_bytes()[0])]
    }
}

/// A path told from every other one, by chance as good as certainty: 128 bits of two hashes.
fn key(parts: [&[u8]; 2]) -> [u64; 2] {
    [0_u8, 1].map(|salt| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(salt);
        for part in parts {
            hasher.write(part);
        }
        hasher.finish()
    })
}

impl Slot {
    const fn new() -> Self {
        Self { turn: AtomicU32::new(0), words: [const { AtomicU64::new(0) }; N_WORDS] }
    }

    fn read(&self) -> Option<Entry> {
        let turn = self.turn.load(Ordering::Acquire);
        if turn % 2 == 1 {
            return None;
        }
        let words = self.words.each_ref().map(|word| word.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        (self.turn.load(Ordering::Relaxed) == turn).then_some(Entry(words))
    }

    /// What another one writes just now is as good.
    fn write(&self, entry: &Entry) {
        let turn = self.turn.load(Ordering::Relaxed);
        let odd = turn.wrapping_add(1);
        if turn % 2 == 1
            || self.turn.compare_exchange(turn, odd, Ordering::Acquire, Ordering::Relaxed).is_err()
        {
            return;
        }
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(entry.0) {
            word.store(value, Ordering::Relaxed);
        }
        self.turn.store(turn.wrapping_add(2), Ordering::Release);
    }
}

fn join(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn part(word: u64) -> (u32, u32) {
    let low = |word: u64| u32::try_from(word & u64::from(u32::MAX)).unwrap_or_default();
    (low(word >> 32), low(word))
}

impl Entry {
    fn new(key: [u64; 2], stat: &FileStat, until: Moment, number: u64) -> Self {
        let born = stat.born.unwrap_or_default();
        Self([
            key[0],
            key[1],
            until.n_changes,
            until.milliseconds,
            stat.device,
            stat.inode,
            join(stat.mode, stat.n_links),
            join(stat.uid, stat.gid),
            stat.special,
            stat.size,
            join(stat.block_size, u32::from(stat.born.is_some())),
            stat.n_blocks,
            stat.accessed.seconds.cast_unsigned(),
            stat.modified.seconds.cast_unsigned(),
            stat.changed.seconds.cast_unsigned(),
            born.seconds.cast_unsigned(),
            join(stat.accessed.nanoseconds, stat.modified.nanoseconds),
            join(stat.changed.nanoseconds, born.nanoseconds),
            number,
        ])
    }

    fn key(&self) -> [u64; 2] {
        [self.0[0], self.0[1]]
    }

    fn is_believed(&self, now: Moment) -> bool {
        self.0[2] == now.n_changes && self.0[3] > now.milliseconds
    }

    fn stat(&self) -> FileStat {
        let [_, _, _, _, device, inode, mode, owner, special, size, block, n_blocks, rest @ ..] = self.0;
        let [accessed, modified, changed, born, early, late, _] = rest;
        let ((mode, n_links), (uid, gid), (block_size, is_born)) = (part(mode), part(owner), part(block));
        let time = |seconds: u64, nanoseconds| Time { seconds: seconds.cast_signed(), nanoseconds };
        let (early, late) = (part(early), part(late));
        FileStat {
            device,
            inode,
            mode,
            n_links,
            uid,
            gid,
            special,
            size,
            block_size,
            n_blocks,
            accessed: time(accessed, early.0),
            modified: time(modified, early.1),
            changed: time(changed, late.0),
            born: (is_born == 1).then(|| time(born, late.1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment { n_changes: 7, milliseconds: 500 };
    const LATER: Moment = Moment { milliseconds: 900, ..NOW };

    fn stat(inode: u64) -> FileStat {
        let time = |seconds| Time { seconds, nanoseconds: 7 };
        FileStat {
            device: 1 << 40,
            inode,
            mode: 0o100_644,
            n_links: 3,
            uid: 1000,
            gid: u32::MAX,
            special: 5,
            size: u64::MAX,
            block_size: 4096,
            n_blocks: 8,
            accessed: time(-1),
            modified: time(2),
            changed: time(i64::MAX),
            born: inode.is_multiple_of(2).then(|| time(-9)),
        }
    }

    #[test]
    fn what_was_told_is_known_whole_until_its_time_or_a_change() {
        let known = Known::new();
        for inode in [2, 3] {
            known.record(b"/many/", b"name", &stat(inode), LATER, NOW);
            assert_eq!(known.find(b"/many/name", NOW), Some(stat(inode)));
        }
        assert_eq!(known.find(b"/many/name", LATER), None);
        assert_eq!(known.find(b"/many/name", Moment { n_changes: 8, ..NOW }), None);
        assert_eq!(known.find(b"/many/", NOW), None);
        assert_eq!(known.find(b"", NOW), None);
    }

    #[test]
    fn nearly_all_of_the_most_names_are_known_at_once_and_none_for_another() {
        let known = Known::new();
        // The last ones count, however long the earlier ones are believed.
        for n in 0..2560 {
            known.record(b"/many/", n.to_string().as_bytes(), &stat(n), LATER, NOW);
        }
        let found = (2304..2560).filter_map(|n| Some((n, known.find(format!("/many/{n}").as_bytes(), NOW)?)));
        let found: Vec<_> = found.collect();
        assert!(found.iter().all(|(n, told)| *told == stat(*n)));
        assert!(found.len() > 240, "{}", found.len());
    }

    #[test]
    fn more_is_asked_for_while_it_is_used_and_little_when_it_is_not() {
        let known = Known::new();
        known.record(b"/", b"x", &stat(1), LATER, NOW);
        let mut asked = Vec::new();
        for _ in 0..8 {
            let n_wanted = known.begin_asking();
            (0..n_wanted).for_each(|_| assert!(known.find(b"/x", NOW).is_some()));
            asked.push(n_wanted);
        }
        assert_eq!(asked, [4, 8, 16, 32, 64, 128, 256, 256]);
        known.begin_asking();
        assert_eq!([known.begin_asking(), known.begin_asking()], [4, 4]);
    }

    #[test]
    fn whoever_reads_while_others_write_reads_what_one_of_them_wrote() {
        let known = Known::new();
        std::thread::scope(|scope| {
            for inode in [10, 21] {
                let known = &known;
                scope.spawn(move || {
                    (0..20_000).for_each(|_| known.record(b"/", b"x", &stat(inode), LATER, NOW));
                });
            }
            for _ in 0..20_000 {
                let told = known.find(b"/x", NOW);
                assert!(told.is_none_or(|told| told == stat(10) || told == stat(21)), "{told:?}");
            }
        });
    }
}
