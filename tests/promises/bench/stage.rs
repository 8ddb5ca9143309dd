//! The pod with what is to be read and reached there, and everybody who is measured.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use mirrord_tests::{
    guest::{Guest, Tongue},
    pod::{ADDRESS, Pod},
    ports::free_port,
    programs::system,
    running::Running,
    session::{DataPath, Engine, Session},
};
use serde_json::json;

use crate::{
    number,
    others::Others,
    rows::{Aim, Kind, Row},
    table, try_number, work,
};

/// Where the pod has the files.
pub(crate) const FILES: &str = "/data/bench";

/// The client in Go.
const REQUESTS: Guest = Guest { tongue: Tongue::Go, name: "requests" };

/// What everybody is measured on.
pub(crate) struct Stage {
    // What uses the pod ends before it does.
    others: Option<Others>,
    guests: Vec<Outside>,
    /// In the pod, bare.
    server: Server,
    program: PathBuf,
    pod: Pod,
}

/// A server and its port in the pod.
struct Server {
    port: u16,
    _running: Running,
}

/// An engine and a data path.
pub(crate) struct Outside {
    engine: Engine,
    data_path: DataPath,
    session: Session,
    /// Its port is stolen.
    server: Server,
}

/// Whoever is measured.
pub(crate) enum Subject<'a> {
    /// The program inside the target.
    Direct,
    /// A guest.
    Guest(&'a Outside),
    /// Another tool.
    Other(&'a Others),
}

impl Subject<'_> {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Direct => "Direct".to_owned(),
            Self::Guest(outside) => {
                let engine = if outside.engine == Engine::Layer { "Layer" } else { "Supervisor" };
                format!("{engine}, {}", outside.data_path.name())
            }
            Self::Other(_) => "Others".to_owned(),
        }
    }

    pub(crate) fn is_direct(&self) -> bool {
        matches!(self, Self::Direct)
    }

    /// Whether this is what the other one is to be compared with, beside a direct run.
    pub(crate) fn is_layer_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Guest(this), Self::Guest(other)) => {
                this.engine == Engine::Layer && this.data_path == other.data_path
            }
            _ => false,
        }
    }

    /// What is wanted of it.
    pub(crate) fn aim(&self, row: &Row) -> Option<Aim> {
        let Self::Guest(outside) = self else { return None };
        let own = row.supervisor.filter(|_| outside.engine == Engine::Supervisor);
        let of_path = if outside.data_path == DataPath::Passed { row.passed } else { row.proxied };
        Some(own.unwrap_or(of_path))
    }
}

impl Stage {
    /// Sets it, with other tools if those are asked for.
    pub(crate) fn new(with_others: bool) -> Self {
        let pod = Pod::start().expect("the pretend pod starts");
        let program = env::current_exe().unwrap();
        fs::create_dir_all(pod.path("/opt")).unwrap();
        fs::copy(&program, pod.path("/opt/bench")).unwrap();
        fill(&pod.path(FILES));
        let port = free_port();
        let server = Server::start(pod.command("/opt/bench"), port);
        let guests = Engine::BOTH
            .iter()
            .flat_map(|engine| {
                DataPath::ALL.map(|data_path| Outside::new(&pod, &program, *engine, data_path))
            })
            .collect();
        let others = with_others.then(|| Others::start(&pod));
        Self { others, guests, server, program, pod }
    }

    /// In the order of the columns.
    pub(crate) fn subjects(&self) -> Vec<Subject<'_>> {
        let guests = self.guests.iter().map(Subject::Guest);
        [Subject::Direct].into_iter().chain(guests).chain(self.others.as_ref().map(Subject::Other)).collect()
    }

    /// One number; nothing where there is none.
    pub(crate) fn measure(&self, row: &Row, subject: &Subject<'_>) -> Option<f64> {
        match row.kind {
            Kind::Start => start(subject),
            Kind::Call | Kind::Name => self.work(subject, row.key, ""),
            Kind::File => {
                let root = match subject {
                    Subject::Other(others) => others.folder(FILES)?,
                    _ => FILES.to_owned(),
                };
                self.work(subject, row.key, &root)
            }
            Kind::Outgoing => self.work(subject, row.key, &self.server.address()),
            Kind::Stolen => {
                let server = match subject {
                    Subject::Direct => &self.server,
                    Subject::Guest(outside) => &outside.server,
                    Subject::Other(_) => return None,
                };
                let mut client = self.pod.command("/opt/bench");
                Some(number(client.args(["work", row.key, &server.address()])))
            }
            Kind::Go => self.requests(subject, row.key),
        }
    }

    fn work(&self, subject: &Subject<'_>, key: &str, at: &str) -> Option<f64> {
        let mut command = match subject {
            Subject::Direct => self.pod.command("/opt/bench"),
            Subject::Guest(outside) => outside.session.command(&self.program),
            Subject::Other(others) => {
                let mut command = others.command(&self.program, key)?;
                // What fails by another tool is no reason to measure nothing else.
                let told = try_number(command.args(["work", key, at]));
                return told.inspect_err(|why| table::complain(why)).ok();
            }
        };
        Some(number(command.args(["work", key, at])))
    }

    fn requests(&self, subject: &Subject<'_>, key: &str) -> Option<f64> {
        if REQUESTS.missing().is_some() {
            return None;
        }
        let mut command = match subject {
            Subject::Direct => REQUESTS.inside(&self.pod),
            Subject::Guest(outside) if outside.engine == Engine::Supervisor => {
                REQUESTS.outside(&outside.session)
            }
            Subject::Guest(_) | Subject::Other(_) => return None,
        };
        let how = if key.ends_with("fresh") { "fresh" } else { "kept" };
        Some(number(command.args([&self.server.address(), how])))
    }
}

impl Server {
    fn start(mut command: Command, port: u16) -> Self {
        let mut running = Running::start(command.args(["serve", &port.to_string()]));
        running.says("ready");
        Self { port, _running: running }
    }

    fn address(&self) -> String {
        format!("{ADDRESS}:{}", self.port)
    }
}

impl Outside {
    fn new(pod: &Pod, program: &Path, engine: Engine, data_path: DataPath) -> Self {
        let here = format!("127.0.0.1:{}", work::PORT_HERE);
        let session = json!({ "network": { "outgoing": { "filter": { "local": [here] } } } });
        let session = Session::new(pod, data_path, &session).by(engine);
        let steals = Session::new(pod, data_path, &json!({ "network": { "incoming": "steal" } })).by(engine);
        let server = Server::start(steals.command(program), free_port());
        // The session's file is read once, so that `steals` need not stay.
        Self { engine, data_path, session, server }
    }
}

/// How long `true` takes, bare and as a guest, agent and proxy included.
fn start(subject: &Subject<'_>) -> Option<f64> {
    let program = system("true")?;
    let mut command = match subject {
        Subject::Direct => Command::new(&program),
        Subject::Guest(outside) => outside.session.command(&program),
        Subject::Other(_) => return None,
    };
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
    Some(start.elapsed().as_secs_f64() * 1e3)
}

/// Files of three sizes, and a folder of many.
fn fill(folder: &Path) {
    fs::create_dir_all(folder.join("many")).unwrap();
    for (name, size) in [("small", work::SMALL), ("middle", work::MIDDLE), ("large", work::LARGE)] {
        fs::write(folder.join(name), vec![7; size]).unwrap();
    }
    for number in 0..work::N_ENTRIES {
        fs::write(folder.join(format!("many/entry-{number:05}")), "x").unwrap();
    }
}
