//! Whoever is killed at whatever moment: a guest that is in the middle of everything gets errors that a kernel gives,
//! never hangs, keeps its exit code, and nothing is left.
//!
//! Four moments of each in a run of the tests; `cargo xtask moments` has twenty. The seed is told, and can be given
//! again; what the machine makes of it is never twice the same.

use std::{
    env, fs,
    io::Write as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use mirrord_tests::{
    eventually::{eventually, moment},
    guest::guests,
    pod::Pod,
    ports::free_port,
    programs::system,
    running::Running,
    session::{DataPath, Engine, Session},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    asked,
    chance::{Chance, seed},
    desk::Desk,
    feature,
};

/// How many moments of each, if not these four.
const TIMES: &str = "MIRRORD_TEST_MOMENTS";

/// How long after its start a process may be killed.
const LATEST: Duration = Duration::from_millis(900);

/// The same for the command, which becomes the guest soon.
const LATEST_COMMAND: Duration = Duration::from_millis(300);

/// How long what is left goes on.
const AFTERWARDS: Duration = Duration::from_millis(300);

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Command,
    Guest,
    Proxy,
    Agent,
    Supervisor,
}

/// By which ways the moments of a victim go, in turns.
fn ways(victim: Victim) -> Vec<(DataPath, Engine)> {
    let engines: &[Engine] = if victim == Victim::Supervisor { &[Engine::Supervisor] } else { &Engine::BOTH };
    DataPath::ALL.into_iter().flat_map(|path| engines.iter().map(move |engine| (path, *engine))).collect()
}

fn killed(victim: Victim) {
    if system("python3").is_none() {
        return mirrord_tests::ground::skip("no python3");
    }
    let seed = seed();
    let n_times = env::var(TIMES).ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    // Not by a macro: the test harness would keep those words to itself.
    let _ = writeln!(std::io::stderr(), "moments of {victim:?}: MIRRORD_TEST_SEED={seed}");
    let mut chance = Chance::of(seed, &format!("{victim:?}"));
    let pod = Pod::start().unwrap();
    for (number, (data_path, engine)) in ways(victim).into_iter().cycle().take(n_times).enumerate() {
        let latest = if victim == Victim::Command { LATEST_COMMAND } else { LATEST };
        let after = chance.below(latest);
        let words = format!(
            "{victim:?} killed after {after:?} ({data_path:?}, {engine:?}; moment {number}, seed {seed})"
        );
        Moment { pod: &pod, victim, after, engine, words }.happen(data_path);
    }
}

struct Moment<'a> {
    pod: &'a Pod,
    victim: Victim,
    after: Duration,
    engine: Engine,
    words: String,
}

