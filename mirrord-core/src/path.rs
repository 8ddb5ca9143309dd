//! A guest path made absolute and plain; the working directory is an argument.

/// Writes `path`, seen from `cwd`, into `out`: absolute, without `.`, empty components or a slash at the end, and
/// with `..` taken lexically. Rules match this form; the file itself is asked for by [`join`], because `..` after a
/// symbolic link is for the kernel to resolve. Returns nothing if `out` is too small (`ENAMETOOLONG`).
pub fn plain<'out>(cwd: &[u8], path: &[u8], out: &'out mut [u8]) -> Option<&'out [u8]> {
    let mut length = 0;
    let from = if path.first() == Some(&b'/') { &b""[..] } else { cwd };
    for component in from.split(|byte| *byte == b'/').chain(path.split(|byte| *byte == b'/')) {
        match component {
            b"" | b"." => {}
            b".." => length = out[..length].iter().rposition(|byte| *byte == b'/').unwrap_or(0),
            name => {
                let end = length + 1 + name.len();
                let place = out.get_mut(length..end)?;
                place[0] = b'/';
                place[1..].copy_from_slice(name);
                length = end;
            }
        }
    }
    if length == 0 {
        *out.first_mut()? = b'/';
        length = 1;
    }
    Some(&out[..length])
}

/// Whether a path is already as [`plain`] would make it, so that it need not be copied.
#[must_use]
pub fn is_plain(path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(b"/") else { return false };
    // Every component begins after a slash: `/` alone has none, and an empty one or one of dots is not plain.
    rest.is_empty() || !rest.split(|byte| *byte == b'/').any(|name| matches!(name, b"" | b"." | b".."))
}

/// `path` seen from `cwd`, absolute but otherwise as it was said. Returns nothing if `out` is too small.
pub fn join<'out>(cwd: &[u8], path: &[u8], out: &'out mut [u8]) -> Option<&'out [u8]> {
    let prefix = if path.first() == Some(&b'/') { &b""[..] } else { cwd };
    let slash = usize::from(!prefix.is_empty() && prefix.last() != Some(&b'/'));
    let end = prefix.len() + slash + path.len();
    let place = out.get_mut(..end)?;
    place[..prefix.len()].copy_from_slice(prefix);
    if slash == 1 {
        place[prefix.len()] = b'/';
    }
    place[prefix.len() + slash..].copy_from_slice(path);
    Some(&out[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_plain(cwd: &str, path: &str, expected: &str) {
        let mut out = [0; 64];
        let said = plain(cwd.as_bytes(), path.as_bytes(), &mut out).unwrap();
        assert_eq!(std::str::from_utf8(said).unwrap(), expected, "{path} from {cwd}");
    }

    #[test]
    fn a_path_is_made_absolute_and_plain() {
        check_plain("/app", "etc/x", "/app/etc/x");
        check_plain("/app", "/etc//x/", "/etc/x");
        check_plain("/app", "./../x/.", "/x");
        check_plain("/", "../../..", "/");
        check_plain("/app", "", "/app");
    }

    #[test]
    fn a_path_that_does_not_fit_is_told_so() {
        assert_eq!(plain(b"/", b"abcdef", &mut [0; 4]), None);
        assert_eq!(join(b"/a", b"bcd", &mut [0; 4]), None);
    }

    #[test]
    fn a_plain_path_is_known_to_be_one() {
        for path in ["/", "/a", "/a/b..c/.d"] {
            assert!(is_plain(path.as_bytes()), "{path}");
            check_plain("/", path, path);
        }
        for path in ["", "a", "/a/", "//a", "/a//b", "/a/./b", "/..", "/a/.."] {
            assert!(!is_plain(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn joining_keeps_what_was_said() {
        let mut out = [0; 64];
        assert_eq!(join(b"/app", b"a/../b", &mut out), Some(&b"/app/a/../b"[..]));
        assert_eq!(join(b"/", b"a", &mut out), Some(&b"/a"[..]));
        assert_eq!(join(b"/app", b"/a", &mut out), Some(&b"/a"[..]));
    }
}
