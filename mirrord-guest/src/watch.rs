//! Which sets of `epoll(7)` watch a socket, as `/proc` tells it.

use std::os::fd::RawFd;

/// A number in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The number.
    pub number: RawFd,
    /// What is waited for.
    pub events: u32,
    /// What the guest has written beside it.
    pub data: u64,
}

/// The inode of a socket, by what `/proc/PID/fd` says of its descriptor.
pub fn socket_inode(link: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A line of a set's `/proc/PID/fdinfo`, if it watches this inode:
/// `tfd:       16 events:        5 data:               10  pos:0 ino:2d1f sdev:8`.
pub fn parse(line: &[u8], inode: u64) -> Option<Watch> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let mut field = |name: &str| {
        let word = words.next()?.strip_prefix(name)?;
        // The value stands behind the name, or is the next word where it was padded.
        if word.is_empty() { words.next() } else { Some(word) }
    };
    let number = field("tfd:")?.parse().ok()?;
    let events = u32::from_str_radix(field("events:")?, 16).ok()?;
    let data = u64::from_str_radix(field("data:")?, 16).ok()?;
    field("pos:")?;
    let watched = u64::from_str_radix(field("ino:")?, 16).ok()?;
    (watched == inode).then_some(Watch { number, events, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_set_tells_what_it_watches() {
        let line = b"tfd:       16 events:        5 data:               10  pos:0 ino:2d1f sdev:8";
        assert_eq!(parse(line, 0x2d1f), Some(Watch { number: 16, events: 5, data: 16 }));
        assert_eq!(parse(line, 1), None);
        assert_eq!(parse(b"flags:	02", 1), None);
    }

    #[test]
    fn a_socket_is_known_by_its_link() {
        assert_eq!(socket_inode(b"socket:[123]"), Some(123));
        assert_eq!(socket_inode(b"pipe:[123]"), None);
    }
}
