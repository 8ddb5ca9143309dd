//! A target's path into a target.

use mirrord_core::target::{Kind, Target, TargetError};

use super::Lowering;
use crate::nearest::nearest;

impl Lowering<'_, '_> {
    pub(super) fn target(&mut self) -> Target {
        let section = &self.settings.file.target;
        let key = if section.path.is_some() { "target.path" } else { "target" };
        let Some(path) = &section.path else {
            if !self
                .settings
                .tree
                .get("target")
                .is_none_or(|node| node.to_value().as_object().is_some_and(serde_json::Map::is_empty))
                && section.namespace.is_none()
            {
                let message = "`target` names no target".to_owned();
                self.problem(key, message, Some(format!("write one of {}", kinds())));
            }
            return Target::Targetless;
        };
        match path.parse::<Target>() {
            Ok(target) => target,
            Err(error) => {
                let hint = match &error {
                    TargetError::UnknownKind(word) => {
                        let known = Kind::ALL.iter().map(|kind| kind.name()).chain(["targetless"]);
                        nearest(word, known).map(|near| format!("did you mean `{near}`?"))
                    }
                    _ => None,
                };
                let hint = hint.unwrap_or_else(|| format!("a target is one of {}", kinds()));
                self.problem(key, error.to_string(), Some(hint));
                Target::Targetless
            }
        }
    }
}

/// Every kind, as it is written.
fn kinds() -> String {
    Kind::ALL.iter().map(|kind| format!("`{}/…`", kind.name())).collect::<Vec<_>>().join(", ")
}
