//! Which processes are guests, and which only pass the session on to their children.

use serde::{Deserialize, Serialize};

/// Names of programs that are left alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProcessRules {
    /// `skip_processes`, and `skip_extra_build_tools` if build tools are skipped.
    pub skip: Vec<String>,
    /// `skip_build_tools`.
    pub skip_build_tools: bool,
}

const BUILD_TOOLS: &[&str] = &[
    "as",
    "cc",
    "ld",
    "go",
    "air",
    "asm",
    "cc1",
    "cgo",
    "dlv",
    "gcc",
    "git",
    "link",
    "math",
    "cargo",
    "hpack",
    "rustc",
    "compile",
    "collect2",
    "cargo-watch",
    "debugserver",
    "bazel-real",
    "clang",
];

impl ProcessRules {
    /// Whether a program is left alone, by the name of its file and the name that it was called by.
    #[must_use]
    pub fn skips(&self, executable: &str, called: &str) -> bool {
        [executable, called].into_iter().any(|name| {
            self.skip.iter().any(|skipped| skipped == name)
                || (self.skip_build_tools && BUILD_TOOLS.contains(&name))
                || name.ends_with("JetBrains.Debugger.Worker")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_tools_are_skipped_only_if_wanted_and_others_by_name() {
        let rules = ProcessRules { skip: vec!["helper".into()], skip_build_tools: true };
        assert!(rules.skips("git", "git") && rules.skips("x", "helper"));
        assert!(!rules.skips("python3", "python3"));
        assert!(!ProcessRules::default().skips("git", "git"));
    }
}
