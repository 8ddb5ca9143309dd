//! What is scarce: descriptors, room on a disk, a root to write to, an answer of the resolver. A guest sees what it would
//! see in the pod, or an error of a kernel that has nothing left; and when there is enough again, it goes on.

use std::{fs, time::Duration};

use mirrord_tests::{
    eventually::{eventually, moment},
    ground::{is_root, skip},
    guest::{Guest, Tongue, guests},
    pod::Pod,
    ports::free_port,
    programs::system,
    running::Running,
    session::{DataPath, Engine, Session},
    transcript::Transcript,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{desk::Desk, feature};

fn writing() -> Value {
    json!({ "fs": "write", "network": { "incoming": "steal" } })
}

/// Every way that a guest's calls can go.
fn ways() -> impl Iterator<Item = (DataPath, Engine)> {
    DataPath::ALL.into_iter().flat_map(|path| Engine::BOTH.map(|engine| (path, engine)))
}

/// A program of Python, bare inside the pod and outside by every way: what it says must be the same.
fn compared(pod: &Pod, text: &str) {
    if system("python3").is_none() {
        return skip("no python3");
    }
    let bare = Transcript::of(pod.command("python3").args(["-c", text]));
    assert_eq!(bare.code, Some(0), "{bare:?}");
    for (data_path, engine) in ways() {
        let desk = Desk::of(pod, Session::new(pod, data_path, &writing()).by(engine).idle_for(1));
        let outside = Transcript::of(desk.command("python3").args(["-c", text]));
        let difference = bare.difference(&outside).unwrap_or_default();
        assert!(difference.is_empty(), "{data_path:?} by {engine:?}:\n{difference}");
        desk.assert_clean(&format!("something scarce ({data_path:?}, {engine:?})"));
    }
}

#[test]
fn a_guest_without_descriptors_is_told_so_and_goes_on() {
    let program = Guest { tongue: Tongue::Python, name: "full" };
    if let Some(why) = program.missing() {
        return skip(&why);
    }
    let text = fs::read_to_string(guests().join("python/full.py")).unwrap();
    compared(&Pod::start().unwrap(), &text);
}

#[test]
fn a_root_that_cannot_be_written_to_is_told_so() {
    const CHANGES: &str = r"
import errno, os
def told(name, deed):
    try: print(name, deed())
    except OSError as error: print(name, errno.errorcode[error.errno])
told('read', lambda: open('/app/secret.key').read())
told('write', lambda: open('/data/out/x', 'w'))
told('append', lambda: open('/data/orders.txt', 'a'))
told('mkdir', lambda: os.mkdir('/data/out/d'))
told('unlink', lambda: os.unlink('/data/orders.txt'))
told('rename', lambda: os.rename('/data/orders.txt', '/data/q'))
told('chmod', lambda: os.chmod('/data/orders.txt', 0o600))
told('list', lambda: len(os.listdir('/data/many')))
told('access', lambda: os.access('/data/out', os.W_OK))
";
    let pod = Pod::start().unwrap();
    let remounted = Transcript::of(pod.command("mount").args(["-o", "remount,ro", "/"]));
    if remounted.code != Some(0) {
        return skip(&format!("the pod's root cannot be made read-only: {}", remounted.stderr));
    }
    compared(&pod, CHANGES);
}

#[test]
fn a_resolver_that_never_answers_is_given_up_when_the_target_would() {
    const ASK: &str = r"
import socket, time
since = time.time()
try: print(socket.getaddrinfo('redis.shop', 1))
except OSError as error: print(error, 1.5 < time.time() - since < 8)
";
    if system("python3").is_none() {
        return skip("no python3");
    }
    let pod = Pod::start().unwrap();
    // It takes questions, and says nothing.
    let deaf = r"
import socket, time
ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ear.bind(('10.77.0.3', 53))
print('deaf', flush=True)
ear.recv(1); time.sleep(1000)
";
    let mut resolver = Running::start(pod.command("python3").args(["-c", deaf]));
    resolver.says("deaf");
    let own = "nameserver 10.77.0.3\noptions timeout:1 attempts:2\n";
    fs::write(pod.path("/etc/resolv.conf"), own).unwrap();
    compared(&pod, ASK);
}

#[test]
fn a_full_disk_for_temporary_files_is_not_needed() {
    const WORK: &str = r"
import os, socket, subprocess
print(open('/app/secret.key').read(), len(open('/data/big', 'rb').read()), len(os.listdir('/data/many')))
print(socket.create_connection(('10.77.0.2', 7)).getpeername(), subprocess.run(['cat', '/app/secret.key'], stdout=subprocess.DEVNULL).returncode)
file = open('/data/out/new', 'w'); file.write('x' * 100000); file.close()
print(os.stat('/data/out/new').st_size); os.unlink('/data/out/new')
";
    if !is_root() {
        return skip("only root can fill a disk of its own");
    }
    if system("python3").is_none() {
        return skip("no python3");
    }
    let pod = Pod::start().unwrap();
    let bare = Transcript::of(pod.command("python3").args(["-c", WORK]));
    for (data_path, engine) in ways() {
        let desk = Desk::of(&pod, Session::new(&pod, data_path, &writing()).by(engine).idle_for(1));
        let outside = Transcript::of(desk.on_a_full_disk("python3").args(["-c", WORK]));
        let difference = bare.difference(&outside).unwrap_or_default();
        assert!(difference.is_empty(), "{data_path:?} by {engine:?}:\n{difference}");
    }
}

/// Takes a process all numbers that it has not used, and gives them back after a while.
fn starve(pid: i32) {
    let n_open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as libc::rlim_t;
    let before = limit(pid, Some(n_open));
    moment(Duration::from_millis(600));
    limit(pid, Some(before));
}

/// The limit of a process's descriptors, and what it is to be.
fn limit(pid: i32, new: Option<libc::rlim_t>) -> libc::rlim_t {
    let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: no new limits are given, and the place for the old ones is ours.
    let asked = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut old) };
    assert_eq!(asked, 0);
    if let Some(new) = new {
        let new = libc::rlimit { rlim_cur: new, ..old };
        // SAFETY: the new limits are ours, and the old ones are not asked for.
        let set = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const new, std::ptr::null_mut()) };
        assert_eq!(set, 0);
    }
    old.rlim_cur
}

