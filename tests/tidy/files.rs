//! What a file is called, how it begins, and how long it may be.

use crate::{hold, repository, sources, walk};

#[test]
fn a_file_begins_with_a_sentence_of_what_it_knows() {
    let is_sentence = |line: &str| {
        line.strip_prefix("//! ").is_some_and(|words| {
            let starts_well =
                words.starts_with(|c: char| c.is_uppercase() || "`~/".contains(c) || c.is_numeric());
            starts_well && words.len() > 10
        })
    };
    let is_whole = |text: &str| {
        let head: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("//!")).collect();
        let first: String =
            head.iter().map_while(|line| (!line.trim().is_empty()).then_some(*line)).collect();
        first.trim_end().ends_with(['.', ':', '`'])
    };
    let broken: Vec<String> = sources()
        .iter()
        .filter(|it| !is_sentence(it.text.lines().next().unwrap_or_default()) || !is_whole(&it.text))
        .map(|it| format!("{}:1: {}", it.path.display(), it.text.lines().next().unwrap_or("nothing")))
        .collect();
    hold("a file that nobody can introduce in one sentence knows two things", &broken);
}

#[test]
fn a_file_fits_in_a_head() {
    let broken: Vec<String> = sources()
        .iter()
        .filter_map(|it| {
            let n_lines = it.text.lines().count();
            (n_lines > 500).then(|| format!("{}: {n_lines} lines, of 500", it.path.display()))
        })
        .collect();
    hold(
        "beyond 500 lines a reader scrolls instead of reading (the norm is 300); tests may move out",
        &broken,
    );
}

#[test]
fn a_file_has_a_name() {
    const NAMELESS: [&str; 11] = [
        "util", "utils", "common", "helper", "helpers", "misc", "manager", "types", "handler", "handlers",
        "base",
    ];
    let broken: Vec<String> = sources()
        .iter()
        .filter(|it| {
            it.path.components().any(|part| {
                let part = part.as_os_str().to_string_lossy();
                NAMELESS.contains(&part.trim_end_matches(".rs"))
            })
        })
        .map(|it| it.path.display().to_string())
        .collect();
    hold("such a name says nothing, and so anything may be put there", &broken);
}

#[test]
fn an_example_has_its_page() {
    let examples = repository().join("examples");
    let mut broken = Vec::new();
    for entry in std::fs::read_dir(&examples).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.join("README.md").exists() {
            broken.push(format!("{} has no README.md", path.display()));
        }
    }
    hold("an example that one must guess how to run is not one", &broken);
}

#[test]
fn the_repository_holds_nothing_of_the_machine_it_was_made_on() {
    let root = repository();
    let mut broken = Vec::new();
    walk(&root.join("docs"), &mut |path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| line.contains("/home/")) {
            broken.push(format!("{}:{}: {line}", path.display(), number + 1));
        }
    });
    hold("a path of one desk is of no use on another", &broken);
}
