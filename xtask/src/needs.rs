//! What the proofs need beside a compiler, and how it is had.

use std::{fs, process::Command};

use crate::{
    ground::{find, run},
    say,
};

/// A program, the Debian package that has it, and what is not proven without it.
const NEEDS: &[(&str, &str, &str)] = &[
    ("gcc", "gcc", "guests in C"),
    ("python3", "python3", "guests in Python"),
    ("node", "nodejs", "guests in JavaScript"),
    ("redis-server", "redis-server", "a real database in the pod"),
    ("redis-cli", "redis-tools", "a real client of a real database"),
    ("curl", "curl", "curl as a guest"),
    ("dig", "bind9-dnsutils", "questions to the resolver by dig"),
    ("nft", "nftables", "that the firewall is left as it was found"),
    ("ip", "iproute2", "network namespaces with a name"),
    ("musl-gcc", "musl-tools", "programs of another C library"),
    ("podman", "podman", "containers as targets"),
    // Podman is content with runc, which cannot do without cgroups of its own.
    ("crun", "crun", "containers as targets"),
];

/// Installs what is missing where we may, and tells what stays missing.
pub(crate) fn gather() {
    let missing: Vec<_> = NEEDS.iter().filter(|(program, ..)| find(program).is_none()).collect();
    if missing.is_empty() {
        return;
    }
    if is_root() && find("apt-get").is_some() {
        let packages: Vec<&str> = missing.iter().map(|(_, package, _)| *package).collect();
        say(&format!("installing {}", packages.join(" ")));
        let _ = run(apt().args(["update", "-qq"]));
        if run(apt().args(["install", "-y", "-qq", "--no-install-recommends"]).args(&packages)).is_err() {
            // One package that is not to be had must not keep the others away.
            for package in packages {
                let _ = run(apt().args(["install", "-y", "-qq", "--no-install-recommends", package]));
            }
        }
    }
    for (program, package, what) in missing {
        if find(program).is_none() {
            say(&format!("skipping {what}: `{program}` is missing (package `{package}`)"));
        }
    }
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .any(|line| line.strip_prefix("Uid:").is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0")))
}
