//! How far ahead a file is read: one window of bytes for each open file, and who waits for the next one.

use std::time::Duration;

/// How many bytes are fetched at once while a file is read from its beginning to its end.
pub const AHEAD: u32 = 1 << 20;

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

/// The window of an open file. `W` is one who waits for bytes.
#[derive(Debug)]
pub struct Window<W> {
    bytes: Vec<u8>,
    offset: u64,
    fetched_at: Option<Duration>,
    at_end: bool,
    fetching: Option<(Piece, Vec<(Piece, W)>)>,
    /// Where a reader who reads on would read next.
    expected: u64,
    /// Grows with every change, so that bytes fetched before it are not believed.
    n_changes: u64,
}

impl<W> Default for Window<W> {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            offset: 0,
            fetched_at: None,
            at_end: false,
            fetching: None,
            expected: 0,
            n_changes: 0,
        }
    }
}

/// What becomes of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum Read<'a, W> {
    /// These are the bytes; fewer than wanted at the end of the file.
    Known(&'a [u8], W),
    /// Somebody fetches them already.
    Waits,
    /// They must be fetched, and settled with [`Window::finish`].
    Fetch(Piece),
    /// The same, but alone: a window that others wait for must not be replaced.
    FetchAlone(Piece, W),
}

impl<W> Window<W> {
    /// Somebody wants a piece.
    pub fn handle_read(&mut self, piece: Piece, waiter: W, now: Duration) -> Read<'_, W> {
        let reads_on = piece.offset == self.expected || piece.offset == 0;
        self.expected = piece.end();
        if self.knows(piece, now) {
            return Read::Known(self.slice(piece), waiter);
        }
        match &mut self.fetching {
            Some((fetched, waiting)) if fetched.has(piece) => {
                waiting.push((piece, waiter));
                Read::Waits
            }
            Some(_) => Read::FetchAlone(piece, waiter),
            None => {
                let length = if reads_on { piece.length.max(AHEAD) } else { piece.length };
                let fetched = Piece { length, ..piece };
                self.fetching = Some((fetched, vec![(piece, waiter)]));
                Read::Fetch(fetched)
            }
        }
    }

    /// The number of changes so far, to be told to [`Self::finish`].
    #[must_use]
    pub fn n_changes(&self) -> u64 {
        self.n_changes
    }

    /// Bytes are here: whom to give which of them. What was fetched before a change is given, but not kept.
    pub fn finish(&mut self, bytes: Vec<u8>, n_changes: u64, now: Duration) -> Vec<(&[u8], W)> {
        let Some((fetched, waiting)) = self.fetching.take() else { return Vec::new() };
        self.at_end = bytes.len() < fetched.length as usize;
        self.offset = fetched.offset;
        self.bytes = bytes;
        self.fetched_at = (self.n_changes == n_changes).then_some(now);
        let this = &*self;
        waiting.into_iter().map(|(piece, waiter)| (this.slice(piece), waiter)).collect()
    }

    /// They will not come: whom to tell.
    pub fn fail(&mut self) -> Vec<W> {
        let waiting = self.fetching.take().map(|(_, waiting)| waiting).unwrap_or_default();
        waiting.into_iter().map(|(_, waiter)| waiter).collect()
    }

    /// The file was changed here.
    pub fn handle_change(&mut self) {
        self.n_changes += 1;
        self.fetched_at = None;
        self.bytes = Vec::new();
    }

    fn knows(&self, piece: Piece, now: Duration) -> bool {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let known = Piece { offset: self.offset, length };
        let is_fresh = self.fetched_at.is_some_and(|then| now.saturating_sub(then) < LIFETIME);
        is_fresh
            && (known.has(piece)
                || (self.at_end && known.offset <= piece.offset && piece.offset < known.end()))
    }

    fn slice(&self, piece: Piece) -> &[u8] {
        let from = usize::try_from(piece.offset - self.offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let to = from.saturating_add(piece.length as usize).min(self.bytes.len());
        &self.bytes[from..to]
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

    #[test]
    fn one_who_reads_on_is_served_from_what_was_read_ahead() {
        let mut window = Window::default();
        let ahead = Piece { offset: 0, length: AHEAD };
        assert_eq!(window.handle_read(piece(0), "a", NOW), Read::Fetch(ahead));
        assert_eq!(window.handle_read(piece(4096), "b", NOW), Read::Waits);
        let bytes: Vec<u8> = (0..AHEAD).map(|n| u8::try_from(n / PAGE).unwrap()).collect();
        let given = window.finish(bytes, 0, NOW);
        assert_eq!(
            given.iter().map(|(bytes, who)| (bytes[0], *who)).collect::<Vec<_>>(),
            [(0, "a"), (1, "b")]
        );
        assert!(
            matches!(window.handle_read(piece(8192), "c", NOW), Read::Known(bytes, "c") if bytes[0] == 2)
        );
        assert!(matches!(window.handle_read(piece(8192), "d", NOW + LIFETIME), Read::Fetch(_)));
    }

    #[test]
    fn one_who_jumps_gets_what_he_wants_and_no_more() {
        let mut window = Window::default();
        assert_eq!(window.handle_read(piece(1 << 30), "a", NOW), Read::Fetch(piece(1 << 30)));
        assert_eq!(window.handle_read(piece(1 << 20), "b", NOW), Read::FetchAlone(piece(1 << 20), "b"));
    }

    #[test]
    fn the_end_of_a_file_is_known() {
        let mut window = Window::default();
        window.handle_read(piece(0), "a", NOW);
        assert_eq!(window.finish(vec![7; 10], 0, NOW), [(&[7; 10][..], "a")]);
        assert_eq!(window.handle_read(piece(0), "b", NOW), Read::Known(&[7; 10], "b"));
        assert!(matches!(window.handle_read(piece(10), "c", NOW), Read::Fetch(_)));
    }

    #[test]
    fn what_was_fetched_before_a_change_is_not_believed_after_it() {
        let mut window = Window::default();
        window.handle_read(piece(0), "a", NOW);
        window.handle_change();
        assert_eq!(window.finish(vec![7; 10], 0, NOW).len(), 1);
        assert!(matches!(window.handle_read(piece(0), "b", NOW), Read::Fetch(_)));
        assert_eq!(window.fail(), ["b"]);
    }
}
