//! How a cluster is reached and how an agent is made there: `agent`, and the keys about Kubernetes.

use std::path::{Path, PathBuf};

use mirrord_core::{
    cluster::{AgentOptions, ClusterOptions, Retries},
    target::Target,
};
use serde_json::Value;

use super::Lowering;
use crate::section::agent::Image;

/// The agent's image, where the user names none.
const IMAGE: &str = "mirrord-agent";

/// What an agent may be forbidden.
const CAPABILITIES: [&str; 3] = ["NET_ADMIN", "SYS_PTRACE", "SYS_ADMIN"];

const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];

impl Lowering<'_, '_> {
    /// How the cluster is reached.
    pub(super) fn cluster(&mut self) -> ClusterOptions {
        let file = &self.settings.file;
        ClusterOptions {
            kubeconfig: file.kubeconfig.as_deref().map(|path| self.at_home(path)),
            context: file.kube_context.clone(),
            namespace: file.target.namespace.clone(),
            accept_invalid_certificates: file.accept_invalid_certificates,
            use_proxy: file.use_proxy.unwrap_or(true),
            start_dir: None,
            retries: Retries {
                min_ms: file.startup_retry.min_ms,
                max_ms: file.startup_retry.max_ms,
                n: file.startup_retry.max_retries,
            },
        }
    }

    /// How its agent is made.
    pub(super) fn agent(&mut self, target: &Target) -> AgentOptions {
        let agent = &self.settings.file.agent;
        let is_ephemeral = agent.ephemeral.unwrap_or(false);
        if is_ephemeral && *target == Target::Targetless {
            let message = "an ephemeral container needs a pod to be in, and there is no target".to_owned();
            self.problem("agent.ephemeral", message, Some("name a target with `--target`".to_owned()));
        } else if agent.namespace.is_some() && is_ephemeral {
            let message =
                "`agent.namespace` has no effect: an ephemeral container is in its target's namespace";
            self.warn("agent.namespace", message);
        } else if agent.namespace.is_some() && *target == Target::Targetless {
            let message =
                "`agent.namespace` has no effect: without a target, `target.namespace` is the agent's";
            self.warn("agent.namespace", message);
        }
        AgentOptions {
            namespace: agent.namespace.clone().filter(|_| !is_ephemeral && *target != Target::Targetless),
            image: self.image(agent.image.as_ref()),
            image_pull_policy: self.pull_policy(),
            image_pull_secrets: self.pull_secrets(),
            ttl: agent.ttl.unwrap_or(1),
            ephemeral: is_ephemeral,
            startup_timeout: agent.startup_timeout.unwrap_or(60),
            communication_timeout: agent.communication_timeout.unwrap_or(30),
            log_level: agent.log_level.clone().unwrap_or_else(|| "info".to_owned()),
            json_log: agent.json_log.unwrap_or(false),
            disabled_capabilities: self.capabilities(),
            tolerations: self.tolerations(),
            resources: self.object("resources", agent.resources.as_ref()),
            check_out_of_pods: agent.check_out_of_pods.unwrap_or(true),
            privileged: agent.privileged.unwrap_or(false),
            labels: agent.labels.clone().unwrap_or_default(),
            annotations: agent.annotations.clone().unwrap_or_default(),
            node_selector: self.node_selector(target),
            service_account: agent.service_account.clone(),
            priority_class: agent.priority_class.clone(),
            security_context: self.object("security_context", agent.security_context.as_ref()),
            disable_mesh_sidecar_injection: agent.disable_mesh_sidecar_injection.unwrap_or(true),
            dns_timeout: agent.dns.as_ref().and_then(|dns| dns.timeout),
            dns_attempts: agent.dns.as_ref().and_then(|dns| dns.attempts),
        }
    }

