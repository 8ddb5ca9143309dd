//! Names: the target's `hosts`, its resolver, its search list.

use std::net::IpAddr;

use mirrord_protocol::agent::{
    AgentAnswer, AgentCall,
    dns::{DnsAnswer, DnsCall, Family, NoAnswer},
};
use serde_bytes::ByteBuf;

use crate::envoy::{Agent, Session};

const A: u16 = 1;
const MX: u16 = 15;
const TXT: u16 = 16;
const IN: u16 = 1;

fn ask(session: &mut Session, call: DnsCall) -> DnsAnswer {
    match session.call(AgentCall::Dns(call)).unwrap() {
        (AgentAnswer::Dns(answer), None) => answer,
        other => panic!("that is no answer about names: {other:?}"),
    }
}

fn resolve(session: &mut Session, name: &str, family: Family) -> Result<(String, Vec<IpAddr>), NoAnswer> {
    match ask(session, DnsCall::Resolve { name: name.to_owned(), family }) {
        DnsAnswer::Addresses { canonical, addresses } => Ok((canonical.unwrap_or_default(), addresses)),
        DnsAnswer::None(why) => Err(why),
        other => panic!("those are no addresses: {other:?}"),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is what is compared with")]
fn known(canonical: &str, addresses: &[&str]) -> Result<(String, Vec<IpAddr>), NoAnswer> {
    Ok((canonical.to_owned(), addresses.iter().map(|ip| ip.parse().unwrap()).collect()))
}

#[test]
fn a_name_has_the_addresses_that_it_has_there() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let mut check =
        |name: &str, family, expected| assert_eq!(resolve(&mut session, name, family), expected, "{name}");
    check("redis.shop", Family::Any, known("redis.shop", &["10.77.0.2"]));
    check("redis.shop.", Family::Any, known("redis.shop", &["10.77.0.2"]));
    check("only-4.shop", Family::V4, known("only-4.shop", &["10.77.0.2"]));
    check("only-6.shop", Family::V6, known("only-6.shop", &["fd77::2"]));
    check("WEB.shop", Family::V4, known("WEB.shop", &["10.77.0.2"]));
    check("api.shop", Family::V4, known("web.shop", &["10.77.0.2"]));
    check("many.shop", Family::V4, known("many.shop", &["10.77.0.2", "10.77.0.3"]));
    check("10.1.2.3", Family::Any, known("", &["10.1.2.3"]));
    check("fd77::9", Family::V6, known("", &["fd77::9"]));
    let (_, both) = resolve(&mut session, "db.shop", Family::Any).unwrap();
    assert_eq!(both.len(), 2, "{both:?}");
}

#[test]
fn a_name_without_an_answer_says_why() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let mut why = |name: &str, family| resolve(&mut session, name, family).unwrap_err();
    assert_eq!(why("nowhere.shop", Family::Any), NoAnswer::NotFound);
    assert_eq!(why("only-4.shop", Family::V6), NoAnswer::NoData);
    assert_eq!(why("only-6.shop", Family::V4), NoAnswer::NoData);
    assert_eq!(why("about.shop", Family::Any), NoAnswer::NoData);
    assert_eq!(why("broken.shop.", Family::Any), NoAnswer::TryAgain);
    assert_eq!(why("10.1.2.3", Family::V6), NoAnswer::NotFound);
    assert_eq!(why("", Family::Any), NoAnswer::NotFound);
    assert_eq!(why("a..b", Family::Any), NoAnswer::NotFound);
    assert_eq!(why(&"x".repeat(300), Family::Any), NoAnswer::NotFound);
}

#[test]
fn the_search_list_finishes_a_short_name() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    assert_eq!(resolve(&mut session, "redis", Family::V4), known("redis.shop", &["10.77.0.2"]));
    assert_eq!(resolve(&mut session, "redis.", Family::V4), Err(NoAnswer::NotFound));
}

#[test]
fn the_hosts_file_is_asked_first() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let mut check =
        |name: &str, family, expected| assert_eq!(resolve(&mut session, name, family), expected, "{name}");
    check("only-in-hosts.pod", Family::Any, known("only-in-hosts.pod", &["10.77.0.4"]));
    check("Alias.Pod", Family::V4, known("only-in-hosts.pod", &["10.77.0.4"]));
    check("localhost", Family::V4, known("localhost", &["127.0.0.1"]));
    check("localhost", Family::V6, known("localhost", &["::1"]));
    check("localhost", Family::Any, known("localhost", &["::1", "127.0.0.1"]));
}

#[test]
fn an_answer_too_large_for_a_datagram_comes_whole() {
    let agent = Agent::in_pod();
    let (_, addresses) = resolve(&mut agent.session(), "big.shop", Family::V4).unwrap();
    assert_eq!(addresses.len(), 60);
}

#[test]
fn an_address_has_its_names() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let mut reverse = |ip: &str| ask(&mut session, DnsCall::Reverse(ip.parse().unwrap()));
    assert_eq!(reverse("10.77.0.3"), DnsAnswer::Names(vec!["db.shop".into()]));
    assert_eq!(reverse("10.77.0.4"), DnsAnswer::Names(vec!["only-in-hosts.pod".into(), "alias.pod".into()]));
    assert_eq!(reverse("10.99.99.99"), DnsAnswer::None(NoAnswer::NotFound));
}

#[test]
fn a_question_by_type_is_answered_with_a_whole_message() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let mut query = |name: &str, kind, search| {
        ask(&mut session, DnsCall::Query { name: name.to_owned(), kind, class: IN, search })
    };
    let holds = |answer: &DnsAnswer, text: &[u8]| match answer {
        DnsAnswer::Message(message) => message.windows(text.len()).any(|it| it == text),
        _ => false,
    };
    assert!(holds(&query("about.shop", TXT, false), b"corner shop"));
    assert!(holds(&query("about", TXT, true), b"corner shop"));
    assert_eq!(query("about", TXT, false), DnsAnswer::None(NoAnswer::NotFound));
    assert_eq!(query("about.shop", MX, false), DnsAnswer::None(NoAnswer::NoData));
}

/// A question as a resolver of the guest's own would write it.
fn message(name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = b"\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&IN.to_be_bytes());
    bytes
}

#[test]
fn a_message_is_answered_as_the_name_server_answers_it() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let mut forward = |bytes: Vec<u8>| ask(&mut session, DnsCall::Message(ByteBuf::from(bytes)));
    for (name, code, n_answers) in [("web.shop", 0, 1), ("nowhere.shop", 3, 0), ("broken.shop", 2, 0)] {
        let DnsAnswer::Message(answer) = forward(message(name, A)) else { panic!("{name} has an answer") };
        assert_eq!(answer[..2], *b"\xab\xcd");
        assert_eq!((answer[3] & 0xf, answer[7]), (code, n_answers), "{name}");
    }
    assert_eq!(forward(b"too short".to_vec()), DnsAnswer::None(NoAnswer::TryAgain));
}
