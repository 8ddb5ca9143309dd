//! Sockets that reach from here into the pod.

use std::{
    io::Read,
    net::TcpStream,
    os::fd::{AsRawFd, OwnedFd},
};

use mirrord_config::handoff::DataPath;
use mirrord_protocol::proxy::sockets::{SocketAnswer, SocketQuestion};
use nix::sys::socket::{SockaddrIn, connect};

use crate::stage::Stage;

#[test]
fn a_passed_socket_stands_in_the_pod() {
    let stage = Stage::new(DataPath::Passed);
    let layer = stage.layer();
    let make = SocketQuestion::Make { domain: libc::AF_INET, kind: libc::SOCK_STREAM, protocol: 0 };
    let (answer, socket) = layer.socket(make).unwrap();
    assert_eq!(answer, SocketAnswer::Made);
    let socket: OwnedFd = socket.unwrap();
    connect(socket.as_raw_fd(), &SockaddrIn::new(10, 77, 0, 2, 7001)).unwrap();
    let mut words = String::new();
    TcpStream::from(socket).read_to_string(&mut words).unwrap();
    assert_eq!(words, "you are 10.77.0.2, I am 10.77.0.2:7001\n");
}