    /// A path in which `~` is the user's home.
    fn at_home(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), &self.input.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => Path::new(path).to_owned(),
        }
    }

    fn image(&mut self, image: Option<&Image>) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let text = match image {
            None => return format!("{IMAGE}:{version}"),
            Some(Image::Reference(text)) => text.clone(),
            Some(Image::Parts(parts)) => {
                let registry = parts.registry.as_deref().unwrap_or(IMAGE).trim_end_matches([':', '/']);
                format!("{registry}:{}", parts.tag.as_deref().unwrap_or(version))
            }
        };
        if text.is_empty() || text.starts_with(':') || text.contains(char::is_whitespace) {
            let message = format!("`agent.image`: `{text}` is no reference to an image");
            let hint = "write `REGISTRY/REPOSITORY:TAG`, or leave it out".to_owned();
            self.problem("agent.image", message, Some(hint));
        }
        text
    }

    fn pull_policy(&mut self) -> String {
        let Some(text) = &self.settings.file.agent.image_pull_policy else {
            return "IfNotPresent".to_owned();
        };
        if !PULL_POLICIES.contains(&text.as_str()) {
            let message =
                format!("`agent.image_pull_policy` expects {}, but is `{text}`", list(&PULL_POLICIES));
            self.problem("agent.image_pull_policy", message, None);
        }
        text.clone()
    }

    /// Names of secrets, which users also write as Kubernetes does: `{"name": …}`.
    fn pull_secrets(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        let secrets = self.settings.file.agent.image_pull_secrets.as_deref().unwrap_or_default();
        for (index, secret) in secrets.iter().enumerate() {
            let name = secret.as_str().or_else(|| secret.as_object()?.get("name")?.as_str());
            match name.filter(|name| !name.is_empty()) {
                Some(name) => names.push(name.to_owned()),
                None => self.problem(
                    &format!("agent.image_pull_secrets[{index}]"),
                    "`agent.image_pull_secrets` has an entry without a name".to_owned(),
                    Some("write `{\"name\": \"SECRET\"}`".to_owned()),
                ),
            }
        }
        names
    }

    fn capabilities(&mut self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let disabled = self.settings.file.agent.disabled_capabilities.as_deref().unwrap_or_default();
        for (index, text) in disabled.iter().enumerate() {
            let upper = text.to_ascii_uppercase();
            let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
            if !CAPABILITIES.contains(&name) {
                let key = format!("agent.disabled_capabilities[{index}]");
                let message = format!("`agent.disabled_capabilities`: the agent never has `{text}`");
                self.problem(&key, message, Some(format!("it has {}", list(&CAPABILITIES))));
            } else if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    fn tolerations(&mut self) -> Option<String> {
        const KNOWN: [&str; 5] = ["key", "operator", "value", "effect", "tolerationSeconds"];
        let list_of = self.settings.file.agent.tolerations.as_ref()?;
        for (index, toleration) in list_of.iter().enumerate() {
            let is_known = |object: &serde_json::Map<String, Value>| {
                object.keys().all(|key| KNOWN.contains(&key.as_str()))
            };
            if !toleration.as_object().is_some_and(is_known) {
                let key = format!("agent.tolerations[{index}]");
                let message = format!("`agent.tolerations`: `{toleration}` is no toleration");
                self.problem(&key, message, Some(format!("its keys are {}", list(&KNOWN))));
            }
        }
        serde_json::to_string(list_of).ok()
    }

    fn object(&mut self, name: &str, value: Option<&Value>) -> Option<String> {
        let value = value?;
        if !value.is_object() {
            let message =
                format!("`agent.{name}` expects a section as Kubernetes writes it, but is `{value}`");
            self.problem(&format!("agent.{name}"), message, None);
        }
        Some(value.to_string())
    }

    fn node_selector(&mut self, target: &Target) -> std::collections::BTreeMap<String, String> {
        let selector = self.settings.file.agent.node_selector.clone().unwrap_or_default();
        if !selector.is_empty() && *target != Target::Targetless {
            let message = "`agent.node_selector` has no effect: the agent stands on its target's node";
            self.warn("agent.node_selector", message);
            return std::collections::BTreeMap::new();
        }
        selector
    }
}

fn list(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}
