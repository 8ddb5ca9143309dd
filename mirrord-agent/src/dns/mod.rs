//! Names, as the target's resolver answers them.
//!
//! A question is asked as glibc asks it there: first the target's `hosts`, then its name servers, with the search list
//! and `ndots` of its `resolv.conf` (`resolv.conf(5)`, `resolver(3)`). Nothing is remembered: whoever remembers for the
//! target is its name server.

mod config;
mod exchange;
mod hosts;
mod order;

use std::{net::IpAddr, time::Duration};

use hickory_resolver::proto::{
    op::{Message, Query, ResponseCode},
    rr::{DNSClass, Name, RData, RecordType},
};
use mirrord_protocol::{
    agent::dns::{DnsAnswer, DnsCall, Family, NoAnswer},
    fault::Fault,
};
use serde_bytes::ByteBuf;

pub(crate) use self::config::Config;
use self::exchange::exchange;

/// How long a question may take in all, whatever the target's `resolv.conf` says.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers a question.
///
/// # Errors
/// When the question is none.
pub(crate) async fn ask(config: &Config, call: &DnsCall) -> Result<DnsAnswer, Fault> {
    let answered = tokio::time::timeout(PATIENCE, answer(config, call)).await;
    answered.unwrap_or(Ok(DnsAnswer::None(NoAnswer::TryAgain)))
}

async fn answer(config: &Config, call: &DnsCall) -> Result<DnsAnswer, Fault> {
    let answer = match call {
        DnsCall::Resolve { name, family } => resolve(config, name, *family).await,
        DnsCall::Reverse(ip) => reverse(config, *ip).await,
        DnsCall::Message(message) => {
            let answered = exchange(config, message).await.ok_or(NoAnswer::TryAgain);
            answered.map(|answer| DnsAnswer::Message(ByteBuf::from(answer)))
        }
        DnsCall::Query { name, kind, class, search } => {
            let asked = Asked { kind: RecordType::from(*kind), class: DNSClass::from(*class) };
            let found = searched(config, name, *search, |name| one(config, name, asked)).await;
            found.map(|(_, answer)| DnsAnswer::Message(ByteBuf::from(answer)))
        }
    };
    Ok(answer.unwrap_or_else(DnsAnswer::None))
}

async fn resolve(config: &Config, name: &str, family: Family) -> Result<DnsAnswer, NoAnswer> {
    let fits = |ip: &IpAddr| match family {
        Family::Any => true,
        Family::V4 => ip.is_ipv4(),
        Family::V6 => ip.is_ipv6(),
    };
    if let Ok(ip) = name.parse::<IpAddr>() {
        let known = fits(&ip).then(|| DnsAnswer::Addresses { canonical: None, addresses: vec![ip] });
        return known.ok_or(NoAnswer::NotFound);
    }
    if let Some((canonical, addresses)) = hosts::find(&config.hosts, name, fits) {
        return Ok(DnsAnswer::Addresses { canonical: Some(canonical), addresses: order::sort(addresses) });
    }
    let (_, (canonical, addresses)) =
        searched(config, name, true, |name| addresses(config, name, family)).await?;
    Ok(DnsAnswer::Addresses { canonical: Some(canonical), addresses: order::sort(addresses) })
}

async fn reverse(config: &Config, ip: IpAddr) -> Result<DnsAnswer, NoAnswer> {
    if let Some(names) = hosts::names(&config.hosts, ip) {
        return Ok(DnsAnswer::Names(names));
    }
    let asked = Asked { kind: RecordType::PTR, class: DNSClass::IN };
    let answer = one(config, Name::from(ip), asked).await?;
    let message = Message::from_vec(&answer).map_err(|_| NoAnswer::Failed)?;
    let names: Vec<String> = message
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::PTR(name) => Some(plain(&name.0)),
            _ => None,
        })
        .collect();
    if names.is_empty() { Err(NoAnswer::NoData) } else { Ok(DnsAnswer::Names(names)) }
}

