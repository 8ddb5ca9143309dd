//! Files, sockets, names and children, in the ways of tokio: a guest of parity.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a guest says what it found, and ends when it cannot"
)]

use std::{future::Future, io, net::SocketAddr, time::Duration};

use tokio::{
    fs,
    io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket, UnixStream, lookup_host},
    process::Command,
    task::JoinSet,
    time::timeout,
};

const SHOP: &str = "10.77.0.2";

async fn show<T: std::fmt::Debug>(name: &str, deed: impl Future<Output = io::Result<T>>) {
    match deed.await {
        Ok(told) => println!("{name} -> {told:?}"),
        Err(error) => println!("{name} !! {:?} {:?}", error.kind(), error.raw_os_error()),
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() {
    files().await;
    changes().await;
    streams().await;
    others().await;
}

async fn files() {
    show("read", fs::read_to_string("/app/config.toml")).await;
    show("none", fs::read("/data/none")).await;
    show("a directory", fs::read("/data")).await;
    show("metadata", async {
        let facts = fs::metadata("/data/orders.txt").await?;
        Ok((facts.len(), facts.is_file(), facts.permissions().readonly(), facts.modified()?))
    })
    .await;
    show("a link", async {
        Ok((fs::read_link("/data/link").await?, fs::canonicalize("/data/link-to-dir").await?))
    })
    .await;
    show("entries", async {
        let mut entries = fs::read_dir("/data/odd").await?;
        let mut names = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            names.push((entry.file_name(), entry.file_type().await?.is_file()));
        }
        names.sort();
        Ok(names)
    })
    .await;
    show("lines", async {
        let mut lines = BufReader::new(fs::File::open("/data/orders.txt").await?).lines();
        let mut n_lines = 0;
        while lines.next_line().await?.is_some() {
            n_lines += 1;
        }
        Ok(n_lines)
    })
    .await;
    show("the end of a big one", async {
        let mut file = fs::File::open("/data/big").await?;
        file.seek(io::SeekFrom::End(-8)).await?;
        let mut end = Vec::new();
        file.read_to_end(&mut end).await?;
        Ok(end)
    })
    .await;
    show("at once", async {
        let mut all = JoinSet::new();
        for index in 0..200 {
            all.spawn(fs::read_to_string(format!("/data/many/file-{index:03}")));
        }
        let texts: Vec<String> = all.join_all().await.into_iter().collect::<io::Result<_>>()?;
        Ok(texts.iter().map(|text| text.trim().parse::<u32>().unwrap()).sum::<u32>())
    })
    .await;
}

async fn changes() {
    let folder = "/data/out/tokio";
    show("changes", async {
        fs::create_dir_all(format!("{folder}/a/b")).await?;
        fs::write(format!("{folder}/one"), "one").await?;
        let mut file = fs::OpenOptions::new().append(true).open(format!("{folder}/one")).await?;
        file.write_all(b" more").await?;
        file.sync_all().await?;
        fs::rename(format!("{folder}/one"), format!("{folder}/a/b/two")).await?;
        fs::hard_link(format!("{folder}/a/b/two"), format!("{folder}/three")).await?;
        fs::symlink("three", format!("{folder}/four")).await?;
        let n_copied = fs::copy("/data/one-mebibyte", format!("{folder}/five")).await?;
        fs::File::options().write(true).open(format!("{folder}/five")).await?.set_len(7).await?;
        let (text, facts) = (
            fs::read_to_string(format!("{folder}/four")).await?,
            fs::metadata(format!("{folder}/five")).await?,
        );
        Ok((text, n_copied, facts.len()))
    })
    .await;
    show("a new file that is there", fs::File::create_new(format!("{folder}/three"))).await;
    show("a full directory", fs::remove_dir(folder)).await;
    show("removed", fs::remove_dir_all(folder)).await;
}

async fn echo(to: &str, words: &[u8]) -> io::Result<(String, SocketAddr)> {
    let mut stream = TcpStream::connect(to).await?;
    let peer = stream.peer_addr()?;
    stream.write_all(words).await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok((answer, peer))
}

async fn streams() {
    show("by address", echo("10.77.0.2:7", b"hello")).await;
    show("by name", echo("web.shop:7003", b"abc")).await;
    show("IPv6", echo("[fd77::2]:7", b"six")).await;
    show("refused", TcpStream::connect("10.77.0.2:81")).await;
    show("unreachable", TcpStream::connect("203.0.113.1:80")).await;
    show("no name", async {
        TcpStream::connect("nowhere.shop:80").await.map_err(|_| io::ErrorKind::NotFound.into()).map(drop)
    })
    .await;
    show("too slow", async {
        Ok(timeout(Duration::from_millis(300), TcpStream::connect("10.77.0.2:7005")).await.is_err())
    })
    .await;
    show("reset", echo("10.77.0.2:7002", b"x")).await;
    show("halves", async {
        let (mut read, mut write) = TcpStream::connect("10.77.0.2:7").await?.into_split();
        let writing = tokio::spawn(async move {
            for _ in 0..200 {
                write.write_all(&[7; 5000]).await?;
            }
            write.shutdown().await
        });
        let mut bytes = Vec::new();
        read.read_to_end(&mut bytes).await?;
        writing.await??;
        Ok(bytes.len())
    })
    .await;
    show("bound first", async {
        let socket = TcpSocket::new_v4()?;
        socket.set_nodelay(true)?;
        socket.bind("0.0.0.0:0".parse().unwrap())?;
        let mut stream = socket.connect("10.77.0.2:7001".parse().unwrap()).await?;
        let mut told = [0; 11];
        stream.read_exact(&mut told).await?;
        Ok(String::from_utf8_lossy(&told).into_owned())
    })
    .await;
    show("two hundred", async {
        let mut all = JoinSet::new();
        for index in 0..200 {
            all.spawn(async move { echo("10.77.0.2:7", index.to_string().as_bytes()).await });
        }
        let told: Vec<_> = all.join_all().await.into_iter().collect::<io::Result<_>>()?;
        Ok(told.iter().map(|(text, _)| text.parse::<u32>().unwrap()).sum::<u32>())
    })
    .await;
    show("own server", async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let serving = tokio::spawn(async move {
            let (mut stream, peer) = listener.accept().await?;
            stream.write_all(b"own").await?;
            Ok::<_, io::Error>(peer.ip())
        });
        let answer = echo(&address, b"").await?.0;
        Ok((answer, serving.await??))
    })
    .await;
}

