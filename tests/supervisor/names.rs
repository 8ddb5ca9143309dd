//! Programs that resolve names by themselves, and names that stay here.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use mirrord_tests::{
    ground::{is_root, skip},
    guest::{Guest, Tongue},
    session::{DataPath, Engine, Session},
    transcript::Transcript,
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::{behind, pod};

const RESOLVE: Guest = Guest { tongue: Tongue::Go, name: "resolve" };
const QUERIES: Guest = Guest { tongue: Tongue::Python, name: "queries" };

/// The only names that a server of this machine knows, and the only address of it. The second does not fit into a
/// datagram.
const NAMES: [&[u8]; 2] = [b"\x04only\x04here\0", b"\x05large\x04here\0"];
const HERE: [u8; 4] = [10, 9, 8, 7];

/// How many servers of this machine there are.
static SERVERS: AtomicUsize = AtomicUsize::new(0);

/// A server of names on this machine, and a file that names it. It answers as long as the tests run.
fn server_here() -> NamedTempFile {
    let number = std::process::id().to_be_bytes();
    let last = u8::try_from(SERVERS.fetch_add(1, Ordering::Relaxed)).unwrap();
    let address = format!("127.{}.{}.{}", 78 + number[1] % 100, number[2], number[3].clamp(1, 254) ^ last);
    let socket = UdpSocket::bind((address.as_str(), 53)).unwrap();
    let listener = TcpListener::bind((address.as_str(), 53)).unwrap();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            socket.send_to(&answer(&query[..length], true), from).unwrap();
        }
    });
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| serve(stream).unwrap_or(())));
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "nameserver {address}").unwrap();
    file
}

/// One query by a stream.
fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut query = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut query)?;
    let answer = answer(&query, false);
    stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes())?;
    stream.write_all(&answer)
}

fn answer(query: &[u8], is_datagram: bool) -> Vec<u8> {
    let name = query[12..].iter().position(|byte| *byte == 0).unwrap();
    let question = &query[12..12 + name + 5];
    let known = NAMES.iter().position(|known| question.starts_with(known));
    let is_cut = is_datagram && known == Some(1);
    let is_told = known.is_some() && !is_cut && question[name + 2] == 1;
    let (cut, outcome) = (if is_cut { 0x83 } else { 0x81 }, if known.is_some() { 0x80 } else { 0x83 });
    let mut answer = vec![query[0], query[1], cut, outcome, 0, 1, 0, u8::from(is_told), 0, 0, 0, 0];
    answer.extend(question);
    if is_told {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]);
        answer.extend(HERE);
    }
    answer
}

/// A guest whose developer has this file in the place of the resolver's.
fn with_file(file: &NamedTempFile, command: &Command) -> Transcript {
    let path = file.path().to_str().unwrap();
    let with = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        "mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"",
        "sh",
        path,
    ];
    Transcript::of(&mut behind(&with, command))
}

fn resolved(data_path: DataPath, dns: &Value, file: &NamedTempFile) -> Transcript {
    let feature = json!({ "network": { "dns": dns } });
    let session = Session::new(pod(), data_path, &feature).by(Engine::Auto);
    with_file(file, RESOLVE.outside(&session).args(["web.shop", "only.here", "large.here"]))
}

fn missing(guest: Guest) -> Option<String> {
    guest.missing().or_else(|| (!is_root()).then(|| "only root answers on port 53".to_owned()))
}

#[test]
fn a_resolvers_own_queries_obey_the_filter_of_names() {
    if let Some(why) = missing(RESOLVE) {
        return skip(&why);
    }
    let file = server_here();
    for data_path in DataPath::ALL {
        let says = |dns, words: &str| {
            let told = resolved(data_path, &dns, &file);
            assert_eq!(told.stdout, words, "{data_path:?}: {told:?}");
        };
        let each_where_it_is = "web.shop is 10.77.0.2\nonly.here is 10.9.8.7\nlarge.here is 10.9.8.7\n";
        says(json!({ "filter": { "local": ["only.here", "large.here"] } }), each_where_it_is);
        says(json!({ "filter": { "remote": ["web.shop"] } }), each_where_it_is);
        says(json!(false), "web.shop is not found\nonly.here is 10.9.8.7\nlarge.here is 10.9.8.7\n");
        says(json!(true), "web.shop is 10.77.0.2\nonly.here is not found\nlarge.here is not found\n");
    }
}

#[test]
fn queries_obey_the_filter_of_names_whatever_asks_them_and_however_it_is_caught() {
    if let Some(why) = missing(QUERIES) {
        return skip(&why);
    }
    let file = server_here();
    let feature = json!({ "network": { "dns": { "filter": { "remote": ["web.shop", "big.shop"] } } } });
    for data_path in DataPath::ALL {
        for engine in Engine::BOTH {
            let session = Session::new(pod(), data_path, &feature).by(engine);
            let told = with_file(&file, &QUERIES.outside(&session));
            assert_eq!(told.stdout, ANSWERS, "{data_path:?}, {engine:?}: {told:?}");
        }
    }
}

/// What each way of asking is told: of a name there, one here, one that is nowhere, and one of each that are large.
const ANSWERS: &str = "\
connected: 10.77.0.2 10.9.8.7 not found cut cut
sent: 10.77.0.2 10.9.8.7 not found cut cut
many sent: 10.77.0.2 10.9.8.7 not found cut cut
stream: 10.77.0.2 10.9.8.7 not found 10.78.0.60 10.9.8.7
patient stream: 10.77.0.2 10.9.8.7 not found 10.78.0.60 10.9.8.7
at once: 10.77.0.2 10.9.8.7 not found 10.78.0.60 10.9.8.7
opened by a send: 10.77.0.2 10.9.8.7 not found 10.78.0.60 10.9.8.7
dig: 10.77.0.2 10.9.8.7
";
