//! The tables of `docs/configuration.md`, made of the schema, the variables and the keys that wait.
//!
//! `MIRRORD_UPDATE_MANUAL=1` writes them anew.

#![expect(clippy::unwrap_used, reason = "all of it is a test, which fails by it")]

use std::{fmt::Write, fs, path::Path};

use serde_json::Value;

use crate::{
    later::{Fate, LATER, Later},
    schema::schema,
    source::variables_of,
};

/// A key of the schema.
struct Key<'a> {
    path: String,
    schema: &'a Value,
    about: &'a str,
}

/// Every key without keys of its own, in the order of the schema.
fn leaves<'a>(root: &'a Value, schema: &'a Value, path: &str, leaves: &mut Vec<Key<'a>>) {
    let Some(properties) = sections(root, schema).into_iter().find_map(|schema| schema.get("properties"))
    else {
        return;
    };
    for (name, schema) in properties.as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let before = leaves.len();
        // A target has many forms, all of which are one key.
        if path != "target" && !waits(&path) {
            self::leaves(root, schema, &path, leaves);
        }
        if leaves.len() == before && !name.starts_with('$') {
            let about = schema.get("description").and_then(Value::as_str).unwrap_or_default();
            leaves.push(Key { path, schema, about });
        }
    }
}

fn waits(path: &str) -> bool {
    LATER.iter().any(|later| later.path == path && later.fate != Fate::Elsewhere)
}

fn sections<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        return root
            .pointer(target.trim_start_matches('#'))
            .map(|target| sections(root, target))
            .unwrap_or_default();
    }
    match schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        Some(choices) => choices.iter().flat_map(|choice| sections(root, choice)).collect(),
        None => vec![schema],
    }
}

fn type_of(root: &Value, schema: &Value) -> String {
    let mut words: Vec<String> = Vec::new();
    for schema in sections(root, schema) {
        let names = match schema.get("type") {
            Some(Value::String(name)) => vec![name.as_str()],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => vec!["anything"],
        };
        let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
        let consts: Vec<_> =
            schema.get("const").into_iter().chain(listed).filter_map(Value::as_str).collect();
        for name in names {
            let each = match name {
                "null" => continue,
                _ if !consts.is_empty() => consts.iter().map(|word| format!("`{word}`")).collect(),
                "boolean" => vec!["bool".to_owned()],
                "string" => vec!["text".to_owned()],
                "integer" | "number" => vec!["number".to_owned()],
                "array" if schema.pointer("/items/prefixItems").is_some() => vec!["list of pairs".to_owned()],
                "array" => vec!["list".to_owned()],
                "object" if schema.get("properties").is_none() => vec!["map".to_owned()],
                _ => vec!["section".to_owned()],
            };
            words.extend(each.into_iter().filter(|word| !words.contains(word)).collect::<Vec<_>>());
        }
    }
    words.join(", ")
}

fn working(root: &Value) -> String {
    let mut keys = Vec::new();
    leaves(root, root, "", &mut keys);
    let mut table =
        "| Key | Type | Default | Variable and flag | Meaning |\n|---|---|---|---|---|\n".to_owned();
    for key in keys.iter().filter(|key| !waits(&key.path)) {
        let default =
            key.schema.get("default").map_or_else(String::new, |value| format!("`{value}`").replace('"', ""));
        let said = variables_of(&key.path).join("<br>");
        let (kind, about) = (type_of(root, key.schema), key.about.replace('\n', " ").replace('|', "\\|"));
        writeln!(table, "| `{}` | {kind} | {default} | {said} | {about} |", key.path).unwrap();
    }
    table
}

fn waiting() -> String {
    let mut table = "| Key | Passes as | Waits for | Variable and flag |\n|---|---|---|---|\n".to_owned();
    for later in LATER {
        if let Fate::Refused(needs) = later.fate {
            let said = variables_of(later.path).join("<br>");
            let needs = needs.trim_start_matches("it needs ");
            writeln!(table, "| `{}` | {} | {needs} | {said} |", later.path, idle(later)).unwrap();
        }
    }
    table
}

fn without_effect() -> String {
    let mut table = "| Key | Warned about, unless | Why |\n|---|---|---|\n".to_owned();
    for later in LATER {
        match later.fate {
            Fate::Warned(why) => {
                writeln!(table, "| `{}` | {} | {why} |", later.path, idle(later)).unwrap();
            }
            Fate::Ignored => writeln!(table, "| `{}` | never | nothing is lost |", later.path).unwrap(),
            Fate::Refused(_) | Fate::Elsewhere => {}
        }
    }
    table
}

fn idle(later: &Later) -> String {
    let values: Vec<Value> = serde_json::from_str(later.idle).unwrap();
    match values.as_slice() {
        [] => "absent".to_owned(),
        values => values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", "),
    }
}

#[test]
fn the_manual_has_the_tables_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let committed = fs::read_to_string(&path).unwrap();
    let schema = schema();
    let mut text = committed.clone();
    for (name, table) in
        [("keys", working(&schema)), ("refused", waiting()), ("without effect", without_effect())]
    {
        let (begin, end) = (format!("<!-- table: {name} -->\n"), "<!-- end -->");
        let from = text.find(&begin).unwrap() + begin.len();
        let to = from + text[from..].find(end).unwrap();
        text.replace_range(from..to, &table);
    }
    if std::env::var_os("MIRRORD_UPDATE_MANUAL").is_some() {
        fs::write(&path, &text).unwrap();
    } else {
        assert!(
            text == committed,
            "run this test with MIRRORD_UPDATE_MANUAL=1, and commit `docs/configuration.md`"
        );
    }
}
