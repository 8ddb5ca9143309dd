//! Bytes through a port-forward.

use futures::{SinkExt, StreamExt};
use kube::core::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use super::*;
use crate::fixture::ApiServer;

/// A strand to port 4242, and the server at its other end.
async fn strand(opening: &[&[u8]]) -> (Socket<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (here, there) = duplex(1 << 16);
    let mut there = WebSocketStream::from_raw_socket(there, Role::Server, None).await;
    for message in opening {
        there.send(Message::binary(message.to_vec())).await.unwrap();
    }
    (Socket::new(here, 4242), there)
}

const PORT: [u8; 2] = 4242_u16.to_le_bytes();
const OPEN: &[&[u8]] = &[&[0, PORT[0], PORT[1]], &[1, PORT[0], PORT[1]]];

#[tokio::test]
async fn bytes_pass_both_ways_whole_and_in_order() {
    let (strand, there) = strand(OPEN).await;
    let (mut sink, mut stream) = there.split();
    let echo = tokio::spawn(async move {
        while let Some(Ok(Message::Binary(message))) = stream.next().await {
            assert!(message.len() <= 64 * 1024 + 1);
            sink.send(Message::Binary(message)).await.unwrap();
        }
    });
    let (mut read, mut write) = tokio::io::split(strand);
    let sent: Vec<u8> = (0..2_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    let writing = async {
        write.write_all(&sent).await.unwrap();
        write
    };
    let reading = async {
        let mut received = vec![0; sent.len()];
        read.read_exact(&mut received).await.unwrap();
        received
    };
    let (_write, received) = tokio::join!(writing, reading);
    assert!(received == sent);
    echo.abort();
}

#[tokio::test]
async fn what_is_written_leaves_without_a_flush_while_somebody_reads() {
    let (strand, mut there) = strand(OPEN).await;
    let (mut read, mut write) = tokio::io::split(strand);
    let reader = tokio::spawn(async move { read.read_u8().await });
    write.write_all(b"x").await.unwrap();
    assert_eq!(there.next().await.unwrap().unwrap().into_data().as_ref(), b"\0x");
    there.send(Message::binary(b"\0y".to_vec())).await.unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), b'y');
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_refused_in_the_nodes_words() {
    let refusal: &[u8] = b"\x01error forwarding port 4242: dial tcp: connection refused\n";
    let (mut strand, _there) = strand(&[OPEN[0], OPEN[1], refusal]).await;
    let error = strand.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(error.to_string(), "error forwarding port 4242: dial tcp: connection refused");
}

#[tokio::test]
async fn a_server_that_closes_is_the_end() {
    let (mut strand, mut there) = strand(OPEN).await;
    there.send(Message::binary(b"\0last".to_vec())).await.unwrap();
    there.close(None).await.unwrap();
    let mut words = String::new();
    strand.read_to_string(&mut words).await.unwrap();
    assert_eq!(words, "last");
}

