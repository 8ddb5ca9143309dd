//! The sources laid over the defaults.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::Value;

use crate::{
    check::check,
    file::File,
    later,
    lower::{self, Lowered},
    problem::{Findings, Origin, Problem, Problems},
    read::{Format, SyntaxError},
    schema::SCHEMA,
    shape,
    source::{FileSource, Overrides},
    template::{Template, is_template},
    tree::{Kind, Node},
};

/// Everything that a configuration is made of. What the world says is captured here; nothing else is asked.
pub struct Input<'a> {
    /// The file, if the user names one.
    pub file: Option<FileSource>,
    /// The environment of the command.
    pub environment: BTreeMap<String, String>,
    /// Flags, as the variables for which they stand.
    pub flags: BTreeMap<&'static str, String>,
    /// The branch that is checked out, if any; asked only if a template wants to know and `MIRRORD_BRANCH_NAME` is not
    /// set.
    pub git_branch: &'a dyn Fn() -> Option<String>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// Where temporary files are.
    pub temp_dir: PathBuf,
    /// Makes five hexadecimal digits for a session that has no key.
    pub make_key: &'a dyn Fn() -> String,
}

/// A configuration without a fault.
#[derive(Debug)]
pub struct Resolved {
    /// What it means.
    pub lowered: Lowered,
    /// Every setting with its value, as `verify-config --resolved` prints them.
    pub settings: Value,
    /// What the user should read; each a lower-case clause.
    pub warnings: Vec<String>,
}

/// Settings with a type, and the tree that says where each came from.
pub(crate) struct Settings {
    pub(crate) file: File,
    pub(crate) tree: Node,
    pub(crate) key: lower::Key,
}

/// Whether a missing target means that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoTarget {
    /// It does.
    IsTargetless,
    /// Somebody will choose one later.
    IsOpen,
}

/// Loads, resolves and lowers a configuration.
///
/// # Errors
/// Everything that is wrong with it, as far as it can be seen at once.
pub fn resolve(input: &Input<'_>) -> Result<Resolved, Problems> {
    resolve_with(input, NoTarget::IsTargetless).1
}

/// The warnings are told apart, because a configuration that fails may have some, too.
pub(crate) fn resolve_with(
    input: &Input<'_>,
    no_target: NoTarget,
) -> (Vec<String>, Result<Resolved, Problems>) {
    let name = input.file.as_ref().map(FileSource::name).unwrap_or_default();
    let mut findings = Findings::new(name);
    let result = settings(input, &mut findings).and_then(|settings| {
        let lowered = lower::lower(&settings, input, no_target, &mut findings);
        findings.take_problems()?;
        let values = serde_json::to_value(&settings.file).map_err(|error| internal(&error.to_string()))?;
        Ok(Resolved { lowered, settings: values, warnings: findings.warnings.clone() })
    });
    (findings.warnings, result)
}

fn settings(input: &Input<'_>, findings: &mut Findings) -> Result<Settings, Problems> {
    let (mut tree, mut key) = load(input, findings)?;
    check(&tree, &SCHEMA, findings, |_| true);
    tree.drop_nulls();
    let overrides = Overrides { environment: &input.environment, flags: &input.flags };
    let env_is_off = tree.get("feature.env").is_some_and(|env| env.kind == Kind::Bool(false));
    shape::write_out(&mut tree, findings);
    if env_is_off && overrides.get("MIRRORD_OVERRIDE_ENV_VARS_INCLUDE").is_some() {
        // What `false` stands for gives way; what a user writes would contradict.
        tree.remove("feature.env.exclude");
    }
    overrides.lay_over(&mut tree);
    check(&tree, &SCHEMA, findings, |origin| !matches!(origin, Origin::File { .. }));
    later::judge(&tree, findings);
    findings.take_problems()?;
    let file: File = serde_path_to_error::deserialize(tree.to_value()).map_err(|error| {
        let path = error.path().to_string();
        let origin = tree.origin_of(&path);
        findings.fail(Some(origin), &path, format!("`{path}` cannot be read: {}", error.inner()))
    })?;
    if let Some(text) = &file.key {
        key = lower::Key { text: text.clone(), is_generated: false };
    }
    Ok(Settings { file, tree, key })
}

/// The file as a tree, and the key with which it was rendered.
fn load(input: &Input<'_>, findings: &mut Findings) -> Result<(Node, lower::Key), Problems> {
    let overrides = Overrides { environment: &input.environment, flags: &input.flags };
    let given = overrides.get("MIRRORD_KEY").map(|(text, _)| text.to_owned());
    let generated = || lower::Key { text: (input.make_key)(), is_generated: true };
    let chosen = |text| lower::Key { text, is_generated: false };
    let Some(source) = &input.file else {
        let nothing = Node::new(Kind::Map(Vec::new()), Origin::File { line: 1, column: 1 });
        return Ok((nothing, given.map_or_else(generated, chosen)));
    };
    let format = Format::of(&source.path).map_err(|extension| Problem {
        place: None,
        key: None,
        message: format!("`{}` has the unknown extension `{extension}`", source.path.display()),
        hint: Some("a configuration file ends in `.json`, `.toml`, `.yaml` or `.yml`".to_owned()),
    })?;
    let text = decode(&source.bytes, findings)?;
    let branch = || input.environment.get("MIRRORD_BRANCH_NAME").cloned().or_else(|| (input.git_branch)());
    let template = Template { environment: &input.environment, git_branch: &branch };
    let key = match given {
        Some(text) => chosen(text),
        None => match key_of_unrendered(text, format, &template) {
            Some(Ok(text)) => chosen(text),
            Some(Err(error)) => return Err(findings.fail(error.origin, "", error.message)),
            None => generated(),
        },
    };
    let read = |key: &str| {
        let rendered = template.render(text, Some(key))?;
        format.read(&rendered)
    };
    let mut result = read(&key.text).map(|tree| (tree, key));
    if let Ok((tree, key)) = &result
        && key.is_generated
        && let Some(Kind::Text(own)) = tree.get("key").map(|node| &node.kind)
    {
        // The file gives a key, which was not to be seen before: then it is the one that the file's template gets.
        let key = chosen(own.clone());
        result = read(&key.text).map(|tree| (tree, key));
    }
    result.map_err(|error| findings.fail(error.origin, "", error.message))
}

fn decode<'a>(bytes: &'a [u8], findings: &mut Findings) -> Result<&'a str, Problems> {
    // Editors of another system put a mark before the text.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let origin = Origin::File { line, column };
        findings.fail(Some(origin), "", "the file is not UTF-8".to_owned())
    })
}

/// The key that a file gives, rendered by itself, if the file can be read before it is rendered.
fn key_of_unrendered(
    text: &str,
    format: Format,
    template: &Template<'_>,
) -> Option<Result<String, SyntaxError>> {
    let tree = format.read(text).ok()?;
    let Kind::Text(key) = &tree.get("key")?.kind else { return None };
    let origin = tree.origin_of("key");
    if !is_template(key) {
        return Some(Ok(key.clone()));
    }
    Some(template.render(key, None).map_err(|error| SyntaxError { origin: Some(origin), ..error }))
}

fn internal(why: &str) -> Problems {
    Problem { place: None, key: None, message: format!("the settings cannot be shown: {why}"), hint: None }
        .into()
}
