//! How far ahead a file is read: some windows of bytes for each open file, and who waits for those to come.

use std::{borrow::Cow, time::Duration};

/// How many bytes are fetched at once while a file is read from its beginning to its end.
pub const AHEAD: u32 = 1 << 20;

/// How many windows are fetched before they are wanted, at most.
pub const MOST_AHEAD: usize = 8;

/// How long a window may be on its way until it is worth while to fetch the next one before it is wanted: on one
/// machine, where both ends share its processors, reading is slower so.
pub const LONG: Duration = Duration::from_millis(10);

/// How long fetched bytes are believed.
pub const LIFETIME: Duration = Duration::from_secs(1);

/// A piece of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its first byte.
    pub offset: u64,
    /// How many bytes.
    pub length: u32,
}

impl Piece {
    fn end(self) -> u64 {
        self.offset.saturating_add(self.length.into())
    }

    fn has(self, other: Self) -> bool {
        self.offset <= other.offset && other.end() <= self.end()
    }
}

/// A fetch that is to be made, and settled with [`Windows::finish`] or [`Windows::fail`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// What is to be fetched.
    pub piece: Piece,
    /// By which it is known which changes it may have missed.
    n_changes: u64,
}

/// The windows of an open file. `W` is one who waits for bytes.
#[derive(Debug)]
pub struct Windows<W> {
    kept: Vec<Window<W>>,
    /// Where a reader who reads on would read next.
    expected: u64,
    /// Grows with every change, so that bytes fetched before it are not believed.
    n_changes: u64,
    /// How many windows are fetched before a reader who reads on wants them.
    n_ahead: usize,
}

#[derive(Debug)]
struct Window<W> {
    fetch: Fetch,
    /// Since when it is on its way, if it is.
    asked_at: Option<Duration>,
    /// Nobody any more when the bytes are here.
    waiting: Vec<(Piece, W)>,
    bytes: Option<Vec<u8>>,
    /// Since when they are believed, if they are.
    fetched_at: Option<Duration>,
}

impl<W> Default for Windows<W> {
    fn default() -> Self {
        Self { kept: Vec::new(), expected: 0, n_changes: 0, n_ahead: 0 }
    }
}

/// What becomes of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum Read<'a, W> {
    /// These are the bytes; fewer than wanted at the end of the file.
    Known(Cow<'a, [u8]>, W),
    /// They are on their way, or the next fetch brings them.
    Waits,
    /// They must be fetched for this one alone.
    FetchAlone(Piece, W),
}

