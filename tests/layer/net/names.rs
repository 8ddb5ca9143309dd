//! Names of hosts, and the host's own.

use mirrord_protocol::{
    agent::dns::{DnsAnswer, DnsCall, Family, NoAnswer},
    proxy::{FromProxy, ToProxy},
};

use super::{calls, handoff, shrug};
use crate::scripted_proxy::ScriptedProxy;

fn session() -> ScriptedProxy {
    ScriptedProxy::start(&handoff(|_, _| {}), |question, _| match question {
        ToProxy::Dns(call) => FromProxy::Dns(answer(call)).into(),
        question => shrug(question),
    })
}

fn answer(call: &DnsCall) -> DnsAnswer {
    match call {
        DnsCall::Resolve { name, family } if name == "db.shop" => {
            let all = ["10.0.0.9", "fd00::9"].map(|address| address.parse().unwrap());
            DnsAnswer::Addresses {
                canonical: Some("db-0.shop".to_owned()),
                addresses: match family {
                    Family::Any => all.to_vec(),
                    Family::V4 => vec![all[0]],
                    Family::V6 => vec![all[1]],
                },
            }
        }
        DnsCall::Resolve { name, .. } if name == "slow" => DnsAnswer::None(NoAnswer::TryAgain),
        DnsCall::Resolve { name, .. } if name == "empty" => DnsAnswer::None(NoAnswer::NoData),
        DnsCall::Reverse(ip) if ip.to_string() == "10.0.0.9" => DnsAnswer::Names(vec!["db.shop".to_owned()]),
        DnsCall::Query { name, .. } if name == "db.shop" => {
            DnsAnswer::Message(vec![0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0].into())
        }
        _ => DnsAnswer::None(NoAnswer::NotFound),
    }
}

#[test]
fn names_are_asked_there() {
    let session = session();
    for (asked, told) in [
        ("resolve db.shop 80", "db-0.shop 10.0.0.9:80 fd00::9:80"),
        ("resolve db.shop http", "db-0.shop 10.0.0.9:80 fd00::9:80"),
        ("resolve nowhere 80", "EAI -2"),
        ("resolve slow 80", "EAI -3"),
        ("resolve empty 80", "EAI -5"),
        ("host db.shop", "db-0.shop 10.0.0.9"),
        ("host6 db.shop", "db-0.shop fd00::9"),
        ("host nowhere", "h_errno 1"),
        ("host_r db.shop 512", "db-0.shop 10.0.0.9"),
        ("host_r db.shop 9", "34 0"),
        ("host_r nowhere 512", "0 1"),
        ("host_r slow 512", "11 2"),
        ("reverse 10.0.0.9", "db.shop 10.0.0.9"),
        ("reverse 10.0.0.8", "h_errno 1"),
        ("nameinfo any 10.0.0.9 80", "db.shop http"),
        ("nameinfo any 10.0.0.8 80", "10.0.0.8 http"),
        ("nameinfo required 10.0.0.8 80", "EAI -2"),
        ("query db.shop", "12 bytes"),
        ("query nowhere", "h_errno 1"),
    ] {
        assert_eq!(calls(&session, asked), told, "{asked}");
    }
}

#[test]
fn addresses_are_nobodys_to_ask() {
    let session = session();
    assert_eq!(calls(&session, "resolve 10.1.2.3 80"), "10.1.2.3 10.1.2.3:80");
    assert_eq!(calls(&session, "host 10.1.2.3"), "10.1.2.3 10.1.2.3");
    assert!(session.questions().is_empty(), "{:?}", session.questions());
}

#[test]
fn names_stay_here_if_the_user_wants() {
    let proxy =
        ScriptedProxy::start(&handoff(|rules, _| rules.dns.enabled = false), |question, _| shrug(question));
    calls(&proxy, "resolve localhost 80 host localhost");
    assert!(proxy.questions().is_empty(), "{:?}", proxy.questions());
}

#[test]
fn the_host_is_called_as_the_target() {
    assert_eq!(calls(&session(), "hostname 64 uname hostname 3"), "target\ntarget\nENAMETOOLONG");
    let own = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let proxy =
        ScriptedProxy::start(&handoff(|rules, _| rules.hostname = false), |question, _| shrug(question));
    assert_eq!(calls(&proxy, "hostname 64 uname"), format!("{own}\n{own}"));
}
