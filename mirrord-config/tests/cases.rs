//! Every pair in `tests/cases/`: a file in; what it means, or what is wrong with it, out.
//!
//! Beside `x.json` may lie `x.json.env`: lines `NAME=value` are the environment, `--NAME=value` flags.
//! `MIRRORD_UPDATE_CASES=1` writes `x.json.out` anew. What is said is compared with what an empty file says.

use std::{
    collections::BTreeMap,
    fmt::{Debug, Write},
    fs,
    path::{Path, PathBuf},
};

use mirrord_config::{FileSource, Input, Lowered, Problems, Resolved, resolve};
use mirrord_core::cluster::AgentOptions;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn ask(name: &str, bytes: Vec<u8>, said: &str) -> Result<Resolved, Problems> {
    let mut environment = BTreeMap::from([("USER".to_owned(), "ann".to_owned())]);
    let mut flags = BTreeMap::new();
    for (key, value) in said.lines().filter_map(|line| line.split_once('=')) {
        match key.strip_prefix("--") {
            Some(flag) => flags.insert(&*String::leak(flag.to_owned()), value.to_owned()),
            None => environment.insert(key.to_owned(), value.to_owned()),
        };
    }
    resolve(&Input {
        file: Some(FileSource { path: name.into(), bytes }),
        environment,
        flags,
        git_branch: &|| Some("fix-db".to_owned()),
        home: Some("/home/ann".into()),
        temp_dir: "/tmp".into(),
        make_key: &|| "0beef".to_owned(),
    })
}

/// What a configuration means, a line for each thing.
fn tell(lowered: &Lowered) -> Vec<String> {
    fn line(name: &str, value: impl Debug) -> String {
        format!("{name} = {value:?}")
    }
    let Lowered { rules, environment, .. } = lowered;
    vec![
        line("target", lowered.target.to_string()),
        line("key", &lowered.key),
        line("data_path", lowered.data_path),
        line("fs.mode", rules.fs.mode),
        line(
            "fs.lists",
            [&rules.fs.read_write, &rules.fs.read_only, &rules.fs.local, &rules.fs.not_found]
                .map(|list| !list.is_empty()),
        ),
        line("fs.mapping", &lowered.mapping),
        line("fs.mapping is compiled", !rules.fs.mapping.is_empty()),
        line("fs.readonly_file_buffer", lowered.readonly_file_buffer),
        line("env.enabled", environment.enabled),
        line("env.include", &environment.include),
        line("env.exclude", &environment.exclude),
        line("env.override", &environment.overrides),
        line("env.mapping", &environment.mapping),
        line("env.unset", &environment.unset),
        line("env.env_file", &environment.env_file),
        line("dns", &rules.dns),
        line("outgoing.tcp", rules.outgoing.tcp),
        line("outgoing.udp", rules.outgoing.udp),
        line("outgoing.ignore_localhost", rules.outgoing.ignore_localhost),
        line("outgoing.filter", &rules.outgoing.filter),
        line("outgoing.unix_streams is compiled", !rules.outgoing.unix_streams.is_empty()),
        line("incoming", &rules.incoming),
        line("process", &rules.process),
        line("hostname", rules.hostname),
        line("ipv6", rules.ipv6),
        line("proxy", &lowered.proxy),
        line("cluster", &lowered.cluster),
        line("agent", agent(&lowered.agent)),
        line("debugger_ports", &lowered.debugger_ports),
        line("turbo", lowered.turbo),
    ]
}

