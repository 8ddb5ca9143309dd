//! Reads the hand-off, decides whether this process is a guest, and lets its hooks judge.

use std::{
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    sync::atomic::AtomicU64,
};

use mirrord_config::handoff::{DataPath, Facts, Handoff};
use mirrord_core::rules::{Rules, fs::FsMode};
use mirrord_protocol::{
    proxy::{
        names,
        sockets::{CHANGES, PORT_PAGE, SHARED},
    },
    wire::MAX_FRAME,
};

use crate::{
    lane,
    link::{self, LinkError, Reply},
    process::{self, Process, Shared},
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
    let (mut handoff, shared) = settings.unwrap_or_else(|_| (lost(), None));
    // A process that is left alone keeps its connection: it holds the session open for its children.
    if handoff.rules.process.skips(&process::program_name(), &process::called_name()) {
        return;
    }
    handoff.rules.outgoing.suit(process::command_line().split(|byte| *byte == 0));
    crate::hooks::net::servers::prepare();
    if handoff.facts.has_target && handoff.facts.data_path == DataPath::Passed {
        lane::permit();
    }
    process::publish(Process::new(handoff, shared));
    #[cfg(feature = "frida")]
    crate::engine::frida::displace();
}

fn settings(mut reply: Reply) -> Result<(Handoff, Option<Shared>), LinkError> {
    let rules = reply.take_descriptor().ok_or(LinkError::Lost)?;
    let ports = reply.take_descriptor().ok_or(LinkError::Lost)?;
    let handoff = Handoff::decode(map(&rules)?).map_err(|_| LinkError::Lost)?;
    let shared = map(&ports)?;
    let ports = shared.first_chunk::<PORT_PAGE>().ok_or(LinkError::Lost)?;
    let changes = (shared.len() >= SHARED).then(|| {
        let start: *const u8 = shared.as_ptr();
        // SAFETY: the mapping is that long.
        let place = unsafe { start.add(CHANGES) };
        // SAFETY: the place is aligned, as mappings are, stays mapped, and is only looked at as a count.
        unsafe { &*place.cast::<()>().cast::<AtomicU64>() }
    });
    Ok((handoff, Some(Shared { ports, changes })))
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
