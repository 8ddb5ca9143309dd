//! Which processes of this machine could still speak as guests of a session.
//!
//! Whoever was started by a guest has the session in its environment, and whoever was forked from one has the layer in
//! its memory, whatever became of its environment. Layers of other sessions look the same: then a session waits longer
//! than it must.

use std::{fs, io, os::unix::ffi::OsStrExt};

use mirrord_protocol::proxy::names::PROXY_ADDRESS;

use crate::assets::Asset;

/// Whether there is one, as far as can be seen: what may not be looked into was never given a layer.
pub(crate) fn is_left(address: &str) -> io::Result<bool> {
    is_somebody(address, Asset::LAYER.file_name.as_bytes())
}

fn is_somebody(address: &str, layer: &[u8]) -> io::Result<bool> {
    let mark = format!("{PROXY_ADDRESS}={address}");
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        if !entry.file_name().as_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let holds = |file: &str, words: &[u8]| {
            fs::read(entry.path().join(file)).is_ok_and(|bytes| contains(&bytes, words))
        };
        if holds("environ", mark.as_bytes()) || holds("maps", layer) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn contains(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|window| window == words)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_that_was_given_the_session_is_left_until_it_is_gone() {
        let address = format!("@mirrord-kin-{}", std::process::id());
        // Layers of whoever else works on this machine do not count.
        let is_left = || is_somebody(&address, b"the layer of nobody").unwrap();
        assert!(!is_left());
        let mut child = Command::new("cat")
            .env(PROXY_ADDRESS, &address)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        assert!(is_left());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!is_left());
    }
}
