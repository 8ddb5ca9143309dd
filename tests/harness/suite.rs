//! `CPython`'s own tests, a module at a time: what became of each, bare and as a guest, and which differences are known.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    guest::text_of,
    pod::Pod,
    programs::{repository, system},
    session::{DataPath, Engine, Session},
};

/// A test that says nothing for longer hangs.
const PATIENCE: Duration = Duration::from_secs(100);

/// A module with more tests that end the program is given up.
const MOST_DEATHS: usize = 20;

/// What became of a test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// `ok`, `skipped`, `failed`, `error`, or `died`, if the program ended or hung.
    pub outcome: String,
    /// Why, in the test's words.
    pub why: String,
}

/// What became of the tests of a module, by their names.
pub type Told = BTreeMap<String, Verdict>;

/// Why `CPython`'s tests cannot be run here, if they cannot.
#[must_use]
pub fn missing() -> Option<String> {
    let tests = Path::new("/usr/lib/python3.11/test/test_os.py");
    (!tests.exists()).then(|| "CPython's tests need libpython3.11-testsuite".to_owned())
}

/// Runs a module bare, in a pod of its own.
#[must_use]
pub fn inside(module: &str, names: &[String]) -> Told {
    let pod = Pod::start().expect("the pretend pod starts");
    run(module, names, || pod.command_in("/tmp", python()))
}

/// Runs it as a guest, with a pod of its own as the target.
#[must_use]
pub fn outside(module: &str, names: &[String], data_path: DataPath, engine: Engine) -> Told {
    let pod = Pod::start().expect("the pretend pod starts");
    // Names that end like programs stay here by default, and the tests make such files, too.
    let feature: Value = json!({ "fs": { "mode": "write", "read_write": ["^/data/"] } });
    let session = Session::new(&pod, data_path, &feature).by(engine);
    run(module, names, || session.command(&python()))
}

fn python() -> std::path::PathBuf {
    system("python3").expect("CPython's tests need python3")
}

/// Runs a module to its end; behind a test that ends the program it goes on with the next one.
fn run(module: &str, names: &[String], command: impl Fn() -> Command) -> Told {
    let (mut told, mut n_begun) = (Told::new(), 0);
    for _ in 0..MOST_DEATHS {
        let mut command = command();
        let text = text_of("python", "suite.py");
        command.args(["-c", &text, module, &format!("/data/out/{n_begun}"), &n_begun.to_string()]);
        command.args(names).env("PYTHONHASHSEED", "0").stdin(Stdio::null()).stderr(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("python can be started");
        let (lines_tx, lines_rx) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| lines_tx.send(line)));
        let (mut begun, mut is_over, mut hangs) = (None, false, false);
        loop {
            match lines_rx.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let line = serde_json::from_str(&line).unwrap_or(Value::Null);
                    is_over |= read(&line, &mut told, &mut begun, &mut n_begun);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    hangs = true;
                    break;
                }
            }
        }
        if hangs {
            let _ = child.kill();
        }
        let status = child.wait().expect("it was started");
        if is_over {
            return told;
        }
        let why = if hangs { "it hangs".to_owned() } else { status.to_string() };
        let name = begun.unwrap_or_else(|| format!("test.{module}"));
        told.insert(name, Verdict { outcome: "died".to_owned(), why });
        if !names.is_empty() {
            return told;
        }
    }
    told
}

/// Takes a line in; tells whether it was the last one.
fn read(line: &Value, told: &mut Told, begun: &mut Option<String>, n_begun: &mut usize) -> bool {
    let word = |key: &str| line[key].as_str().map(str::to_owned);
    if let Some(name) = word("begins") {
        *begun = Some(name);
        *n_begun += 1;
    } else if let (Some(name), Some(outcome)) = (word("test"), word("outcome")) {
        *begun = begun.take().filter(|begun| *begun != name);
        told.insert(name, Verdict { outcome, why: word("why").unwrap_or_default() });
    }
    line["end"] == true || (line["outcome"] == "skipped" && *n_begun == 0)
}

/// A test of which the outcomes differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Its name.
    pub test: String,
    /// What became of it bare.
    pub inside: Verdict,
    /// And as a guest.
    pub outside: Verdict,
}

/// What differs between two runs of a module.
#[must_use]
pub fn differences(inside: &Told, outside: &Told) -> Vec<Difference> {
    let mut names: Vec<&String> = inside.keys().chain(outside.keys()).collect();
    names.sort();
    names.dedup();
    let of = |told: &Told, name: &String| told.get(name).cloned().unwrap_or_default();
    names
        .into_iter()
        .map(|name| Difference { test: name.clone(), inside: of(inside, name), outside: of(outside, name) })
        .filter(|it| it.inside.outcome != it.outside.outcome)
        .collect()
}

/// A row of the table of `docs/parity.md`.
#[derive(Clone, Debug)]
struct Known {
    /// A test's name, or its beginning and a star.
    test: String,
    /// Data paths and engines; all if there is none.
    ways: Vec<String>,
}

/// The differences whose reasons are written down.
#[derive(Clone, Debug)]
pub struct Reasons(Vec<Known>);

impl Reasons {
    /// Reads the table.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn read() -> Self {
        let text = fs::read_to_string(repository().join("docs/parity.md")).expect("docs/parity.md is there");
        let rows = text.lines().filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("| `test_")?.split('|').map(str::trim).collect();
            let name = format!("test_{}", cells.first()?.trim_end_matches('`'));
            let ways = cells.get(1)?.split([' ', ',']).filter(|word| *word != "all" && !word.is_empty());
            Some(Known { test: name, ways: ways.map(str::to_owned).collect() })
        });
        Self(rows.collect())
    }

    /// Whether there is one for a test by a way.
    #[must_use]
    pub fn have(&self, test: &str, data_path: DataPath, engine: Engine) -> bool {
        let test = test.strip_prefix("test.").unwrap_or(test);
        let way = [data_path.name(), engine.name()];
        self.0.iter().any(|known| {
            let is_meant = match known.test.strip_suffix('*') {
                Some(beginning) => test.starts_with(beginning),
                None => test == known.test,
            };
            is_meant && known.ways.iter().all(|word| way.contains(&word.as_str()))
        })
    }
}

/// What differs, and differs again when only that is run: the time of day and a busy machine are nobody's fault.
#[must_use]
pub fn compare(module: &str, bare: &Told, data_path: DataPath, engine: Engine) -> (Told, Vec<Difference>) {
    let told = outside(module, &[], data_path, engine);
    let found = differences(bare, &told);
    if found.is_empty() {
        return (told, found);
    }
    let names: Vec<String> = found.iter().map(|it| it.test.clone()).collect();
    let again = differences(&inside(module, &names), &outside(module, &names, data_path, engine));
    let is_steady = |it: &Difference| again.iter().any(|other| other.test == it.test);
    (told, found.into_iter().filter(is_steady).collect())
}
