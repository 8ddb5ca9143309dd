//! `CPython`'s own tests, bare and by every way: a table, and every difference. The deed `cargo xtask parity`.

#![allow(clippy::print_stdout, reason = "it is a table for the developer")]

use std::{collections::BTreeMap, env, process::ExitCode, time::Instant};

use mirrord_tests::{
    session::{DataPath, Engine},
    suite::{self, Reasons, Told},
};

/// What is run if nothing is named.
const MODULES: &[&str] = &[
    "test_os",
    "test_io",
    "test_pathlib",
    "test_shutil",
    "test_subprocess",
    "test_httplib",
    "test_httpservers",
    "test_http_cookies",
    "test_http_cookiejar",
    "test_urllib",
    "test_urllib2",
    "test_urllib2_localnet",
    "test_urllib_response",
    "test_urlparse",
    "test_select",
    "test_selectors",
    "test_poll",
    "test_epoll",
    "test_fileio",
    "test_tempfile",
    "test_mmap",
];

fn main() -> ExitCode {
    if let Some(why) = suite::missing() {
        println!("{why}");
        return ExitCode::from(2);
    }
    let named: Vec<String> = env::args().skip(1).collect();
    let modules = if named.is_empty() { MODULES.iter().map(ToString::to_string).collect() } else { named };
    let (reasons, mut n_new) = (Reasons::read(), 0);
    println!("| Module | Way | Outcomes | Differences | Seconds |\n|---|---|---|---|---|");
    for module in modules {
        let since = Instant::now();
        let bare = suite::inside(&module, &[]);
        println!("| {module} | bare | {} | | {} |", summary(&bare), since.elapsed().as_secs());
        for engine in Engine::BOTH {
            for data_path in DataPath::ALL {
                n_new += tell(&module, &bare, data_path, engine, &reasons);
            }
        }
    }
    println!("\n{n_new} differences are without a reason in docs/parity.md");
    if n_new == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a module by a way, tells what differs, and how much of that nobody has given a reason for.
fn tell(module: &str, bare: &Told, data_path: DataPath, engine: Engine, reasons: &Reasons) -> usize {
    let since = Instant::now();
    let (told, differences) = suite::compare(module, bare, data_path, engine);
    let way = format!("{}, {}", data_path.name(), engine.name());
    let seconds = since.elapsed().as_secs();
    println!("| {module} | {way} | {} | {} | {seconds} |", summary(&told), differences.len());
    let mut n_new = 0;
    for it in differences {
        let is_known = reasons.have(&it.test, data_path, engine);
        n_new += usize::from(!is_known);
        let mark = if is_known { "known" } else { "NEW" };
        println!(
            "  {mark}: {}: {} -> {}: {}",
            it.test, it.inside.outcome, it.outside.outcome, it.outside.why
        );
    }
    n_new
}

fn summary(told: &Told) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for verdict in told.values() {
        *counts.entry(&verdict.outcome).or_default() += 1;
    }
    counts.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect::<Vec<_>>().join(", ")
}
