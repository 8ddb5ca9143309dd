//! What answers in the pod: a shop's HTTP service, a Redis, and servers for every way a connection can go.
//!
//! | Port | TCP | UDP |
//! |---|---|---|
//! | 7 | echo | echo |
//! | 9 | takes everything; after the client's end says `COUNT CHECKSUM` | nothing |
//! | 19 | `N\n` → N bytes of the pattern | |
//! | 80, 8080 | the shop | |
//! | 7001 | who are you, who am I | the same |
//! | 7002 | resets after the first byte | answers from another port |
//! | 7003 | says `half`, waits for the client's end, says `whole` | |
//! | 7004 | closes at once | |
//! | 7006 | takes everything, unread; after the client's end says `COUNT` | |
//! | 7005 | its backlog is full: a connect hangs | |
//! | 6379 | Redis | |

use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{fd::AsRawFd, unix::net::UnixListener},
    process::{Command, Stdio},
    sync::Mutex,
    thread,
};

use super::{dns, root::pattern};

static LOG: Mutex<()> = Mutex::new(());

/// Starts every service; all listen when this returns.
pub fn start() -> io::Result<()> {
    for port in [80, 8080] {
        serve(port, shop)?;
    }
    serve(7, |mut stream, _| io::copy(&mut stream.try_clone()?, &mut stream).map(drop))?;
    serve(9, |stream, _| take_everything(stream))?;
    serve(19, |stream, _| give_pattern(stream))?;
    serve(7001, |mut stream, peer| {
        let here = plain(stream.local_addr()?);
        stream.write_all(format!("you are {}, I am {here}\n", peer.ip()).as_bytes())
    })?;
    serve(7002, |stream, _| reset(stream))?;
    serve(7003, |mut stream, _| {
        stream.write_all(b"half\n")?;
        let n_bytes = io::copy(&mut stream, &mut io::sink())?;
        stream.write_all(format!("whole after {n_bytes}\n").as_bytes())
    })?;
    serve(7004, |stream, _| stream.shutdown(Shutdown::Both))?;
    serve(7006, |mut stream, _| {
        let mut bytes = vec![0; 1 << 18];
        let mut n_bytes = 0;
        loop {
            match stream.read(&mut bytes)? {
                0 => return stream.write_all(n_bytes.to_string().as_bytes()),
                length => n_bytes += length,
            }
        }
    })?;
    fill_backlog(7005)?;
    serve_datagrams(7, |socket, bytes, peer| socket.send_to(bytes, peer).map(drop))?;
    serve_datagrams(7001, |socket, _, peer| {
        socket.send_to(format!("you are {}\n", plain(peer).ip()).as_bytes(), peer).map(drop)
    })?;
    serve_datagrams(7002, |_, bytes, peer| any_datagram(0)?.send_to(bytes, peer).map(drop))?;
    serve_datagrams(9, |_, _, _| Ok(()))?;
    dns::start()?;
    serve_unix("/run/shop.sock")?;
    start_redis();
    Ok(())
}

fn any(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(("::", port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)))
}

fn any_datagram(port: u16) -> io::Result<UdpSocket> {
    UdpSocket::bind(("::", port)).or_else(|_| UdpSocket::bind(("0.0.0.0", port)))
}

/// An IPv4 address as itself, however the socket tells it.
fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(address, |ip| (ip, address.port()).into()),
        IpAddr::V4(_) => address,
    }
}

fn serve(port: u16, answer: fn(TcpStream, SocketAddr) -> io::Result<()>) -> io::Result<()> {
    let listener = any(port)?;
    thread::spawn(move || {
        loop {
            let Ok((stream, peer)) = listener.accept() else { continue };
            thread::spawn(move || answer(stream, plain(peer)));
        }
    });
    Ok(())
}

type Answer = fn(&UdpSocket, &[u8], SocketAddr) -> io::Result<()>;

fn serve_datagrams(port: u16, answer: Answer) -> io::Result<()> {
    let socket = any_datagram(port)?;
    thread::spawn(move || {
        let mut bytes = vec![0; 65536];
        loop {
            if let Ok((length, peer)) = socket.recv_from(&mut bytes) {
                let _ = answer(&socket, &bytes[..length], peer);
            }
        }
    });
    Ok(())
}

