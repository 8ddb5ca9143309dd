//! How a session ends: whoever dies, nobody hangs and nothing is left behind.

use std::{fs, time::Duration};

use mirrord_config::handoff::DataPath;
use mirrord_protocol::{
    GuestPath,
    agent::dns::{DnsAnswer, DnsCall, Family, NoAnswer},
    proxy::{FromProxy, ToProxy, sockets::SocketQuestion},
};
use mirrord_tests::eventually::{eventually, moment};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    layer::Layer,
    stage::{Stage, guest},
};

const SOON: Duration = Duration::from_secs(10);

/// The agent that a proxy has started.
fn agent_of(proxy: i32) -> i32 {
    eventually("the agent", SOON, || {
        let path = format!("/proc/{proxy}/task/{proxy}/children");
        fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
    })
}

fn ends(pid: i32) {
    eventually("the end of a process", SOON, || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        match stat {
            Ok(stat) if !stat.contains(") Z ") => None,
            _ => Some(()),
        }
    });
}

#[test]
fn when_the_guest_ends_so_do_proxy_and_agent() {
    let mut stage = Stage::new(DataPath::Passed);
    let layer = stage.layer();
    let proxy = stage.proxy_pid();
    let agent = agent_of(proxy);
    stage.guest.kill().unwrap();
    stage.guest.wait().unwrap();
    // A descendant still talks.
    layer.stat("/etc/hostname").unwrap();
    drop(layer);
    ends(proxy);
    ends(agent);
    assert!(Layer::try_connect(&stage.ready.address).is_err());
}

#[test]
fn a_proxy_without_a_guest_ends_by_itself() {
    let mut stage = Stage::new(DataPath::Passed);
    let proxy = stage.proxy_pid();
    stage.guest.kill().unwrap();
    stage.guest.wait().unwrap();
    ends(proxy);
}

#[test]
fn a_killed_agent_fails_every_question_and_hangs_none() {
    let stage = Stage::new(DataPath::Passed);
    let layer = stage.layer();
    let agent = agent_of(stage.proxy_pid());
    kill(Pid::from_raw(agent), Signal::SIGKILL).unwrap();
    eventually("a lost agent", SOON, || layer.stat("/etc/hostname").err());
    assert_eq!(layer.stat("/etc/hostname").unwrap_err().errno, libc::EIO);
    assert_eq!(layer.open("/etc/hostname", libc::O_RDONLY, 0).unwrap_err().errno, libc::EIO);
    let make = SocketQuestion::Make { domain: libc::AF_INET, kind: libc::SOCK_STREAM, protocol: 0 };
    assert_eq!(layer.socket(make).unwrap_err().errno, libc::ENETDOWN);
    let name = "redis.shop".to_owned();
    let answer = layer.ask(&ToProxy::Dns(DnsCall::Resolve { name, family: Family::Any }));
    assert_eq!(answer, FromProxy::Dns(DnsAnswer::None(NoAnswer::TryAgain)));
}

#[test]
fn a_killed_proxy_takes_its_agent_along() {
    let stage = Stage::new(DataPath::Passed);
    let layer = stage.layer();
    let proxy = stage.proxy_pid();
    let agent = agent_of(proxy);
    kill(Pid::from_raw(proxy), Signal::SIGKILL).unwrap();
    ends(agent);
    assert!(layer.ask_with(&ToProxy::Map("/x".into()), None).is_none());
}

/// What the threads of a process say of themselves, in a file each (`proc(5)`).
fn told(pid: i32, file: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.filter_map(|it| fs::read_to_string(it.path().join(file)).ok()).collect()
}

/// Whoever opens a file of the mount waits for the proxy itself: that must not keep a killed proxy from its end.
#[test]
fn a_proxy_that_is_killed_while_it_opens_is_gone() {
    const N_FOLDERS: usize = 8000;
    let stage = Stage::new(DataPath::Proxied);
    let folder = |number: usize| format!("/data/out/folder-{number}");
    for number in 0..N_FOLDERS {
        fs::create_dir(stage.pod.path(&folder(number))).unwrap();
    }
    let proxy = stage.proxy_pid();
    let agent = agent_of(proxy);
    let layers: Vec<_> = (0..8).map(|_| stage.layer()).collect();
    let openers: Vec<_> = layers
        .into_iter()
        .enumerate()
        .map(|(index, layer)| {
            std::thread::spawn(move || {
                for number in 0..N_FOLDERS / 8 {
                    let path = GuestPath::from(folder(number * 8 + index).as_str());
                    let question = ToProxy::Open { path, flags: libc::O_DIRECTORY, mode: 0 };
                    let Some((answer, _)) = layer.ask_with(&question, None) else { return number };
                    assert_eq!(answer, FromProxy::Object);
                }
                N_FOLDERS / 8
            })
        })
        .collect();
    // Until one of the proxy's threads is caught in the kernel, for a name that the agent does not tell.
    eventually("an opener that waits", SOON, || {
        kill(Pid::from_raw(agent), Signal::SIGSTOP).unwrap();
        // What it has said already is heard first.
        moment(Duration::from_millis(20));
        let is_caught = told(proxy, "wchan").iter().any(|place| place == "request_wait_answer");
        if !is_caught {
            kill(Pid::from_raw(agent), Signal::SIGCONT).unwrap();
        }
        is_caught.then_some(())
    });
    kill(Pid::from_raw(proxy), Signal::SIGKILL).unwrap();
    kill(Pid::from_raw(agent), Signal::SIGKILL).unwrap();
    eventually("the end of every thread of the proxy", SOON, || {
        told(proxy, "stat").iter().all(|stat| stat.contains(") Z ") || stat.contains(") X ")).then_some(())
    });
    for opener in openers {
        opener.join().unwrap();
    }
}

#[test]
fn a_session_whose_command_dies_before_it_stands_is_no_session() {
    let mut dead = guest();
    dead.kill().unwrap();
    dead.wait().unwrap();
    let pid = i32::try_from(dead.id()).unwrap();
    let stage = Stage::with(DataPath::Passed, |order| order.guest_pid = Some(pid));
    eventually("the proxy's end", SOON, || Layer::try_connect(&stage.ready.address).err());
}

#[test]
fn the_proxy_keeps_nothing_of_its_starter() {
    let stage = Stage::new(DataPath::Passed);
    let proxy = stage.proxy_pid();
    for number in 0..3 {
        let link = fs::read_link(format!("/proc/{proxy}/fd/{number}")).unwrap();
        assert_eq!(link, std::path::Path::new("/dev/null"));
    }
    assert_eq!(fs::read_link(format!("/proc/{proxy}/cwd")).unwrap(), std::path::Path::new("/"));
    let stat = fs::read_to_string(format!("/proc/{proxy}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split_whitespace().collect();
    let (session, terminal) = (fields[3], fields[4]);
    let own = nix::unistd::getsid(None).unwrap().to_string();
    assert_ne!(session, own);
    assert_eq!(terminal, "0");
}
