//! The stops of the tour.

use std::{path::Path, process::Command, time::Duration};

use mirrord_tests::{
    eventually::eventually,
    guest::{Guest, Tongue},
    pod::Pod,
    programs::system,
    running::Running,
    session::{DataPath, Session},
    transcript::Transcript,
};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::page::{self, Page};

/// Something to be seen three times: its title, the program it needs, and the words.
pub(crate) struct Stop {
    title: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
}

/// What clients do.
pub(crate) const CLIENTS: &[Stop] = &[
    Stop { title: "Its environment", program: "printenv", arguments: &["SHOP_NAME", "DATABASE_URL"] },
    Stop { title: "Its files", program: "cat", arguments: &["/app/config.toml"] },
    Stop {
        title: "Its files, by Python, relative to a folder there",
        program: "python3",
        arguments: &[
            "-c",
            "import os; os.chdir('/data'); print(os.getcwd(), open('orders.txt').readline(), end='')",
        ],
    },
    Stop { title: "Its names", program: "getent", arguments: &["hosts", "redis.shop"] },
    Stop {
        title: "Its database",
        program: "redis-cli",
        arguments: &["-h", "redis.shop", "incr", "visitors"],
    },
    Stop { title: "Its services", program: "curl", arguments: &["-sS", "http://web.shop/hello"] },
    Stop {
        title: "All at once, by node",
        program: "node",
        arguments: &[
            "-e",
            "fetch(process.env.API_URL + 'node').then(a => a.text()).then(t => \
             console.log(require('os').hostname() + ': ' + t.trim()), e => console.log(e.cause.code, process.env.API_URL))",
        ],
    },
];

/// Does the same inside, alone, and with mirrord.
pub(crate) fn visit(page: &Page, pod: &Pod, stop: &Stop) {
    page.title(stop.title);
    let Some(program) = system(stop.program) else {
        return page::say(&format!("  (skipped: `{}` is not installed)", stop.program));
    };
    let words: Vec<String> = stop.arguments.iter().map(|it| quoted(it)).collect();
    page.command(&format!("{} {}", stop.program, words.join(" ")));
    let session = Session::new(pod, DataPath::Passed, &json!({}));
    page.answer("inside", &told(pod.command(&program).args(stop.arguments)));
    page.answer("alone", &told(Command::new(&program).args(stop.arguments).current_dir("/tmp")));
    page.answer("mirrord", &told(session.command(&program).args(stop.arguments)));
}

/// An argument, as one would type it.
fn quoted(argument: &str) -> String {
    match argument {
        it if it.contains('\'') => format!("\"{it}\""),
        it if it.contains(' ') => format!("'{it}'"),
        it => it.to_owned(),
    }
}

fn told(command: &mut Command) -> String {
    let transcript = Transcript::of(command);
    transcript.stdout + &transcript.stderr
}

/// A server here, and a client of the pod.
pub(crate) fn serve(page: &Page, pod: &Pod, mode: &str, tongue: &str) {
    let guest =
        Guest { tongue: if tongue == "node" { Tongue::Node } else { Tongue::Python }, name: "server" };
    if guest.missing().is_some() || system("curl").is_none() {
        return page::say(&format!("  (skipped: `{tongue}` or `curl` is not installed)"));
    }
    let ask = |path: &str| {
        let mut curl = pod.command(system("curl").unwrap_or_else(|| Path::new("curl").to_owned()));
        told(curl.args(["-s", "--max-time", "5", "-4", &format!("http://web.shop{path}")]))
    };
    let session =
        Session::new(pod, DataPath::Passed, &json!({ "network": { "incoming": { "mode": mode } } }));
    let mut server = guest.outside(&session);
    server.arg("80");
    let mut server = Running::start(&mut server);
    server.says("listening");
    let verb = if mode == "steal" { "steals" } else { "mirrors" };
    page.command(&format!(
        "a {tongue} server on this machine {verb} port 80; in the pod: curl -4 http://web.shop/{mode}"
    ));
    let mut asked = 0;
    eventually("a request that reaches the server", Duration::from_secs(20), || {
        asked += 1;
        ask(&format!("/try-{asked}"));
        server.words().contains("GET /try-").then_some(())
    });
    page.answer("inside", &ask(&format!("/{mode}")));
    let line = format!("GET /{mode} 0 from");
    server.says(&line);
    let words = server.words();
    let heard = words.lines().find(|it| it.contains(&line)).unwrap_or_default();
    page.answer("mirrord", &format!("the server heard: {heard}"));
    server.signal(Signal::SIGTERM);
    server.end();
    if mode == "steal" {
        let after = eventually("the shop's own answer", Duration::from_secs(10), || {
            let answer = ask("/after");
            answer.starts_with("the shop").then_some(answer)
        });
        page.answer("after it", &after);
    }
}
