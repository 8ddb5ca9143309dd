//! What a session takes, in a few lines that a developer reads before the guest's own.

use mirrord_config::{Lowered, handoff::DataPath};
use mirrord_core::{rules::fs::FsMode, target::Target};
use mirrord_protocol::agent::incoming::Wish;

/// The lines; each a clause.
pub(crate) fn lines(lowered: &Lowered, data_path: DataPath, hostname: &str, session_id: &str) -> Vec<String> {
    let mut lines = vec![
        target(&lowered.target, hostname),
        environment(lowered),
        files(lowered),
        incoming(lowered),
        outgoing(lowered),
        names(lowered),
        format!(
            "descriptors: {}",
            match data_path {
                DataPath::Passed => "made where the target stands, and passed",
                DataPath::Proxied => "made here, and relayed",
            }
        ),
    ];
    if !lowered.key.is_generated {
        lines.push(format!("session key: {}", lowered.key.text));
    }
    lines.push(format!("session ID: {session_id}"));
    lines
}

fn target(target: &Target, hostname: &str) -> String {
    match target {
        Target::Targetless => "target: none".to_owned(),
        named @ Target::Named { .. } if hostname.is_empty() => format!("target: {named}"),
        named @ Target::Named { .. } => format!("target: {named}, whose host name is `{hostname}`"),
    }
}

fn environment(lowered: &Lowered) -> String {
    let rules = &lowered.environment;
    let taken = match (
        rules.enabled && lowered.target != Target::Targetless,
        rules.include.is_empty() && rules.exclude.is_empty(),
    ) {
        (false, _) => "the target's is not taken",
        (true, true) => "the target's is taken",
        (true, false) => "a part of the target's is taken",
    };
    format!("environment: {taken}")
}

fn files(lowered: &Lowered) -> String {
    let mode = match lowered.rules.fs.mode {
        _ if lowered.target == Target::Targetless => "here",
        FsMode::Local => "here",
        FsMode::LocalWithOverrides => "here, but for what the configuration lists",
        FsMode::Read => "read there, written here",
        FsMode::Write => "read and written there",
    };
    format!("files: {mode}")
}

fn incoming(lowered: &Lowered) -> String {
    let rules = &lowered.rules.incoming;
    let wish = match rules.wish {
        _ if lowered.target == Target::Targetless => "not taken",
        None => "not taken",
        Some(Wish::Steal) => "stolen",
        Some(Wish::Mirror) => "mirrored",
    };
    match &rules.ports {
        Some(ports) if rules.wish.is_some() => {
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            format!("incoming traffic: {wish} on port {}", ports.join(", "))
        }
        _ => format!("incoming traffic: {wish}"),
    }
}

fn outgoing(lowered: &Lowered) -> String {
    let rules = &lowered.rules.outgoing;
    let from = match (rules.tcp, rules.udp) {
        (true, true) => "TCP and UDP from there",
        (true, false) => "TCP from there, UDP from here",
        (false, true) => "UDP from there, TCP from here",
        (false, false) => "from here",
    };
    let filtered = if rules.filter.is_some() { ", by the filter" } else { "" };
    format!("outgoing traffic: {from}{filtered}")
}

fn names(lowered: &Lowered) -> String {
    let rules = &lowered.rules.dns;
    let asked = match (rules.enabled, rules.filter.is_some()) {
        (true, false) => "asked there",
        (true, true) => "asked there, by the filter",
        (false, _) => "asked here",
    };
    format!("names: {asked}")
}
