//! Reads the hand-off, decides whether this process is a guest, and lets its hooks judge.

use std::os::{fd::OwnedFd, unix::ffi::OsStrExt};

use mirrord_config::handoff::{DataPath, Facts, Handoff};
use mirrord_core::rules::{Rules, fs::FsMode};
use mirrord_protocol::{
    proxy::{names, sockets::PORT_PAGE},
    wire::MAX_FRAME,
};

use crate::{
    lane,
    link::{self, LinkError, Reply},
    process::{self, Process},
};

#[ctor::ctor(unsafe)]
fn boot() {
    // A panic would print to the guest, and unwind into the loader.
    std::panic::set_hook(Box::new(|_| {}));
    let _ = std::panic::catch_unwind(enlist);
}

fn enlist() {
    let Some(address) = std::env::var_os(names::PROXY_ADDRESS) else { return };
    if std::env::var_os(names::DONT_LOAD).is_some() || link::prepare(address.as_bytes()).is_err() {
        return;
    }
    let settings = link::introduce().and_then(settings);
    let (mut handoff, ports) = settings.unwrap_or_else(|_| (lost(), None));
    // A process that is left alone keeps its connection: it holds the session open for its children.
    if handoff.rules.process.skips(&process::program_name(), &process::called_name()) {
        return;
    }
    handoff.rules.outgoing.suit(process::command_line().split(|byte| *byte == 0));
    crate::hooks::net::servers::prepare();
    if handoff.facts.has_target && handoff.facts.data_path == DataPath::Passed {
        lane::permit();
    }
    process::publish(Process::new(handoff, ports));
    #[cfg(feature = "frida")]
    crate::engine::frida::displace();
}

fn settings(mut reply: Reply) -> Result<(Handoff, Option<&'static [u8; PORT_PAGE]>), LinkError> {
    let rules = reply.take_descriptor().ok_or(LinkError::Lost)?;
    let ports = reply.take_descriptor().ok_or(LinkError::Lost)?;
    let handoff = Handoff::decode(map(&rules)?).map_err(|_| LinkError::Lost)?;
    let page = map(&ports)?.first_chunk::<PORT_PAGE>().ok_or(LinkError::Lost)?;
    Ok((handoff, Some(page)))
}

/// Maps a memory file for ever, read-only.
fn map(file: &OwnedFd) -> Result<&'static [u8], LinkError> {
    let size = rustix::fs::fstat(file)
        .ok()
        .and_then(|stat| usize::try_from(stat.st_size).ok())
        .ok_or(LinkError::Lost)?;
    if size == 0 || size > MAX_FRAME {
        return Err(LinkError::Lost);
    }
    let (protection, flags) = (rustix::mm::ProtFlags::READ, rustix::mm::MapFlags::SHARED);
    // SAFETY: a fresh mapping replaces nothing; the proxy never shrinks what it gives.
    let start = unsafe { rustix::mm::mmap(std::ptr::null_mut(), size, protection, flags, file, 0) };
    // SAFETY: the mapping has this size and is never unmapped.
    Ok(unsafe { std::slice::from_raw_parts(start.map_err(|_| LinkError::Lost)?.cast(), size) })
}

/// The rules of a process that has lost its session: what the default would take fails, and nothing that was meant
/// for the target happens here unnoticed.
fn lost() -> Handoff {
    let mut rules = Rules { hostname: false, ipv6: true, ..Rules::default() };
    // Whether it was to write there, nobody tells any more: what is not written anywhere can be written again.
    rules.fs.mode = FsMode::Write;
    rules.dns.enabled = true;
    rules.outgoing.tcp = true;
    rules.outgoing.udp = true;
    let facts = Facts { has_target: true, data_path: DataPath::Proxied, ..Facts::default() };
    Handoff { rules, facts }
}
