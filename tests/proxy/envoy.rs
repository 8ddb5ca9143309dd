//! An agent that listens, and a line to it that can be cut.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use mirrord_tests::programs;

/// An agent that stands beside a process and listens.
pub(crate) struct Envoy {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Envoy {
    /// Starts one, and waits until it serves.
    pub(crate) fn start(target: i32) -> Self {
        let mut child = Command::new(programs::built().join("mirrord-agent"))
            .args(["--listen", "0", "--communication-timeout", "60", "--target-pid"])
            .arg(target.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let port = line.split_whitespace().find_map(|word| word.strip_prefix("port=")?.parse::<u16>().ok());
        Self { child, address: (Ipv4Addr::LOCALHOST, port.unwrap()).into() }
    }

    /// Ends it, as suddenly as can be.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line on which everything can be cut, and that can be closed.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    to: Option<SocketAddr>,
    streams: Vec<TcpStream>,
}

impl Line {
    /// A line to an address.
    pub(crate) fn to(address: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let state = Arc::new(Mutex::new(State { to: Some(address), streams: Vec::new() }));
        let line = Self { address: listener.local_addr().unwrap(), state };
        let this = line.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                drop(this.carry(stream));
            }
        });
        line
    }

    fn carry(&self, near: TcpStream) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let Some(to) = state.to else { return Ok(()) };
        let far = TcpStream::connect(to)?;
        for stream in [&near, &far] {
            stream.set_nodelay(true)?;
            state.streams.push(stream.try_clone()?);
        }
        for (mut from, mut to) in [(near.try_clone()?, far.try_clone()?), (far, near)] {
            thread::spawn(move || {
                let mut piece = vec![0; 64 << 10];
                while let Ok(n_read @ 1..) = from.read(&mut piece) {
                    if to.write_all(&piece[..n_read]).is_err() {
                        break;
                    }
                }
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        Ok(())
    }

    /// Cuts whatever goes over it now.
    pub(crate) fn cut(&self) {
        for stream in self.state.lock().unwrap().streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Cuts it, and lets nothing through until it is led somewhere.
    pub(crate) fn close(&self) {
        self.state.lock().unwrap().to = None;
        self.cut();
    }

    /// Leads it to an address.
    pub(crate) fn lead(&self, to: SocketAddr) {
        self.state.lock().unwrap().to = Some(to);
    }
}
