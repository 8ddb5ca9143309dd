//! Inputs that nobody has written: committed ones, changed by chance that is the same every time.

/// Where new inputs come from.
pub(crate) struct Changes<'a> {
    state: u64,
    inputs: &'a [Vec<u8>],
}

/// Numbers at which something begins or ends.
const BORDERS: [u64; 16] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    0x20_0000,
    0x20_0001,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    u64::MAX >> 1,
    u64::MAX,
];

impl<'a> Changes<'a> {
    pub(crate) fn new(seed: u64, inputs: &'a [Vec<u8>]) -> Self {
        Self { state: seed ^ 0x9e37_79b9_7f4a_7c15, inputs }
    }

    fn chance(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.chance() >> 16).unwrap_or(0) % most.max(1)
    }

    /// The next input, of so many bytes at most.
    pub(crate) fn next(&mut self, most: usize) -> Vec<u8> {
        let at = self.below(self.inputs.len());
        let mut input = self.inputs[at].clone();
        // One in eight is nothing but noise.
        if self.below(8) == 0 {
            let length = self.below(200);
            input = (0..length).map(|_| self.chance().to_le_bytes()[3]).collect();
        }
        for _ in 0..=self.below(6) {
            self.change(&mut input);
        }
        input.truncate(most);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        let until = (at + self.below(32)).min(input.len());
        match self.below(9) {
            0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[at] = self.chance().to_le_bytes()[3],
            2 => input.insert(at, self.chance().to_le_bytes()[3]),
            3 if !input.is_empty() => drop(input.drain(at..until)),
            4 => {
                let again = input[at.min(until)..until].to_vec();
                let place = self.below(input.len());
                input.splice(place..place, again);
            }
            5 => {
                let border = BORDERS[self.below(BORDERS.len())].to_le_bytes();
                let width = 1 << self.below(4);
                for (place, byte) in input.iter_mut().skip(at).zip(&border[..width]) {
                    *place = *byte;
                }
            }
            6 => {
                let border = BORDERS[self.below(BORDERS.len())].to_le_bytes();
                let width = 1 << self.below(4);
                input.splice(at..at, border[..width].iter().copied());
            }
            7 => {
                let other = self.below(self.inputs.len());
                let from = self.below(self.inputs[other].len());
                input.truncate(at);
                input.extend_from_slice(&self.inputs[other][from..]);
            }
            _ => input.truncate(at),
        }
    }
}

/// By which an input is told from others (FNV-1a).
pub(crate) fn sum(input: &[u8]) -> u64 {
    input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