/// A guest in the middle of everything, while somebody who works for it has no descriptors left.
fn starved(name: &str) {
    if system("python3").is_none() {
        return skip("no python3");
    }
    let pod = Pod::start().unwrap();
    let text = fs::read_to_string(guests().join("python/moments.py")).unwrap();
    for (data_path, engine) in ways() {
        let port = free_port();
        let session = Session::new(&pod, data_path, &feature(port)).by(engine).idle_for(1);
        let desk = Desk::of(&pod, session);
        let arguments = ["-c", &text, &port.to_string(), "scarce"];
        let mut guest = Running::start(desk.command("python3").args(arguments));
        guest.says("busy");
        let starving = desk.find(name);
        eventually("something to starve", Duration::from_secs(10), || {
            fs::read_dir(format!("/proc/{starving}/fd")).is_ok_and(|list| list.count() > 10).then_some(())
        });
        starve(starving);
        moment(Duration::from_millis(300));
        guest.signal(Signal::SIGUSR1);
        assert_eq!(guest.end(), 7, "{data_path:?} by {engine:?}: {}", guest.words());
        let words = guest.words();
        let odd: Vec<&str> = words.lines().filter(|line| !may_say(line)).collect();
        assert!(odd.is_empty(), "{data_path:?} by {engine:?}: no kernel says this:\n{}", odd.join("\n"));
        for entry in fs::read_dir(pod.path("/data/out")).unwrap().flatten() {
            fs::remove_file(entry.path()).unwrap();
        }
        desk.assert_clean(&format!("{name} without descriptors ({data_path:?}, {engine:?})"));
    }
}

/// What a kernel says that has nothing left, or whose network comes and goes.
fn may_say(line: &str) -> bool {
    const SCARCE: [&str; 14] = [
        "well",
        "ENFILE",
        "EMFILE",
        "ENOBUFS",
        "ENOMEM",
        "EIO",
        "ENETDOWN",
        "ECONNRESET",
        "ECONNABORTED",
        "ECONNREFUSED",
        "EPIPE",
        "Temporary failure in name resolution",
        // Of a resolver that cannot open its files, or a socket.
        "Name or service not known",
        "System error",
    ];
    let Some((_, outcome)) = line.rsplit_once(": ").and_then(|(words, _)| words.split_once(' ')) else {
        return line == "busy" || line.starts_with("mirrord");
    };
    SCARCE.contains(&outcome) || outcome.starts_with("1 ") || outcome.starts_with("127 ")
}

#[test]
fn a_proxy_without_descriptors_fails_calls_and_recovers() {
    starved("intproxy");
}

#[test]
fn an_agent_without_descriptors_fails_calls_and_recovers() {
    starved("mirrord-agent");
}

/// Guest, proxy and agent with 64 descriptors each, which nothing raises.
#[test]
fn sixty_four_descriptors_are_enough_for_everybody() {
    const WORK: &str = r"
import os, socket, subprocess
print(open('/app/secret.key').read(), len(open('/data/big', 'rb').read()), len(os.listdir('/data/many')))
for _ in range(100):
    with socket.create_connection(('10.77.0.2', 7)) as connection:
        connection.shutdown(socket.SHUT_WR)
        # Heard to its end, it is carried by nobody any more.
        assert connection.recv(1) == b''
for _ in range(5): print(subprocess.run(['cat', '/app/secret.key'], stdout=subprocess.DEVNULL).returncode)
";
    if system("python3").is_none() {
        return skip("no python3");
    }
    let pod = Pod::start().unwrap();
    let bare = Transcript::of(pod.command("python3").args(["-c", WORK]));
    for (data_path, engine) in ways() {
        let desk = Desk::of(&pod, Session::new(&pod, data_path, &writing()).by(engine).idle_for(1));
        let outside = Transcript::of(desk.behind("ulimit -n 64; exec \"$@\"", "python3").args(["-c", WORK]));
        let difference = bare.difference(&outside).unwrap_or_default();
        assert!(difference.is_empty(), "{data_path:?} by {engine:?}:\n{difference}");
        desk.assert_clean(&format!("64 descriptors ({data_path:?}, {engine:?})"));
    }
}