/// Asks for the names that a name may mean, one after the other, until one has an answer: so `res_search(3)` does it.
async fn searched<T, F: Future<Output = Result<T, NoAnswer>>>(
    config: &Config,
    name: &str,
    search: bool,
    ask: impl Fn(Name) -> F,
) -> Result<(Name, T), NoAnswer> {
    let candidates = if search { config.candidates(name) } else { config::as_it_is(name) };
    let (mut has_no_data, mut has_failed) = (false, false);
    for candidate in candidates {
        match ask(candidate.clone()).await {
            Ok(answer) => return Ok((candidate, answer)),
            Err(NoAnswer::NotFound) => {}
            Err(NoAnswer::NoData) => has_no_data = true,
            Err(NoAnswer::Failed) => has_failed = true,
            // Nobody answers: the next name would only take as long.
            Err(NoAnswer::TryAgain) => return Err(NoAnswer::TryAgain),
        }
    }
    Err(match (has_no_data, has_failed) {
        (true, _) => NoAnswer::NoData,
        // A server's failure may pass.
        (false, true) => NoAnswer::TryAgain,
        (false, false) => NoAnswer::NotFound,
    })
}

/// What is asked of a name.
#[derive(Clone, Copy, Debug)]
struct Asked {
    kind: RecordType,
    class: DNSClass,
}

/// Asks one question, and returns the answer if there is something in it.
async fn one(config: &Config, name: Name, asked: Asked) -> Result<Vec<u8>, NoAnswer> {
    let mut query = Query::query(name, asked.kind);
    query.set_query_class(asked.class);
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(query);
    let question = message.to_vec().map_err(|_| NoAnswer::Failed)?;
    let answer = exchange(config, &question).await.ok_or(NoAnswer::TryAgain)?;
    let read = Message::from_vec(&answer).map_err(|_| NoAnswer::Failed)?;
    match read.metadata.response_code {
        ResponseCode::NoError if read.answers.is_empty() => Err(NoAnswer::NoData),
        ResponseCode::NoError => Ok(answer),
        ResponseCode::NXDomain => Err(NoAnswer::NotFound),
        _ => Err(NoAnswer::Failed),
    }
}

async fn addresses(config: &Config, name: Name, family: Family) -> Result<(String, Vec<IpAddr>), NoAnswer> {
    let asked = |kind| Asked { kind, class: DNSClass::IN };
    let v4 = async {
        if family == Family::V6 { None } else { Some(one(config, name.clone(), asked(RecordType::A)).await) }
    };
    let v6 = async {
        if family == Family::V4 {
            None
        } else {
            Some(one(config, name.clone(), asked(RecordType::AAAA)).await)
        }
    };
    let (v4, v6) = tokio::join!(v4, v6);
    let mut found = (plain(&name), Vec::new());
    let mut why = None;
    for outcome in [v6, v4].into_iter().flatten() {
        match outcome.and_then(|answer| read_addresses(&answer, &name)) {
            Ok((canonical, addresses)) => {
                found.0 = canonical;
                found.1.extend(addresses);
            }
            Err(no_answer) => why = Some(worse(why, no_answer)),
        }
    }
    if found.1.is_empty() { Err(why.unwrap_or(NoAnswer::NoData)) } else { Ok(found) }
}

/// What two questions about one name tell together: a name that has one kind of record exists.
fn worse(first: Option<NoAnswer>, second: NoAnswer) -> NoAnswer {
    let rank = |no_answer: NoAnswer| match no_answer {
        NoAnswer::NotFound => 0,
        NoAnswer::NoData => 1,
        NoAnswer::Failed => 2,
        NoAnswer::TryAgain => 3,
    };
    first.filter(|first| rank(*first) >= rank(second)).unwrap_or(second)
}

/// The addresses of an answer, and the name at the end of its aliases.
fn read_addresses(answer: &[u8], asked: &Name) -> Result<(String, Vec<IpAddr>), NoAnswer> {
    let message = Message::from_vec(answer).map_err(|_| NoAnswer::Failed)?;
    let mut name = asked.clone();
    // An alias of an alias is after it, as a rule; a ring of them ends here all the same.
    for _ in 0..message.answers.len() {
        let next = message.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(alias) if record.name == name => Some(alias.0.clone()),
            _ => None,
        });
        let Some(next) = next else { break };
        name = next;
    }
    let addresses: Vec<IpAddr> = message
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(ip) => Some(IpAddr::V4(ip.0)),
            RData::AAAA(ip) => Some(IpAddr::V6(ip.0)),
            _ => None,
        })
        .collect();
    if addresses.is_empty() { Err(NoAnswer::NoData) } else { Ok((plain(&name), addresses)) }
}

/// A name as libc writes it: without the dot of the root.
fn plain(name: &Name) -> String {
    let text = name.to_ascii();
    match text.strip_suffix('.') {
        Some("") | None => text,
        Some(plain) => plain.to_owned(),
    }
}
