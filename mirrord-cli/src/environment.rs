//! The environment of the guest: ours, the target's over it, and what the configuration lays over both.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use mirrord_core::rules::env::EnvRules;
use mirrord_protocol::agent::env::Environment;
use regex::bytes::Regex;
use thiserror::Error;

use crate::report::Explain;

/// Names and values, in an order that a reader can follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variables(Vec<(OsString, OsString)>);

/// Why what the configuration lays over the target's environment cannot be had: the user's fault.
#[derive(Debug, Error)]
pub(crate) enum EnvironmentError {
    #[error("cannot read the variables of `{}`", path.display())]
    File {
        path: PathBuf,
        #[source]
        why: dotenvy::Error,
    },
    #[error("`{pattern}` in `feature.env.mapping` is not a regular expression")]
    Mapping {
        pattern: String,
        #[source]
        why: Box<regex::Error>,
    },
}

impl Explain for EnvironmentError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File { why: dotenvy::Error::Io(_), .. } => {
                "name an existing file in `feature.env.env_file` or `--env-file`".to_owned()
            }
            Self::File { .. } => "write each variable as NAME=VALUE on a line of its own".to_owned(),
            Self::Mapping { .. } => "correct the expression, or remove it".to_owned(),
        })
    }
}

/// What the configuration lays over the target's variables, read and compiled before anything is started.
#[derive(Debug)]
pub(crate) struct Overlay<'a> {
    file: Vec<(String, String)>,
    mapping: Vec<(Regex, &'a str)>,
    rules: &'a EnvRules,
}

impl<'a> Overlay<'a> {
    /// Reads `env_file`, compiles `mapping`.
    pub(crate) fn load(rules: &'a EnvRules) -> Result<Self, EnvironmentError> {
        let file = match &rules.env_file {
            Some(path) => read_file(Path::new(path))?,
            None => Vec::new(),
        };
        let compile = |(pattern, value): &'a (String, String)| match Regex::new(pattern) {
            Ok(regex) => Ok((regex, value.as_str())),
            Err(why) => Err(EnvironmentError::Mapping { pattern: pattern.clone(), why: Box::new(why) }),
        };
        let mapping = rules.mapping.iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Self { file, mapping, rules })
    }

    /// The guest's environment, but for what the session itself adds.
    pub(crate) fn lay_over(&self, mut own: Variables, taken: &Environment) -> Variables {
        let mut theirs = Variables::default();
        for (name, value) in &taken.0 {
            theirs.set(OsStr::from_bytes(name), OsStr::from_bytes(value));
        }
        for (name, value) in &self.file {
            theirs.set(name, value);
        }
        for (name, value) in &mut theirs.0 {
            if let Some((_, mapped)) = self.mapping.iter().find(|(regex, _)| regex.is_match(name.as_bytes()))
            {
                *value = (*mapped).into();
            }
        }
        for (name, value) in &theirs.0 {
            own.set(name, value);
        }
        for (name, value) in &self.rules.overrides {
            own.set(name, value);
        }
        own.0.retain(|(name, _)| {
            !self.rules.unset.iter().any(|unset| name.as_bytes().eq_ignore_ascii_case(unset.as_bytes()))
        });
        own
    }
}

fn read_file(path: &Path) -> Result<Vec<(String, String)>, EnvironmentError> {
    let failed = |why| EnvironmentError::File { path: path.to_owned(), why };
    dotenvy::from_path_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}

impl Variables {
    /// What this process has.
    pub(crate) fn own() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// The value of a variable.
    pub(crate) fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        let name = name.as_ref();
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    /// Sets a variable, where it stands if there is one.
    pub(crate) fn set(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        let (name, value) = (name.as_ref(), value.as_ref());
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Takes a variable away.
    pub(crate) fn remove(&mut self, name: impl AsRef<OsStr>) {
        self.0.retain(|(key, _)| key != name.as_ref());
    }

    /// Names and values.
    pub(crate) fn into_pairs(self) -> impl Iterator<Item = (OsString, OsString)> {
        self.0.into_iter()
    }

    /// `NAME=VALUE`, as `execve(2)` takes them.
    pub(crate) fn into_assignments(self) -> impl Iterator<Item = Vec<u8>> {
        self.0.into_iter().map(|(name, value)| {
            let mut assignment = name.into_vec();
            assignment.push(b'=');
            assignment.extend_from_slice(value.as_bytes());
            assignment
        })
    }

    /// How many bytes they need.
    pub(crate) fn size(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len() + 2).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        Variables(pairs.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    fn taken(pairs: &[(&str, &str)]) -> Environment {
        let bytes = |text: &str| serde_bytes::ByteBuf::from(text.as_bytes());
        Environment(pairs.iter().map(|(name, value)| (bytes(name), bytes(value))).collect())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn the_targets_lie_over_ours_the_file_over_them_and_overrides_over_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.env");
        std::fs::write(&path, "# a comment\nexport C=file\nD='two words'\n").unwrap();
        let rules = EnvRules {
            env_file: Some(path.display().to_string()),
            overrides: vec![pair("E", "final")],
            ..EnvRules::default()
        };
        let guest = Overlay::load(&rules).unwrap().lay_over(
            variables(&[("A", "own"), ("B", "own"), ("E", "own")]),
            &taken(&[("B", "there"), ("C", "there"), ("E", "there")]),
        );
        let expected = [("A", "own"), ("B", "there"), ("E", "final"), ("C", "file"), ("D", "two words")];
        assert_eq!(guest, variables(&expected));
    }

    #[test]
    fn mapping_rewrites_what_comes_from_there_by_its_name() {
        let rules = EnvRules { mapping: vec![pair("^DB_.*", "mapped")], ..EnvRules::default() };
        let guest = Overlay::load(&rules)
            .unwrap()
            .lay_over(variables(&[("DB_OWN", "own")]), &taken(&[("DB_URL", "x"), ("MY_DB_URL", "y")]));
        assert_eq!(guest, variables(&[("DB_OWN", "own"), ("DB_URL", "mapped"), ("MY_DB_URL", "y")]));
    }

    #[test]
    fn what_is_unset_is_gone_whatever_its_case_and_wherever_it_came_from() {
        let rules = EnvRules {
            unset: vec!["aws_profile".into(), "B".into()],
            overrides: vec![pair("B", "x")],
            ..EnvRules::default()
        };
        let guest = Overlay::load(&rules)
            .unwrap()
            .lay_over(variables(&[("AWS_PROFILE", "x"), ("C", "")]), &taken(&[]));
        assert_eq!(guest, variables(&[("C", "")]));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let rules = EnvRules { env_file: Some("/no/such.env".into()), ..EnvRules::default() };
        let error = Overlay::load(&rules).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the variables of `/no/such.env`");
        let rules = EnvRules { mapping: vec![pair("((", "")], ..EnvRules::default() };
        assert!(Overlay::load(&rules).unwrap_err().to_string().contains("`((`"));
    }
}
