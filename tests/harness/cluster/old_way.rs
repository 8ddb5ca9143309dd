//! A way to the API server that lets no WebSocket through, as old proxies do.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

/// What whoever asks for a WebSocket hears.
const REFUSAL: &[u8] =
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 12\r\nConnection: close\r\n\r\n<h1>No!</h1>";

/// A proxy before the API server; it goes with the story.
#[derive(Debug)]
pub struct OldWay {
    address: SocketAddr,
    proxy: Child,
    n_refused: Arc<AtomicUsize>,
}

impl OldWay {
    /// Stands before whatever `kubectl` (as somebody) reaches.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(mut kubectl: Command) -> Self {
        let mut proxy = kubectl.args(["proxy", "--port=0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(proxy.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let behind: SocketAddr = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let n_refused = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&n_refused);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let counter = Arc::clone(&counter);
                thread::spawn(move || pass(client, behind, &counter));
            }
        });
        Self { address, proxy, n_refused }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often it has refused a `WebSocket`.
    #[must_use]
    pub fn n_refused(&self) -> usize {
        self.n_refused.load(Relaxed)
    }
}

impl Drop for OldWay {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

fn pass(mut client: TcpStream, behind: SocketAddr, n_refused: &AtomicUsize) -> io::Result<()> {
    let mut server = TcpStream::connect(behind)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut bytes = vec![0; 1 << 16];
    // Until something else than HTTP is spoken.
    let mut is_upgraded = false;
    loop {
        let length = client.read(&mut bytes)?;
        if length == 0 {
            return server.shutdown(Shutdown::Write);
        }
        if !is_upgraded {
            let text = String::from_utf8_lossy(&bytes[..length]).to_ascii_lowercase();
            if text.contains("upgrade: websocket") {
                n_refused.fetch_add(1, Relaxed);
                client.write_all(REFUSAL)?;
                return client.shutdown(Shutdown::Both);
            }
            is_upgraded = text.contains("upgrade: ");
        }
        server.write_all(&bytes[..length])?;
    }
}
