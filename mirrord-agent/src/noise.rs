//! Bytes that nobody meant, for the stories of what reads them: good ones, changed by chance that is the same every time.

/// Changes of these inputs, so many.
pub(crate) fn noise(inputs: &'static [&'static [u8]], n_changes: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut chance = move |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).unwrap_or(0) % most.max(1)
    };
    (0..n_changes).map(move |_| {
        let mut bytes = inputs[chance(inputs.len())].to_vec();
        for _ in 0..=chance(5) {
            let at = chance(bytes.len());
            match chance(6) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << chance(8),
                1 if !bytes.is_empty() => bytes[at] = [0, 0x7f, 0x80, 0xc0, 0xff][chance(5)],
                2 => bytes.insert(at, chance(256).to_le_bytes()[0]),
                3 if !bytes.is_empty() => drop(bytes.remove(at)),
                4 => bytes.extend_from_within(at..),
                _ => bytes.truncate(at),
            }
            bytes.truncate(4096);
        }
        bytes
    })
}
