//! Traffic for the guest: who gets a connection, and what it is told about it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use mirrord_config::handoff::DataPath;
use mirrord_protocol::{
    agent::incoming::Wish,
    proxy::sockets::{SocketAnswer, SocketQuestion},
};
use mirrord_tests::eventually::eventually;

use crate::{
    layer::{Layer, inode},
    stage::Stage,
};

const SOON: Duration = Duration::from_secs(10);

/// A guest's listener that stands for the shop's port.
struct Shop {
    listener: TcpListener,
}

impl Shop {
    fn open(layer: &Layer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shop = Self { listener };
        assert!(shop.listen(layer));
        shop
    }

    fn listen(&self, layer: &Layer) -> bool {
        let question = SocketQuestion::Listen {
            inode: inode(&self.listener),
            requested: "0.0.0.0:80".parse().unwrap(),
            bound: self.listener.local_addr().unwrap(),
        };
        match layer.socket(question).unwrap() {
            (SocketAnswer::Listening { subscribed }, None) => subscribed,
            answer => panic!("{answer:?}"),
        }
    }

    /// Accepts as a layer would.
    fn accept(&self, layer: &Layer) -> (TcpStream, SocketAddr, SocketAddr) {
        let (stream, from) = self.listener.accept().unwrap();
        assert!(mirrord_core::addr::is_doorbell(from.ip()), "{from}");
        let question =
            SocketQuestion::Accepted { listener: inode(&self.listener), inode: inode(&stream), from };
        match layer.socket(question).unwrap() {
            (SocketAnswer::Arrived { peer, local, .. }, Some(real)) => (TcpStream::from(real), peer, local),
            (SocketAnswer::Arrived { peer, local, .. }, None) => (stream, peer, local),
            (answer, _) => panic!("{answer:?}"),
        }
    }
}

/// A customer within the pod: says a line, and prints what it hears.
fn customer(stage: &Stage) -> Child {
    stage
        .pod
        .command("bash")
        .args(["-c", "exec 3<>/dev/tcp/10.77.0.2/80; printf 'GET / HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n' >&3; cat <&3"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn heard(customer: Child) -> String {
    String::from_utf8(customer.wait_with_output().unwrap().stdout).unwrap()
}

fn answer(stream: &mut TcpStream) -> String {
    // The whole question: a socket that is closed with something unread resets its connection, answer and all.
    let mut question = Vec::new();
    while !question.ends_with(b"\r\n\r\n") {
        let mut buffer = [0; 100];
        let n_read = stream.read(&mut buffer).unwrap();
        assert_ne!(n_read, 0, "after {question:?}");
        question.extend_from_slice(&buffer[..n_read]);
    }
    stream.write_all(b"the guest answers\n").unwrap();
    String::from_utf8(question).unwrap()
}

#[test]
fn a_stolen_connection_is_the_guests_with_its_real_addresses() {
    for data_path in [DataPath::Passed, DataPath::Proxied] {
        let stage = Stage::new(data_path);
        let layer = stage.layer();
        let shop = Shop::open(&layer);
        let customer = customer(&stage);
        let (mut stream, peer, local) = shop.accept(&layer);
        assert_eq!(peer.ip(), "10.77.0.2".parse::<std::net::IpAddr>().unwrap());
        assert_eq!(local, "10.77.0.2:80".parse().unwrap());
        assert!(answer(&mut stream).starts_with("GET / HTTP/1.1"));
        let addresses = match data_path {
            DataPath::Passed => {
                assert_eq!(stream.peer_addr().unwrap(), peer);
                SocketQuestion::StolenAddresses { peer, local: stream.local_addr().unwrap() }
            }
            DataPath::Proxied => SocketQuestion::Addresses(inode(&stream)),
        };
        let (addresses, _) = layer.socket(addresses).unwrap();
        assert_eq!(addresses, SocketAnswer::Addresses { local, peer });
        drop(stream);
        assert_eq!(heard(customer), "the guest answers\n");
    }
}

#[test]
fn a_listener_that_is_gone_gives_its_port_back() {
    for data_path in [DataPath::Passed, DataPath::Proxied] {
        let stage = Stage::new(data_path);
        let layer = stage.layer();
        let shop = Shop::open(&layer);
        drop(shop);
        let words = eventually("the shop itself", SOON, || Some(heard(customer(&stage))));
        assert!(words.contains("the shop itself answers GET /"), "{words}");
    }
}

#[test]
fn a_newer_listener_takes_over_and_the_older_one_resumes() {
    let stage = Stage::new(DataPath::Passed);
    let layer = stage.layer();
    let (older, newer) = (Shop::open(&layer), Shop::open(&layer));
    let customer_of_newer = customer(&stage);
    answer(&mut newer.accept(&layer).0);
    assert_eq!(heard(customer_of_newer), "the guest answers\n");
    drop(newer);
    let customer_of_older = customer(&stage);
    answer(&mut older.accept(&layer).0);
    assert_eq!(heard(customer_of_older), "the guest answers\n");
}

#[test]
fn the_page_of_ports_shows_where_the_session_listens() {
    use std::{fs::File, os::unix::fs::FileExt};
    let stage = Stage::new(DataPath::Passed);
    let layer = stage.layer();
    let page = File::from(layer.handed[1].try_clone().unwrap());
    let is_shown = |port: u16| {
        let mut byte = [0];
        page.read_exact_at(&mut byte, u64::from(port / 8)).unwrap();
        byte[0] & (1 << (port % 8)) != 0
    };
    let shop = Shop::open(&layer);
    let port = shop.listener.local_addr().unwrap().port();
    assert!(is_shown(port) && !is_shown(port ^ 1));
    page.write_all_at(&[0], 0).unwrap_err();
    drop(shop);
    eventually("the port to be gone", SOON, || (!is_shown(port)).then_some(()));
}

#[test]
fn a_mirrored_connection_is_heard_and_the_shop_answers() {
    let stage = Stage::with(DataPath::Passed, |order| order.rules.incoming.wish = Some(Wish::Mirror));
    let layer = stage.layer();
    let shop = Shop::open(&layer);
    let customer = customer(&stage);
    let (mut stream, peer, _) = shop.accept(&layer);
    assert_eq!(peer.ip(), "10.77.0.2".parse::<std::net::IpAddr>().unwrap());
    assert!(answer(&mut stream).starts_with("GET / HTTP/1.1"));
    assert!(heard(customer).contains("the shop itself answers GET /"));
}

#[test]
fn a_connection_of_somebody_else_is_nobodys_arrival() {
    let stage = Stage::new(DataPath::Passed);
    let question = SocketQuestion::Accepted {
        listener: mirrord_protocol::id::SocketInode(1),
        inode: mirrord_protocol::id::SocketInode(2),
        from: "127.0.0.1:5".parse().unwrap(),
    };
    assert_eq!(stage.layer().socket(question).unwrap().0, SocketAnswer::Unknown);
}

#[test]
fn nothing_of_a_session_stays_in_the_pods_firewall() {
    let mut stage = Stage::new(DataPath::Passed);
    let layer = stage.layer();
    let _shop = Shop::open(&layer);
    let rules = |stage: &Stage| {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", stage.pod.pid())).args(["nft", "list", "ruleset"]);
        command.output().ok().filter(|output| output.status.success()).map(|output| output.stdout)
    };
    let Some(standing) = rules(&stage) else { return };
    assert!(!standing.is_empty());
    drop(layer);
    stage.guest.kill().unwrap();
    stage.guest.wait().unwrap();
    eventually("an empty firewall", SOON, || rules(&stage).filter(Vec::is_empty));
}
