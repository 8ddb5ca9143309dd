//! Servers that others have written, as guests, while many ask at once.

use std::{process::Command, sync::Mutex, time::Duration};

use mirrord_tests::{
    eventually::eventually,
    ground::skip,
    guest::{guests, text_of},
    pod::Pod,
    ports::free_port,
    programs::system,
    running::Running,
    session::Session,
    transcript::Transcript,
};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::{Way, servers::PORTS, wanted_ways};

/// How many requests there are at once.
const N_REQUESTS: usize = 300;

/// A server: its program, and how it is told to serve the target's files on port 80.
struct Server {
    program: &'static str,
    prepare: fn(&mut Command),
    /// What is asked of it, and how many bytes there are.
    asked: (&'static str, &'static str),
    /// Whether it answers more than one request of a connection: one that does not hears no more than that, either.
    keeps: bool,
}

const NGINX: Server = Server {
    program: "nginx",
    prepare: |command| {
        command.arg("-c").arg(guests().join("conf/nginx.conf")).args(["-p", "/tmp", "-e", "stderr"]);
    },
    asked: ("/orders.txt", "10231"),
    keeps: true,
};
const PYTHON: Server = Server {
    program: "python3",
    prepare: |command| {
        command.args(["-u", "-m", "http.server", "80", "--directory", "/data"]);
    },
    asked: ("/orders.txt", "10231"),
    // Nor has it room for more than five that wait.
    keeps: false,
};
const NODE: Server = Server {
    program: "node",
    prepare: |command| {
        command.args(["-e", &text_of("node", "server.js"), "80"]);
    },
    asked: ("/asked-N", "1"),
    keeps: true,
};
const CLUSTER: Server = Server {
    program: "node",
    prepare: |command| {
        let text = text_of("node", "cluster.js");
        command.args(["-e", &text]).env("CLUSTER_TEXT", &text).env("CLUSTER_PORT", "80");
    },
    asked: ("/asked-N", "1"),
    keeps: true,
};

fn session(pod: &Pod, (data_path, engine): Way, mode: &str) -> Session {
    let feature = json!({ "network": { "incoming": { "mode": mode } }, "fs": { "mode": "read", "local": ["/guests/conf/"] } });
    Session::new(pod, data_path, &feature).by(engine)
}

/// Asks so many times, and tells who has answered.
fn hammer(pod: &Pod, path: &str, keeps: bool) -> String {
    let mut command = pod.command("python3");
    let n_requests = N_REQUESTS.to_string();
    command.args(["-c", &text_of("python", "hammer.py"), "80", &n_requests, path]);
    Transcript::of(command.args((!keeps).then_some("fresh"))).stdout
}

fn ask(pod: &Pod, path: &str) -> String {
    let mut curl = pod.command("curl");
    Transcript::of(curl.args(["-si", "--max-time", "10", &format!("http://10.77.0.2{path}")])).stdout
}

fn is_of_the_shop(pod: &Pod) -> bool {
    ask(pod, "/who").contains("Server: shop")
}

/// The server answers all requests in the shop's place, and the shop does when it has ended.
fn steal(pod: &Pod, server: &Server, way: Way) {
    let session = session(pod, way, "steal");
    let mut command = session.command(&system(server.program).unwrap());
    (server.prepare)(&mut command);
    let mut running = Running::start(&mut command);
    eventually(&format!("{} in the shop's place ({way:?})", server.program), Duration::from_secs(20), || {
        (!is_of_the_shop(pod)).then_some(())
    });
    let (path, told) = server.asked;
    assert_eq!(
        hammer(pod, path, true),
        format!("guest 200 {told} {N_REQUESTS}\n"),
        "{way:?}: {}",
        running.words()
    );
    running.signal(Signal::SIGTERM);
    running.end();
    eventually("the shop's own answer", Duration::from_secs(10), || is_of_the_shop(pod).then_some(()));
}

/// The server hears every request once, and the shop answers.
fn mirror(pod: &Pod, server: &Server, way: Way) {
    let session = session(pod, way, "mirror");
    let mut command = session.command(&system(server.program).unwrap());
    (server.prepare)(&mut command);
    let mut running = Running::start(&mut command);
    eventually(&format!("{} hears ({way:?})", server.program), Duration::from_secs(20), || {
        assert!(is_of_the_shop(pod));
        running.words().contains("/who").then_some(())
    });
    assert_eq!(hammer(pod, "/heard-N", server.keeps), format!("shop 200 1 {N_REQUESTS}\n"), "{way:?}");
    let heard = || {
        let words = running.words();
        (0..N_REQUESTS)
            .map(|index| words.matches(&format!("GET /heard-{index} ")).count())
            .collect::<Vec<_>>()
    };
    eventually(&format!("every request is heard ({way:?})"), Duration::from_secs(20), || {
        (heard().iter().filter(|n_times| **n_times > 0).count() == N_REQUESTS).then_some(())
    });
    assert!(heard().iter().all(|n_times| *n_times <= 1), "{way:?}: {:?}", heard());
    running.signal(Signal::SIGTERM);
    running.end();
}

