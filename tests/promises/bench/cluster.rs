//! What a session in a cluster costs, as ratios to `kubectl port-forward` and to a plain Job.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use mirrord_tests::{
    cluster::{Cluster, ClusterSession, Namespace, Relay},
    programs::system,
};
use serde_json::json;

use crate::{median, number};

/// A pod that echoes, that never ends, that counts, and that has files which nobody has read.
const SERVER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: server
      image: mirrord-workload:1
      imagePullPolicy: IfNotPresent
      command: [sh, -c]
      args:
        - |
          mkdir /bench; for it in $(seq 0 99); do head -c 16384 /dev/urandom > /bench/$it; done
          nc -ll -p 7 -e cat &
          nc -ll -p 19 -e cat /dev/zero &
          nc -ll -p 9 -e sh -c "head -c $BENCH_UP | wc -c" &
          wait
      env: [{name: BENCH_UP, value: "16777216"}]
      readinessProbe: {exec: {command: [sh, -c, "netstat -ltn | grep -q :19"]}, periodSeconds: 1}
"#;

/// How much goes up.
const UP: &str = "16777216";

/// Rows that both have: name, unit, what is promised of ours divided by theirs.
const ROWS: &[(&str, &str, &str)] = &[
    ("link-connect", "ms", ""),
    ("link-round-trip", "ms", "at most 1.2"),
    ("link-down", "MB/s", "at least 1"),
    ("link-four", "MB/s", "at least 1.5 of one stream of theirs"),
    ("link-up", "MB/s", "at least 1"),
];

/// Rows that a session alone has, as parts of its round trip.
const OWN: &[(&str, &str)] = &[
    ("link-stat", ""),
    ("link-stat-beside", "at most 3 round trips"),
    ("link-open", ""),
    ("link-read", "at most 1 round trip"),
];

/// Measures all, and prints it.
pub(crate) fn run(n_rounds: usize) {
    let Some(shop) = Namespace::with(SERVER) else { return };
    let _ready = shop.ready("app=server", 1);
    start_up(&shop, n_rounds * 2);
    for delay in [0, 20, 80] {
        println!("\nwith {delay} ms more on the link, there and back");
        println!("{:<18} {:>6} {:>12} {:>10} {:>7}", "", "", "port-forward", "mirrord", "ratio");
        links(&shop, Duration::from_millis(delay), n_rounds);
    }
}

fn links(shop: &Namespace, delay: Duration, n_rounds: usize) {
    let relay = Relay::start(&Cluster::find().unwrap().server(), delay / 2);
    let session = shop.session_by("pod/server", &json!({ "feature": { "fs": "read" } }), Some(&relay.url()));
    let address = shop.said(&["get", "pod", "server", "-o", "jsonpath={.status.podIP}"]);
    let theirs = Forward::start(&session);
    let ours = Servers([7, 19, 9].map(|port| format!("{address}:{port}")));
    let work = |row: &str| {
        let mut bare = Command::new(env::current_exe().unwrap());
        let mut guest = session.command(env::current_exe().unwrap());
        for command in [&mut bare, &mut guest] {
            command.args(["work", row]).env("BENCH_UP", UP);
        }
        theirs.servers.tell(&mut bare);
        ours.tell(&mut guest);
        (bare, guest)
    };
    let mut round_trip = f64::NAN;
    let mut one_stream = f64::NAN;
    for (row, unit, promise) in ROWS {
        let (mut direct, mut guest) = (Vec::new(), Vec::new());
        for _ in 0..n_rounds {
            let (mut bare, mut ours) = work(row);
            direct.push(number(&mut bare));
            guest.push(number(&mut ours));
        }
        let (direct, guest) = (median(direct), median(guest));
        let mut ratio = guest / direct;
        match *row {
            "link-round-trip" => round_trip = guest,
            "link-down" => one_stream = direct,
            "link-four" => ratio = guest / one_stream,
            _ => {}
        }
        println!("{row:<18} {unit:>6} {direct:>12.2} {guest:>10.2} {ratio:>7.2}  {promise}");
    }
    for (row, promise) in OWN {
        let times = (0..n_rounds).map(|_| number(&mut work(row).1)).collect();
        let time = median(times);
        println!("{row:<18} {:>6} {:>12} {time:>10.2} {:>7.2}  {promise}", "ms", "", time / round_trip);
    }
}

