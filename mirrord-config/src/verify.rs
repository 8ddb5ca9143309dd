//! What `mirrord verify-config` prints, for editors.

use mirrord_core::{
    rules::incoming::IncomingRules,
    target::{Kind, Target},
};
use mirrord_protocol::agent::incoming::Wish;
use serde_json::{Map, Value, json};

use crate::{
    problem::Problem,
    resolve::{Input, NoTarget, resolve_with},
    shape::TARGET_KINDS,
};

/// Judges a configuration. `may_lack_target` lets a target be chosen later; `with_settings` adds every setting.
#[must_use]
pub fn verify(input: &Input<'_>, may_lack_target: bool, with_settings: bool) -> Value {
    let no_target = if may_lack_target { NoTarget::IsOpen } else { NoTarget::IsTargetless };
    let (_, result) = resolve_with(input, no_target);
    match result {
        Err(problems) => {
            json!({ "type": "Fail", "errors": problems.0.iter().map(in_a_line).collect::<Vec<_>>() })
        }
        Ok(resolved) => {
            let is_open =
                resolved.settings.pointer("/target/path").is_none_or(Value::is_null) && may_lack_target;
            let mut answer = json!({
                "type": "Success",
                "config": {
                    "path": if is_open { Value::Null } else { target(&resolved.lowered.target) },
                    "namespace": resolved.settings.pointer("/target/namespace"),
                },
                "warnings": resolved.warnings,
                "compatible_target_types": kinds(&resolved.lowered.rules.incoming),
            });
            if with_settings {
                answer["resolved_config"] = resolved.settings;
            }
            answer
        }
    }
}

fn in_a_line(problem: &Problem) -> String {
    match &problem.hint {
        Some(hint) => format!("{problem}; {hint}"),
        None => problem.to_string(),
    }
}

fn target(target: &Target) -> Value {
    match target {
        Target::Targetless => "targetless".into(),
        Target::Named { kind, name, container } => {
            let mut section = Map::new();
            if *kind == Kind::Label {
                let pairs = name.split(',').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
                section.insert("labels".to_owned(), pairs.collect());
            } else {
                let keys = TARGET_KINDS.iter().find(|(_, word)| *word == kind.name());
                section.insert(keys.map_or(kind.name(), |(key, _)| key).to_owned(), name.as_str().into());
            }
            section.insert("container".to_owned(), container.as_deref().into());
            Value::Object(section)
        }
    }
}

/// Kinds of target with which the configuration works.
fn kinds(incoming: &IncomingRules) -> Vec<&'static str> {
    let targetless = (incoming.wish != Some(Wish::Steal)).then_some("targetless");
    targetless.into_iter().chain(Kind::ALL.iter().map(|kind| kind.name())).collect()
}
