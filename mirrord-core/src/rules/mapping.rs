//! What `feature.fs.mapping` makes of a path: the host's part, which knows the capture groups.

use regex::bytes::{Regex, RegexBuilder};

use super::pattern::PatternError;

/// Expressions and what replaces their match, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    pairs: Vec<(Regex, String)>,
}

impl Mapping {
    /// Compiles pairs of an expression and its replacement (`$1` is its first group).
    ///
    /// # Errors
    /// When an expression is malformed.
    pub fn compile(pairs: &[(String, String)]) -> Result<Self, PatternError> {
        let compile = |(pattern, replacement): &(String, String)| {
            let regex = RegexBuilder::new(pattern).case_insensitive(true).build().map_err(|error| {
                PatternError::Syntax { pattern: pattern.clone(), why: super::pattern::explain(&error) }
            })?;
            Ok((regex, replacement.clone()))
        };
        pairs.iter().map(compile).collect::<Result<_, _>>().map(|pairs| Self { pairs })
    }

    /// The path with the first matching expression replaced; unchanged if none matches.
    #[must_use]
    pub fn apply(&self, path: &[u8]) -> Vec<u8> {
        match self.pairs.iter().find(|(regex, _)| regex.is_match(path)) {
            Some((regex, replacement)) => regex.replace(path, replacement.as_bytes()).into_owned(),
            None => path.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_match_is_replaced_with_its_groups() {
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let mapping = Mapping::compile(&[pair("^/here(/.*)?$", "/there$1"), pair("x", "y")]).unwrap();
        assert_eq!(mapping.apply(b"/here/x"), b"/there/x");
        assert_eq!(mapping.apply(b"/else"), b"/else");
    }
}
