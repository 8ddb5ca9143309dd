//! The default lists of paths: what every session keeps here, reads there, or hides.

use super::fs::Here;

/// Folders that stay here, with all that they hold.
const FOLDERS: &[&str] = &[
    "/proc",
    "/sys",
    "/lib",
    "/lib64",
    "/lib32",
    "/libx32",
    "/etc",
    "/usr",
    "/home",
    "/bin",
    "/sbin",
    "/dev",
    "/opt",
    "/tmp",
    "/var/tmp",
    "/var/db/timezone/zoneinfo",
    "/snap",
    "/run",
    "/selinux",
    "/nix",
];

/// Programs and what they are made of.
const ENDINGS: &[&str] = &[
    ".so",
    ".sh",
    ".rb",
    ".d",
    ".pyc",
    ".py",
    ".jar",
    ".class",
    ".js",
    ".pth",
    ".plist",
    ".pdb",
    ".dll",
    "venv.cfg",
    "jvm.cfg",
    ".tool-versions",
    "/package.json",
    "/.yarnrc",
    "/.yarnrc.yml",
    "/.yarnrc.json",
];

const PARTS: &[&str] = &["/.asdf/", "/node_modules"];

/// Paths that are read there in every mode but `local`.
const READ_THERE: &[&str] = &["/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];
const FOLDER_READ_THERE: &str = "/etc/ssl/certs";

/// Beneath `HOME`: credentials of the developer, which would answer in the place of the target's.
const HIDDEN: &[&str] = &["/.config/gcloud", "/.kube", "/.azure"];

/// Whether a path is hidden: it is neither here nor there.
pub(super) fn is_hidden(path: &[u8], here: &Here<'_>) -> bool {
    let Some(rest) = here.home.and_then(|home| strip(path, home)) else { return false };
    HIDDEN.iter().any(|hidden| is_within(rest, hidden.as_bytes()))
}

/// Whether a path is read there by default.
pub(super) fn is_read_there(path: &[u8]) -> bool {
    strip(path, b"/etc/").is_some()
        && (READ_THERE.iter().any(|read| path.eq_ignore_ascii_case(read.as_bytes()))
            || is_within(path, FOLDER_READ_THERE.as_bytes()))
}

/// Whether a path stays here by default.
pub(super) fn stays_here(path: &[u8], here: &Here<'_>) -> bool {
    path == b"/"
        || FOLDERS.iter().any(|folder| is_within(path, folder.as_bytes()))
        || [here.temp_dir, here.start_dir].into_iter().flatten().any(|folder| is_within(path, folder))
        || here.executable.is_some_and(|executable| path.eq_ignore_ascii_case(executable))
        || here.home.is_some_and(|home| strip(path, home).is_some_and(|rest| rest.starts_with(b"/.")))
        || ENDINGS.iter().any(|ending| ends_with(path, ending.as_bytes()))
        || PARTS.iter().any(|part| find(path, part.as_bytes()).is_some())
        || strip(path, b"/Program Files").is_some()
        || is_clr_pipe(path)
}

/// Whether everything beneath a folder stays here, whatever its name: nothing there is read there or hidden.
pub(super) fn keeps_all_beneath(folder: &[u8], here: &Here<'_>) -> bool {
    let is_kept = FOLDERS.iter().any(|kept| is_within(folder, kept.as_bytes()))
        || [here.temp_dir, here.start_dir].into_iter().flatten().any(|kept| is_within(folder, kept));
    let may_hide = |home| match strip(folder, home) {
        Some(rest) if matches!(rest.first(), None | Some(b'/')) => HIDDEN
            .iter()
            .any(|hidden| is_within(rest, hidden.as_bytes()) || is_within(hidden.as_bytes(), rest)),
        _ => is_within(home, folder),
    };
    is_kept && !is_within(folder, b"/etc") && !here.home.is_some_and(may_hide)
}

/// The pipes through which .NET speaks with its debugger: `clr-` and later `-pipe-`.
fn is_clr_pipe(path: &[u8]) -> bool {
    find(path, b"clr-").is_some_and(|start| find(&path[start + 4..], b"-pipe-").is_some())
}

fn is_within(path: &[u8], folder: &[u8]) -> bool {
    strip(path, folder).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

fn strip<'path>(path: &'path [u8], prefix: &[u8]) -> Option<&'path [u8]> {
    let (start, rest) = path.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn ends_with(path: &[u8], ending: &[u8]) -> bool {
    path.len() > ending.len() && path[path.len() - ending.len()..].eq_ignore_ascii_case(ending)
}

fn find(path: &[u8], part: &[u8]) -> Option<usize> {
    path.windows(part.len()).position(|window| window.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Here<'_> = Here {
        home: Some(b"/root"),
        temp_dir: Some(b"/scratch"),
        start_dir: Some(b"/srv/project"),
        executable: Some(b"/srv/tool"),
    };

    #[test]
    fn programs_and_system_folders_stay_here() {
        for path in [
            "/",
            "/usr",
            "/usr/lib/x",
            "/ETC/passwd",
            "/lib64/ld.so.2",
            "/data/lib.so",
            "/app/Main.PY",
            "/app/node_modules/x/y",
            "/app/package.json",
            "/x/.asdf/y",
            "/x/pyvenv.cfg",
            "/x/clr-debug-pipe-12",
            "/Program Files (x86)/y",
            "/scratch/x",
            "/srv/project",
            "/srv/tool",
            "/root/.bashrc",
            "/root/.config/x",
        ] {
            assert!(stays_here(path.as_bytes(), &HERE), "{path}");
        }
    }

    #[test]
    fn what_only_looks_like_them_does_not() {
        for path in [
            "/usrlocal",
            "/data",
            "/data/x.sock",
            "/root",
            "/root/data",
            "/rooted/.x",
            "/srv/projects",
            "/srv/tool/x",
            "/data/.so/x",
            "/x/clr-debug",
        ] {
            assert!(!stays_here(path.as_bytes(), &HERE), "{path}");
        }
        assert!(!stays_here(b"/root/.bashrc", &Here::default()));
    }

    #[test]
    fn a_folder_keeps_all_if_nothing_beneath_it_is_read_there_or_hidden() {
        for folder in ["/usr/lib", "/srv/project/src", "/tmp"] {
            assert!(keeps_all_beneath(folder.as_bytes(), &HERE), "{folder}");
        }
        for folder in ["/", "/srv", "/etc", "/etc/ssl", "/root", "/data"] {
            assert!(!keeps_all_beneath(folder.as_bytes(), &HERE), "{folder}");
        }
        let here = Here { home: Some(b"/home/me"), start_dir: Some(b"/home/me/src"), ..HERE };
        assert!(keeps_all_beneath(b"/home/me/src/x", &here) && keeps_all_beneath(b"/home/you", &here));
        for folder in ["/home", "/home/me", "/home/me/.config", "/home/me/.kube/x"] {
            assert!(!keeps_all_beneath(folder.as_bytes(), &here), "{folder}");
        }
    }

    #[test]
    fn credentials_beneath_home_are_hidden() {
        assert!(is_hidden(b"/root/.kube", &HERE) && is_hidden(b"/root/.config/gcloud/x", &HERE));
        assert!(!is_hidden(b"/root/.kubernetes", &HERE) && !is_hidden(b"/data/.kube", &HERE));
        assert!(!is_hidden(b"/root/.kube", &Here::default()));
    }

    #[test]
    fn names_and_certificates_are_read_there() {
        assert!(is_read_there(b"/etc/hosts") && is_read_there(b"/etc/ssl/certs"));
        assert!(is_read_there(b"/etc/ssl/certs/x.pem"));
        assert!(!is_read_there(b"/etc/hosts.allow") && !is_read_there(b"/etc/ssl/certs2"));
    }
}