#[tokio::test]
async fn a_peer_that_speaks_nonsense_is_an_error() {
    for nonsense in [&[&[0_u8, 1, 1][..]][..], &[OPEN[0], &[7, 1]]] {
        let (mut strand, _there) = strand(nonsense).await;
        assert_eq!(strand.read_u8().await.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    }
}

#[test]
fn only_what_is_about_the_websocket_is_left_to_kubectl() {
    let api = |code, reason| kube::Error::Api(Box::new(Status { code, ..Status::failure("no", reason) }));
    assert!(is_no_way(&kube::Error::UpgradeConnection(
        UpgradeConnectionError::MissingUpgradeWebSocketHeader
    )));
    for code in [400, 403, 502] {
        assert!(is_no_way(&api(code, NO_STATUS)), "{code} of somebody on the way");
    }
    assert!(!is_no_way(&api(401, NO_STATUS)));
    assert!(!is_no_way(&api(403, "Forbidden")));
    assert!(!is_no_way(&api(404, "NotFound")));
    assert!(!is_no_way(&api(500, "InternalError")));
}

#[tokio::test]
async fn whoever_may_not_forward_ports_is_told_the_rule() {
    let server = ApiServer::start().await;
    server.forbids("GET", "/api/v1/namespaces/shop/pods/web/portforward");
    let error = connect(&server.cluster().await, &agent()).await.err().unwrap();
    assert_eq!(error.to_string(), "`ann` may not get pods/portforward `web` in namespace `shop`");
}

#[tokio::test]
async fn a_pod_that_is_gone_is_said_to_be() {
    let server = ApiServer::start().await;
    let error = connect(&server.cluster().await, &agent()).await.err().unwrap();
    assert!(matches!(error, ClusterError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_way_that_let_a_websocket_through_is_not_left_to_kubectl() {
    let server = ApiServer::start().await;
    let path = "/api/v1/namespaces/shop/pods/web/portforward";
    server.answers("GET", path, 500, serde_json::json!("pod not found"));
    let way = PortForward::new(&server.cluster().await, &agent());
    way.has_stood.store(true, Relaxed);
    let error = way.connect().await.err().unwrap();
    assert!(!matches!(error, ClusterError::Forward(_)), "{error}");
}

fn agent() -> AgentPod {
    AgentPod {
        namespace: "shop".into(),
        pod: "web".into(),
        job: None,
        container: "app".into(),
        port: 4242,
        key: None,
        was_there: false,
    }
}

#[tokio::test]
async fn a_kubectl_that_is_not_there_or_fails_says_so() {
    let agent = agent();
    let options = mirrord_core::cluster::ClusterOptions::default();
    let error = Child::start_as("no-such-kubectl", &options, &agent).await.err().unwrap();
    assert!(error.hint().unwrap().contains("kubectl"), "{error}");
    let error = Child::start_as("false", &options, &agent).await.err().unwrap();
    assert!(error.to_string().starts_with("`kubectl port-forward` to pod `web` failed"), "{error}");
}

#[tokio::test]
async fn strands_through_kubectl_share_a_child_that_ends_with_the_last_of_them() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("kubectl");
    let pid = folder.path().join("pid");
    let text = format!(
        "#!/bin/sh\necho \"$@\" >&2\necho $$ > {}\necho 'Forwarding from 127.0.0.1:{port} -> 4242'\nexec sleep 600\n",
        pid.display()
    );
    // Another process writes it: what a process writes cannot be executed while a fork of it still has it open.
    let write = ["-c", "printf %s \"$1\" > \"$2\" && chmod +x \"$2\"", "sh", &text];
    let written = std::process::Command::new("sh").args(write).arg(&script).status().unwrap();
    assert!(written.success());
    let options = mirrord_core::cluster::ClusterOptions::default();
    let child = Arc::new(Child::start_as(script.to_str().unwrap(), &options, &agent()).await.unwrap());
    let mut first = child::connect(&child).await.unwrap();
    let second = child::connect(&child).await.unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    first.write_all(b"x").await.unwrap();
    assert_eq!(accepted.read_u8().await.unwrap(), b'x');
    assert!(child.lives());
    let pid: u32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    drop((child, first));
    assert!(is_running(pid));
    drop(second);
    while is_running(pid) {
        tokio::task::yield_now().await;
    }
}

/// Whether there is such a process that has not ended.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[tokio::test]
async fn a_message_in_several_frames_and_a_ping_between_them_are_one_stream() {
    let (here, mut there) = duplex(1 << 16);
    let mut strand = Socket::new(here, 4242);
    there.write_all(&[0x82, 3, 0, PORT[0], PORT[1], 0x02, 3, 0, b'a', b'b']).await.unwrap();
    there.write_all(&[0x89, 2, b'h', b'i', 0x00, 0, 0x80, 2, b'c', b'd']).await.unwrap();
    let mut bytes = [0; 4];
    strand.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"abcd");
    // The answer to the ping, under its mask.
    let mut pong = [0; 8];
    there.read_exact(&mut pong).await.unwrap();
    assert_eq!(pong[..2], [0x8a, 0x82]);
    let said: Vec<u8> = pong[6..].iter().zip(&pong[2..]).map(|(byte, mask)| byte ^ mask).collect();
    assert_eq!(said, b"hi");
}

#[tokio::test]
async fn bytes_before_a_failure_are_told_before_it() {
    let (mut strand, mut there) = strand(OPEN).await;
    there.send(Message::binary(b"\0last".to_vec())).await.unwrap();
    there.send(Message::binary(b"\x01lost connection to pod\n".to_vec())).await.unwrap();
    drop(there);
    let mut words = Vec::new();
    let error = strand.read_to_end(&mut words).await.unwrap_err();
    assert_eq!((words.as_slice(), error.to_string().as_str()), (&b"last"[..], "lost connection to pod"));
}
