//! Every message of this version still reads from, and is still written as, the bytes committed in `tests/golden`.
//!
//! A new message is a new line here and a new file there: run once with `MIRRORD_UPDATE_GOLDEN=1`, which writes
//! files that are missing and never touches one that exists.

#![allow(clippy::unwrap_used, reason = "a proof that cannot go on has failed")]

use std::{fmt::Debug, fs, path::PathBuf};

use mirrord_protocol::{
    GuestPath,
    agent::{
        AgentAnswer, AgentCall, FromAgent, Hello, LaneKey, LaneOpen, ToAgent, Welcome, control, dns, env,
        fs as files, incoming, outgoing,
    },
    fault::Fault,
    id::{ArrivalId, RemoteFd, RequestId, SocketInode},
    proxy::{FromProxy, ToProxy, lineage, sockets},
    trunk::{self, End, Frame, LaneId, LaneReport, Preamble, Saying, StrandId, TrunkId},
    version::Version,
    wire,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, message: &T) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("MIRRORD_UPDATE_GOLDEN").is_some() && !file.exists() {
        fs::write(&file, wire::encode(message).unwrap()).unwrap();
    }
    let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{name} has no golden bytes: {error}"));
    assert_eq!(&wire::decode::<T>(&bytes).unwrap(), message, "{name} reads as something else");
    assert_eq!(wire::encode(message).unwrap(), bytes, "{name} is written differently");
    for cut in 0..bytes.len() {
        assert!(
            wire::decode::<T>(&bytes[..cut]).is_err(),
            "{name} reads from {cut} of {} bytes",
            bytes.len()
        );
    }
}

const VERSION: Version = Version { major: 1, minor: 0 };
const KEY: LaneKey = LaneKey([7; 16]);

fn path() -> GuestPath {
    GuestPath::from("/app/config.toml")
}

fn stat() -> files::FileStat {
    let time = files::Time { seconds: 1_700_000_000, nanoseconds: 5 };
    files::FileStat {
        device: 0x0800_0001,
        inode: 42,
        mode: 0o100_644,
        n_links: 1,
        uid: 1000,
        gid: 1001,
        special: 0,
        size: 1 << 33,
        block_size: 4096,
        n_blocks: 8,
        accessed: time,
        modified: time,
        changed: time,
        born: Some(time),
    }
}

#[test]
fn lanes_begin_as_they_always_did() {
    check("lane_control", &LaneOpen::Control(Hello { version: VERSION, owner: "ann@laptop".into() }));
    let v6 = "[2001:db8::1]:443".parse().unwrap();
    check(
        "lane_connect_tcp",
        &LaneOpen::Connect(KEY, outgoing::ConnectCall { to: outgoing::Destination::Tcp(v6) }),
    );
    let unix = outgoing::Destination::Unix(outgoing::UnixName::Path(path()));
    check("lane_connect_unix", &LaneOpen::Connect(KEY, outgoing::ConnectCall { to: unix }));
    let bind = "0.0.0.0:0".parse().unwrap();
    check("lane_datagrams", &LaneOpen::Datagrams(KEY, outgoing::DatagramCall { bind }));
    check("lane_arrival", &LaneOpen::Arrival(KEY, ArrivalId(9)));
    check("lane_calls", &LaneOpen::Calls(KEY));
    check("welcome_settled", &Welcome::Settled(VERSION, KEY));
    check("welcome_refused", &Welcome::Refused("too old".into()));
}

