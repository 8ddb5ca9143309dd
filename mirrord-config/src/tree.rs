//! A configuration before it has types: values, and where each of them came from.

use serde_json::{Map, Number, Value};

use crate::problem::Origin;

/// A value, and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// The value.
    pub(crate) kind: Kind,
    /// Where it came from.
    pub(crate) origin: Origin,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) origin: Origin,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn new(kind: Kind, origin: Origin) -> Self {
        Self { kind, origin }
    }

    /// A value all of which came from one place.
    pub(crate) fn from_value(value: Value, origin: Origin) -> Self {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(value) => Kind::Bool(value),
            Value::Number(value) => Kind::Number(value),
            Value::String(value) => Kind::Text(value),
            Value::Array(items) => {
                Kind::List(items.into_iter().map(|item| Self::from_value(item, origin)).collect())
            }
            Value::Object(entries) => Kind::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| Entry { key, origin, value: Self::from_value(value, origin) })
                    .collect(),
            ),
        };
        Self { kind, origin }
    }

    /// The value alone. Of a key that is there twice the last is meant.
    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(value) => Value::Number(value.clone()),
            Kind::Text(value) => Value::String(value.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// What stands at a path: `feature.network.incoming.ports[1]`.
    pub(crate) fn get(&self, path: &str) -> Option<&Self> {
        steps(path).try_fold(self, Self::child)
    }

    /// The entry of a map.
    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().rfind(|entry| entry.key == name),
            _ => None,
        }
    }

    /// The origin of what stands at a path, or else of what is nearest around it.
    pub(crate) fn origin_of(&self, path: &str) -> Origin {
        let mut node = self;
        for step in steps(path) {
            match node.child(step) {
                Some(child) => node = child,
                None => break,
            }
        }
        node.origin
    }

    /// Puts a value at a path; what is in its way gives way to maps.
    pub(crate) fn set(&mut self, path: &str, value: Self) {
        let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
        let origin = value.origin;
        if !matches!(self.kind, Kind::Map(_)) {
            self.kind = Kind::Map(Vec::new());
        }
        let Kind::Map(entries) = &mut self.kind else { return };
        let index = entries.iter().rposition(|entry| entry.key == key).unwrap_or(entries.len());
        if index == entries.len() {
            entries.push(Entry { key: key.to_owned(), origin, value: Self::new(Kind::Null, origin) });
        }
        match rest {
            Some(rest) => entries[index].value.set(rest, value),
            None => entries[index].value = value,
        }
    }

    /// Takes a key away.
    pub(crate) fn remove(&mut self, path: &str) {
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        let mut node = self;
        for step in steps(parent) {
            let Kind::Map(entries) = &mut node.kind else { return };
            let Some(entry) = entries.iter_mut().rfind(|entry| Step::Key(&entry.key) == step) else { return };
            node = &mut entry.value;
        }
        if let Kind::Map(entries) = &mut node.kind {
            entries.retain(|entry| entry.key != key);
        }
    }

    /// Takes away every key whose value is null: it says nothing.
    pub(crate) fn drop_nulls(&mut self) {
        match &mut self.kind {
            Kind::Map(entries) => {
                entries.retain(|entry| entry.value.kind != Kind::Null);
                for entry in entries {
                    entry.value.drop_nulls();
                }
            }
            Kind::List(items) => items.iter_mut().for_each(Self::drop_nulls),
            _ => {}
        }
    }

    fn child(&self, step: Step<'_>) -> Option<&Self> {
        match (&self.kind, step) {
            (Kind::Map(entries), Step::Key(key)) => {
                entries.iter().rfind(|entry| entry.key == key).map(|entry| &entry.value)
            }
            (Kind::List(items), Step::Index(index)) => items.get(index),
            _ => None,
        }
    }
}

impl Kind {
    /// What it is, in words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Number(value) => format!("the number {value}"),
            Self::Text(text) if text.chars().count() <= 40 => format!("the text `{text}`"),
            Self::Text(_) => "a text".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a section".to_owned(),
        }
    }

    /// Its type as schemas call it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(number) if number.is_f64() => "number",
            Self::Number(_) => "integer",
            Self::Text(_) => "string",
            Self::List(_) => "array",
            Self::Map(_) => "object",
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split('.').filter(|part| !part.is_empty()).flat_map(|part| {
        let mut pieces = part.split('[');
        let key = pieces.next().filter(|key| !key.is_empty()).map(Step::Key);
        let indices = pieces.filter_map(|piece| piece.strip_suffix(']')?.parse().ok().map(Step::Index));
        key.into_iter().chain(indices)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree(value: Value) -> Node {
        Node::from_value(value, Origin::Environment("X"))
    }

    #[test]
    fn a_path_leads_to_its_value() {
        let root = tree(json!({ "a": { "b": [1, { "c": true }] } }));
        assert_eq!(root.get("a.b[1].c").map(Node::to_value), Some(json!(true)));
        assert_eq!(root.get("a.c"), None);
    }

    #[test]
    fn a_place_is_made_where_there_is_none() {
        let mut root = tree(json!({ "a": 1 }));
        root.set("a.b.c", Node::new(Kind::Bool(true), Origin::Flag("--x")));
        assert_eq!(root.to_value(), json!({ "a": { "b": { "c": true } } }));
        root.remove("a.b.c");
        assert_eq!(root.to_value(), json!({ "a": { "b": {} } }));
    }

    #[test]
    fn nulls_say_nothing() {
        let mut root = tree(json!({ "a": null, "b": { "c": null } }));
        root.drop_nulls();
        assert_eq!(root.to_value(), json!({ "b": {} }));
    }
}
