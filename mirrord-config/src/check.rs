//! A tree against the schema: every unknown key and every value of a wrong type, all at once.
//!
//! The schema that editors use is the law here, too, so what an editor accepts is accepted. Of the words of JSON
//! Schema exactly those are understood that our own schema is made of.

use serde_json::{Map, Value};

use crate::{
    nearest::nearest,
    problem::{Findings, Origin},
    tree::{Entry, Kind, Node},
};

/// A finding before it is known whether it counts.
struct Fault {
    origin: Origin,
    key: String,
    message: String,
    hint: Option<String>,
}

/// Checks a tree. `wanted` says of which origins faults are reported.
pub(crate) fn check(root: &Node, schema: &Value, findings: &mut Findings, wanted: impl Fn(Origin) -> bool) {
    let mut checker = Checker { schema, faults: Vec::new() };
    checker.value(root, schema, "");
    for fault in checker.faults.into_iter().filter(|fault| wanted(fault.origin)) {
        findings.problem(Some(fault.origin), &fault.key, fault.message, fault.hint);
    }
}

struct Checker<'a> {
    schema: &'a Value,
    faults: Vec<Fault>,
}

impl<'a> Checker<'a> {
    fn value(&mut self, node: &Node, schema: &'a Value, path: &str) {
        // A key whose value is null says nothing.
        if node.kind == Kind::Null && !path.is_empty() {
            return;
        }
        let mut alternatives = Vec::new();
        self.alternatives(schema, &mut alternatives);
        let fitting: Vec<_> =
            alternatives.iter().copied().filter(|schema| has_type(schema, &node.kind)).collect();
        if fitting.is_empty() {
            return self.wrong_type(node, &alternatives, path);
        }
        if fitting.iter().all(|schema| schema.get("const").is_some() || schema.get("enum").is_some()) {
            return self.word(node, &fitting, path);
        }
        let mut best: Option<Vec<Fault>> = None;
        for alternative in fitting {
            let mut attempt = Checker { schema: self.schema, faults: Vec::new() };
            attempt.one(node, alternative, path);
            if best.as_ref().is_none_or(|best| attempt.faults.len() < best.len()) {
                best = Some(attempt.faults);
            }
        }
        self.faults.extend(best.unwrap_or_default());
    }

    /// What a schema stands for once references and choices are followed.
    fn alternatives(&self, schema: &'a Value, found: &mut Vec<&'a Value>) {
        let choices = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
        let target = schema.get("$ref").and_then(Value::as_str);
        if let Some(target) = target.and_then(|target| self.schema.pointer(target.trim_start_matches('#'))) {
            self.alternatives(target, found);
        } else if let Some(choices) = choices {
            for choice in choices {
                self.alternatives(choice, found);
            }
        } else if schema.get("type").and_then(Value::as_str) != Some("null") {
            found.push(schema);
        }
    }

    /// A value of the right type against a schema without choices.
    fn one(&mut self, node: &Node, schema: &'a Value, path: &str) {
        match &node.kind {
            Kind::Map(entries) => self.entries(entries, schema, path),
            Kind::List(items) => self.items(node, items, schema, path),
            Kind::Number(number) => {
                let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
                let value = number.as_f64().unwrap_or_default();
                let too_small = bound("minimum").is_some_and(|minimum| value < minimum);
                if too_small || bound("maximum").is_some_and(|maximum| value > maximum) {
                    self.wrong_type(node, &[schema], path);
                }
            }
            _ => {}
        }
    }

