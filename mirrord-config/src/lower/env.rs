//! `feature.env` into what is taken, hidden and replaced.

use mirrord_core::rules::{env::EnvRules, mapping::Mapping};
use serde_json::{Map, Value};

use super::{Lowering, Presence};

impl Lowering<'_, '_> {
    pub(super) fn environment(&mut self, presence: Presence) -> EnvRules {
        let feature = &self.settings.file.feature;
        let env = &feature.env;
        if env.include.is_some() && env.exclude.is_some() {
            let message = "`feature.env.include` and `feature.env.exclude` contradict each other".to_owned();
            self.problem("feature.env.exclude", message, Some("use only one of them".to_owned()));
        }
        let mapping = pairs(env.mapping.as_ref());
        for (pattern, _) in &mapping {
            if let Err(error) = Mapping::compile(&[(pattern.clone(), String::new())]) {
                self.problem_in_map(
                    "feature.env.mapping",
                    pattern,
                    format!("`feature.env.mapping`: {error}"),
                );
            }
        }
        let mut unset = env.unset.clone().unwrap_or_default();
        if feature.magic.aws && presence == Presence::Target {
            unset.push("AWS_PROFILE".to_owned());
        }
        let exclude = env.exclude.clone().unwrap_or_default();
        EnvRules {
            enabled: presence == Presence::Target && !exclude.iter().any(|pattern| pattern == "*"),
            include: env.include.clone().unwrap_or_default(),
            exclude,
            mapping,
            overrides: pairs(env.r#override.as_ref()),
            unset,
            env_file: env.env_file.clone(),
        }
    }
}

/// The texts of a map, in the order of the file.
pub(super) fn pairs(map: Option<&Map<String, Value>>) -> Vec<(String, String)> {
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    map.into_iter().flatten().filter_map(text).collect()
}
