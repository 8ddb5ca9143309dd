//! Calls that need nothing of the target, names, and children.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    net::{Ipv4Addr, ToSocketAddrs, UdpSocket},
    process::Command,
};

use super::{median, nanoseconds};

/// A port of this machine to which datagrams are not sent from the target.
pub(crate) const PORT_HERE: u16 = 9;

/// The number of a row, if it is one of these.
pub(super) fn measure(row: &str) -> Option<f64> {
    Some(match row {
        // SAFETY: the call takes nothing, and gives a number.
        "getpid" => nanoseconds(5000, || assert!(unsafe { libc::syscall(libc::SYS_getpid) } > 0)),
        "read" => read(),
        "write" => {
            let mut nothing = File::options().write(true).open("/dev/null").unwrap();
            nanoseconds(5000, || nothing.write_all(b"x").unwrap())
        }
        "open-here" => median(2000, 1e6, || drop(File::open("/etc/passwd").unwrap())),
        "connect-here" => {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            median(2000, 1e6, || socket.connect((Ipv4Addr::LOCALHOST, PORT_HERE)).unwrap())
        }
        "child" => median(40, 1e3, || assert!(Command::new("/bin/true").status().unwrap().success())),
        "name" => median(300, 1e6, || assert_ne!(("redis.shop", 6379).to_socket_addrs().unwrap().count(), 0)),
        _ => return None,
    })
}

/// A byte of a file in memory, which is of the same kind on both sides.
fn read() -> f64 {
    let path = format!("/dev/shm/bench-{}", std::process::id());
    let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    fs::remove_file(path).unwrap();
    file.write_all(&[7; 8192]).unwrap();
    let mut byte = [0];
    nanoseconds(4000, || {
        if file.read(&mut byte).unwrap() == 0 {
            file.seek(SeekFrom::Start(0)).unwrap();
        }
    })
}
