//! The short forms in which a section, a list or a target may be written, and the long form of each.

use std::{borrow::Cow, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{
    problem::Findings,
    tree::{Kind, Node},
};

/// In the schema: `true`, `false`, or the section.
pub(crate) struct Switch<T>(PhantomData<T>);

/// In the schema: `true`, `false`, a mode, or the section.
pub(crate) struct SwitchOrMode<T, M>(PhantomData<(T, M)>);

/// In the schema: one value, or a list of them.
pub(crate) struct OneOrMany<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for Switch<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("SwitchOf{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "boolean" }, generator.subschema_for::<T>()] })
    }
}

impl<T: JsonSchema, M: JsonSchema> JsonSchema for SwitchOrMode<T, M> {
    fn schema_name() -> Cow<'static, str> {
        format!("SwitchOrModeOf{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (mode, section) = (generator.subschema_for::<M>(), generator.subschema_for::<T>());
        json_schema!({ "anyOf": [{ "type": "boolean" }, mode, section] })
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrManyOf{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [item.clone(), { "type": "array", "items": item }] })
    }
}

/// Reads a list that may be written as its only member.
pub(crate) fn one_or_many<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form<T> {
        One(T),
        Many(Vec<T>),
    }
    Ok(Option::<Form<T>>::deserialize(deserializer)?.map(|form| match form {
        Form::One(value) => vec![value],
        Form::Many(values) => values,
    }))
}

/// What the short forms of one section stand for, as JSON.
struct ShortForms {
    path: &'static str,
    off: &'static str,
    on: &'static str,
    /// The key that a lone text means.
    text: Option<&'static str>,
}

/// From the outside in: a section is written out before those within it.
const SHORT_FORMS: &[ShortForms] = &[
    ShortForms { path: "target", off: "{}", on: "{}", text: Some("path") },
    ShortForms { path: "feature.env", off: r#"{"exclude":["*"]}"#, on: "{}", text: None },
    ShortForms { path: "feature.fs", off: r#"{"mode":"local"}"#, on: "{}", text: Some("mode") },
    ShortForms {
        path: "feature.network",
        off: r#"{"incoming":false,"outgoing":false,"dns":false}"#,
        on: "{}",
        text: None,
    },
    ShortForms {
        path: "feature.network.incoming",
        off: r#"{"mode":"off"}"#,
        on: r#"{"mode":"mirror"}"#,
        text: Some("mode"),
    },
    ShortForms { path: "feature.network.incoming.http_filter", off: "{}", on: "{}", text: None },
    ShortForms {
        path: "feature.network.outgoing",
        off: r#"{"tcp":false,"udp":false}"#,
        on: "{}",
        text: None,
    },
    ShortForms { path: "feature.network.dns", off: r#"{"enabled":false}"#, on: "{}", text: None },
    ShortForms { path: "feature.copy_target", off: "{}", on: r#"{"enabled":true}"#, text: None },
];

/// Kinds of target as sections name them, and as paths do.
pub(crate) const TARGET_KINDS: &[(&str, &str)] = &[
    ("pid", "pid"),
    ("netns", "netns"),
    ("docker", "docker"),
    ("podman", "podman"),
    ("compose", "compose"),
    ("pod", "pod"),
    ("deployment", "deployment"),
    ("rollout", "rollout"),
    ("job", "job"),
    ("cron_job", "cronjob"),
    ("stateful_set", "statefulset"),
    ("daemon_set", "daemonset"),
    ("service", "service"),
    ("replica_set", "replicaset"),
];

/// Writes every short form out, so that each setting has one place.
pub(crate) fn write_out(root: &mut Node, findings: &mut Findings) {
    for form in SHORT_FORMS {
        let Some(node) = root.get(form.path) else { continue };
        let origin = node.origin;
        let long = match (&node.kind, form.text) {
            (Kind::Bool(false), _) => serde_json::from_str(form.off).unwrap_or_default(),
            (Kind::Bool(true), _) => serde_json::from_str(form.on).unwrap_or_default(),
            (Kind::Text(text), Some(key)) => Value::from_iter([(key, text.as_str())]),
            _ => continue,
        };
        root.set(form.path, Node::from_value(long, origin));
    }
    write_target_out(root, findings);
}

/// A target that is a section becomes a path: `{ "pod": "x", "container": "y" }` is `pod/x/container/y`.
fn write_target_out(root: &mut Node, findings: &mut Findings) {
    let Some(target) = root.get("target") else { return };
    let section = match target.get("path") {
        Some(path) if matches!(path.kind, Kind::Map(_)) => path,
        Some(_) => return,
        None => target,
    };
    let origin = section.origin;
    let container = match section.get("container").map(|node| &node.kind) {
        Some(Kind::Text(container)) => format!("/container/{container}"),
        _ => String::new(),
    };
    let labels = section.get("labels").and_then(|labels| match &labels.kind {
        Kind::Map(entries) => {
            let pairs = entries.iter().map(|entry| match &entry.value.kind {
                Kind::Text(value) => format!("{}={value}", entry.key),
                _ => entry.key.clone(),
            });
            Some(format!("label/{}", pairs.collect::<Vec<_>>().join(",")))
        }
        _ => None,
    });
    let named = TARGET_KINDS.iter().filter_map(|(key, kind)| match &section.get(key)?.kind {
        Kind::Text(name) => Some(format!("{kind}/{name}")),
        Kind::Number(number) => Some(format!("{kind}/{number}")),
        _ => None,
    });
    let mut paths = named.chain(labels);
    let path = match (paths.next(), paths.next()) {
        (Some(path), None) => path,
        (None, _) if container.is_empty() => return,
        (None, _) => {
            findings.problem(
                Some(origin),
                "target",
                "`target` names a container, but no target".to_owned(),
                None,
            );
            return;
        }
        (Some(first), Some(second)) => {
            let message = format!("`target` names more than one target: `{first}` and `{second}`");
            findings.problem(Some(origin), "target", message, None);
            return;
        }
    };
    drop(paths);
    let namespace = target.get("namespace").cloned();
    let mut long = Node::new(Kind::Map(Vec::new()), origin);
    long.set("path", Node::new(Kind::Text(path + &container), origin));
    if let Some(namespace) = namespace {
        long.set("namespace", namespace);
    }
    root.set("target", long);
}