/// The application: it tells who answers, and remembers what it was asked.
fn shop(stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if lines.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let headers = read_headers(&mut lines)?;
        let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut sent = vec![0; length];
        lines.read_exact(&mut sent)?;
        let (method, path) =
            first.trim_end().trim_end_matches(" HTTP/1.1").split_once(' ').unwrap_or(("?", "?"));
        log(&format!("{method} {path} from {}\n", peer.ip()))?;
        let body = match path.strip_prefix("/bytes/").and_then(|text| text.parse().ok()) {
            Some(size) => pattern(size),
            None => format!("the shop itself answers {method} {path} ({length} bytes)\n").into_bytes(),
        };
        let head = format!("HTTP/1.1 200 OK\r\nServer: shop\r\nContent-Length: {}\r\n\r\n", body.len());
        out.write_all(&[head.as_bytes(), &body].concat())?;
        if headers.get("connection").is_some_and(|text| text.eq_ignore_ascii_case("close")) {
            return Ok(());
        }
    }
}

fn read_headers(lines: &mut impl BufRead) -> io::Result<HashMap<String, String>> {
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        lines.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => return Ok(headers),
        };
    }
}

fn log(line: &str) -> io::Result<()> {
    let _held = LOG.lock();
    fs::File::options().append(true).create(true).open("/var/log/shop.log")?.write_all(line.as_bytes())
}

fn take_everything(mut stream: TcpStream) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    let (mut n_bytes, mut sum) = (0u64, Checksum::default());
    loop {
        match stream.read(&mut bytes)? {
            0 => break,
            length => {
                n_bytes += length as u64;
                sum.feed(&bytes[..length]);
            }
        }
    }
    stream.write_all(format!("{n_bytes} {:016x}\n", sum.0).as_bytes())
}

/// FNV-1a, 64 bits: order and value of every byte count.
#[derive(Clone, Copy, Debug)]
pub struct Checksum(pub u64);

impl Default for Checksum {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Checksum {
    /// Takes the next bytes in.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Bytes of the pattern, round and round: blocks of a mebibyte.
fn give_pattern(mut stream: TcpStream) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut line)?;
    let mut left: usize = line.trim().parse().map_err(io::Error::other)?;
    let block = pattern(1 << 20);
    while left > 0 {
        let length = left.min(block.len());
        stream.write_all(&block[..length])?;
        left -= length;
    }
    Ok(())
}

fn reset(mut stream: TcpStream) -> io::Result<()> {
    stream.read_exact(&mut [0])?;
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = libc::socklen_t::try_from(size_of_val(&linger)).map_err(io::Error::other)?;
    // SAFETY: the option reads a structure of this size, which lives until the call returns.
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size,
        )
    };
    Ok(())
}

/// A listener that never accepts, behind as many connections as it holds.
fn fill_backlog(port: u16) -> io::Result<()> {
    let listener = any(port)?;
    // SAFETY: the call takes two integers; listening again only shortens the backlog.
    unsafe { libc::listen(listener.as_raw_fd(), 0) };
    let here: SocketAddr = ([127, 0, 0, 1], port).into();
    thread::spawn(move || {
        let held: Vec<_> = (0..4)
            .map(|_| TcpStream::connect_timeout(&here, std::time::Duration::from_millis(100)))
            .collect();
        loop {
            thread::park();
            let _kept = (&listener, &held);
        }
    });
    Ok(())
}

fn serve_unix(path: &str) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    thread::spawn(move || {
        loop {
            let Ok((mut stream, _)) = listener.accept() else { continue };
            thread::spawn(move || {
                stream.write_all(b"the pod's own socket\n")?;
                io::copy(&mut stream.try_clone()?, &mut stream)
            });
        }
    });
    Ok(())
}

/// A real Redis, where there is one on this machine.
fn start_redis() {
    let options = ["--bind", "* -::*", "--port", "6379", "--unixsocket", "/run/redis.sock"];
    let quiet =
        ["--save", "", "--appendonly", "no", "--protected-mode", "no", "--daemonize", "no", "--dir", "/tmp"];
    let started = Command::new("redis-server")
        .args(options)
        .args(quiet)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if started.is_ok() {
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", 6379)).is_ok() {
                return;
            }
            thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