fn tell(server: &Server) {
    let lacks: Vec<_> =
        [server.program, "curl", "python3"].into_iter().filter(|it| system(it).is_none()).collect();
    if !lacks.is_empty() {
        return skip(&format!("a server under load needs {lacks:?}"));
    }
    let _alone = PORTS.lock();
    for way in wanted_ways() {
        let pod = Pod::start().unwrap();
        steal(&pod, server, way);
        mirror(&pod, server, way);
    }
}

#[test]
fn nginx_serves_and_hears() {
    tell(&NGINX);
}

#[test]
fn the_server_of_python_serves_and_hears() {
    tell(&PYTHON);
}

#[test]
fn node_serves_and_hears() {
    tell(&NODE);
}

#[test]
fn a_cluster_of_node_serves_and_hears() {
    tell(&CLUSTER);
}

/// A client of Redis in the pod, or, without a pod, here.
fn redis(pod: Option<&Pod>, port: u16, arguments: &[&str]) -> String {
    static ONE: Mutex<()> = Mutex::new(());
    let _held = ONE.lock();
    let mut command = pod.map_or_else(|| Command::new("redis-cli"), |pod| pod.command("redis-cli"));
    let address = if pod.is_some() { "10.77.0.2" } else { "127.0.0.1" };
    Transcript::of(command.args(["-h", address, "-p", &port.to_string()]).args(arguments)).stdout
}

fn start_redis(pod: &Pod, (data_path, engine): Way, mode: &str, port: u16) -> Running {
    let incoming = json!({ "mode": mode, "ports": [6379], "listen_ports": [[6379, port]] });
    let feature = json!({ "network": { "incoming": incoming } });
    let session = Session::new(pod, data_path, &feature).by(engine);
    let mut command = session.command(&system("redis-server").unwrap());
    command.args(["--port", "6379", "--save", "", "--appendonly", "no", "--protected-mode", "no"]);
    let mut running = Running::start(&mut command);
    running.says("Ready to accept connections");
    running
}

#[test]
fn redis_serves_and_hears() {
    if system("redis-server").is_none() || system("redis-cli").is_none() {
        return skip("a database under load needs redis-server and redis-cli");
    }
    let _alone = PORTS.lock();
    for way in wanted_ways() {
        let (pod, port) = (Pod::start().unwrap(), free_port());
        redis(Some(&pod), 6379, &["set", "who", "the pod"]);
        let mut running = start_redis(&pod, way, "steal", port);
        eventually("the guest's own data", Duration::from_secs(20), || {
            (redis(Some(&pod), 6379, &["get", "who"]) == "\n").then_some(())
        });
        let mut bench = pod.command("redis-benchmark");
        bench.args([
            "-h",
            "10.77.0.2",
            "-q",
            "-n",
            "3000",
            "-c",
            "20",
            "-P",
            "4",
            "-t",
            "set,get,incr,lpush",
        ]);
        let told = Transcript::of(&mut bench);
        assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""), "{way:?}: {told:?}");
        assert_eq!(redis(Some(&pod), 6379, &["llen", "mylist"]), "3000\n", "{way:?}");
        running.signal(Signal::SIGTERM);
        assert_eq!(running.end(), 0, "{way:?}: {}", running.words());
        eventually("the pod's own data", Duration::from_secs(10), || {
            (redis(Some(&pod), 6379, &["get", "who"]) == "the pod\n").then_some(())
        });
        let mut running = start_redis(&pod, way, "mirror", port);
        eventually("a command that is heard", Duration::from_secs(20), || {
            assert_eq!(redis(Some(&pod), 6379, &["set", "heard", "yes"]), "OK\n");
            (redis(None, port, &["get", "heard"]) == "yes\n").then_some(())
        });
        let script =
            "for n in $(seq 200); do echo \"rpush all $n\"; done | redis-cli -h 10.77.0.2 | tail -n 1";
        assert_eq!(Transcript::of(pod.command("bash").args(["-c", script])).stdout, "200\n", "{way:?}");
        eventually("all commands are heard", Duration::from_secs(20), || {
            (redis(None, port, &["llen", "all"]) == "200\n").then_some(())
        });
        running.signal(Signal::SIGTERM);
        assert_eq!(running.end(), 0, "{way:?}");
    }
}
