//! `feature.fs` into rules, and what magic adds to its mapping.

use mirrord_core::rules::{
    fs::{FsMode, FsRules},
    mapping::Mapping,
    pattern::PatternSet,
};

use super::{Lowering, Presence, env::pairs};
use crate::section::fs::Mode;

/// Above this a program waits noticeably for its first byte.
const LARGE_BUFFER: u64 = 1 << 20;
/// Above this a message would not hold it.
const LARGEST_BUFFER: u64 = 15 << 20;

impl Lowering<'_, '_> {
    pub(super) fn fs(&mut self, presence: Presence) -> (FsRules, Vec<(String, String)>) {
        let fs = &self.settings.file.feature.fs;
        let mode = match (fs.mode, presence) {
            (Mode::Local, _) => FsMode::Local,
            (_, Presence::Targetless) | (Mode::LocalWithOverrides, _) => FsMode::LocalWithOverrides,
            (Mode::Read, _) => FsMode::Read,
            (Mode::Write, _) => FsMode::Write,
        };
        let read_write = self.patterns("feature.fs.read_write", fs.read_write.as_ref());
        let read_only = self.patterns("feature.fs.read_only", fs.read_only.as_ref());
        let local = self.patterns("feature.fs.local", fs.local.as_ref());
        let not_found = self.patterns("feature.fs.not_found", fs.not_found.as_ref());
        let mapping = self.mapping(mode, presence);
        let expressions: Vec<String> = mapping.iter().map(|(from, _)| from.clone()).collect();
        let compiled = self.patterns("feature.fs.mapping", Some(&expressions));
        (FsRules { mode, read_write, read_only, local, not_found, mapping: compiled }, mapping)
    }

    fn mapping(&mut self, mode: FsMode, presence: Presence) -> Vec<(String, String)> {
        let feature = &self.settings.file.feature;
        let mut mapping = pairs(feature.fs.mapping.as_ref());
        if mode == FsMode::Local {
            if !mapping.is_empty() {
                self.warn(
                    "feature.fs.mapping",
                    "`feature.fs.mapping` has no effect: `feature.fs.mode` is `local`",
                );
            }
            return Vec::new();
        }
        mapping.retain(|pair| {
            let result = Mapping::compile(std::slice::from_ref(pair));
            let result = result.and_then(|_| PatternSet::compile(&[&pair.0]));
            if let Err(error) = &result {
                self.problem_in_map("feature.fs.mapping", &pair.0, format!("`feature.fs.mapping`: {error}"));
            }
            result.is_ok()
        });
        if let Some(home) = self.input.home.as_deref().and_then(|home| home.to_str())
            && feature.magic.aws
            && presence == Presence::Target
        {
            let home = escape(home.trim_end_matches('/'));
            let temp_dir = self.input.temp_dir.to_string_lossy().trim_end_matches('/').replace('$', "$$");
            mapping.push((format!(r"^{home}/\.aws(/.*)?$"), format!("{temp_dir}/.aws$1")));
        }
        mapping
    }

    pub(super) fn readonly_file_buffer(&mut self) -> u64 {
        const KEY: &str = "feature.fs.readonly_file_buffer";
        let size = self.settings.file.feature.fs.readonly_file_buffer;
        if size > LARGEST_BUFFER {
            self.problem(
                KEY,
                format!("`{KEY}` is {size}, but at most {LARGEST_BUFFER} (15 MiB) are read ahead"),
                None,
            );
        } else if size > LARGE_BUFFER {
            self.warn(KEY, &format!("`{KEY}` is more than 1 MiB: the first read of each file may take long"));
        }
        size
    }
}

/// A text as an expression that matches it alone.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}
