//! A proxy that says nonsense: a call fails as if its disk or its network were gone, and the guest goes on.

use mirrord_config::handoff::{DataPath, Facts, Handoff};
use mirrord_core::rules::{Rules, fs::FsMode};
use mirrord_protocol::{
    agent::{dns::DnsAnswer, fs::FsAnswer},
    fault::Fault,
    proxy::{FromProxy, ToProxy, sockets::SocketAnswer},
    wire::{self, MAX_PACKET},
};

use crate::{
    guest,
    scripted_proxy::{Answer, ScriptedProxy, memory},
};

/// Tries all of it twice, and then what stays here.
const GUEST: &str = r"
import errno, os, socket
def told(name, deed):
    try: deed(); print(name, 'well')
    except socket.gaierror: print(name, 'no name')
    except OSError as error: print(name, errno.errorcode[error.errno])
for _ in range(2):
    told('open', lambda: os.open('/data/file', os.O_RDONLY))
    told('stat', lambda: os.stat('/data/file'))
    told('list', lambda: os.listdir('/data'))
    told('connect', lambda: socket.create_connection(('10.9.9.9', 80)))
    told('name', lambda: socket.getaddrinfo('redis.shop', 80))
told('here', lambda: os.stat('/usr'))
";

/// What the guest says of a proxy that answers everything so.
fn heard(answer: impl Fn(&ToProxy) -> Answer + Send + Sync + 'static) -> String {
    let mut rules = Rules { ipv6: true, ..Rules::default() };
    rules.fs.mode = FsMode::Read;
    rules.dns.enabled = true;
    rules.outgoing.tcp = true;
    let facts = Facts { has_target: true, data_path: DataPath::Proxied, ..Facts::default() };
    let proxy = ScriptedProxy::start(&Handoff { rules, facts }, move |question, _| answer(question));
    guest::said(&guest::command(&proxy, "/usr/bin/python3").args(["-c", GUEST]).output().unwrap())
}

fn check(what: &str, answer: impl Fn(&ToProxy) -> Answer + Send + Sync + 'static) {
    if mirrord_tests::programs::system("python3").is_none() {
        return mirrord_tests::ground::skip("no python3");
    }
    let heard = heard(answer);
    let round = "open EIO\nstat EIO\nlist EIO\nconnect ENETDOWN\nname no name\n";
    assert_eq!(heard, format!("{round}{round}here well"), "{what}");
}

#[test]
fn noise_is_refused() {
    check("noise", |_| Answer::nonsense(&[b"\xff\xff\xff\xff\xff\xff\xff\xff"]));
    check("a word that is cut", |_| {
        Answer::nonsense(&[&wire::encode(&FromProxy::Object).unwrap()[..0], b"\x05"])
    });
    check("a word that goes on", |_| {
        let mut bytes = wire::encode(&FromProxy::Done).unwrap();
        bytes.push(0);
        Answer::nonsense(&[&bytes])
    });
}

#[test]
fn a_packet_that_is_too_long_is_refused_before_there_is_room_for_it() {
    check("too long", |_| Answer::nonsense(&[&vec![0; MAX_PACKET + 1]]));
}

#[test]
fn an_end_instead_of_an_answer_is_a_loss() {
    check("an end", |_| Answer::nonsense(&[]));
}

#[test]
fn descriptors_that_are_announced_and_do_not_come_are_missed() {
    check("no descriptor", |question| match question {
        ToProxy::Open { .. } => FromProxy::Object.into(),
        _ => FromProxy::Socket(SocketAnswer::Made).into(),
    });
}

#[test]
fn descriptors_that_nobody_has_announced_are_closed() {
    check("a descriptor too many", |_| Answer::with(FromProxy::Done, memory(b"surprise")));
}

#[test]
fn an_answer_to_another_question_is_none() {
    check("another answer", |question| match question {
        ToProxy::Fs(_) | ToProxy::Open { .. } => {
            FromProxy::Dns(DnsAnswer::None(mirrord_protocol::agent::dns::NoAnswer::NotFound)).into()
        }
        ToProxy::Dns(_) => FromProxy::Fs(FsAnswer::Done).into(),
        _ => FromProxy::Failed(Fault::os(libc::ENETDOWN)).into(),
    });
}

#[test]
fn answers_that_nobody_has_asked_for_are_not_taken_for_others() {
    let many = vec![wire::encode(&FromProxy::Failed(Fault::os(libc::EIO))).unwrap(); 50];
    let heard = heard(move |_| {
        let packets: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
        Answer::nonsense(&packets)
    });
    // What was said before it was asked can only be believed or not: never waited for.
    assert!(heard.ends_with("here well") && heard.lines().count() == 11, "{heard}");
}

/// A program whose proxy is gone before it begins does not know what was meant: nothing of it happens here.
#[test]
fn without_a_proxy_nothing_is_written_here_that_was_meant_for_there() {
    const WRITE: &str = "echo x > /data/out/file || cat /data/file";
    let proxy = ScriptedProxy::start(&Handoff::default(), |_, _| Answer::nonsense(&[]));
    let mut command = guest::command(&proxy, "/bin/sh");
    command.env(mirrord_protocol::proxy::names::PROXY_ADDRESS, "@mirrord-nobody");
    let said = guest::said(&command.args(["-c", WRITE]).output().unwrap());
    assert_eq!(said.matches("I/O error").count() + said.matches("Input/output error").count(), 2, "{said}");
}
