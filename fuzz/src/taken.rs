//! Numbers and pieces, taken from bytes as long as there are any.

/// What is left of the bytes.
pub struct Taken<'a>(pub &'a [u8]);

impl<'a> Taken<'a> {
    /// A byte; nothing at the end.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number below `most`, which is at most 256.
    pub fn below(&mut self, most: usize) -> usize {
        usize::from(self.byte().unwrap_or(0)) % most
    }

    /// A number of one, two, four or eight bytes: small ones are as likely as those at the borders.
    pub fn number(&mut self) -> u64 {
        let width = 1 << self.below(4);
        let mut bytes = [0; 8];
        for place in &mut bytes[..width] {
            *place = self.byte().unwrap_or(0);
        }
        u64::from_le_bytes(bytes)
    }

    /// Up to `most` bytes.
    pub fn piece(&mut self, most: usize) -> &'a [u8] {
        let length = usize::try_from(self.number()).unwrap_or(usize::MAX).min(most).min(self.0.len());
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        piece
    }

    /// Whether everything has been taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
