//! Patterns behind one type: compiled by the host into a table, searched by the guest without allocating or locking.

use regex_automata::{
    Anchored, Input,
    dfa::{Automaton, dense::DFA},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A list of regular expressions, any of which may match anywhere in a text, whatever the case.
#[derive(Clone, Debug, Default)]
pub struct PatternSet {
    /// None for an empty list, which matches nothing.
    table: Option<DFA<Vec<u32>>>,
}

impl PatternSet {
    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_none()
    }

    /// Whether one of the patterns matches somewhere in `text`.
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        let Some(table) = &self.table else { return false };
        let input = Input::new(text).anchored(Anchored::No).earliest(true);
        // A search of a table that quits on no byte cannot fail.
        table.try_search_fwd(&input).is_ok_and(|found| found.is_some())
    }
}

impl Serialize for PatternSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[cfg(feature = "compile")]
        if let Some(table) = &self.table {
            let (bytes, padding) = table.to_bytes_native_endian();
            return serde_bytes::serialize(&bytes[padding..], serializer);
        }
        // A guest receives tables and has no means to write one.
        serde_bytes::serialize(&[0_u8; 0], serializer)
    }
}

impl<'de> Deserialize<'de> for PatternSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: Vec<u8> = serde_bytes::deserialize(deserializer)?;
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        // A table is read in place, from an address that four divides.
        let mut padded = vec![0; bytes.len() + 4];
        let start = padded.as_ptr().align_offset(4);
        padded[start..start + bytes.len()].copy_from_slice(&bytes);
        let (table, _) =
            DFA::from_bytes(&padded[start..start + bytes.len()]).map_err(serde::de::Error::custom)?;
        Ok(Self { table: Some(table.to_owned()) })
    }
}

#[cfg(feature = "compile")]
mod compile {
    use regex_automata::{
        dfa::dense::{self, BuildError},
        nfa::thompson,
        util::syntax,
    };
    use thiserror::Error;

    use super::PatternSet;

    /// The largest table, in bytes, that a list may need: it is copied into every process of the guest.
    const MAX_TABLE: usize = 4 << 20;

    /// Why a pattern cannot be used: the user's fault.
    #[derive(Debug, Error)]
    pub enum PatternError {
        /// The pattern is not a regular expression.
        #[error("`{pattern}` is not a regular expression: {why}")]
        Syntax {
            /// As the user wrote it.
            pattern: String,
            /// What the parser says, in a line.
            why: String,
        },
        /// The list needs too large a table.
        #[error("these patterns together are too complex to be matched quickly")]
        TooComplex(#[source] Box<BuildError>),
    }

    /// What a parser says, in a line.
    pub(in crate::rules) fn explain(error: &impl std::error::Error) -> String {
        let said = error.to_string();
        let line = said.lines().last().unwrap_or_default().trim();
        line.strip_prefix("error: ").unwrap_or(line).to_owned()
    }

    impl PatternSet {
        /// Compiles a list. Unicode classes are matched by their ASCII part.
        ///
        /// # Errors
        /// When a pattern is malformed, or the list needs a table of more than a few megabytes.
        pub fn compile<P: AsRef<str>>(patterns: &[P]) -> Result<Self, PatternError> {
            if patterns.is_empty() {
                return Ok(Self::default());
            }
            let syntax = syntax::Config::new().case_insensitive(true).unicode(false).utf8(false);
            for pattern in patterns {
                syntax::parse_with(pattern.as_ref(), &syntax).map_err(|error| PatternError::Syntax {
                    pattern: pattern.as_ref().to_owned(),
                    why: explain(&error),
                })?;
            }
            let table = dense::Builder::new()
                .configure(
                    dense::Config::new()
                        .minimize(false)
                        .dfa_size_limit(Some(MAX_TABLE))
                        .determinize_size_limit(Some(4 * MAX_TABLE)),
                )
                .thompson(thompson::Config::new().utf8(false))
                .syntax(syntax)
                .build_many(patterns)
                .map_err(|error| PatternError::TooComplex(Box::new(error)))?;
            Ok(Self { table: Some(table) })
        }
    }
}

#[cfg(feature = "compile")]
pub use compile::PatternError;
#[cfg(feature = "compile")]
pub(in crate::rules) use compile::explain;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_matches_what_one_of_it_matches_in_any_case() {
        let set = PatternSet::compile(&["^/app/", r"\.log$"]).unwrap();
        assert!(set.is_match(b"/APP/x") && set.is_match(b"/var/a.LOG"));
        assert!(!set.is_match(b"/var/app/x"));
        assert!(!PatternSet::default().is_match(b""));
    }

    #[test]
    fn a_compiled_list_travels() {
        let set = PatternSet::compile(&["(foo|bar)+baz"]).unwrap();
        let bytes = mirrord_protocol::wire::encode(&(1_u8, &set)).unwrap();
        let (_, read): (u8, PatternSet) = mirrord_protocol::wire::decode(&bytes).unwrap();
        assert!(read.is_match(b"a foobarbaz") && !read.is_match(b"foo"));
    }

    #[test]
    fn a_malformed_pattern_is_named() {
        let error = PatternSet::compile(&["ok", "(("]).unwrap_err();
        assert!(error.to_string().starts_with("`((` is not a regular expression: "), "{error}");
    }
}