impl<W> Windows<W> {
    /// Somebody wants a piece. What must be fetched now [`Self::next_fetch`] says.
    pub fn handle_read(&mut self, piece: Piece, waiter: W, now: Duration) -> Read<'_, W> {
        let reads_on = piece.offset == self.expected || piece.offset == 0;
        self.expected = piece.end();
        let n_changes = self.n_changes;
        self.kept.retain(|it| !it.waiting.is_empty() || it.is_believed(n_changes, now));
        if reads_on {
            self.read_ahead(piece, now);
        }
        let Some(index) = self.kept.iter().position(|it| it.has(piece, n_changes, now)) else {
            return self.handle_unknown(piece, waiter, reads_on, now);
        };
        let window = &mut self.kept[index];
        if window.bytes.is_some() {
            return Read::Known(Cow::Borrowed(self.kept[index].slice(piece)), waiter);
        }
        window.waiting.push((piece, waiter));
        Read::Waits
    }

    /// The same for a piece that no window has as a whole.
    fn handle_unknown(&mut self, piece: Piece, waiter: W, reads_on: bool, now: Duration) -> Read<'_, W> {
        let n_changes = self.n_changes;
        let first = self.kept.iter().find(|it| it.has(Piece { length: 1, ..piece }, n_changes, now));
        let mut is_begun = false;
        if let Some(first) = first {
            let end = first.fetch.piece.end();
            let rest = Piece { offset: end, length: u32::try_from(piece.end() - end).unwrap_or(0) };
            let second = self.kept.iter().find(|it| it.has(rest, n_changes, now));
            is_begun = first.bytes.is_none() || second.is_some();
            if let Some(second) = second.filter(|second| first.bytes.is_some() && second.bytes.is_some()) {
                return Read::Known([first.slice(piece), second.slice(rest)].concat().into(), waiter);
            }
        }
        if is_begun || !reads_on {
            return Read::FetchAlone(piece, waiter);
        }
        self.kept.retain(|it| !it.waiting.is_empty());
        self.want(Piece { length: piece.length.max(AHEAD), ..piece }, vec![(piece, waiter)]);
        Read::Waits
    }

    /// Wants what comes after the window in which somebody reads on, who is past its middle; and gives back what lies
    /// behind.
    fn read_ahead(&mut self, piece: Piece, now: Duration) {
        let is_behind = |it: &Window<W>| it.fetch.piece.end() <= piece.offset;
        self.kept.retain(|it| !it.waiting.is_empty() || !is_behind(it));
        let n_changes = self.n_changes;
        let reader = Piece { length: 1, ..piece };
        let Some(mut last) = self.kept.iter().find(|it| it.has(reader, n_changes, now)) else { return };
        let read = last.fetch.piece;
        if piece.end() - read.offset < u64::from(read.length / 2) {
            return;
        }
        let mut n_ahead = 0;
        while let Some(next) = self.kept.iter().find(|it| it.fetch.piece.offset == last.fetch.piece.end()) {
            (last, n_ahead) = (next, n_ahead + 1);
        }
        let mut offset = last.fetch.piece.end();
        if last.is_last() {
            return;
        }
        while n_ahead < self.n_ahead {
            self.want(Piece { offset, length: AHEAD }, Vec::new());
            (offset, n_ahead) = (offset.saturating_add(AHEAD.into()), n_ahead + 1);
        }
    }

    fn want(&mut self, piece: Piece, waiting: Vec<(Piece, W)>) {
        let fetch = Fetch { piece, n_changes: self.n_changes };
        self.kept.push(Window { fetch, asked_at: None, waiting, bytes: None, fetched_at: None });
    }

    /// A fetch that is to be made.
    pub fn next_fetch(&mut self, now: Duration) -> Option<Fetch> {
        let window = self.kept.iter_mut().find(|it| it.asked_at.is_none())?;
        window.asked_at = Some(now);
        Some(window.fetch)
    }

    /// Bytes are here: whom to give which of them. What was fetched before a change is given, but not kept.
    pub fn finish(&mut self, fetch: Fetch, bytes: Vec<u8>, now: Duration) -> Vec<(&[u8], W)> {
        let is_believed = fetch.n_changes == self.n_changes;
        let Some(window) = self.kept.iter_mut().find(|it| it.is_on_its_way(fetch)) else {
            return Vec::new();
        };
        let waiting = std::mem::take(&mut window.waiting);
        let took = now.saturating_sub(window.asked_at.unwrap_or(now));
        if !waiting.is_empty() {
            self.n_ahead =
                if took < LONG { self.n_ahead / 2 } else { (self.n_ahead * 2).clamp(1, MOST_AHEAD) };
        }
        window.bytes = Some(bytes);
        window.fetched_at = is_believed.then_some(now);
        let window = &*window;
        waiting.into_iter().map(|(piece, waiter)| (window.slice(piece), waiter)).collect()
    }

    /// They will not come: whom to tell.
    pub fn fail(&mut self, fetch: Fetch) -> Vec<W> {
        let Some(index) = self.kept.iter().position(|it| it.is_on_its_way(fetch)) else {
            return Vec::new();
        };
        self.kept.swap_remove(index).waiting.into_iter().map(|(_, waiter)| waiter).collect()
    }

    /// The file was changed here.
    pub fn handle_change(&mut self) {
        self.n_changes += 1;
        self.kept.retain(|it| !it.waiting.is_empty());
    }
}

impl<W> Window<W> {
    fn is_on_its_way(&self, fetch: Fetch) -> bool {
        self.fetch == fetch && self.bytes.is_none()
    }

