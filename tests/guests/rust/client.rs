//! Files, names and connections, as Rust's standard library does them without a loader.

use std::{
    fs,
    io::Read,
    net::{TcpStream, ToSocketAddrs, UdpSocket},
    os::unix::net::UnixStream,
    process::Command,
};

fn main() {
    let text = fs::read("/data/orders.txt").unwrap();
    println!("read {} {:?}", text.len(), text.iter().map(|byte| u64::from(*byte)).sum::<u64>());
    println!("missing {}", fs::read("/data/no-such-file").unwrap_err());
    let metadata = fs::metadata("/data/orders.txt").unwrap();
    println!("stat {} {:?}", metadata.len(), metadata.permissions());
    let mut names: Vec<_> = fs::read_dir("/data").unwrap().map(|it| it.unwrap().file_name()).collect();
    names.sort();
    println!("list {names:?}");
    println!("link {:?}", fs::read_link("/data/link").unwrap());
    let found: Vec<_> = "web.shop:80".to_socket_addrs().unwrap().filter(|it| it.is_ipv4()).collect();
    println!("name {found:?}");
    println!("no name {}", "no-such-name.shop:80".to_socket_addrs().is_err());
    let mut stream = TcpStream::connect("10.77.0.2:7001").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    print!("tcp {said}");
    println!("refused {}", TcpStream::connect("10.77.0.2:4").unwrap_err());
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.send_to(b"hello", "10.77.0.2:7").unwrap();
    let mut bytes = [0; 16];
    let (length, from) = socket.recv_from(&mut bytes).unwrap();
    println!("udp {:?} {from}", &bytes[..length]);
    let mut unix = UnixStream::connect("/run/shop.sock").unwrap();
    let mut line = [0; 21];
    unix.read_exact(&mut line).unwrap();
    print!("unix {}", String::from_utf8_lossy(&line));
    let child = Command::new("cat").arg("/data/deep/er/still/yet/leaf").output().unwrap();
    print!("child {}", String::from_utf8_lossy(&child.stdout));
}
