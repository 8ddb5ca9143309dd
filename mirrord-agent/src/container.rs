//! Finds the target's main process by the id of its container, in what `/proc` says of every process.
//!
//! Every runtime puts the processes of a container into a control group that is named after it, in one of these forms:
//!
//! ```text
//! /kubepods/burstable/pod<uid>/<id>                                            containerd, docker: cgroupfs
//! /kubepods.slice/kubepods-pod<uid>.slice/cri-containerd-<id>.scope            containerd: systemd
//! /kubepods.slice/kubepods-pod<uid>.slice:cri-containerd:<id>                  containerd: systemd, misconfigured
//! /kubepods.slice/kubepods-pod<uid>.slice/docker-<id>.scope                    docker: systemd
//! /kubepods.slice/kubepods-pod<uid>.slice/crio-<id>.scope                      cri-o; `crio-conmon-<id>` is its monitor
//! ```
//!
//! A path within another cgroup namespace is told from our own (`/../cri-containerd-<id>.scope`,
//! `cgroup_namespaces(7)`), so that it keeps the name. Where nothing but `/` is told, the sources of the process's
//! mounts may name the container.

use std::{fs, path::Path};

use thiserror::Error;

/// Why there is no main process.
#[derive(Debug, Error)]
pub(crate) enum FindError {
    /// None of the processes that we see is the container's.
    #[error(
        "none of the {n_seen} processes that the agent sees is of container `{id}` (looked for in `/proc/*/cgroup`): \
         it has ended, or {}", need(*.ephemeral)
    )]
    Nowhere {
        /// Which container.
        id: String,
        /// How many processes there are.
        n_seen: usize,
        /// Whether the agent is a container of the pod.
        ephemeral: bool,
    },
    /// The only processes that we see are our own.
    #[error("process 1 is the agent itself, and {}", need(true))]
    Alone,
}

fn need(ephemeral: bool) -> &'static str {
    if ephemeral {
        "the agent does not see its processes, for which an ephemeral container needs a target container, or a pod \
         that shares its process namespace"
    } else {
        "the agent does not see the processes of its node, for which its pod needs `hostPID`"
    }
}

/// A process of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    pid: i32,
    parent: i32,
    /// Its numbers, from our process namespace to its own; none on kernels that do not tell.
    numbers: Vec<i32>,
    /// When it began, in ticks of the machine.
    began: u64,
}

/// The main process of a container; without an id, the first process that is not ours.
///
/// # Errors
/// When there is none.
pub(crate) fn find(proc: &Path, id: Option<&str>, ephemeral: bool) -> Result<i32, FindError> {
    let Some(id) = id else {
        let is_ours = std::process::id() == 1;
        return if is_ours { Err(FindError::Alone) } else { Ok(1) };
    };
    let seen = processes(proc);
    let ours: Vec<Candidate> = seen
        .iter()
        .filter(|pid| is_of_container(&proc.join(pid.to_string()), id))
        .filter_map(|pid| candidate(proc, *pid))
        .collect();
    main_of(&ours)
        .or_else(|| (ephemeral && leads_the_target(proc)).then_some(1))
        .ok_or_else(|| FindError::Nowhere { id: id.to_owned(), n_seen: seen.len(), ephemeral })
}

/// Whether process 1 is the target's: an ephemeral container with a target container is in its process namespace. In
/// one that the whole pod shares, process 1 is the runtime's own.
fn leads_the_target(proc: &Path) -> bool {
    let name = fs::read_to_string(proc.join("1/comm")).unwrap_or_default();
    std::process::id() != 1 && !matches!(name.trim(), "" | "pause")
}

fn processes(proc: &Path) -> Vec<i32> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether a process is one of the container's. One that ends meanwhile is not.
fn is_of_container(process: &Path, id: &str) -> bool {
    let Ok(cgroup) = fs::read_to_string(process.join("cgroup")) else { return false };
    names_container(&cgroup, id)
        || (is_silent(&cgroup)
            && fs::read_to_string(process.join("mountinfo")).is_ok_and(|mounts| mounts_name(&mounts, id)))
}

fn candidate(proc: &Path, pid: i32) -> Option<Candidate> {
    let process = proc.join(pid.to_string());
    let status = fs::read_to_string(process.join("status")).ok()?;
    let began = fs::read_to_string(process.join("stat")).ok().and_then(|stat| began(&stat));
    let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let numbers = |line: &str| line.split_whitespace().map_while(|number| number.parse().ok()).collect();
    Some(Candidate {
        pid,
        parent: line("PPid")?.trim().parse().ok()?,
        numbers: line("NSpid").map(numbers).unwrap_or_default(),
        began: began.unwrap_or(u64::MAX),
    })
}

/// The paths of `/proc/PID/cgroup`.
fn paths(cgroup: &str) -> impl Iterator<Item = &str> {
    cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2))
}

/// Whether the control groups of a process are those of a container.
fn names_container(cgroup: &str, id: &str) -> bool {
    paths(cgroup).flat_map(|path| path.split('/')).any(|name| {
        let name = name.strip_suffix(".scope").unwrap_or(name);
        name.strip_suffix(id).is_some_and(|runtime| {
            // The monitor of a container has its id, but none of its namespaces.
            runtime.is_empty() || (runtime.ends_with(['-', ':']) && !runtime.ends_with("conmon-"))
        })
    })
}

/// Whether the control groups say nothing of where a process belongs.
fn is_silent(cgroup: &str) -> bool {
    paths(cgroup).all(|path| path == "/")
}

/// Whether something is mounted in a process's namespace that comes from a folder of the container. Where it is
/// mounted says nothing: the node itself mounts things at such places.
fn mounts_name(mountinfo: &str, id: &str) -> bool {
    let sources = mountinfo.lines().filter_map(|line| line.split(' ').nth(3));
    sources.flat_map(|source| source.split('/')).any(|name| name == id)
}

/// The 22nd field of `/proc/PID/stat`, counted from behind the name, which may hold anything.
fn began(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Which of a container's processes all others come from.
fn main_of(candidates: &[Candidate]) -> Option<i32> {
    // A container in the container has a first process, too, but deeper; `exec` makes no further first process.
    let first = candidates
        .iter()
        .filter(|it| it.numbers.len() > 1 && it.numbers.last() == Some(&1))
        .min_by_key(|it| (it.numbers.len(), it.began, it.pid));
    // Where the process namespace is shared: whoever was started from outside, first.
    let is_inner = |it: &Candidate| candidates.iter().any(|other| other.pid == it.parent);
    let oldest = || candidates.iter().filter(|it| !is_inner(it)).min_by_key(|it| (it.began, it.pid));
    first.or_else(oldest).map(|it| it.pid)
}

#[cfg(test)]
mod tests;
