//! What is asked of the API server, in the words of its access rules.

use std::fmt;

/// A request, as far as it decides whether it is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// `get`, `list`, `watch`, `create`, `delete`, `patch`, `update`.
    pub verb: &'static str,
    /// The API group: empty for the core's.
    pub group: &'static str,
    /// The resource as rules name it: `pods`, `pods/portforward`.
    pub resource: &'static str,
    /// None for what has no namespace.
    pub namespace: Option<String>,
    /// One object, rather than a kind of them.
    pub name: Option<String>,
}

impl Ask {
    /// To do `verb` with `resource` of `group`.
    #[must_use]
    pub fn new(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        Self { verb, group, resource, namespace: None, name: None }
    }

    /// In `namespace`.
    #[must_use]
    pub fn within(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// With the one called `name`.
    #[must_use]
    pub fn of(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// The rule of a Role (a `ClusterRole`, where it has no namespace) that allows it.
    #[must_use]
    pub fn rule(&self) -> String {
        let Self { verb, group, resource, .. } = self;
        format!("  - apiGroups: [\"{group}\"]\n    resources: [\"{resource}\"]\n    verbs: [\"{verb}\"]")
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(name) = &self.name {
            write!(f, " `{name}`")?;
        }
        if let Some(namespace) = &self.namespace {
            write!(f, " in namespace `{namespace}`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_as_a_sentence_and_as_a_rule() {
        let ask = Ask::new("create", "batch", "jobs").within("shop");
        assert_eq!(ask.to_string(), "create jobs in namespace `shop`");
        assert_eq!(Ask::new("get", "", "pods").of("web").to_string(), "get pods `web`");
        insta::assert_snapshot!(ask.rule(), @r#"
          - apiGroups: ["batch"]
            resources: ["jobs"]
            verbs: ["create"]
        "#);
    }
}
