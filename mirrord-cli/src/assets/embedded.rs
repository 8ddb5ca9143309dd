//! What this command carries inside, as the build script has written it down.

/// A file that is part of this command.
#[derive(Clone, Copy)]
pub(super) struct Embedded {
    /// Names its content.
    pub(super) hash: &'static str,
    /// Its content.
    pub(super) bytes: &'static [u8],
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Embedded({})", self.hash)
    }
}

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
