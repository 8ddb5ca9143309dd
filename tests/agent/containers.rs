//! Targets that are containers: found by their id, and served with whatever rights the agent was left.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use mirrord_protocol::agent::{
    AgentAnswer, AgentCall,
    env::{Environment, EnvironmentCall},
    fs::FsCall,
    incoming::{Port, SubscribeCall, Wish},
    outgoing::{Destination, SocketCall},
};
use mirrord_tests::pod::ADDRESS;
use nix::{sched::CloneFlags, unistd::geteuid};

use crate::{
    envoy::{POD, Session, path, program},
    listening::{Listening, echoes, next_log},
};

const ID: &str = "8d3f0c1b5a7e49d2b6c4f1e0a9d8c7b6a5f4e3d2c1b0a99887766554433221ff";

/// A view of processes in which one is the main process of a container.
fn processes(pid: i32) -> tempfile::TempDir {
    let proc = tempfile::tempdir().unwrap();
    let tell = |pid: i32, cgroup: &str, status: &str| {
        let folder = proc.path().join(pid.to_string());
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("cgroup"), cgroup).unwrap();
        std::fs::write(folder.join("status"), status).unwrap();
    };
    let cgroup = format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope\n");
    tell(pid, &cgroup, &format!("PPid:\t1\nNSpid:\t{pid}\t1\n"));
    tell(1, "0::/init.scope\n", "PPid:\t0\nNSpid:\t1\n");
    proc
}

fn command(proc: &Path) -> Command {
    let mut command = Command::new(program());
    command.args(["--container-id", ID, "--proc"]).arg(proc);
    command
}

fn quiet(proc: &Path) -> Command {
    let mut command = command(proc);
    command.args(["--log-level", "off"]);
    command
}

fn environment(session: &mut Session) -> Environment {
    match session.call(AgentCall::Environment(EnvironmentCall::default())).unwrap() {
        (AgentAnswer::Environment(environment), None) => environment,
        other => panic!("that is no environment: {other:?}"),
    }
}

#[test]
fn a_container_is_found_by_its_id_and_served() {
    let proc = processes(POD.pid());
    let agent = Listening::start(&mut quiet(proc.path()));
    let trunk = agent.trunk();
    let mut session = trunk.session("ann");
    assert!(!environment(&mut session).0.is_empty());
    assert!(echoes(trunk.lane(), &session, format!("{ADDRESS}:7").parse().unwrap()));
    session.fs(FsCall::Stat { path: path("/data/orders.txt"), follow: true }).unwrap();
}

#[test]
fn a_container_that_is_nowhere_is_told_with_what_it_takes() {
    let proc = tempfile::tempdir().unwrap();
    let agent = Listening::start(&mut quiet(proc.path()));
    let trunk = agent.trunk();
    let words = Session::begin(trunk.lane(), "ann").map(drop).unwrap_err();
    assert!(
        words.starts_with("none of the 0 processes that the agent sees is of container `8d3f"),
        "{words}"
    );
    assert!(words.contains("`hostPID`"), "{words}");
}

#[test]
fn an_agent_that_was_refused_its_target_ends_with_whoever_was_told() {
    let proc = tempfile::tempdir().unwrap();
    let mut agent = Listening::start(&mut quiet(proc.path()));
    let trunk = agent.trunk();
    Session::begin(trunk.lane(), "ann").map(drop).unwrap_err();
    trunk.part();
    assert!(agent.await_end().success());
}

/// A target in a network namespace that belongs to no user namespace of its own, as a container's.
struct Container(Child);

