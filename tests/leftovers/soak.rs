//! Long life: a guest that goes on and on costs no more after its last round than after its first.
//!
//! A short form in a run of the tests; `cargo xtask soak` has an hour's worth of calls.

use std::{env, fmt, fs, io::Write as _, time::Duration};

use mirrord_tests::{
    eventually::{eventually, moment},
    guest::{Guest, Tongue},
    pod::Pod,
    ports::free_port,
    running::Running,
    session::{DataPath, Engine, Session},
};
use nix::sys::signal::Signal;

use crate::{asked, desk::Desk, feature};

/// How many times as many calls as in a run of the tests.
const SCALE: &str = "MIRRORD_TEST_SOAK";

/// The rounds of a guest.
const N_ROUNDS: usize = 4;

/// Of these, so many warm up.
const N_WARM: usize = 2;

/// The calls of a round: opens, connections (and threads), children, and connections from outside.
const ROUND: [u64; 4] = [400, 20, 2, 2];

/// How much memory a process may have more at the end than after it has warmed up, beside a tenth.
const SLACK: u64 = 2 << 20;

/// How many descriptors and threads more: some wait for work for a while.
const MORE: usize = 12;

/// What a process costs.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    bytes: u64,
    descriptors: usize,
    threads: usize,
}

impl Cost {
    fn of(pid: i32) -> Self {
        let count = |name: &str| fs::read_dir(format!("/proc/{pid}/{name}")).map_or(0, Iterator::count);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let n_kib: u64 = own.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
        Self { bytes: n_kib << 10, descriptors: count("fd"), threads: count("task") }
    }

    fn has_grown_from(&self, before: Self, remembered: u64) -> bool {
        self.bytes > before.bytes + before.bytes / 10 + SLACK + remembered
            || self.descriptors > before.descriptors + MORE
            || self.threads > before.threads + MORE
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, descriptors, threads } = self;
        write!(f, "{:>7} KiB {descriptors:>4} fd {threads:>3} threads", bytes >> 10)
    }
}

/// What a proxy may remember more at the end than after it has warmed up: so much of each of its last sockets.
fn remembered(n_connections: u64) -> u64 {
    const N_REMEMBERED: u64 = 16 << 10;
    const EACH: u64 = 640;
    let after = |n_rounds: usize| (n_connections * n_rounds as u64).min(N_REMEMBERED);
    (after(N_ROUNDS) - after(N_WARM)) * EACH
}

/// The processes of a session.
fn processes(desk: &Desk<'_>, guest: &Running, engine: Engine) -> Vec<(&'static str, i32)> {
    let mut found =
        vec![("guest", guest.pid()), ("proxy", desk.find("intproxy")), ("agent", desk.find("mirrord-agent"))];
    if engine == Engine::Supervisor {
        found.push(("supervisor", desk.find("mirrord supervise")));
    }
    found
}

fn soaked(data_path: DataPath, engine: Engine) {
    let program = Guest { tongue: Tongue::C, name: "soak" };
    if let Some(why) = program.missing() {
        return mirrord_tests::ground::skip(&why);
    }
    let scale: u64 = env::var(SCALE).ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let [n_opens, n_connections, n_children, n_arrivals] = ROUND.map(|number| number * scale);
    let (pod, port) = (Pod::start().unwrap(), free_port());
    let session = Session::new(&pod, data_path, &feature(port)).by(engine).idle_for(1);
    let desk = Desk::of(&pod, session);
    let mut command = desk.command_of(&program.program());
    let numbers = [N_ROUNDS as u64, n_opens, n_connections, n_children, u64::from(port)];
    let mut guest = Running::start(command.args(numbers.map(|number| number.to_string())));
    let patience = Duration::from_secs(60 + scale * 15);
    let mut marks: Vec<Vec<Cost>> = Vec::new();
    let mut known = Vec::new();
    for round in 1..=N_ROUNDS {
        for _ in 0..n_arrivals {
            eventually("the guest's answer", Duration::from_secs(20), || {
                (asked(&pod).starts_with("the guest") || guest.has_ended()).then_some(())
            });
        }
        eventually(&format!("round {round} ({data_path:?}, {engine:?})"), patience, || {
            assert!(!guest.has_ended(), "{}", guest.words());
            guest.words().contains(&format!("mark {round}\n")).then_some(())
        });
        if known.is_empty() {
            known = processes(&desk, &guest, engine);
        }
        let measure = || known.iter().map(|(_, pid)| Cost::of(*pid)).collect::<Vec<_>>();
        let costs = match marks.get(N_WARM - 1) {
            // What is over takes a moment to be let go of.
            Some(first) => eventually_small(first, remembered(n_connections), &measure),
            None => measure(),
        };
        for ((name, _), cost) in known.iter().zip(&costs) {
            let _ = writeln!(std::io::stderr(), "{data_path:?} {engine:?}, round {round}: {name:<10} {cost}");
        }
        marks.push(costs);
        guest.signal(Signal::SIGCONT);
    }
    assert_eq!(guest.end(), 0, "{}", guest.words());
    for (index, (name, _)) in known.iter().enumerate() {
        let (first, last) = (marks[N_WARM - 1][index], marks[N_ROUNDS - 1][index]);
        assert!(
            !last.has_grown_from(first, remembered(n_connections)),
            "{name} has grown ({data_path:?}, {engine:?}): {first}, then {last}"
        );
    }
    desk.look_for_sessions();
    desk.assert_clean(&format!("a long life ({data_path:?}, {engine:?})"));
}

/// What processes cost when they have let go of what they do not need, or after a while.
fn eventually_small(first: &[Cost], remembered: u64, measure: &dyn Fn() -> Vec<Cost>) -> Vec<Cost> {
    let start = std::time::Instant::now();
    loop {
        let costs = measure();
        let has_grown =
            costs.iter().zip(first).any(|(cost, before)| cost.has_grown_from(*before, remembered));
        if !has_grown || start.elapsed() > Duration::from_secs(15) {
            return costs;
        }
        moment(Duration::from_millis(50));
    }
}

#[test]
fn a_long_life_with_passed_descriptors_costs_no_more_than_a_short_one() {
    soaked(DataPath::Passed, Engine::Layer);
}

#[test]
fn a_long_life_with_relayed_bytes_costs_no_more_than_a_short_one() {
    soaked(DataPath::Proxied, Engine::Layer);
}

#[test]
fn a_long_supervised_life_with_passed_descriptors_costs_no_more_than_a_short_one() {
    soaked(DataPath::Passed, Engine::Supervisor);
}

#[test]
fn a_long_supervised_life_with_relayed_bytes_costs_no_more_than_a_short_one() {
    soaked(DataPath::Proxied, Engine::Supervisor);
}
