//! What a user would pick instead on one machine: `proxychains4` with a SOCKS server, and `sshfs`.
//!
//! Both are flattered: the SOCKS server is ours and has large buffers, and `sshfs` speaks with its server through a pipe,
//! so that nothing is encrypted.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use mirrord_tests::{eventually::eventually, pod::Pod, programs::system};
use nix::{
    mount::{MntFlags, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// The program that serves files to `sshfs`.
const FILE_SERVER: &str = "/usr/lib/openssh/sftp-server";

/// The rows of connections that `proxychains4` is measured by.
const CONNECTIONS: &[&str] =
    &["connect", "call", "round-trip", "up", "down", "up-16", "down-16", "beside", "http", "http-fresh"];

/// Other tools, as far as they are there.
pub(crate) struct Others {
    folder: TempDir,
    proxychains: Option<PathBuf>,
    socks: Child,
    files: Option<Child>,
}

impl Others {
    /// Starts what they need.
    pub(crate) fn start(pod: &Pod) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Its clients come from here, and its connections begin in the pod.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut socks = pod.command("/opt/bench");
        let socks = socks.arg("socks").stdin(Stdio::from(OwnedFd::from(listener))).spawn().unwrap();
        let settings = format!("strict_chain\n[ProxyList]\nsocks5 127.0.0.1 {port}\n");
        fs::write(folder.path().join("proxychains.conf"), settings).unwrap();
        let proxychains = system("proxychains4");
        let files = system("sshfs").filter(|_| Path::new(FILE_SERVER).exists());
        let files = files.map(|program| mount(&program, pod, folder.path()));
        for (name, is_there) in [("proxychains4", proxychains.is_some()), ("sshfs", files.is_some())] {
            if !is_there {
                println!("`{name}` is missing, and is not measured");
            }
        }
        Self { folder, proxychains, socks, files }
    }

    /// The program as one measures a row with another tool; nothing where there is none.
    pub(crate) fn command(&self, program: &Path, key: &str) -> Option<Command> {
        if !CONNECTIONS.contains(&key) {
            let is_file =
                self.files.is_some() && crate::rows::ROWS.iter().any(|row| row.key == key && row.is_file());
            return is_file.then(|| Command::new(program));
        }
        let mut command = Command::new(self.proxychains.as_ref()?);
        command.arg("-q").arg("-f").arg(self.folder.path().join("proxychains.conf")).arg(program);
        Some(command)
    }

    /// Where a folder of the pod's is mounted.
    pub(crate) fn folder(&self, there: &str) -> Option<String> {
        self.files.as_ref()?;
        Some(format!("{}{there}", mount_point(self.folder.path()).to_str()?))
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        let _ = self.socks.kill();
        let _ = self.socks.wait();
        if let Some(files) = &mut self.files {
            // It takes its mount away by itself when it is asked to go.
            let _ = kill(Pid::from_raw(files.id().cast_signed()), Signal::SIGTERM);
            let _ = files.wait();
            let _ = umount2(&mount_point(self.folder.path()), MntFlags::MNT_DETACH);
        }
    }
}

fn mount_point(folder: &Path) -> PathBuf {
    folder.join("pod")
}

/// Mounts the pod's root by `sshfs`.
fn mount(program: &Path, pod: &Pod, folder: &Path) -> Child {
    let (point, script) = (mount_point(folder), folder.join("ssh"));
    fs::create_dir(&point).unwrap();
    let text = format!("#!/bin/sh\nexec {} enter {} / {FILE_SERVER}\n", Pod::program().display(), pod.pid());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(program);
    command.arg("-f").arg(format!("-ossh_command={}", script.display())).arg("pod:/").arg(&point);
    let child = command.stdin(Stdio::null()).spawn().unwrap();
    let file = point.join(crate::stage::FILES.trim_start_matches('/')).join("small");
    eventually("the mount of `sshfs`", Duration::from_secs(10), || file.exists().then_some(()));
    child
}

/// A SOCKS server without a password: its listener is its standard input, and its connections begin where it stands.
pub(crate) fn serve_socks() {
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned().unwrap());
    for client in listener.incoming() {
        let client = client.unwrap();
        // A client that goes early is none of ours.
        thread::spawn(move || drop(serve(client)));
    }
}

fn serve(mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut head = [0; 2];
    client.read_exact(&mut head)?;
    client.read_exact(&mut vec![0; head[1].into()])?;
    client.write_all(&[5, 0])?;
    // A wish to connect to an address of IPv4.
    let mut wish = [0; 10];
    client.read_exact(&mut wish)?;
    let [5, 1, 0, 1, a, b, c, d, high, low] = wish else { return Err(io::ErrorKind::Unsupported.into()) };
    let server = TcpStream::connect((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])))?;
    server.set_nodelay(true)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    let (client_too, server_too) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || pump(&server_too, &client_too));
    pump(&client, &server);
    Ok(())
}

fn pump(mut from: &TcpStream, mut to: &TcpStream) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