async fn others() {
    show("names", async {
        let mut found: Vec<_> = lookup_host("db.shop:80").await?.collect();
        found.sort();
        Ok(found)
    })
    .await;
    show("datagrams", async {
        let socket = UdpSocket::bind("0.0.0.0:0").await?;
        socket.send_to(b"to", (SHOP, 7)).await?;
        let mut bytes = [0; 64];
        let (length, from) = socket.recv_from(&mut bytes).await?;
        socket.connect((SHOP, 7)).await?;
        socket.send(b"connected").await?;
        let length = length * 100 + socket.recv(&mut bytes).await?;
        Ok((length, from, socket.peer_addr()?))
    })
    .await;
    show("unix", async {
        let mut line = String::new();
        BufReader::new(UnixStream::connect("/run/shop.sock").await?).read_line(&mut line).await?;
        Ok(line)
    })
    .await;
    show("a child", async {
        let output = Command::new("cat").arg("still/yet/leaf").current_dir("/data/deep/er").output().await?;
        Ok((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code()))
    })
    .await;
    show("a pipe", async {
        use std::process::Stdio;
        let mut child =
            Command::new("tr").args(["a-z", "A-Z"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut input = child.stdin.take().unwrap();
        input.write_all(&fs::read("/app/config.toml").await?).await?;
        drop(input);
        let output = child.wait_with_output().await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    })
    .await;
    show("a child that is ended", async {
        let mut child = Command::new("sleep").arg("30").kill_on_drop(true).spawn()?;
        let waited = timeout(Duration::from_millis(50), child.wait()).await.is_err();
        child.kill().await?;
        Ok((waited, child.wait().await?.code()))
    })
    .await;
}