/// From the command to its end, against a Job that does nothing.
fn start_up(shop: &Namespace, n_rounds: usize) {
    let proxy = ApiServer::start(shop);
    let session = shop.session("pod/server", &json!({}));
    let (mut jobs, mut sessions) = (Vec::new(), Vec::new());
    for round in 0..n_rounds {
        jobs.push(proxy.ready_job(shop.name(), &format!("plain-{round}")));
        let start = Instant::now();
        let status = session.command(system("true").unwrap()).status().unwrap();
        assert!(status.success(), "{status}");
        sessions.push(start.elapsed().as_secs_f64() * 1e3);
        // The next one is to make an agent of its own.
        shop.assert_clean(&[&session]);
    }
    let (job, session) = (median(jobs), median(sessions));
    println!(
        "exec true {session:.0} ms, a plain Job until it is ready {job:.0} ms: {:+.0} ms  at most +300",
        session - job
    );
}

/// Where a measure finds what it talks to.
struct Servers([String; 3]);

impl Servers {
    fn tell(&self, command: &mut Command) {
        command.envs(["BENCH_ECHO", "BENCH_SOURCE", "BENCH_SINK"].into_iter().zip(&self.0));
    }
}

/// `kubectl port-forward` to the same pod, by the same address.
struct Forward {
    child: Child,
    servers: Servers,
}

impl Forward {
    fn start(session: &ClusterSession) -> Self {
        let mut command = session.kubectl();
        command.args(["port-forward", "pod/server", ":7", ":19", ":9"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut addresses = lines.filter_map(|line| {
            let rest = line.strip_prefix("Forwarding from 127.0.0.1:")?;
            Some(format!("127.0.0.1:{}", rest.split(' ').next()?))
        });
        let servers = Servers([(); 3].map(|()| addresses.next().unwrap()));
        // It says a line for each connection.
        std::thread::spawn(move || addresses.for_each(drop));
        Self { child, servers }
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The API server without a certificate, by `kubectl proxy`, so that a measure has no program to start.
struct ApiServer {
    child: Child,
    address: String,
}

impl ApiServer {
    fn start(shop: &Namespace) -> Self {
        let mut command = shop.kubectl();
        let mut child = command.args(["proxy", "--port=0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { child, address }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    /// Milliseconds from the wish for a Job to its container that is ready.
    fn ready_job(&self, namespace: &str, name: &str) -> f64 {
        let job = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": name },
            "spec": { "template": { "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": false,
                "containers": [{
                    "name": "main",
                    "image": "mirrord-tiny:1",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "60"],
                }],
            } } },
        });
        let path = format!("/api/v1/namespaces/{namespace}/pods?watch=1&labelSelector=job-name%3D{name}");
        let mut events = self.ask("GET", &path, "");
        let start = Instant::now();
        let jobs = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
        let made = self.ask("POST", &jobs, &job.to_string());
        let (mut seen, mut bytes) = (Vec::new(), [0; 1 << 14]);
        while !String::from_utf8_lossy(&seen).contains(r#""ready":true"#) {
            let length = events.read(&mut bytes).unwrap();
            assert_ne!(length, 0, "the watch has ended: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&bytes[..length]);
        }
        let time = start.elapsed().as_secs_f64() * 1e3;
        drop(made);
        let mut gone = self.ask("DELETE", &format!("{jobs}/{name}?propagationPolicy=Background"), "");
        let _ = gone.read_to_end(&mut seen);
        time
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
