//! Repairs a kubeconfig whose credential plugin is named without its path.
//!
//! Editors and services start with another `PATH` than shells, so that a plugin which `kubectl` finds is not found there.
//! Only the bytes of the one word are changed: comments, order and quotes of everything else stay as they are.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use mirrord_core::cluster::ClusterOptions;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;
use serde_saphyr::Spanned;
use thiserror::Error;

use crate::{context, problem::NoKubeconfig};

/// What would make the kubeconfig work from every environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// The file.
    pub path: PathBuf,
    /// The user of the current context.
    pub user: String,
    /// The plugin's command as it stands.
    pub old: String,
    /// The same command by its absolute path; none where nothing needs to change.
    pub new: Option<String>,
    /// The whole file with the new command.
    pub text: String,
}

/// Why a kubeconfig cannot be repaired.
#[derive(Debug, Error)]
pub enum FixError {
    /// There is nothing to read.
    #[error(transparent)]
    Kubeconfig(#[from] NoKubeconfig),
    /// It does not say whose credentials are used.
    #[error("the kubeconfig has no current context that it describes")]
    NoContext,
    /// Nothing that could be repaired.
    #[error("the credentials of `{user}` come from no program, so there is nothing to repair")]
    NoPlugin {
        /// The user of the current context.
        user: String,
    },
    /// The plugin is not on this machine, as far as one can see.
    #[error("`{command}`, which gives the credentials of `{user}`, is not in `PATH`")]
    NotInPath {
        /// The command.
        command: String,
        /// The user of the current context.
        user: String,
    },
    /// It is written in a way that cannot be changed without changing more.
    #[error("the word `{command}` in `{}` cannot be changed alone", path.display())]
    Entangled {
        /// The command.
        command: String,
        /// The file.
        path: PathBuf,
        /// What it should be.
        new: String,
    },
}

impl FixError {
    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Kubeconfig(error) => Some(error.hint()),
            Self::NoContext => Some("`kubectl config use-context NAME` chooses one".to_owned()),
            Self::NotInPath { .. } => {
                Some("run this in a shell where `kubectl get pods` works, or install the program".to_owned())
            }
            Self::Entangled { new, .. } => Some(format!("write `{new}` there yourself")),
            Self::NoPlugin { .. } => None,
        }
    }
}

/// What would change in the kubeconfig at `path` (the usual one where there is none), commands being looked up in
/// `path_var`.
///
/// Nothing is written; see [`Fix::write`].
///
/// # Errors
///
/// Why there is nothing to repair, or why it cannot be.
pub fn fix(path: Option<&Path>, path_var: &OsStr) -> Result<Fix, FixError> {
    let options = ClusterOptions { kubeconfig: path.map(Path::to_owned), ..ClusterOptions::default() };
    let looked = context::paths(&options, &|name| env::var(name).ok());
    fix_files(&looked, path_var)
}

impl Fix {
    /// Writes the file, at once or not at all.
    ///
    /// # Errors
    ///
    /// Why it could not be written.
    pub fn write(&self) -> io::Result<()> {
        // A link stays a link.
        let path = self.path.canonicalize()?;
        let mode = fs::metadata(&path)?.permissions().mode();
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let beside = path.with_file_name(name);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        let written = file.write_all(self.text.as_bytes()).and_then(|()| file.sync_all());
        written.and_then(|()| fs::rename(&beside, &path)).inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        })
    }
}

/// A kubeconfig, as far as the plugin is concerned.
#[derive(Default, Deserialize)]
struct File {
    #[serde(rename = "current-context", default)]
    current_context: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    contexts: Vec<NamedContext>,
    #[serde(default, deserialize_with = "or_default")]
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    #[serde(default)]
    context: Option<Context>,
}

#[derive(Deserialize)]
struct Context {
    #[serde(default)]
    user: Option<String>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: Option<User>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    exec: Option<Exec>,
}

#[derive(Deserialize)]
struct Exec {
    #[serde(default)]
    command: Option<Spanned<String>>,
}