/// What is said of an agent, without what every agent is.
fn agent(agent: &AgentOptions) -> BTreeMap<String, serde_json::Value> {
    let values = serde_json::to_value(agent).unwrap_or_default();
    let idle = serde_json::to_value(ask("empty.json", b"{}".to_vec(), "").map(|it| it.lowered.agent).ok());
    let idle = idle.unwrap_or_default();
    let values = values.as_object().into_iter().flatten();
    let said = values.filter(|(key, value)| idle.get(*key) != Some(*value));
    said.map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[expect(clippy::unwrap_used, reason = "a test fails by it")]
fn outcome(name: &str, bytes: Vec<u8>, said: &str) -> String {
    let lines = match ask(name, bytes, said) {
        Ok(resolved) => {
            let nothing = tell(&ask("empty.json", b"{}".to_vec(), "").unwrap().lowered);
            let told = tell(&resolved.lowered).into_iter().filter(|line| !nothing.contains(line));
            let warnings = resolved.warnings.iter().map(|warning| format!("warning: {warning}"));
            told.chain(warnings).collect::<Vec<_>>()
        }
        Err(problems) => {
            let lines = problems.0.iter().flat_map(|problem| {
                let hint = problem.hint.as_ref().map(|hint| format!("  hint: {hint}"));
                [Some(format!("problem: {problem}")), hint].into_iter().flatten()
            });
            lines.collect()
        }
    };
    lines.join("\n") + "\n"
}

#[test]
fn every_case_means_what_it_is_said_to_mean() {
    let update = std::env::var_os("MIRRORD_UPDATE_CASES").is_some();
    let mut n_cases = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(cases()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_some_and(|extension| extension == "out" || extension == "env") {
            continue;
        }
        n_cases += 1;
        let said = fs::read_to_string(path.with_file_name(format!("{name}.env"))).unwrap_or_default();
        let outcome = outcome(&name, fs::read(&path).unwrap(), &said);
        let expected = path.with_file_name(format!("{name}.out"));
        if update {
            fs::write(&expected, &outcome).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if outcome != expected {
            wrong.push(format!("{name}\n--- expected\n{expected}--- is\n{outcome}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(n_cases > 40, "only {n_cases} cases were found");
}

#[test]
fn a_huge_list_is_read_in_its_time() {
    let names: Vec<String> = (0..20_000).map(|index| format!("\"name{index}\"")).collect();
    let text = format!("{{\"skip_processes\": [{}]}}", names.join(","));
    let resolved = ask("huge.json", text.into_bytes(), "").unwrap();
    assert_eq!(resolved.lowered.rules.process.skip.len(), 20_000);
}

#[test]
fn values_within_values_without_end_are_refused() {
    for (name, open, close) in [("deep.json", "[", "]"), ("deep.yaml", "[", "]"), ("deep.toml", "a=[", "]")] {
        let text = open.repeat(100) + &close.repeat(100);
        assert!(ask(name, text.into_bytes(), "").is_err(), "{name}");
    }
}

#[test]
fn aliases_upon_aliases_are_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    let problems = ask("laughs.yaml", text.into_bytes(), "").unwrap_err();
    assert!(problems.to_string().contains("too many values"), "{problems}");
}

#[test]
fn no_bytes_make_it_panic() {
    for text in [
        "\u{feff}{}",
        "{\"\\ud800\": 1}",
        "{\"a\": \"\\u00e9\"}",
        "é: [",
        "[[",
        "&a *a",
        "? [a]\n: b",
        "---\n---\n",
        "\"",
        "{",
        "}",
        "1",
        "a = 1979-05-27T07:32:00Z",
        "a = nan",
        "a = 99999999999999999999",
    ] {
        for name in ["x.json", "x.yaml", "x.toml"] {
            drop(ask(name, text.as_bytes().to_vec(), ""));
        }
    }
}

/// Every file is cut, and one of its bytes replaced, at many places: each is judged, and none is the end of us.
#[test]
fn no_damage_to_a_file_makes_it_panic() {
    let mut seed = 1_u32;
    let mut random = move |limit: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(seed >> 8).unwrap() % limit.max(1)
    };
    let alphabet = b"\0\n\t \"'{}[],:#&*!|>-=.0a\\\xc3\xff";
    for entry in fs::read_dir(cases()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        for _ in 0..ROUNDS {
            let mut damaged = bytes[..random(bytes.len() + 1)].to_vec();
            if !damaged.is_empty() {
                let at = random(damaged.len());
                damaged[at] = alphabet[random(alphabet.len())];
            }
            let name = if name.ends_with("out") { "x.yaml" } else { &name };
            drop(ask(name, damaged, ""));
            let mut damaged = bytes.clone();
            if !damaged.is_empty() {
                let at = random(damaged.len());
                damaged[at] = alphabet[random(alphabet.len())];
            }
            drop(ask(name, damaged, ""));
        }
    }
}

/// How often each file is damaged.
const ROUNDS: usize = 3;

#[test]
fn a_file_that_is_not_there_is_named() {
    let problems = FileSource::read(Path::new("/nowhere/mirrord.json")).unwrap_err();
    assert!(problems.to_string().starts_with("cannot read the configuration file `/nowhere/mirrord.json`"));
    assert!(problems.0[0].hint.is_some());
}

#[test]
fn a_file_larger_than_any_configuration_is_not_read_to_its_end() {
    let problems = FileSource::read(Path::new("/dev/zero")).unwrap_err();
    assert!(problems.to_string().contains("larger than 4 MiB"), "{problems}");
}
