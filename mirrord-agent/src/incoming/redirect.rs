//! What redirects ports to the agent: begins with the first, restores, and leaves nothing behind.
//!
//! Where the kernel lets us own the table it dies with our socket; elsewhere a guard process removes it. The empty
//! chains stay until the agent ends, because the kernel forgets its translations, and with them every living
//! connection, when the last chain that translates goes.

use std::io;

use mirrord_protocol::{agent::incoming::Port, fault::Fault};
use tokio::net::TcpListener;

use super::{
    arrive, guard,
    guard::Guard,
    nftables::Nftables,
    ruleset::{self, Ruleset, TABLE_PREFIX},
};

/// The redirection of one agent.
#[derive(Debug)]
pub(super) struct Redirection {
    ruleset: Ruleset,
    // Before the guard, so that the guard's removal finds an agent that is done.
    nftables: Nftables,
    _guard: Option<Guard>,
}

/// The sockets that redirected connections arrive at.
#[derive(Debug)]
pub(super) struct Listeners {
    /// For IPv4.
    pub(super) v4: TcpListener,
    /// For IPv6, if the target speaks it.
    pub(super) v6: Option<TcpListener>,
}

impl Redirection {
    /// Prepares everything, and redirects nothing yet.
    ///
    /// # Errors
    /// `EPERM` without the right to change the target's firewall, `EPROTONOSUPPORT` or `EAFNOSUPPORT` where the kernel
    /// has no `nf_tables`.
    pub(super) fn begin() -> io::Result<(Self, Listeners)> {
        Self::begin_with(|nftables, ruleset| match nftables.apply(&ruleset.install(true)) {
            Ok(()) => Ok(None),
            Err(error) if is_owner_refused(&error) => install_guarded(nftables, ruleset).map(Some),
            Err(error) => Err(error),
        })
    }

    /// The same as on a kernel where no table can be owned.
    #[cfg(test)]
    pub(super) fn begin_guarded() -> io::Result<(Self, Listeners)> {
        Self::begin_with(|nftables, ruleset| install_guarded(nftables, ruleset).map(Some))
    }

    fn begin_with(
        install: impl FnOnce(&mut Nftables, &Ruleset) -> io::Result<Option<Guard>>,
    ) -> io::Result<(Self, Listeners)> {
        let listeners = Listeners { v4: arrive::listen_v4()?, v6: arrive::listen_v6().ok() };
        let ruleset = Ruleset {
            table: format!("{TABLE_PREFIX}{:016x}", random()?),
            port_v4: listeners.v4.local_addr()?.port(),
            port_v6: listeners.v6.as_ref().map(TcpListener::local_addr).transpose()?.map(|addr| addr.port()),
        };
        let mut nftables = Nftables::open()?;
        clean(&mut nftables)?;
        let guard = install(&mut nftables, &ruleset)?;
        Ok((Self { ruleset, nftables, _guard: guard }, listeners))
    }

    /// New connections to this port come to the agent.
    ///
    /// # Errors
    /// `EADDRINUSE` where another agent redirects it; the kernel's errno otherwise.
    pub(super) fn redirect(&mut self, port: Port, owner: &str) -> Result<(), Fault> {
        self.look_for_others(port)?;
        self.nftables.apply(&self.ruleset.redirect(port, owner))?;
        // Whoever did the same at the same moment sees ours now, as we see theirs: nobody has it, rather than both.
        self.look_for_others(port).inspect_err(|_| drop(self.restore(port)))
    }

    fn look_for_others(&mut self, port: Port) -> Result<(), Fault> {
        for table in self.nftables.tables()? {
            if table.name == self.ruleset.table {
                continue;
            }
            match self.nftables.owner_of(&table.name, port) {
                Ok(Some(owner)) => {
                    let words = mirrord_core::steal::Denial { port, owner }.to_string();
                    return Err(Fault::with_words(libc::EADDRINUSE, words));
                }
                // Its agent has just gone, and its table with it.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                outcome => drop(outcome?),
            }
        }
        Ok(())
    }

    /// They go to the target again. What has arrived before stays translated.
    pub(super) fn restore(&mut self, port: Port) -> io::Result<()> {
        self.nftables.apply(&self.ruleset.restore(port))
    }
}

/// Removes what earlier agents have left in the network namespace in which this thread stands.
///
/// # Errors
/// Without the right to look, or where the kernel has no `nf_tables`.
pub(crate) fn sweep() -> io::Result<()> {
    clean(&mut Nftables::open()?)
}

fn install_guarded(nftables: &mut Nftables, ruleset: &Ruleset) -> io::Result<Guard> {
    let (removal, _) = nftables.encode_batch(&ruleset::remove_table(&ruleset.table));
    let guard = Guard::start(&ruleset.table, &removal)?;
    nftables.apply(&ruleset.install(false))?;
    Ok(guard)
}

/// Removes what agents left whose guard was killed, too. Its failure is theirs, not ours.
fn clean(nftables: &mut Nftables) -> io::Result<()> {
    for table in nftables.tables()? {
        if !table.owned && guard::claim(&table.name).is_ok() {
            tracing::info!(table = table.name, "removing the rules of an agent that is gone");
            let _ = nftables.apply(&ruleset::remove_table(&table.name));
        }
    }
    Ok(())
}

/// Kernels before 5.12 know no owner: older ones call the flag invalid, newer ones unsupported.
fn is_owner_refused(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP))
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    // SAFETY: the buffer is as long as said.
    let n_read = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if n_read == 8 { Ok(u64::from_ne_bytes(bytes)) } else { Err(io::Error::last_os_error()) }
}
