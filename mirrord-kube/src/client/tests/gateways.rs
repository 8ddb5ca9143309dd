//! Clusters behind an HTTP or SOCKS proxy, which is a real one, in this process.

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::TcpStream,
    sync::mpsc,
};

use super::*;

/// A proxy of one connection, and what is known of who came through.
async fn proxy(kind: &str) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (said_tx, said_rx) = mpsc::unbounded_channel();
    let is_socks = kind == "socks5";
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        if is_socks { socks(near, said_tx).await } else { tunnel(near, said_tx).await }
    });
    (format!("{kind}://ann:p%40ss@{address}"), said_rx)
}

/// `CONNECT HOST:PORT`, with the header that proves who asks.
async fn tunnel(near: TcpStream, said_tx: mpsc::UnboundedSender<String>) {
    let mut near = BufReader::new(near);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        near.read_line(&mut line).await.unwrap();
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let to = head[0].split(' ').nth(1).unwrap().to_owned();
    let secret = head.iter().find(|line| line.to_lowercase().starts_with("proxy-authorization")).cloned();
    said_tx.send(secret.unwrap_or_default()).unwrap();
    let mut far = TcpStream::connect(to).await.unwrap();
    near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let _ = copy_bidirectional(&mut near, &mut far).await;
}

/// RFC 1928 with the password of RFC 1929.
async fn socks(mut near: TcpStream, said_tx: mpsc::UnboundedSender<String>) {
    let mut byte = [0; 1];
    let mut greeting = [0; 2];
    near.read_exact(&mut greeting).await.unwrap();
    let mut methods = vec![0; greeting[1].into()];
    near.read_exact(&mut methods).await.unwrap();
    near.write_all(&[5, 2]).await.unwrap();
    near.read_exact(&mut byte).await.unwrap();
    let mut words = Vec::new();
    for _ in 0..2 {
        near.read_exact(&mut byte).await.unwrap();
        let mut word = vec![0; byte[0].into()];
        near.read_exact(&mut word).await.unwrap();
        words.push(String::from_utf8(word).unwrap());
    }
    said_tx.send(words.join(":")).unwrap();
    near.write_all(&[1, 0]).await.unwrap();
    let mut head = [0; 4];
    near.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 1, "an address of IPv4");
    let (mut address, mut port) = ([0; 4], [0; 2]);
    near.read_exact(&mut address).await.unwrap();
    near.read_exact(&mut port).await.unwrap();
    let mut far =
        TcpStream::connect((std::net::Ipv4Addr::from(address), u16::from_be_bytes(port))).await.unwrap();
    near.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let _ = copy_bidirectional(&mut near, &mut far).await;
}

/// The first of what a proxy was told, when a cluster behind it was asked.
async fn asked_through(kind: &str) -> String {
    let server = ApiServer::start().await;
    server.lists("/api/v1/namespaces/shop/pods", &[]);
    let (proxy, mut said_rx) = proxy(kind).await;
    let options = server.kubeconfig("{token: secret}");
    let path = options.kubeconfig.clone().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("{server: ", &format!("{{proxy-url: '{proxy}', server: "))).unwrap();
    try_it(&options).await.unwrap();
    said_rx.recv().await.unwrap()
}

#[tokio::test]
async fn a_cluster_is_reached_through_an_http_proxy_with_its_password() {
    let header = asked_through("http").await;
    assert_eq!(header.to_lowercase(), "proxy-authorization: basic YW5uOnBAc3M=".to_lowercase());
}

#[tokio::test]
async fn a_cluster_is_reached_through_a_socks_proxy_with_its_password() {
    assert_eq!(asked_through("socks5").await, "ann:p@ss");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_from_a_cluster_that_does() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 1024];
        let _ = near.read(&mut bytes).await;
        near.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let cluster = format!("https://api.shop:6443', proxy-url: 'http://{address}");
    insta::assert_snapshot!(said(&fixture::kubeconfig(&folder, &cluster, "{}"), None).await);
}
