//! The pyramid of proof: floors 0 to 6, from what needs a compiler to what needs a cluster.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Child, Command},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    borrowed::Borrowed,
    build,
    ground::{self, cargo, words_of},
    needs, say, show,
};

/// A floor: its number, what it holds, and the arguments of `cargo test` for it.
const FLOORS: &[(u8, &str, &[&str])] = &[
    (0, "stories, by a compiler alone", &["--workspace", "--exclude", "mirrord-tests", "--lib", "--bins"]),
    (0, "house rules", &["-p", "mirrord-tests", "--test", "tidy"]),
    (1, "golden bytes and properties", &["--workspace", "--exclude", "mirrord-tests", "--test", "*"]),
    (1, "whatever peers and files say", &["-p", "mirrord-tests", "--test", "fuzz"]),
    (2, "layer and proxy", &["-p", "mirrord-tests", "--test", "layer", "--test", "proxy"]),
    (
        3,
        "parity, and supervised programs",
        &["-p", "mirrord-tests", "--test", "parity", "--test", "supervisor"],
    ),
    (
        4,
        "agent, and what is left behind",
        &["-p", "mirrord-tests", "--test", "agent", "--test", "agent_incoming", "--test", "leftovers"],
    ),
    (5, "words on the screen, and promises", &["-p", "mirrord-tests", "--test", "cli", "--test", "promises"]),
    (CLUSTER, "a real cluster", &["-p", "mirrord-tests", "--test", "cluster"]),
];

/// The floor that needs a cluster.
const CLUSTER: u8 = 6;

/// A floor that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

#[derive(Default)]
struct Tally {
    n_passed: usize,
    n_failed: usize,
    n_skipped: usize,
    names: Vec<String>,
}

/// Runs the floor that is named, or all.
pub(crate) fn test(arguments: &[String]) -> Result<(), String> {
    let wanted: Option<u8> = match arguments {
        [] => None,
        [floor] if floor == "cluster" => Some(CLUSTER),
        [floor] => match floor.parse() {
            Ok(floor) if floor <= CLUSTER => Some(floor),
            _ => return Err(format!("`{floor}` is not a floor: there are 0 to 5, and `cluster`")),
        },
        _ => return Err("`test` takes one floor, or none for all".to_owned()),
    };
    let is_wanted = |floor: u8| wanted.is_none_or(|it| it == floor);
    if (2..=5).any(is_wanted) {
        needs::gather();
    }
    // What takes longest begins first, beside what the compiler has to do.
    let mut ground = is_wanted(CLUSTER).then(Borrowed::begin);
    if (2..=CLUSTER).any(is_wanted) {
        build::run(&[])?;
    }
    let mut tally = Tally::default();
    for (floor, name, arguments) in FLOORS.iter().filter(|(floor, ..)| is_wanted(*floor)) {
        // From here on stories have deadlines, and want the machine for themselves.
        if let Some(ground) = ground.as_mut().filter(|_| *floor >= 2) {
            ground.wait();
        }
        let start = Instant::now();
        say(&format!("floor {floor}: {name}"));
        let mut command = cargo();
        command.arg("test").args(*arguments).args(["--no-fail-fast", "--quiet"]);
        if let Some(ground) = ground.as_mut().filter(|_| *floor == CLUSTER) {
            ground.prepare(&mut command, true);
        }
        climb(&mut command, &mut tally)?;
        say(&format!("floor {floor}: {name}: {:.1} s", start.elapsed().as_secs_f32()));
    }
    if let Some(ground) = ground {
        ground.give_back()?;
    }
    for name in &tally.names {
        show(&format!("failed: {name}\n"));
    }
    show(&format!("{} passed, {} failed, {} skipped\n", tally.n_passed, tally.n_failed, tally.n_skipped));
    if tally.n_failed == 0 { Ok(()) } else { Err(format!("{} tests failed", tally.n_failed)) }
}

/// Runs the tests of a floor, lets their words through, and counts.
fn climb(command: &mut Command, tally: &mut Tally) -> Result<(), String> {
    let words = words_of(command);
    let cannot = |error: std::io::Error| format!("cannot run `{words}`: {error}");
    let (reader, writer) = std::io::pipe().map_err(cannot)?;
    let mut child =
        command.stdout(writer.try_clone().map_err(cannot)?).stderr(writer).spawn().map_err(cannot)?;
    // The command holds the writing ends; with them it would never end.
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let (lines_tx, lines_rx) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(reader.take(1 << 30)).split(b'\n').map_while(Result::ok) {
            let _ = lines_tx.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
    let failed_before = tally.n_failed;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match lines_rx.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => tally.read(&line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                end(&mut child);
                tally.fail(&format!("`{words}` did not end within {} minutes", PATIENCE.as_secs() / 60));
                return Ok(());
            }
        }
    }
    let status = child.wait().map_err(cannot)?;
    if !status.success() && tally.n_failed == failed_before {
        tally.fail(&format!("`{words}` ({status})"));
    }
    Ok(())
}

impl Tally {
    fn fail(&mut self, name: &str) {
        self.n_failed += 1;
        self.names.push(name.to_owned());
    }

    fn read(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ").filter(|it| it.contains("; 0 filtered out"))
        {
            let count = |word: &str| -> usize {
                let before = counts.split(word).next().unwrap_or_default();
                before.rsplit(['.', ';', ' ']).find_map(|it| it.trim().parse().ok()).unwrap_or(0)
            };
            self.n_passed += count(" passed");
            self.n_failed += count(" failed");
            self.n_skipped += count(" ignored");
        } else if line.starts_with("skipped: ") {
            // A test that found no ground to stand on counts as passed by libtest.
            self.n_skipped += 1;
            self.n_passed = self.n_passed.saturating_sub(1);
        } else if let Some(name) = line.strip_prefix("---- ").and_then(|it| it.strip_suffix(" stdout ----")) {
            self.names.push(name.to_owned());
        }
        let is_noise = line.trim().is_empty() || line.starts_with("running 0 tests");
        if !is_noise {
            say(line);
        }
    }
}

/// Ends a process and everything that it has started.
fn end(child: &mut Child) {
    let mut doomed = vec![child.id()];
    let mut at = 0;
    while at < doomed.len() {
        let path = format!("/proc/{0}/task/{0}/children", doomed[at]);
        let children = fs::read_to_string(path).unwrap_or_default();
        doomed.extend(children.split_whitespace().filter_map(|it| it.parse::<u32>().ok()));
        at += 1;
    }
    for pid in doomed {
        let _ = ground::signal("KILL", &pid.to_string());
    }
    let _ = child.wait();
}