#[test]
fn calls_of_the_agent_keep_their_bytes() {
    let calls = [
        ("ping", AgentCall::Ping),
        ("describe", AgentCall::Describe),
        (
            "environment",
            AgentCall::Environment(env::EnvironmentCall {
                include: vec!["*".into()],
                exclude: vec!["X?".into()],
            }),
        ),
        (
            "open",
            AgentCall::Fs(files::FsCall::Open {
                path: path(),
                flags: 0o2,
                mode: 0o644,
                want: files::Want::Handle(4096),
            }),
        ),
        ("stat", AgentCall::Fs(files::FsCall::Stat { path: path(), follow: true })),
        (
            "write_at",
            AgentCall::Fs(files::FsCall::WriteAt {
                file: RemoteFd(3),
                offset: 1,
                bytes: ByteBuf::from("hi"),
            }),
        ),
        ("list", AgentCall::Fs(files::FsCall::List { file: RemoteFd(3), position: 0 })),
        (
            "stat_names",
            AgentCall::Fs(files::FsCall::StatNames { folder: path(), names: vec![ByteBuf::from("a")] }),
        ),
        (
            "resolve",
            AgentCall::Dns(dns::DnsCall::Resolve { name: "db.shop".into(), family: dns::Family::Any }),
        ),
        ("query", AgentCall::Dns(dns::DnsCall::Query { name: "x".into(), kind: 33, class: 1, search: true })),
        ("socket", AgentCall::Socket(outgoing::SocketCall { domain: 2, kind: 1, protocol: 6 })),
        (
            "subscribe",
            AgentCall::Subscribe(incoming::SubscribeCall {
                port: incoming::Port(80),
                wish: incoming::Wish::Steal,
                pass: true,
            }),
        ),
        ("return", AgentCall::Return(ArrivalId(4))),
        ("accepted", AgentCall::Accepted(ArrivalId(4))),
        ("bind_unix", AgentCall::BindUnix(outgoing::BindCall { path: path(), mode: 0o755 })),
        ("close", AgentCall::Close(RemoteFd(3))),
        ("route", AgentCall::Route("[2001:db8::1]:53".parse().unwrap())),
    ];
    for (name, call) in calls {
        check(&format!("to_agent_{name}"), &ToAgent { id: RequestId(300), call, descriptor: false });
    }
}

