//! Programs that resolve names by themselves, and names that stay here.

use std::{io::Write, net::UdpSocket, thread};

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

/// The only name that a server of this machine knows, and the only address of it.
const NAME: &[u8] = b"\x04only\x04here\0";
const HERE: [u8; 4] = [10, 9, 8, 7];

/// A server of names on this machine, and a file that names it. It answers as long as the tests run.
fn server_here() -> NamedTempFile {
    let number = std::process::id().to_be_bytes();
    let address = format!("127.{}.{}.{}", 78 + number[1] % 100, number[2], number[3].clamp(1, 254));
    let socket = UdpSocket::bind((address.as_str(), 53)).unwrap();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            let name = query[12..length].iter().position(|byte| *byte == 0).unwrap();
            let question = &query[12..12 + name + 5];
            let is_known = question.starts_with(NAME);
            let is_old = is_known && question[name + 2] == 1;
            let outcome = if is_known { 0x80 } else { 0x83 };
            let mut answer = vec![query[0], query[1], 0x81, outcome, 0, 1, 0, u8::from(is_old), 0, 0, 0, 0];
            answer.extend(question);
            if is_old {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]);
                answer.extend(HERE);
            }
            socket.send_to(&answer, from).unwrap();
        }
    });
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "nameserver {address}").unwrap();
    file
}

fn resolved(data_path: DataPath, dns: &Value, file: &NamedTempFile) -> Transcript {
    let feature = json!({ "network": { "dns": dns } });
    let session = Session::new(pod(), data_path, &feature).by(Engine::Auto);
    let mut command = RESOLVE.outside(&session);
    command.args(["web.shop", "only.here"]);
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
    Transcript::of(&mut behind(&with, &command))
}

#[test]
fn a_resolvers_own_queries_obey_the_filter_of_names() {
    if let Some(why) =
        RESOLVE.missing().or_else(|| (!is_root()).then(|| "only root answers on port 53".to_owned()))
    {
        return skip(&why);
    }
    let file = server_here();
    let told = resolved(DataPath::Proxied, &json!({ "filter": { "local": ["only.here"] } }), &file);
    assert_eq!(told.stdout, "web.shop is 10.77.0.2\nonly.here is 10.9.8.7\n", "{told:?}");
    let told = resolved(DataPath::Proxied, &json!({ "filter": { "remote": ["web.shop"] } }), &file);
    assert_eq!(told.stdout, "web.shop is 10.77.0.2\nonly.here is 10.9.8.7\n", "{told:?}");
    for data_path in DataPath::ALL {
        let told = resolved(data_path, &json!(false), &file);
        assert_eq!(told.stdout, "web.shop is not found\nonly.here is 10.9.8.7\n", "{data_path:?}: {told:?}");
        let told = resolved(data_path, &json!(true), &file);
        assert_eq!(told.stdout, "web.shop is 10.77.0.2\nonly.here is not found\n", "{data_path:?}: {told:?}");
    }
}
