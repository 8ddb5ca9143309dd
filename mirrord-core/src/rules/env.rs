//! Which variables of the target are taken, hidden or replaced. Asked by the host and the agent, never by the guest.

/// What `feature.env` says, and what no session takes.
#[derive(Clone, Debug, Default)]
pub struct EnvRules {
    /// Whether the target's environment is taken at all.
    pub enabled: bool,
    /// Patterns of which one must match; none means all.
    pub include: Vec<String>,
    /// Patterns of which none may match.
    pub exclude: Vec<String>,
    /// Expressions over names, and the value that such variables get. In the order of the file.
    pub mapping: Vec<(String, String)>,
    /// Final values.
    pub overrides: Vec<(String, String)>,
    /// Names removed at the end, whatever their case.
    pub unset: Vec<String>,
    /// A dotenv file whose values lie over the target's.
    pub env_file: Option<String>,
}

/// Patterns of variables that never travel: they say where *that* machine keeps things.
pub const NEVER_TAKEN: &[&str] = &[
    "PATH",
    "HOME",
    "HOMEPATH",
    "PWD",
    "CLASSPATH",
    "JAVA_EXE",
    "JAVA_HOME",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "PYTHONPATH",
    "RUBYLIB",
    "RUBYOPT",
    "GEM_HOME",
    "GEM_PATH",
    "GOPATH",
    "GOMODCACHE",
    "CATALINA_HOME",
    "MIRRORD_LOG",
    "RUST_LOG",
    "DOTNET_EnableDiagnostics",
    "DOTNET_STARTUP_HOOKS",
    "BUNDLE_APP_CONFIG",
    "BUNDLE_BIN_PATH",
    "BUNDLE_FORCE_RUBY_PLATFORM",
    "BUNDLE_GEMFILE",
    "BUNDLE_GEM_PATH",
    "BUNDLE_PATH",
    "BUNDLE_WITHOUT",
    "BUNDLER_VERSION",
    "BUNDLER_ORIG_*",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "LD_AUDIT",
];

/// Whether a variable of the target travels.
#[must_use]
pub fn travels(name: &[u8], include: &[String], exclude: &[String]) -> bool {
    let matches = |pattern: &String| wildcard(pattern.as_bytes(), name);
    (include.is_empty() || include.iter().any(matches))
        && !exclude.iter().any(matches)
        && !NEVER_TAKEN.iter().any(|pattern| wildcard(pattern.as_bytes(), name))
}

/// Whether a pattern of `*` (any bytes) and `?` (one byte) matches a whole text.
#[must_use]
pub fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where to go on after the last star, if what follows it does not match here.
    let mut retry = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at + 1, read));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[read] => {
                at += 1;
                read += 1;
            }
            _ => match retry {
                Some((after_star, tried)) => {
                    at = after_star;
                    read = tried + 1;
                    retry = Some((after_star, read));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_whole_names() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("A*", "ABC", true),
            ("A*C", "ABBC", true),
            ("A?C", "ABC", true),
            ("A?C", "AC", false),
            ("*_URL", "DB_URL", true),
            ("*_URL", "DB_URLS", false),
            ("A*B*C", "AxxBxBxC", true),
            ("", "A", false),
        ] {
            assert_eq!(wildcard(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_says_where_that_machine_keeps_things_never_travels() {
        assert!(travels(b"DB_URL", &[], &[]));
        assert!(!travels(b"PATH", &["*".into()], &[]) && !travels(b"BUNDLER_ORIG_X", &[], &[]));
        assert!(!travels(b"DB_URL", &["API_*".into()], &[]) && !travels(b"DB_URL", &[], &["DB_*".into()]));
    }
}