#[test]
fn words_of_the_agent_keep_their_bytes() {
    let answers = [
        ("done", Ok(AgentAnswer::Done)),
        ("fault", Err(Fault::with_words(98, "port 80 is stolen by ben"))),
        ("stat", Ok(AgentAnswer::Fs(files::FsAnswer::Stat(stat())))),
        ("stats", Ok(AgentAnswer::Fs(files::FsAnswer::Stats(vec![Some(stat()), None])))),
        (
            "opened",
            Ok(AgentAnswer::Fs(files::FsAnswer::Opened {
                file: None,
                stat: stat(),
                path: path(),
                contents: Some(ByteBuf::from("key = 1\n")),
            })),
        ),
        (
            "addresses",
            Ok(AgentAnswer::Dns(dns::DnsAnswer::Addresses {
                canonical: Some("db.shop".into()),
                addresses: vec!["10.0.0.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
            })),
        ),
        ("route", Ok(AgentAnswer::Route("10.77.0.2".parse().unwrap()))),
        (
            "target",
            Ok(AgentAnswer::Target(control::TargetDescription {
                hostname: "web-1".into(),
                ..Default::default()
            })),
        ),
    ];
    for (name, outcome) in answers {
        check(
            &format!("from_agent_{name}"),
            &FromAgent::Answer { id: RequestId(1), outcome, descriptor: false },
        );
    }
    let arrival = incoming::Arrival {
        id: ArrivalId(1),
        port: incoming::Port(80),
        peer: "10.0.0.9:55000".parse().unwrap(),
        local: "10.0.0.7:80".parse().unwrap(),
        wish: incoming::Wish::Mirror,
        descriptor: false,
    };
    check("from_agent_arrival", &FromAgent::Arrival(arrival));
    check(
        "from_agent_log",
        &FromAgent::Log(control::LogLine { level: control::Level::Warn, text: "slow".into() }),
    );
    check("from_agent_farewell", &FromAgent::Farewell(control::Farewell::TargetGone));
    check("from_agent_farewell_evicted", &FromAgent::Farewell(control::Farewell::Evicted));
}

#[test]
fn the_layers_language_keeps_its_bytes() {
    let hello = lineage::Hello { version: VERSION, pid: 12, program: "python3".into(), settings: true };
    check("to_proxy_hello", &ToProxy::Hello(hello));
    check("to_proxy_open", &ToProxy::Open { path: path(), flags: 0, mode: 0 });
    check("to_proxy_fs", &ToProxy::Fs(files::FsCall::ReadLink(path())));
    check("to_proxy_note", &ToProxy::Note(lineage::Note::Warning("x".into())));
    check("to_proxy_ping", &ToProxy::Ping);
    check("to_proxy_lane", &ToProxy::Lane);
    check("to_proxy_look", &ToProxy::Look { path: path(), follow: true, n_more: 8 });
    let more = vec![(ByteBuf::from("b"), stat())];
    let looked = mirrord_protocol::proxy::Looked { stat: stat(), milliseconds: 900, n_changes: 5, more };
    check("from_proxy_looked", &FromProxy::Looked(looked));
    let to = "10.0.0.7:5432".parse().unwrap();
    check("to_proxy_judge", &ToProxy::Socket(sockets::SocketQuestion::Judge { datagram: false, to }));
    check(
        "to_proxy_bound",
        &ToProxy::Socket(sockets::SocketQuestion::Bound {
            inode: SocketInode(9),
            requested: "0.0.0.0:80".parse().unwrap(),
            bound: "0.0.0.0:40001".parse().unwrap(),
        }),
    );
    check(
        "to_proxy_datagram_source",
        &ToProxy::Socket(sockets::SocketQuestion::DatagramSource {
            inode: SocketInode(9),
            from: "127.0.0.1:5353".parse().unwrap(),
        }),
    );
    check(
        "to_proxy_bind_unix",
        &ToProxy::Socket(sockets::SocketQuestion::BindUnix { path: path(), mode: 0o755 }),
    );
    check("to_proxy_outcome", &ToProxy::Socket(sockets::SocketQuestion::Outcome(SocketInode(77))));
    check("from_proxy_welcome", &FromProxy::Welcome(lineage::Welcome { version: VERSION, settings: true }));
    check("from_proxy_failed", &FromProxy::Failed(Fault::os(2)));
    let arrived = sockets::SocketAnswer::Arrived { peer: to, local: to, descriptor: true };
    check("from_proxy_arrived", &FromProxy::Socket(arrived));
}

#[test]
fn strands_are_greeted_as_they_always_were() {
    let join = trunk::Join {
        trunk: TrunkId([9; 16]),
        strand: StrandId(3),
        is_new: true,
        keep_alive: 5000,
        living: vec![StrandId(0), StrandId(2)],
    };
    check("strand_join", &join);
    check("strand_joined_welcome", &trunk::Joined::Welcome);
    check("strand_joined_refused", &trunk::Joined::Refused("too old".into()));
    check("strand_joined_unknown", &trunk::Joined::Unknown);
    let preamble = Preamble { version: VERSION, length: 300 };
    let bytes = *b"mdTr\x01\0\0\0\x2c\x01\0\0";
    assert_eq!(preamble.encode(), bytes);
    assert_eq!(Preamble::parse(bytes), Some(preamble));
    assert_eq!(Preamble::parse(*b"GET / HTTP/1"), None);
}

#[test]
fn words_on_a_strand_keep_their_bytes() {
    let report = LaneReport {
        lane: LaneId(7),
        received: 1 << 20,
        consumed: 4096,
        limit: 1 << 33,
        end: Some(End::Finished),
    };
    let sayings = [
        ("report", Saying::Report(vec![report])),
        ("told", Saying::Told),
        ("ping", Saying::Ping(1)),
        ("pong", Saying::Pong(1)),
        ("cut", Saying::Cut(StrandId(1))),
        ("over", Saying::Over(LaneId(9))),
        ("part", Saying::Part),
        ("parted", Saying::Parted),
        ("violation", Saying::Violation("too much".into())),
    ];
    for (name, saying) in sayings {
        check(&format!("saying_{name}"), &saying);
    }
}

#[test]
fn frames_of_a_strand_keep_their_headers() {
    let data = Frame::Data { lane: LaneId(2), offset: 0x0102_0304_0506, bytes: "abc".into() };
    let (header, body) = data.encode();
    assert_eq!(header, *b"\x03\0\0\0\x02\0\0\0\x06\x05\x04\x03\x02\x01\0\0");
    assert_eq!(body, "abc");
    let end = Frame::End { lane: LaneId(2), offset: 5, end: End::Broken };
    assert_eq!(end.encode().0, *b"\0\0\0\x02\x02\0\0\0\x05\0\0\0\0\0\0\0");
    let (header, body) = Frame::Say(Saying::Told).encode();
    assert_eq!(header, *b"\x01\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(wire::decode::<Saying>(&body).unwrap(), Saying::Told);
}
