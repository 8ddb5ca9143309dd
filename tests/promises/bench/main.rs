//! What mirrord costs, as ratios to a direct run inside the target.
//!
//! Every row is measured by this same program: inside the pod, and outside as a guest by both data paths, alternately,
//! so that a busy machine is busy for all three.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a number that cannot be had is none")]
#![expect(clippy::print_stdout, reason = "a bench speaks")]

mod cluster;
mod link;
mod work;

use std::{env, fs, path::Path, process::Command, time::Instant};

use mirrord_tests::{
    pod::Pod,
    programs::{mirrord, system},
    session::{DataPath, Session},
    transcript::Transcript,
};
use serde_json::json;

/// A row: its name, its unit, whether more is better, and what is promised, in words.
const ROWS: &[(&str, &str, bool, &str)] = &[
    ("connect", "us", false, "passed at most 1.05, after the socket is made"),
    ("round-trip", "us", false, "passed at most 1.05, proxied at most 3.5"),
    ("up", "MB/s", true, "passed at least 0.95, proxied at least 0.35"),
    ("down", "MB/s", true, "passed at least 0.95, proxied at least 0.35"),
    ("beside", "us", false, "under 200 us"),
    ("open", "us", false, ""),
    ("bytes", "ns", false, "native"),
    ("stat", "us", false, ""),
    ("child", "us", false, "at most 1500 us more"),
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["work", row] if row.starts_with("link-") => println!("{}", link::measure(row)),
        ["work", row] => println!("{}", work::measure(row)),
        ["cluster"] => cluster::run(5),
        ["cluster", "--quick"] => cluster::run(1),
        ["--quick"] => run(3),
        [] => run(7),
        _ => println!("usage: bench [cluster] [--quick]"),
    }
}

fn run(n_rounds: usize) {
    let pod = Pod::start().expect("the pretend pod starts");
    let program = env::current_exe().unwrap();
    fs::create_dir_all(pod.path("/opt")).unwrap();
    fs::copy(&program, pod.path("/opt/bench")).unwrap();
    let sessions = DataPath::ALL.map(|it| Session::new(&pod, it, &json!({})));
    println!(
        "{:<12} {:>6} {:>10} {:>10} {:>7} {:>10} {:>7}",
        "", "", "direct", "passed", "ratio", "proxied", "ratio"
    );
    for (row, unit, _, promise) in ROWS {
        let mut values: [Vec<f64>; 3] = Default::default();
        for _ in 0..n_rounds {
            values[0].push(number(pod.command("/opt/bench").args(["work", row])));
            for (index, session) in sessions.iter().enumerate() {
                values[index + 1].push(number(session.command(&program).args(["work", row])));
            }
        }
        let [direct, passed, proxied] = values.map(median);
        println!(
            "{row:<12} {unit:>6} {direct:>10.2} {passed:>10.2} {:>7.2} {proxied:>10.2} {:>7.2}  {promise}",
            passed / direct,
            proxied / direct
        );
    }
    start_up(&sessions, n_rounds);
    sizes();
}

/// How long `true` takes, bare and as a guest, agent and proxy included.
fn start_up(sessions: &[Session], n_rounds: usize) {
    let program = system("true").unwrap();
    let mut values: [Vec<f64>; 3] = Default::default();
    for _ in 0..n_rounds * 3 {
        values[0].push(milliseconds(&mut Command::new(&program)));
        for (index, session) in sessions.iter().enumerate() {
            values[index + 1].push(milliseconds(&mut session.command(&program)));
        }
    }
    let [direct, passed, proxied] = values.map(median);
    println!(
        "{:<12} {:>6} {direct:>10.2} {passed:>10.2} {:>7} {proxied:>10.2} {:>7}  bare + 40 ms",
        "exec true", "ms", "", ""
    );
}

fn sizes() {
    let size = fs::metadata(mirrord()).map_or(0, |it| it.len());
    println!("{:<12} {:>6} {:>10.2}  at most 25", "mirrord", "MB", as_number(size) / 1e6);
    let layer = mirrord().parent().and_then(Path::parent).map(|it| it.join("layer/libmirrord_layer.so"));
    if let Some(size) = layer.and_then(|it| fs::metadata(it).ok()).map(|it| it.len()) {
        println!("{:<12} {:>6} {:>10.2}  at most 1", "layer", "MB", as_number(size) / 1e6);
    }
}

fn milliseconds(command: &mut Command) -> f64 {
    let start = Instant::now();
    let status =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
    start.elapsed().as_secs_f64() * 1e3
}

pub(crate) fn number(command: &mut Command) -> f64 {
    let told = Transcript::of(command);
    told.stdout.trim().parse().unwrap_or_else(|_| panic!("no number: {told:?}"))
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn as_number(size: u64) -> f64 {
    u32::try_from(size / 1000).map_or(f64::NAN, f64::from) * 1e3
}
