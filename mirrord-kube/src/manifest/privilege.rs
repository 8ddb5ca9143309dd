//! What an agent may do, and what is lost without it.
//!
//! | Capability | For |
//! |---|---|
//! | `SYS_PTRACE` | to look at the target's process: its namespaces, environment and root (`ptrace(2)`, access mode read) |
//! | `SYS_ADMIN` | to enter the target's network namespace (`setns(2)`) |
//! | `NET_ADMIN` | to redirect stolen connections, and to mark those that pass |
//! | `NET_RAW` | to overhear mirrored connections |
//! | `SETUID`, `SETGID` | to touch files as the target's user would |
//! | `DAC_OVERRIDE`, `CHOWN`, `FOWNER` | to touch files as a target would that is root |
//!
//! An ephemeral container is in the target's network already and needs no `SYS_ADMIN`. An agent without a target
//! needs nothing and is nobody.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Capabilities, PodSecurityContext, SeccompProfile, SecurityContext};
use mirrord_core::cluster::AgentOptions;
use serde_json::{Map, Value};

use super::read;
use crate::launch::problem::LaunchError;

const WITHIN: [&str; 8] =
    ["CHOWN", "DAC_OVERRIDE", "FOWNER", "NET_ADMIN", "NET_RAW", "SETGID", "SETUID", "SYS_PTRACE"];
const TO_ENTER: &str = "SYS_ADMIN";
const NOBODY: i64 = 65534;

/// What a Job's agent may do that has a target.
#[must_use]
pub fn beside_a_target(options: &AgentOptions) -> SecurityContext {
    root(options, WITHIN.iter().copied().chain([TO_ENTER]))
}

/// What the agent may do as a container of the target's pod.
#[must_use]
pub fn within_the_pod(options: &AgentOptions) -> SecurityContext {
    root(options, WITHIN.iter().copied())
}

/// What an agent may do that has no target.
#[must_use]
pub fn alone(options: &AgentOptions) -> SecurityContext {
    if options.privileged {
        return root(options, std::iter::empty());
    }
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        run_as_user: Some(NOBODY),
        ..SecurityContext::default()
    }
}

/// What holds for the whole pod: what the user wants, and for an agent without a target the usual filter of calls.
///
/// # Errors
/// When what the user wants is no security context.
pub fn of_the_pod(
    options: &AgentOptions,
    has_target: bool,
) -> Result<Option<PodSecurityContext>, LaunchError> {
    let mut context: PodSecurityContext = match wish(options)? {
        Some(wish) => serde_json::from_value(Value::Object(wish))
            .map_err(|source| LaunchError::Option { key: "agent.security_context", source })?,
        None => PodSecurityContext::default(),
    };
    if !has_target && !options.privileged && context.seccomp_profile.is_none() {
        context.seccomp_profile =
            Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None });
    }
    Ok((context != PodSecurityContext::default()).then_some(context))
}

/// In which rights an agent that is there differs from the one that would have been made; none if in none.
#[must_use]
pub fn difference(ours: &SecurityContext, theirs: &SecurityContext) -> Option<String> {
    let is_privileged = |context: &SecurityContext| context.privileged.unwrap_or_default();
    let mut words = match (is_privileged(ours), is_privileged(theirs)) {
        (true, false) => vec!["not privileged".to_owned()],
        (false, true) => vec!["privileged".to_owned()],
        _ => Vec::new(),
    };
    let (ours, theirs) = (added(ours), added(theirs));
    for (how, left, right) in [("without", &ours, &theirs), ("with", &theirs, &ours)] {
        let names: Vec<&str> = left.difference(right).copied().collect();
        if !names.is_empty() {
            words.push(format!("{how} {}", names.join(", ")));
        }
    }
    (!words.is_empty()).then(|| words.join("; "))
}

fn added(context: &SecurityContext) -> BTreeSet<&str> {
    let added = context.capabilities.iter().flat_map(|capabilities| capabilities.add.iter().flatten());
    added.map(String::as_str).collect()
}

/// The `AppArmor` profile as clusters before 1.30 are told it.
pub(super) fn app_armor(options: &AgentOptions) -> Result<Option<String>, LaunchError> {
    let wish = wish(options)?.unwrap_or_default();
    let Some(profile) = wish.get("appArmorProfile") else { return Ok(None) };
    let text = |key: &str| profile.get(key).and_then(Value::as_str);
    Ok(match text("type") {
        Some("RuntimeDefault") => Some("runtime/default".to_owned()),
        Some("Unconfined") => Some("unconfined".to_owned()),
        Some("Localhost") => text("localhostProfile").map(|name| format!("localhost/{name}")),
        _ => None,
    })
}

/// `agent.security_context` in the spelling of Kubernetes; users also write its keys as all others of theirs.
fn wish(options: &AgentOptions) -> Result<Option<Map<String, Value>>, LaunchError> {
    let Some(text) = &options.security_context else { return Ok(None) };
    let wish: Map<String, Value> = read("agent.security_context", text)?;
    Ok(Some(respell(wish)))
}

fn respell(wish: Map<String, Value>) -> Map<String, Value> {
    let deeper = |value| match value {
        Value::Object(object) => Value::Object(respell(object)),
        other => other,
    };
    wish.into_iter().map(|(key, value)| (camel(&key), deeper(value))).collect()
}

fn camel(key: &str) -> String {
    let mut words = key.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut all, word| {
        let mut letters = word.chars();
        all.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        all.push_str(letters.as_str());
        all
    })
}

/// Root in its container, with `capabilities` of those that the user leaves it.
fn root<'a>(options: &AgentOptions, capabilities: impl Iterator<Item = &'a str>) -> SecurityContext {
    let is_left = |name: &&str| !options.disabled_capabilities.iter().any(|taken| taken == name);
    let mut left: Vec<String> = capabilities.filter(is_left).map(str::to_owned).collect();
    left.sort_unstable();
    // The API server refuses to forbid what these two imply.
    let escalates = options.privileged || left.iter().any(|name| name == TO_ENTER);
    SecurityContext {
        allow_privilege_escalation: (!escalates).then_some(false),
        capabilities: Some(Capabilities {
            add: (!left.is_empty()).then_some(left),
            drop: Some(vec!["ALL".to_owned()]),
        }),
        privileged: options.privileged.then_some(true),
        read_only_root_filesystem: Some(true),
        run_as_group: Some(0),
        run_as_non_root: Some(false),
        run_as_user: Some(0),
        ..SecurityContext::default()
    }
}