    fn entries(&mut self, entries: &[Entry], schema: &'a Value, path: &str) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        for (index, entry) in entries.iter().enumerate() {
            let path = join(path, &entry.key);
            if entries[..index].iter().any(|earlier| earlier.key == entry.key) {
                self.fault(entry.origin, &path, format!("`{path}` is given twice"), None);
            }
            match (properties.and_then(|properties| properties.get(&entry.key)), others) {
                (None, Some(Value::Bool(false))) => self.unknown(entry, properties, &path),
                (Some(schema), _) | (None, Some(schema)) => self.value(&entry.value, schema, &path),
                (None, None) => {}
            }
        }
    }

    fn items(&mut self, node: &Node, items: &[Node], schema: &'a Value, path: &str) {
        if let Some(each) = schema.get("prefixItems").and_then(Value::as_array) {
            if each.len() != items.len() {
                let message = format!("`{path}` expects {} values, but has {}", each.len(), items.len());
                return self.fault(node.origin, path, message, None);
            }
            for (index, (item, schema)) in items.iter().zip(each).enumerate() {
                self.value(item, schema, &format!("{path}[{index}]"));
            }
        } else if let Some(schema) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                if item.kind == Kind::Null {
                    self.fault(item.origin, &path, format!("`{path}` is empty"), None);
                } else {
                    self.value(item, schema, &path);
                }
            }
        }
    }

    fn unknown(&mut self, entry: &Entry, properties: Option<&'a Map<String, Value>>, path: &str) {
        let known = || properties.into_iter().flat_map(Map::keys).map(String::as_str);
        let hint = if let Some(near) = nearest(&entry.key, known()) {
            format!("did you mean `{near}`?")
        } else if let Some(place) = self.somewhere(self.schema, "", &entry.key, 0) {
            format!("did you mean `{place}`?")
        } else {
            let mut names: Vec<_> = known().filter(|name| !name.starts_with('$')).collect();
            names.sort_unstable();
            format!("known keys here are {}", list(&names))
        };
        self.fault(entry.origin, path, format!("`{path}` is not a known key"), Some(hint));
    }

    /// Where a key is known, if it is somewhere: the shortest path.
    fn somewhere(&self, schema: &'a Value, path: &str, key: &str, depth: usize) -> Option<String> {
        if depth > 5 {
            return None;
        }
        let mut alternatives = Vec::new();
        self.alternatives(schema, &mut alternatives);
        let sections = || alternatives.iter().filter_map(|schema| schema.get("properties")?.as_object());
        let here = sections().flat_map(Map::keys).find(|name| *name == key).map(|name| join(path, name));
        here.or_else(|| {
            sections()
                .flatten()
                .filter_map(|(name, schema)| self.somewhere(schema, &join(path, name), key, depth + 1))
                .min_by_key(|path| path.matches('.').count())
        })
    }

    fn wrong_type(&mut self, node: &Node, expected: &[&Value], path: &str) {
        let mut words: Vec<String> = Vec::new();
        for word in expected.iter().flat_map(|schema| describe(schema)) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        let name = if path.is_empty() { "the file".to_owned() } else { format!("`{path}`") };
        let message = format!("{name} expects {}, but is {}", either(&words), node.kind.describe());
        let hint = hint_of_type(&node.kind, expected);
        self.fault(node.origin, path, message, hint);
    }

    /// A text that must be one of a few.
    fn word(&mut self, node: &Node, choices: &[&'a Value], path: &str) {
        let known: Vec<&str> = choices
            .iter()
            .flat_map(|schema| {
                let many = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
                schema.get("const").into_iter().chain(many).filter_map(Value::as_str)
            })
            .collect();
        let Kind::Text(said) = &node.kind else { return };
        if !known.contains(&said.as_str()) {
            let expected: Vec<_> = known.iter().map(|word| format!("`{word}`")).collect();
            let message = format!("`{path}` expects {}, but is {}", either(&expected), node.kind.describe());
            let hint = nearest(said, known).map(|near| format!("did you mean `{near}`?"));
            self.fault(node.origin, path, message, hint);
        }
    }

    fn fault(&mut self, origin: Origin, key: &str, message: String, hint: Option<String>) {
        self.faults.push(Fault { origin, key: key.to_owned(), message, hint });
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        _ => Vec::new(),
    }
}

fn has_type(schema: &Value, kind: &Kind) -> bool {
    let types = types(schema);
    types.is_empty()
        || types.contains(&kind.type_name())
        || (types.contains(&"number") && kind.type_name() == "integer")
}

/// What a schema without choices expects, in words.
fn describe(schema: &Value) -> Vec<String> {
    if let Some(word) = schema.get("const").and_then(Value::as_str) {
        return vec![format!("`{word}`")];
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
    }
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    types(schema)
        .iter()
        .flat_map(|name| match *name {
            "boolean" => vec!["`true`".to_owned(), "`false`".to_owned()],
            "integer" | "number" => vec![match (bound("minimum"), bound("maximum")) {
                (Some(minimum), Some(maximum)) => format!("a whole number from {minimum} to {maximum}"),
                (Some(minimum), None) => format!("a whole number from {minimum}"),
                _ => "a number".to_owned(),
            }],
            "string" => vec!["a text".to_owned()],
            "array" => vec!["a list".to_owned()],
            _ => vec!["a section".to_owned()],
        })
        .collect()
}

fn hint_of_type(kind: &Kind, expected: &[&Value]) -> Option<String> {
    let is_free = |schema: &&Value| schema.get("const").is_none() && schema.get("enum").is_none();
    let expects =
        |name: &str| expected.iter().copied().filter(is_free).any(|schema| types(schema).contains(&name));
    match kind {
        Kind::Text(text) if expects("boolean") => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "1" => Some("write `true`, without quotes".to_owned()),
            "false" | "no" | "off" | "n" | "0" => Some("write `false`, without quotes".to_owned()),
            _ => None,
        },
        Kind::Text(text) if expects("integer") => {
            let number: u64 = text.trim().parse().ok()?;
            Some(format!("write `{number}`, without quotes or needless zeros"))
        }
        Kind::Number(number) if expects("string") => Some(format!("write `\"{number}\"`, in quotes")),
        Kind::Bool(value) if expects("string") => Some(format!("write `\"{value}\"`, in quotes")),
        _ => None,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn list(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn either(words: &[String]) -> String {
    match words {
        [] => "something else".to_owned(),
        [word] => word.clone(),
        [words @ .., last] => format!("{} or {last}", words.join(", ")),
    }
}
