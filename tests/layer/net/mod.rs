//! Sockets, names and programs: each call taken, with a result that only the target could give; left; and refused.

mod children;
mod incoming;
mod names;
mod passed;
mod relayed;

use mirrord_config::handoff::{DataPath, Facts, Handoff};
use mirrord_core::rules::{Rules, dns::DnsRules, outgoing::OutgoingRules};
use mirrord_protocol::proxy::{
    FromProxy, ToProxy,
    sockets::{SocketAnswer, SocketQuestion},
};

use crate::{
    guest,
    scripted_proxy::{Answer, ScriptedProxy},
};

/// Settings that take everything there, relayed.
fn handoff(change: impl FnOnce(&mut Rules, &mut Facts)) -> Handoff {
    let mut rules = Rules {
        dns: DnsRules { enabled: true, filter: None },
        outgoing: OutgoingRules { tcp: true, udp: true, ..OutgoingRules::default() },
        hostname: true,
        ipv6: true,
        ..Rules::default()
    };
    let mut facts = Facts {
        data_path: DataPath::Proxied,
        has_target: true,
        hostname: "target".to_owned(),
        start_dir: b"/".to_vec(),
        ..Facts::default()
    };
    change(&mut rules, &mut facts);
    Handoff { rules, facts }
}

/// Makes these calls in a guest, and says what came of them, each on a line.
fn calls(proxy: &ScriptedProxy, calls: &str) -> String {
    let mut command = guest::command(proxy, guest::compiled("reach"));
    guest::said(&command.args(calls.split_whitespace()).output().unwrap())
}

fn socket(answer: SocketAnswer) -> Answer {
    FromProxy::Socket(answer).into()
}

/// What a script answers to a question that its story does not care about.
fn shrug(question: &ToProxy) -> Answer {
    match question {
        ToProxy::Socket(SocketQuestion::Listen { .. }) => {
            socket(SocketAnswer::Listening { subscribed: true })
        }
        ToProxy::Socket(SocketQuestion::Bound { .. }) => socket(SocketAnswer::Done),
        ToProxy::Socket(_) => socket(SocketAnswer::Unknown),
        _ => FromProxy::Done.into(),
    }
}
