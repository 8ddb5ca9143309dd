//! What mirrord costs, as ratios to a direct run inside the target.
//!
//! Every row is measured by this same program: inside the pod, and outside as a guest of both engines by both data
//! paths, alternately, so that a busy machine is busy for all of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a number that cannot be had is none")]
#![expect(clippy::print_stdout, reason = "a bench speaks")]

mod cluster;
mod link;
mod others;
mod rows;
mod stage;
mod table;
mod work;

use std::{env, fs, path::Path, process::Command};

use mirrord_tests::{programs::mirrord, transcript::Transcript};

use rows::{Kind, ROWS, Row};
use stage::Stage;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["work", row, ..] if row.starts_with("link-") => println!("{}", link::measure(row)),
        ["work", row, at @ ..] => println!("{}", work::measure(row, at.first().unwrap_or(&""))),
        ["serve", port] => work::net::serve(port.parse().unwrap(), || println!("ready")),
        ["socks"] => others::serve_socks(),
        ["cluster"] => cluster::run(5),
        ["cluster", "--quick"] => cluster::run(1),
        flags => match Wish::parse(flags) {
            Some(wish) => run(&wish),
            None => println!("usage: bench [cluster] [--quick] [--others] [--only TEXT]"),
        },
    }
}

/// What is asked for.
#[derive(Debug, Default)]
struct Wish {
    quick: bool,
    others: bool,
    only: Option<String>,
}

impl Wish {
    fn parse(mut flags: &[&str]) -> Option<Self> {
        let mut wish = Self::default();
        loop {
            flags = match flags {
                [] => return Some(wish),
                ["--quick", rest @ ..] => {
                    wish.quick = true;
                    rest
                }
                ["--others", rest @ ..] => {
                    wish.others = true;
                    rest
                }
                ["--only", text, rest @ ..] => {
                    wish.only = Some((*text).to_owned());
                    rest
                }
                _ => return None,
            };
        }
    }

    fn has(&self, row: &Row) -> bool {
        self.only.as_ref().is_none_or(|text| row.key.contains(text.as_str()))
    }
}

fn run(wish: &Wish) {
    let rows: Vec<&Row> = ROWS.iter().filter(|row| wish.has(row)).collect();
    let stage = Stage::new(wish.others);
    let subjects = stage.subjects();
    table::begin(&subjects);
    for row in &rows {
        let n_rounds = match (wish.quick, row.kind) {
            (true, Kind::Start) => 5,
            (true, _) => 2,
            (false, Kind::Start) => 15,
            (false, _) => 5,
        };
        let mut values = vec![Vec::new(); subjects.len()];
        for _ in 0..n_rounds {
            for (subject, values) in subjects.iter().zip(&mut values) {
                values.extend(stage.measure(row, subject));
            }
        }
        let medians: Vec<Option<f64>> =
            values.into_iter().map(|it| (!it.is_empty()).then(|| median(it))).collect();
        table::tell(row, &subjects, &medians);
    }
    if wish.only.is_none() {
        sizes();
    }
}

/// What users get.
fn sizes() {
    println!("\n| Size | Measured | Promise |\n|---|---|---|");
    let release = mirrord();
    let target = release.parent().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
    let agents =
        fs::read_dir(&target).into_iter().flatten().flatten().map(|it| it.path().join("agent/mirrord-agent"));
    let files = [
        ("layer", Some(target.join("layer/libmirrord_layer.so")), 1),
        ("agent", agents.into_iter().find(|it| it.exists()), 10),
        ("`mirrord`, which carries both", Some(release), 25),
    ];
    for (name, file, most) in files {
        if let Some(metadata) = file.and_then(|it| fs::metadata(it).ok()) {
            let n_kilobytes = u32::try_from(metadata.len() / 1000).unwrap();
            println!("| {name} | {:.2} MB | at most {most} MB |", f64::from(n_kilobytes) / 1e3);
        }
    }
}

pub(crate) fn number(command: &mut Command) -> f64 {
    try_number(command).unwrap_or_else(|why| panic!("{why}"))
}

/// The number that a command says, or what it says instead.
pub(crate) fn try_number(command: &mut Command) -> Result<f64, String> {
    let told = Transcript::of(command);
    told.stdout.trim().parse().map_err(|_| format!("no number: {command:?}: {told:?}"))
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
