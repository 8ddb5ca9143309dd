//! The target as the agent knows it: its main process, its root, its user, its names.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
};

use mirrord_protocol::{agent::control::TargetDescription, fault::Fault};
use rustix::{
    net::{AddressFamily, SocketFlags, SocketType},
    thread::{CapabilitySet, LinkNameSpaceType},
};

use crate::{
    fs::Root,
    rights::{Deed, Lacks},
};

/// What entering the target has given.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The main process, where there is one.
    pub(crate) main: Option<Main>,
    /// The root directory.
    pub(crate) root: Root,
    /// What may not be done there.
    pub(crate) lacks: Lacks,
}

/// The target's main process.
#[derive(Debug)]
pub(crate) struct Main {
    /// Its number.
    pub(crate) pid: i32,
    /// Readable once it has ended (`pidfd_open(2)`).
    pub(crate) watch: OwnedFd,
    /// Its UTS namespace, where it is another one than ours.
    pub(crate) uts: Option<OwnedFd>,
    /// As whom it runs.
    pub(crate) credentials: Option<Credentials>,
}

/// As whom a process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// Its effective user.
    pub(crate) uid: u32,
    /// Its effective group.
    pub(crate) gid: u32,
    /// Its supplementary groups.
    pub(crate) groups: Vec<u32>,
    /// Its effective capabilities.
    pub(crate) capabilities: CapabilitySet,
}

impl Credentials {
    /// What `/proc/PID/status` says.
    pub(crate) fn parse(status: &str) -> Option<Self> {
        let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let effective = |key: &str| line(key)?.split_whitespace().nth(1)?.parse().ok();
        Some(Self {
            uid: effective("Uid")?,
            gid: effective("Gid")?,
            groups: line("Groups")?.split_whitespace().filter_map(|group| group.parse().ok()).collect(),
            capabilities: CapabilitySet::from_bits_retain(
                u64::from_str_radix(line("CapEff")?.trim(), 16).ok()?,
            ),
        })
    }
}

/// The target.
#[derive(Debug)]
pub(crate) struct Target {
    standing: Standing,
}

impl Target {
    /// The target of which this was found.
    pub(crate) fn new(standing: Standing) -> Self {
        Self { standing }
    }

    /// Its root directory.
    pub(crate) fn root(&self) -> &Root {
        &self.standing.root
    }

    /// What may not be done there.
    pub(crate) fn lacks(&self) -> &Lacks {
        &self.standing.lacks
    }

    /// Whether something may be done there.
    ///
    /// # Errors
    /// `EPERM`, and why.
    pub(crate) fn permit(&self, deed: Deed) -> Result<(), Fault> {
        self.standing.lacks.permit(deed)
    }

    /// The number of its main process, where there is one.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.standing.main.as_ref().map(|main| main.pid)
    }

    /// As whom its main process runs, where there is one.
    pub(crate) fn credentials(&self) -> Option<Credentials> {
        self.standing.main.as_ref()?.credentials.clone()
    }

    /// What becomes readable when the main process ends.
    pub(crate) fn watch(&self) -> io::Result<Option<OwnedFd>> {
        self.standing.main.as_ref().map(|main| main.watch.try_clone()).transpose()
    }

    /// The target in a few words, as it is now.
    pub(crate) fn describe(&self) -> TargetDescription {
        let (hostname, domain) = self.names();
        let is_reached = self.permit(Deed::Reach).is_ok();
        TargetDescription {
            hostname,
            domain,
            pid: self.pid(),
            addresses: if is_reached { addresses() } else { Vec::new() },
            netns_cookie: if is_reached { netns_cookie().unwrap_or_default() } else { 0 },
        }
    }

    fn names(&self) -> (String, String) {
        let uts = self.standing.main.as_ref().and_then(|main| main.uts.as_ref());
        let Some(uts) = uts.and_then(|uts| uts.try_clone().ok()) else { return uname() };
        // A thread that dies afterwards: nobody else's name changes.
        let asked = std::thread::spawn(move || {
            rustix::thread::move_into_link_name_space(
                uts.as_fd(),
                Some(LinkNameSpaceType::HostNameAndNISDomainName),
            )
            .map(|()| uname())
        });
        match asked.join() {
            Ok(Ok(names)) => names,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the target's host name cannot be asked for in its namespace");
                self.name_in_file().map_or_else(uname, |name| (name, uname().1))
            }
            Err(_) => uname(),
        }
    }

    fn name_in_file(&self) -> Option<String> {
        let bytes = self.standing.root.read_small(b"/etc/hostname").ok()?;
        let name = String::from_utf8(bytes).ok()?.trim().to_owned();
        (!name.is_empty()).then_some(name)
    }
}

fn uname() -> (String, String) {
    let uname = rustix::system::uname();
    (uname.nodename().to_string_lossy().into_owned(), uname.domainname().to_string_lossy().into_owned())
}

fn addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let mut addresses: Vec<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        })
        // An address of a link means nothing without its interface.
        .filter(|ip| !ip.is_loopback() && !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()))
        .filter(|ip| *ip != IpAddr::V4(Ipv4Addr::UNSPECIFIED))
        .collect();
    addresses.dedup();
    addresses
}

/// The cookie of the network namespace in which we stand (`SO_NETNS_COOKIE`, Linux 5.14).
fn netns_cookie() -> io::Result<u64> {
    const SO_NETNS_COOKIE: i32 = 71;
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut cookie = 0_u64;
    let mut length: libc::socklen_t = 8;
    // SAFETY: Both pointers are to locals that live on, and `length` is the size of the first.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if outcome == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_credentials_are_read() {
        let status =
            "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nCapEff:\t0000000000000003\n";
        let expected = Credentials {
            uid: 2,
            gid: 6,
            groups: vec![9, 10],
            capabilities: CapabilitySet::CHOWN | CapabilitySet::DAC_OVERRIDE,
        };
        assert_eq!(Credentials::parse(status), Some(expected));
        assert_eq!(Credentials::parse("Name:\tx\n"), None);
    }
}
