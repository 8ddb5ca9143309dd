//! The threads that touch files, as the target's user would.
//!
//! Credentials belong to threads in the kernel, to processes only in libc: the raw calls change one thread. Such a
//! thread is the target's user for every file, and never becomes us again; the threads of the runtime stay what they
//! are.

use std::{io, sync::Arc};

use rustix::{
    process::{Gid, Uid},
    thread::{
        CapabilitySet, CapabilitySets, set_capabilities, set_thread_groups, set_thread_res_gid,
        set_thread_res_uid,
    },
};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::target::Credentials;

/// The threads.
#[derive(Debug)]
pub(crate) struct Hands {
    runtime: Runtime,
}

impl Hands {
    /// Threads that are started when there is work, as this user; as ourselves without one.
    ///
    /// # Errors
    /// When the kernel has nothing left for us.
    pub(crate) fn start(credentials: Option<Credentials>) -> io::Result<Self> {
        let credentials = credentials.map(Arc::new);
        let runtime = Builder::new_current_thread()
            .thread_name("hand")
            .max_blocking_threads(256)
            .on_thread_start(move || {
                if let Some(credentials) = &credentials {
                    become_user(credentials);
                }
            })
            .build()?;
        Ok(Self { runtime })
    }

    /// What gives work to the threads.
    pub(crate) fn handle(&self) -> Handle {
        self.runtime.handle().clone()
    }

    /// Ends the threads, without waiting for one that waits in the kernel.
    pub(crate) fn let_go(self) {
        self.runtime.shutdown_background();
    }
}

/// Gives up for ever what no part of the agent needs; whoever has it already is none of ours to judge.
///
/// # Errors
/// When the kernel does not let us.
pub(crate) fn give_up_rights() -> io::Result<()> {
    let kept = CapabilitySet::CHOWN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::DAC_READ_SEARCH
        | CapabilitySet::FOWNER
        | CapabilitySet::FSETID
        | CapabilitySet::SETGID
        | CapabilitySet::SETUID
        | CapabilitySet::SETFCAP
        | CapabilitySet::LINUX_IMMUTABLE
        | CapabilitySet::SYS_RESOURCE
        // Files of other users, and the namespace of the host name.
        | CapabilitySet::SYS_PTRACE
        | CapabilitySet::SYS_ADMIN
        // The names of unix sockets, which the kernel tells as they were said.
        | CapabilitySet::SYS_CHROOT
        // Redirection and capture.
        | CapabilitySet::NET_ADMIN
        | CapabilitySet::NET_RAW
        | CapabilitySet::NET_BIND_SERVICE;
    rustix::thread::set_no_new_privs(true)?;
    let ours = rustix::thread::capabilities(None)?;
    // Who lacks this right may look only at processes that have no right which he lacks (`ptrace(2)`): in the target's
    // own pod, where an old cluster gives us what it gave the target, all of it is needed.
    let kept = if ours.permitted.contains(CapabilitySet::SYS_PTRACE) { kept } else { CapabilitySet::all() };
    let sets = CapabilitySets {
        effective: ours.effective & kept,
        permitted: ours.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, sets)?)
}

/// Does as much of it as is permitted: whoever may not change to another user already is the target's, or never will.
pub(crate) fn become_user(credentials: &Credentials) {
    let groups: Vec<Gid> =
        credentials.groups.iter().copied().filter(|raw| *raw != u32::MAX).map(Gid::from_raw).collect();
    if let Err(error) = set_thread_groups(&groups) {
        tracing::debug!(%error, "the groups of the target cannot be taken");
    }
    if credentials.gid != u32::MAX
        && let Err(error) = set_thread_res_gid(None, Gid::from_raw(credentials.gid), None)
    {
        tracing::warn!(%error, "the group of the target cannot be taken");
    }
    if credentials.uid != u32::MAX
        && let Err(error) = set_thread_res_uid(None, Uid::from_raw(credentials.uid), None)
    {
        tracing::warn!(%error, "the user of the target cannot be taken");
    }
    let Ok(ours) = rustix::thread::capabilities(None) else { return };
    let sets = CapabilitySets { effective: ours.permitted & credentials.capabilities, ..ours };
    if let Err(error) = set_capabilities(None, sets) {
        tracing::warn!(%error, "the capabilities of the target cannot be taken");
    }
}