    fn is_believed(&self, n_changes: u64, now: Duration) -> bool {
        let is_fresh = self.fetched_at.is_some_and(|then| now.saturating_sub(then) < LIFETIME);
        self.fetch.n_changes == n_changes && (self.bytes.is_none() || is_fresh)
    }

    /// Whether the file is known to end in it.
    fn is_last(&self) -> bool {
        self.bytes.as_ref().is_some_and(|bytes| bytes.len() < self.fetch.piece.length as usize)
    }

    /// Whether a piece lies in it, as far as the file goes.
    fn has(&self, piece: Piece, n_changes: u64, now: Duration) -> bool {
        let length = self.bytes.as_ref().map_or(self.fetch.piece.length as usize, Vec::len);
        let known = Piece { length: u32::try_from(length).unwrap_or(u32::MAX), ..self.fetch.piece };
        let begins = known.offset <= piece.offset && piece.offset < known.end();
        self.is_believed(n_changes, now) && (known.has(piece) || (self.is_last() && begins))
    }

    fn slice(&self, piece: Piece) -> &[u8] {
        let bytes = self.bytes.as_deref().unwrap_or_default();
        let from = piece.offset.saturating_sub(self.fetch.piece.offset);
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
        let to = from.saturating_add(piece.length as usize).min(bytes.len());
        &bytes[from..to]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const PAGE: u32 = 4096;

    fn piece(offset: u64) -> Piece {
        Piece { offset, length: PAGE }
    }

    /// What is to be fetched, all of it.
    fn fetches(windows: &mut Windows<&'static str>) -> Vec<Fetch> {
        std::iter::from_fn(|| windows.next_fetch(NOW)).collect()
    }

    fn pieces(fetches: &[Fetch]) -> Vec<(u64, u32)> {
        fetches.iter().map(|it| (it.piece.offset / u64::from(AHEAD), it.piece.length)).collect()
    }

    /// A file whose pages have the numbers of their windows.
    fn bytes(fetch: Fetch) -> Vec<u8> {
        vec![u8::try_from(fetch.piece.offset / u64::from(AHEAD)).unwrap(); fetch.piece.length as usize]
    }

    #[test]
    fn one_who_reads_on_is_served_from_what_was_read_ahead() {
        let mut windows = Windows::default();
        assert_eq!(windows.handle_read(piece(0), "a", NOW), Read::Waits);
        assert_eq!(windows.handle_read(piece(4096), "b", NOW), Read::Waits);
        let first = fetches(&mut windows);
        assert_eq!(pieces(&first), [(0, AHEAD)], "one fetch for both");
        let bytes: Vec<u8> = (0..AHEAD).map(|n| u8::try_from(n / PAGE).unwrap()).collect();
        let given = windows.finish(first[0], bytes, NOW);
        assert_eq!(
            given.iter().map(|(bytes, who)| (bytes[0], *who)).collect::<Vec<_>>(),
            [(0, "a"), (1, "b")]
        );
        assert!(
            matches!(windows.handle_read(piece(8192), "c", NOW), Read::Known(bytes, "c") if bytes[0] == 2)
        );
        assert_eq!(fetches(&mut windows), []);
        assert_eq!(windows.handle_read(piece(12288), "d", NOW + LIFETIME), Read::Waits);
        assert_eq!(fetches(&mut windows).len(), 1, "nothing is believed for ever");
    }

    /// Reads a file in order from `offset` on until it has to wait; says where.
    fn read_on(windows: &mut Windows<&'static str>, mut offset: u64, now: Duration) -> u64 {
        while let Read::Known(bytes, _) = windows.handle_read(piece(offset), "reader", now) {
            assert!(bytes.iter().all(|byte| u64::from(*byte) == offset / u64::from(AHEAD)));
            offset += u64::from(PAGE);
        }
        offset
    }

    /// How many windows are fetched at a time, while one reads who always has to wait.
    fn fetched_at_once(way: Duration) -> Vec<usize> {
        let (mut windows, mut now) = (Windows::default(), NOW);
        let (mut offset, mut n_fetched) = (read_on(&mut windows, 0, now), Vec::new());
        for _ in 0..6 {
            let wanted: Vec<Fetch> = std::iter::from_fn(|| windows.next_fetch(now)).collect();
            n_fetched.push(wanted.len());
            now += way;
            for fetch in wanted {
                windows.finish(fetch, bytes(fetch), now);
            }
            offset = read_on(&mut windows, offset + u64::from(PAGE), now);
        }
        n_fetched
    }

    #[test]
    fn more_is_fetched_before_it_is_wanted_while_a_reader_waits_for_a_long_way() {
        assert_eq!(fetched_at_once(LONG), [1, 1, 2, 4, 8, 8]);
        assert_eq!(fetched_at_once(LONG / 2), [1; 6]);
    }

    #[test]
    fn a_piece_that_lies_in_two_windows_is_put_together() {
        let (mut windows, now) = (Windows::default(), NOW + LONG);
        windows.handle_read(piece(0), "a", NOW);
        let first = fetches(&mut windows)[0];
        windows.finish(first, bytes(first), now);
        windows.handle_read(Piece { offset: 0, length: AHEAD - 1 }, "b", now);
        let second = fetches(&mut windows)[0];
        let across = Piece { offset: u64::from(AHEAD) - 1, length: 3 };
        assert_eq!(windows.handle_read(across, "early", now), Read::FetchAlone(across, "early"));
        windows.finish(second, bytes(second), now);
        assert_eq!(windows.handle_read(across, "a", now), Read::Known(vec![0, 1, 1].into(), "a"));
    }

    #[test]
    fn one_who_reads_on_from_one_window_into_the_next_begins_that_one_with_what_he_wants() {
        let mut windows = Windows::default();
        let all = Piece { offset: 0, length: AHEAD };
        windows.handle_read(all, "a", NOW);
        let first = fetches(&mut windows)[0];
        windows.finish(first, bytes(first), NOW);
        windows.handle_read(Piece { length: AHEAD - 1, ..all }, "b", NOW);
        let across = Piece { offset: u64::from(AHEAD) - 1, length: PAGE };
        assert_eq!(windows.handle_read(across, "c", NOW), Read::Waits);
        assert_eq!(fetches(&mut windows)[0].piece, Piece { length: AHEAD, ..across });
    }

    #[test]
    fn one_who_jumps_gets_what_he_wants_and_no_more() {
        let mut windows = Windows::default();
        let there = piece(1 << 30);
        assert_eq!(windows.handle_read(there, "a", NOW), Read::FetchAlone(there, "a"));
        assert_eq!(fetches(&mut windows), []);
    }

    #[test]
    fn the_end_of_a_file_is_known() {
        let mut windows = Windows::default();
        windows.handle_read(piece(0), "a", NOW);
        let fetch = fetches(&mut windows)[0];
        assert_eq!(windows.finish(fetch, vec![7; 10], NOW), [(&[7; 10][..], "a")]);
        assert_eq!(windows.handle_read(piece(0), "b", NOW), Read::Known(vec![7; 10].into(), "b"));
        assert_eq!(windows.handle_read(piece(10), "c", NOW), Read::FetchAlone(piece(10), "c"));
        assert_eq!(fetches(&mut windows), [], "behind the end is nothing to fetch");
    }

    #[test]
    fn what_was_fetched_before_a_change_is_not_believed_after_it() {
        let mut windows = Windows::default();
        windows.handle_read(piece(0), "a", NOW);
        let fetch = fetches(&mut windows)[0];
        windows.handle_change();
        assert_eq!(windows.finish(fetch, vec![7; 10], NOW).len(), 1);
        assert_eq!(windows.handle_read(piece(0), "b", NOW), Read::Waits);
        let fetch = fetches(&mut windows)[0];
        assert_eq!(windows.fail(fetch), ["b"]);
        assert_eq!(windows.fail(fetch), Vec::<&str>::new());
    }
}
