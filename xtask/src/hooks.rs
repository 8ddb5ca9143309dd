//! The census of hooked calls, counted from the layer's table.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::ground::workspace;

const HEAD: &str = "# The census of hooked calls

Generated from `mirrord-layer/src/engine/table/` by `cargo xtask hooks`; a tidy test holds the two together.
A symbol's *rule* is the part of the configuration without which its hook only passes the call on.
*Told in* names the proofs in which the symbol appears by name.
";

/// One row of the table.
struct Hook {
    symbol: String,
    family: String,
    body: String,
    rule: String,
}

/// Writes `docs/hooks.md`; with `--print`, to standard output instead.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let page = page()?;
    match arguments {
        [] => {
            let path = workspace().join("docs/hooks.md");
            fs::write(&path, page).map_err(|error| format!("cannot write {}: {error}", path.display()))
        }
        [flag] if flag == "--print" => {
            crate::show(&page);
            Ok(())
        }
        _ => Err("`hooks` knows only `--print`".to_owned()),
    }
}

fn page() -> Result<String, String> {
    let mut hooks = Vec::new();
    for path in files(&workspace().join("mirrord-layer/src/engine/table"), "rs") {
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let family = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if family != "mod" {
            hooks.extend(parse(&text, &family));
        }
    }
    let told = proofs();
    let mut page = HEAD.to_owned();
    let mut families: BTreeMap<&str, Vec<&Hook>> = BTreeMap::new();
    for hook in &hooks {
        families.entry(&hook.family).or_default().push(hook);
    }
    let _ = write!(page, "\n{} symbols in {} families.\n", hooks.len(), families.len());
    for (family, rows) in families {
        let _ = write!(page, "\n## {family}\n\n| Symbol | Body | Rule | Told in |\n|---|---|---|---|\n");
        for hook in rows {
            let proofs = told.iter().filter(|(_, text)| has_word(text, &hook.symbol));
            let names: Vec<&str> = proofs.map(|(name, _)| name.as_str()).take(3).collect();
            let _ = writeln!(
                page,
                "| `{}` | `{}` | {} | {} |",
                hook.symbol,
                hook.body,
                hook.rule,
                names.join(", ")
            );
        }
    }
    Ok(page)
}

/// The rows of a file: `fn NAME(...) -> ... = BODY, "RULE";`.
fn parse(text: &str, family: &str) -> Vec<Hook> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .fold(String::new(), |all, line| all + line + "\n");
    let Some((_, rows)) = code.split_once("rows! {") else { return Vec::new() };
    rows.split(';')
        .filter_map(|row| {
            let row = row.split_once("fn ")?.1;
            let symbol = row.split_once('(')?.0.trim();
            let (body, rule) = row.rsplit_once('=')?.1.split_once(',')?;
            let body: String = body.split_whitespace().collect();
            let rule = rule.trim().trim_matches('"');
            Some(Hook { symbol: symbol.into(), family: family.into(), body, rule: rule.into() })
        })
        .collect()
}

/// Every proof, by the name of its file from `tests/` on.
fn proofs() -> Vec<(String, String)> {
    let tests = workspace().join("tests");
    let mut found = Vec::new();
    for folder in ["layer", "parity", "guests", "leftovers"] {
        for extension in ["rs", "c", "py", "js", "sh"] {
            for path in files(&tests.join(folder), extension) {
                let name = path.strip_prefix(&tests).unwrap_or(&path).display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap_or_default()));
            }
        }
    }
    found
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn has_word(text: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word))
}
