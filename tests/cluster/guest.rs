//! The guest that serves: it says what it is asked, and answers in its own name.

use std::process::Command;

use mirrord_tests::{
    cluster::{ClusterSession, Namespace},
    ports::free_port,
    programs::system,
    running::Running,
};
use serde_json::{Value, json};

/// Listens on the port that it is given, until it is told to end.
const SERVER: &str = r"
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print('asked for ' + self.path, flush=True)
        self.send_response(200); self.end_headers(); self.wfile.write(b'the guest\n')
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(('0.0.0.0', int(sys.argv[1])), Answer)
print('serving', flush=True)
server.serve_forever()
";

/// What the configuration says of incoming traffic for port 8080; the guest listens on another port here, because stories
/// run side by side.
pub(crate) fn incoming(mode: &str, port: u16) -> Value {
    json!({ "feature": { "network": { "incoming": { "mode": mode, "port_mapping": [[port, 8080]] } } } })
}

/// A session that serves in place of the shop, or beside it.
pub(crate) struct Served {
    pub(crate) session: ClusterSession,
    pub(crate) guest: Running,
}

impl Served {
    /// Starts it; it serves when this returns.
    pub(crate) fn start(shop: &Namespace, target: &str, mode: &str) -> Self {
        Self::start_with(shop, target, mode, &json!({}), None)
    }

    /// The same, with more configuration, and another address of the API server.
    pub(crate) fn start_with(
        shop: &Namespace,
        target: &str,
        mode: &str,
        others: &Value,
        server: Option<&str>,
    ) -> Self {
        let port = free_port();
        let mut configuration = incoming(mode, port);
        for (key, value) in others.as_object().unwrap() {
            configuration[key] = value.clone();
        }
        let session = shop.session_by(target, &configuration, server);
        let mut guest = Running::start(session.command(python()).args(["-c", SERVER, &port.to_string()]));
        guest.says("serving");
        Self { session, guest }
    }

    /// Ends it as one ends a server at a desk, and looks around.
    pub(crate) fn end(mut self, shop: &Namespace) {
        self.guest.signal(nix::sys::signal::Signal::SIGTERM);
        self.guest.end();
        shop.assert_clean(&[&self.session]);
    }
}

pub(crate) fn python() -> std::path::PathBuf {
    system("python3").unwrap()
}

/// A Python program as the guest.
pub(crate) fn python_with(session: &ClusterSession, text: &str) -> Command {
    let mut command = session.command(python());
    command.args(["-c", text]);
    command
}
