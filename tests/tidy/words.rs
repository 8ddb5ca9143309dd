//! What may be named only in one place, and what needs a reason.

use crate::{PRODUCT, Source, hold, sources};

/// The lines of a file that are code, with their numbers.
fn code(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    source
        .text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.starts_with("//"))
}

/// Files of the product, these excepted, whose code has the word.
fn others_that_say(word: &str, except: &[&str]) -> Vec<String> {
    sources()
        .iter()
        .filter(|it| {
            PRODUCT.iter().any(|package| it.is_in(package)) && !except.iter().any(|path| it.is_in(path))
        })
        .flat_map(|it| {
            code(it)
                .filter(|(_, line)| line.contains(word))
                .map(|(number, line)| format!("{}:{number}: {line}", it.path.display()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn bincode_is_named_in_one_file() {
    let broken = others_that_say("bincode::", &["mirrord-protocol/src/wire.rs"]);
    hold("its upstream is frozen: leaving it must be one file's work", &broken);
}

#[test]
fn the_hooking_library_is_named_in_one_file() {
    let broken = others_that_say("frida_gum", &["mirrord-layer/src/engine/frida.rs"]);
    hold("a rule never knows how a call was caught", &broken);
}

#[test]
fn only_the_printer_prints() {
    let mut broken = Vec::new();
    for word in ["println!", "eprintln!", "print!(", "io::stdout()", "io::stderr()"] {
        broken.extend(others_that_say(word, &["mirrord-cli/src/printer.rs", "mirrord-trunk/examples"]));
    }
    // The agent's log goes to standard error, in one line, and its port is told in one.
    broken.retain(|line| !(line.starts_with("mirrord-agent/") && line.contains("with_writer")));
    broken.retain(|line| !line.starts_with("mirrord-agent/src/listen.rs"));
    broken.retain(|line| !line.contains("cargo:") && !line.starts_with("mirrord-protocol/tests"));
    hold("what people and editors read is written in one voice, at one place", &broken);
}

#[test]
fn what_is_ignored_says_why() {
    let broken: Vec<String> = sources()
        .iter()
        .flat_map(|it| {
            code(it)
                .filter(|(_, line)| line.starts_with(concat!("#[", "ignore]")))
                .map(|(number, _)| format!("{}:{number}", it.path.display()))
                .collect::<Vec<_>>()
        })
        .collect();
    hold("a test without a reason to rest is a test that nobody runs", &broken);
}

#[test]
fn tests_wait_for_conditions() {
    let broken: Vec<String> = sources()
        .iter()
        .filter(|it| it.is_in("tests") && !it.is_in("tests/harness") && !it.is_in("tests/tidy"))
        // A bench measures for as long as it says.
        .filter(|it| !it.is_in("tests/promises/bench"))
        .flat_map(|it| {
            code(it)
                .filter(|(_, line)| line.contains("thread::sleep("))
                .map(|(number, line)| format!("{}:{number}: {line}", it.path.display()))
                .collect::<Vec<_>>()
        })
        .collect();
    hold("a sleep is too short on a slow machine and too long on a fast one: use `eventually`", &broken);
}

#[test]
fn what_is_left_to_do_has_a_number() {
    let mark = concat!("TO", "DO");
    let broken: Vec<String> = sources()
        .iter()
        .flat_map(|it| {
            it.text
                .lines()
                .enumerate()
                .filter(|(_, line)| line.contains(mark) && !line.contains(&format!("{mark}(#")))
                .map(|(index, line)| format!("{}:{}: {}", it.path.display(), index + 1, line.trim()))
                .collect::<Vec<_>>()
        })
        .collect();
    hold("what has no issue is forgotten", &broken);
}