impl Container {
    fn start() -> Self {
        let mut sleeper = Command::new("sleep");
        sleeper.arg("infinity").env("CONTAINED", "yes").stdin(Stdio::null());
        // SAFETY: Between fork and exec one system call is made, on no memory.
        unsafe { sleeper.pre_exec(|| Ok(nix::sched::unshare(CloneFlags::CLONE_NEWNET)?)) };
        Self(sleeper.spawn().unwrap())
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const CAP_SETGID: u64 = 1 << 6;
const CAP_SETUID: u64 = 1 << 7;
const CAP_NET_ADMIN: u64 = 1 << 12;
const CAP_NET_RAW: u64 = 1 << 13;
const CAP_SYS_PTRACE: u64 = 1 << 19;
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// Takes rights away from what is started, as a container's security context does.
fn without(command: &mut Command, capabilities: u64) -> &mut Command {
    let drop_all = move || {
        for capability in (0..64_u64).filter(|capability| capabilities & (1 << capability) != 0) {
            // SAFETY: The option takes a number and no memory.
            if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } == -1 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: Between fork and exec system calls are made, on no memory.
    unsafe { command.pre_exec(drop_all) }
}

fn subscribe(session: &mut Session, wish: Wish) -> Result<(), String> {
    let call = SubscribeCall { port: Port(80), wish, pass: false };
    session.call(AgentCall::Subscribe(call)).map(drop).map_err(|fault| {
        assert_eq!(fault.errno, libc::EPERM);
        fault.words
    })
}

#[test]
fn what_was_taken_away_is_said_at_the_start_and_by_the_call_that_needs_it() {
    if !geteuid().is_root() {
        return;
    }
    let container = Container::start();
    let proc = processes(container.pid());
    let agent = Listening::start(without(&mut quiet(proc.path()), CAP_NET_ADMIN));
    let trunk = agent.trunk();
    let mut session = trunk.session("ann");
    let words = "the agent may not redirect ports: it has no CAP_NET_ADMIN \
                 (`agent.disabled_capabilities`, or the cluster's policy)";
    assert_eq!(next_log(&mut session).text, format!("{words}, so that nothing can be stolen"));
    assert_eq!(subscribe(&mut session, Wish::Steal), Err(words.to_owned()));
    assert_eq!(subscribe(&mut session, Wish::Mirror), Ok(()));
    assert!(environment(&mut session).0.iter().any(|(name, _)| name.as_ref() == b"CONTAINED"));
}

#[test]
fn without_a_way_into_the_network_there_are_still_files_and_environment() {
    if !geteuid().is_root() {
        return;
    }
    let container = Container::start();
    let proc = processes(container.pid());
    let agent = Listening::start(without(&mut quiet(proc.path()), CAP_SYS_ADMIN | CAP_NET_RAW));
    let trunk = agent.trunk();
    let mut session = trunk.session("ann");
    let words = "the agent may not enter the target's network: it has no CAP_SYS_ADMIN \
                 (`agent.disabled_capabilities`, or the cluster's policy)";
    assert!(next_log(&mut session).text.starts_with(words));
    for wish in [Wish::Steal, Wish::Mirror] {
        assert_eq!(subscribe(&mut session, wish), Err(words.to_owned()));
    }
    let (_, outcome) = trunk.lane().connect(&session, Destination::Tcp("127.0.0.1:1".parse().unwrap()));
    assert_eq!(outcome.unwrap_err().words, words);
    assert!(environment(&mut session).0.iter().any(|(name, _)| name.as_ref() == b"CONTAINED"));
    session.fs(FsCall::Stat { path: path("/"), follow: true }).unwrap();
}

#[test]
fn an_agent_that_may_not_look_at_its_target_says_which_right_it_takes() {
    if !geteuid().is_root() {
        return;
    }
    // Its rights are more than the agent's, which may therefore not look at it.
    let container = Container::start();
    let proc = processes(container.pid());
    let agent = Listening::start(without(&mut quiet(proc.path()), CAP_SYS_PTRACE));
    let trunk = agent.trunk();
    let words = Session::begin(trunk.lane(), "ann").map(drop).unwrap_err();
    assert!(words.contains("it has no CAP_SYS_PTRACE (`agent.disabled_capabilities`, or"), "{words}");
    assert!(words.contains(&format!("cannot read `/proc/{}/ns/", container.pid())), "{words}");
}

#[test]
fn beside_its_target_an_agent_needs_no_rights_to_reach_it() {
    if !geteuid().is_root() {
        return;
    }
    let container = Container::start();
    let proc = processes(container.pid());
    let network = std::fs::File::open(format!("/proc/{}/ns/net", container.pid())).unwrap();
    let mut beside = quiet(proc.path());
    // An ephemeral container begins in the network of its pod. Its loopback is not ours, so that nobody can call it:
    // what it says of itself is heard by its first session over descriptor 3.
    beside.arg("--ephemeral");
    // SAFETY: Between fork and exec one system call is made, on no memory.
    unsafe { beside.pre_exec(move || Ok(nix::sched::setns(&network, CloneFlags::CLONE_NEWNET)?)) };
    let all = CAP_SYS_ADMIN | CAP_SYS_PTRACE | CAP_NET_ADMIN | CAP_NET_RAW | CAP_SETUID | CAP_SETGID;
    let agent = crate::envoy::Agent::start(without(&mut beside, all));
    let mut session = agent.session();
    let mut said: Vec<String> = (0..3).map(|_| next_log(&mut session).text).collect();
    said.sort();
    let beginnings = ["capture packets", "look into the target's process", "redirect ports"];
    for (words, deed) in said.iter().zip(beginnings) {
        assert!(words.starts_with(&format!("the agent may not {deed}: it has no CAP_")), "{words}");
    }
    let refused = session.call(AgentCall::Environment(EnvironmentCall::default())).unwrap_err();
    assert!(refused.words.contains("CAP_SYS_PTRACE"), "{}", refused.words);
    let socket = SocketCall { domain: libc::AF_INET, kind: libc::SOCK_STREAM, protocol: 0 };
    assert!(session.call(AgentCall::Socket(socket)).is_ok());
}

#[test]
fn the_log_is_json_where_that_is_wanted() {
    let proc = tempfile::tempdir().unwrap();
    let mut agent = command(proc.path());
    agent.args(["--log-level", "info", "--json-log", "--communication-timeout", "1", "--listen", "0"]);
    let output = agent.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["level"] == "ERROR"), "{text}");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("mirrord-agent ready version="));
}
