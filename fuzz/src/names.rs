//! Texts that name things: targets, paths, patterns.

use mirrord_core::{
    path,
    rules::{env, mapping::Mapping, pattern::PatternSet},
    target::Target,
};

use super::taken::Taken;

/// Texts that name things.
pub fn names(bytes: &[u8]) {
    let mut taken = Taken(bytes);
    let which = taken.below(4);
    let first = taken.piece(300);
    let second = taken.0;
    match which {
        0 => paths(first, second),
        1 => {
            if let Ok(text) = std::str::from_utf8(second)
                && let Ok(target) = text.parse::<Target>()
            {
                assert_eq!(target.to_string().parse(), Ok(target));
            }
        }
        2 => wildcards(first, second),
        _ => patterns(first, second),
    }
}

fn paths(cwd: &[u8], said: &[u8]) {
    let (mut whole, mut again) = ([0; 1024], [0; 1024]);
    let cwd = [b"/", cwd].concat();
    let Some(plain) = path::plain(&cwd, said, &mut whole) else { return };
    assert!(path::is_plain(plain), "{plain:?}");
    assert_eq!(path::plain(b"/elsewhere", plain, &mut again), Some(plain));
    if path::is_plain(said) {
        assert_eq!(plain, said);
    }
    let mut joined = [0; 1024];
    if let Some(joined) = path::join(&cwd, said, &mut joined) {
        assert!(joined.first() == Some(&b'/') && joined.ends_with(said));
        assert_eq!(path::plain(b"/", joined, &mut again), Some(plain));
    }
}

/// As a table decides it, slowly.
fn wildcards(pattern: &[u8], text: &[u8]) {
    let (pattern, text) = (&pattern[..pattern.len().min(64)], &text[..text.len().min(64)]);
    let mut matches = vec![false; text.len() + 1];
    matches[0] = true;
    for byte in pattern {
        let before = matches.clone();
        for end in 0..=text.len() {
            matches[end] = match byte {
                b'*' => before[end] || (end > 0 && matches[end - 1]),
                b'?' => end > 0 && before[end - 1],
                byte => end > 0 && before[end - 1] && text[end - 1] == *byte,
            };
        }
    }
    assert_eq!(env::wildcard(pattern, text), matches[text.len()], "{pattern:?} {text:?}");
}

fn patterns(expression: &[u8], text: &[u8]) {
    let Ok(expression) = std::str::from_utf8(expression) else { return };
    if let Ok(patterns) = PatternSet::compile(&[expression]) {
        assert!(!patterns.is_empty());
        let _ = patterns.is_match(text);
    }
    if let Ok(mapping) = Mapping::compile(&[(expression.to_owned(), "/there/$1".to_owned())]) {
        let _ = mapping.apply(text);
    }
}