/// An empty entry is none.
fn or_default<'de, D: Deserializer<'de>, T: Default + DeserializeOwned>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

fn fix_files(looked: &[PathBuf], path_var: &OsStr) -> Result<Fix, FixError> {
    let mut files = Vec::new();
    for path in looked {
        let unreadable = |source| NoKubeconfig::Unreadable { path: path.clone(), source };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(error.into()).into()),
        };
        let file: File = serde_saphyr::from_str(&text).map_err(|error| unreadable(error.into()))?;
        files.push((path, text, file));
    }
    if files.is_empty() {
        return Err(NoKubeconfig::Nowhere { looked: looked.to_vec() }.into());
    }
    // Of several files, the first that says a thing is right.
    let mut currents = files.iter().filter_map(|(_, _, file)| file.current_context.as_deref());
    let current = currents.find(|name| !name.is_empty()).ok_or(FixError::NoContext)?;
    let mut contexts = files.iter().flat_map(|(_, _, file)| &file.contexts);
    let context = contexts.find(|it| it.name == current).and_then(|it| it.context.as_ref());
    let user = context.ok_or(FixError::NoContext)?.user.clone().unwrap_or_default();
    let place = files
        .iter()
        .enumerate()
        .find_map(|(index, (_, _, file))| Some((index, file.users.iter().position(|it| it.name == user)?)));
    let (file, index) = place.ok_or_else(|| FixError::NoPlugin { user: user.clone() })?;
    let (path, text, file) = &files[file];
    let exec = file.users[index].user.as_ref().and_then(|it| it.exec.as_ref());
    let command = exec.and_then(|exec| exec.command.as_ref());
    let command = command.ok_or_else(|| FixError::NoPlugin { user: user.clone() })?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let old = command.value.clone();
    let new = absolute(&old, folder, path_var)
        .ok_or_else(|| FixError::NotInPath { command: old.clone(), user: user.clone() })?;
    let mut fix = Fix { path: (*path).clone(), user, old, new: None, text: text.clone() };
    if new != fix.old {
        let entangled =
            || FixError::Entangled { command: fix.old.clone(), path: fix.path.clone(), new: new.clone() };
        fix.text = changed(text, command, index, &new).ok_or_else(entangled)?;
        fix.new = Some(new);
    }
    Ok(fix)
}

/// The command by its absolute path, if it is there.
fn absolute(command: &str, folder: &Path, path_var: &OsStr) -> Option<String> {
    let path = Path::new(command);
    if path.is_absolute() && is_program(path) {
        return Some(command.to_owned());
    }
    if command.contains('/') && !path.is_absolute() {
        let path = folder.join(path);
        return is_program(&path).then(|| path.display().to_string());
    }
    // An absolute path that is not there any more is as good as a name.
    let name = path.file_name()?;
    let mut paths = env::split_paths(path_var).filter(|folder| folder.is_absolute());
    paths.find_map(|folder| {
        let path = folder.join(name);
        is_program(&path).then(|| path.display().to_string())
    })
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// The text with another command, if that is all that a parser then sees changed.
fn changed(text: &str, command: &Spanned<String>, user: usize, new: &str) -> Option<String> {
    let span = command.defined.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
    let word = text.get(start..end)?;
    // A plain word's span may go on to the next token.
    let word = word.trim_end();
    let changed = format!("{}{}{}", &text[..start], like(word, new), &text[start + word.len()..]);
    let parse = |text: &str| serde_saphyr::from_str::<Value>(text).ok();
    let mut wanted = parse(text)?;
    *wanted.pointer_mut(&format!("/users/{user}/user/exec/command"))? = new.into();
    (parse(&changed)? == wanted).then_some(changed)
}

/// The new word, quoted as the old one was.
fn like(old: &str, new: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@".contains(letter);
    if old.starts_with('\'') && !new.contains('\'') {
        format!("'{new}'")
    } else if old.starts_with('"') || !new.chars().all(is_plain) {
        Value::from(new).to_string()
    } else {
        new.to_owned()
    }
}

#[cfg(test)]
mod tests;
