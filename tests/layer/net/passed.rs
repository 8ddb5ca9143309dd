//! Sockets that are made there and passed.

use std::{net::TcpListener, sync::Arc};

use mirrord_config::handoff::{DataPath, Handoff};
use mirrord_core::rules::{Rules, outgoing::OutgoingRules};
use mirrord_protocol::proxy::{
    FromProxy, ToProxy,
    sockets::{SocketAnswer, SocketQuestion},
};

use super::{calls, handoff, shrug};
use crate::{
    elsewhere::{Elsewhere, elsewhere},
    scripted_proxy::{Answer, ScriptedProxy},
};

fn session(change: impl FnOnce(&mut Rules)) -> Option<(ScriptedProxy, Arc<Elsewhere>)> {
    let there = Arc::new(elsewhere()?);
    let settings: Handoff = handoff(|rules, facts| {
        facts.data_path = DataPath::Passed;
        facts.netns_cookie = there.cookie;
        change(rules);
    });
    let store = Arc::clone(&there);
    let proxy = ScriptedProxy::start(&settings, move |question, _| match question {
        ToProxy::Socket(SocketQuestion::Make { domain, kind, .. }) => Answer {
            words: FromProxy::Socket(SocketAnswer::Made),
            objects: store.socket(*domain, *kind).into_iter().collect(),
            instead: None,
        },
        question => shrug(question),
    });
    Some((proxy, there))
}

#[test]
fn a_stream_reaches_what_only_the_target_has() {
    let Some((proxy, there)) = session(|_| {}) else { return };
    let port = there.port;
    assert_eq!(
        calls(&proxy, &format!("tcp connect 127.0.0.1 {port} read peer")),
        format!("0\n0\nfrom there\n127.0.0.1:{port}")
    );
}

#[test]
fn a_datagram_reaches_what_only_the_target_has() {
    let Some((proxy, there)) = session(|_| {}) else { return };
    let port = there.port;
    assert_eq!(
        calls(&proxy, &format!("udp sendto 127.0.0.1 {port} recvfrom")),
        format!("0\n2\nfrom there from 127.0.0.1:{port}")
    );
}

#[test]
fn what_stays_here_is_reached_by_a_socket_of_this_machine_with_its_options_and_its_watchers() {
    let Some((proxy, _)) = session(|rules| rules.outgoing.ignore_localhost = true) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let greeter = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"from here").unwrap();
    });
    let story = format!("tcp nodelay watch connect 127.0.0.1 {port} watched read is-nodelay");
    assert_eq!(calls(&proxy, &story), "0\n0\n0\n0\n1 7\nfrom here\n1");
    greeter.join().unwrap();
}

#[test]
fn a_listener_stays_here() {
    let Some((proxy, _)) = session(|_| {}) else { return };
    let told = calls(&proxy, "tcp bind 127.0.0.1 0 listen name");
    assert!(told.starts_with("0\n0\n0\n127.0.0.1:"), "{told}");
    let asked = proxy.questions();
    assert!(
        asked.iter().any(|question| matches!(question, ToProxy::Socket(SocketQuestion::Listen { .. }))),
        "{asked:?}"
    );
}

#[test]
fn bad_addresses_are_the_kernels_to_refuse() {
    let Some((proxy, there)) = session(|_| {}) else { return };
    let port = there.port;
    assert_eq!(calls(&proxy, "tcp connect-null"), "0\nEFAULT");
    assert_eq!(calls(&proxy, &format!("tcp connect-short 127.0.0.1 {port}")), "0\nEINVAL");
}

#[test]
fn where_nothing_goes_there_sockets_are_made_here() {
    let Some((proxy, _)) = session(|rules| rules.outgoing = OutgoingRules::default()) else { return };
    assert_eq!(calls(&proxy, "tcp udp"), "0\n0");
    assert!(proxy.questions().is_empty(), "{:?}", proxy.questions());
}

#[test]
fn without_ipv6_there_are_no_sockets_of_it() {
    let Some((proxy, _)) = session(|rules| rules.ipv6 = false) else { return };
    assert_eq!(calls(&proxy, "tcp6"), "EAFNOSUPPORT");
}