impl Moment<'_> {
    fn happen(&self, data_path: DataPath) {
        let port = free_port();
        let session = Session::new(self.pod, data_path, &feature(port)).by(self.engine).idle_for(1);
        let desk = Desk::of(self.pod, session);
        let text = fs::read_to_string(guests().join("python/moments.py")).unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            // Clients of the target come all the time.
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    asked(self.pod);
                }
            });
            let mut guest =
                Running::start(desk.command("python3").args(["-c", &text, &port.to_string(), "moment"]));
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                self.kill(&desk, &mut guest);
                self.check_end(&mut guest);
            }));
            is_over.store(true, Ordering::Relaxed);
            if let Err(why) = told {
                let _ = writeln!(std::io::stderr(), "{}:\n{}", self.words, guest.words());
                std::panic::resume_unwind(why);
            }
        });
        eventually(&format!("the shop's answer: {}", self.words), Duration::from_secs(10), || {
            asked(self.pod).starts_with("the shop itself").then_some(())
        });
        // What a killed guest had begun there is its own.
        for entry in fs::read_dir(self.pod.path("/data/out")).unwrap().flatten() {
            fs::remove_file(entry.path()).unwrap();
        }
        // A killed proxy's socket has a name, which the next command removes.
        desk.look_for_sessions();
        desk.assert_clean(&self.words);
    }

    fn kill(&self, desk: &Desk<'_>, guest: &mut Running) {
        let name = match self.victim {
            Victim::Command => {
                moment(self.after);
                return guest.signal(Signal::SIGKILL);
            }
            Victim::Guest => {
                guest.says("busy");
                moment(self.after);
                return guest.signal(Signal::SIGKILL);
            }
            Victim::Proxy => "mirrord intproxy",
            Victim::Agent => "mirrord-agent",
            Victim::Supervisor => "mirrord supervise",
        };
        let is_meant = |words: &str| words.starts_with(name) || words.contains(&format!("/{name} "));
        let find = || desk.processes().into_iter().rev().find(|(_, words)| is_meant(words));
        eventually(&format!("a process `{name}`: {}", self.words), Duration::from_secs(20), find);
        moment(self.after);
        if let Some((doomed, _)) = find() {
            let _ = kill(Pid::from_raw(doomed), Signal::SIGKILL);
        }
    }

    /// Lets the guest go on for a while, if there is one, then has it end, and looks at what it has seen.
    fn check_end(&self, guest: &mut Running) {
        if matches!(self.victim, Victim::Command | Victim::Guest) {
            assert_eq!(guest.end(), 128 + 9, "{}", guest.words());
            return;
        }
        let begun = eventually("the guest's beginning, or its end", Duration::from_secs(30), || {
            if guest.words().contains("busy") { Some(true) } else { guest.has_ended().then_some(false) }
        });
        if !begun {
            let words = guest.words();
            // Without a supervisor its programs fail at whatever they were about to do, which is for them to tell.
            assert!(self.victim == Victim::Supervisor || words.contains("error: "), "{words}");
            assert_ne!(guest.end(), 0);
            return;
        }
        moment(AFTERWARDS);
        guest.signal(Signal::SIGUSR1);
        assert_eq!(guest.end(), 7, "its own code");
        let words = guest.words();
        let odd: Vec<&str> = words.lines().filter(|line| !self.may_say(line)).collect();
        assert!(odd.is_empty(), "no kernel says this:\n{}", odd.join("\n"));
    }

    /// Whether what the guest has seen is what a kernel may say whose disk and whose network are gone.
    fn may_say(&self, line: &str) -> bool {
        const DISK: [&str; 3] = [
            "EIO",
            // Of a file system in user space that is gone.
            "ENOTCONN",
            "ECONNABORTED",
        ];
        const NETWORK: [&str; 6] = ["ENETDOWN", "ECONNRESET", "EPIPE", "ECONNABORTED", "ECONNREFUSED", "EIO"];
        let Some((deed, outcome)) = line.rsplit_once(": ").and_then(|(words, _)| words.split_once(' '))
        else {
            return line == "busy";
        };
        if outcome == "well" {
            return true;
        }
        // What the kernel says when nobody listens to a filter any more.
        if self.victim == Victim::Supervisor && is_unsupervised(outcome) {
            return true;
        }
        match deed {
            "read_small" | "read_big" | "look" | "write" => DISK.contains(&outcome),
            "connect" | "talk" | "datagram" | "listen" | "serve" => NETWORK.contains(&outcome),
            "name" => ["Temporary failure in name resolution", "System error"].contains(&outcome),
            "child" => outcome == "1 Input/output error",
            _ => false,
        }
    }
}

fn is_unsupervised(outcome: &str) -> bool {
    outcome == "ENOSYS"
        // Linux 6.18 lets a call give 0 whose supervisor is killed while it gives a descriptor
        // (`SECCOMP_ADDFD_FLAG_SEND`): the guest finds its standard input instead of what it asked for.
        || ["EBADF", "ENOTSOCK", "ENOTDIR"].contains(&outcome)
        || outcome.ends_with("Function not implemented")
        // Of the loader of a program whose libraries it cannot open.
        || outcome.starts_with("127")
        || ["Temporary failure in name resolution", "System error"].contains(&outcome)
        // Of a resolver that finds none of its files.
        || outcome == "Name or service not known"
}

#[test]
fn a_command_that_is_killed_at_any_moment_leaves_nothing() {
    killed(Victim::Command);
}

#[test]
fn a_guest_that_is_killed_at_any_moment_leaves_nothing() {
    killed(Victim::Guest);
}

#[test]
fn without_its_proxy_a_guest_fails_as_by_a_kernel_at_any_moment() {
    killed(Victim::Proxy);
}

#[test]
fn without_its_agent_a_guest_fails_as_by_a_kernel_at_any_moment() {
    killed(Victim::Agent);
}

#[test]
fn without_its_supervisor_a_guest_fails_as_by_a_kernel_at_any_moment() {
    killed(Victim::Supervisor);
}
