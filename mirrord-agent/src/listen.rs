//! The port of an agent in a cluster: on loopback, so that nothing but a port-forward gets there.
//!
//! Where loopback is shared with others (an ephemeral container's is the target's), both sides prove themselves by
//! keys that were told beforehand.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener},
    os::fd::AsRawFd as _,
    sync::Arc,
    time::Duration,
};

use mirrord_trunk::{
    Far,
    pinned::{self, Identity, PublicKey},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

/// How often a port is tried that is free for both families.
const MAX_TRIES: usize = 16;

/// How many connections may prove themselves at the same time.
const MAX_PROVING: usize = 64;

/// How much may wait in the kernel behind what is on its way, so that what is urgent is not behind it.
const MAX_UNSENT: libc::c_int = 128 << 10;

/// How long to let the world recover when no connection can be accepted (out of descriptors or memory).
const RECOVERY: Duration = Duration::from_millis(50);

/// Sockets that listen, before there is a runtime to wait for them.
#[derive(Debug)]
pub(crate) struct Port {
    sockets: Vec<StdListener>,
    number: u16,
    lock: Option<Lock>,
}

/// By what strands are locked.
#[derive(Clone, Debug)]
struct Lock {
    ours: Identity,
    theirs: PublicKey,
}

impl Port {
    /// Listens, where this process stands now; to whoever has this key, or to everybody.
    ///
    /// # Errors
    /// When the port is taken, there is no loopback, or no randomness.
    pub(crate) fn open(number: u16, pinned: Option<PublicKey>) -> io::Result<Self> {
        let lock = pinned
            .map(|theirs| {
                Ok::<_, io::Error>(Lock { ours: Identity::new().map_err(io::Error::other)?, theirs })
            })
            .transpose()?;
        let (sockets, number) = bind(number)?;
        Ok(Self { sockets, number, lock })
    }

    /// Accepts until what is returned is dropped: then nobody listens any more. Must be called within a runtime.
    ///
    /// # Errors
    /// When the kernel does not let us wait.
    pub(crate) fn serve(self, far: &Far) -> io::Result<JoinSet<()>> {
        let lock = self.lock.map(Arc::new);
        let proving = Arc::new(Semaphore::new(MAX_PROVING));
        let mut accepting = JoinSet::new();
        for socket in self.sockets {
            let listener = TcpListener::from_std(socket)?;
            accepting.spawn(accept_all(listener, far.clone(), lock.clone(), proving.clone()));
        }
        Ok(accepting)
    }

    /// Says, once, that we can serve, and where: whoever has made the agent waits for this line.
    ///
    /// # Errors
    /// When nobody can hear it.
    pub(crate) fn tell(&self) -> io::Result<()> {
        let key = self.lock.as_ref().map_or_else(|| "none".to_owned(), |lock| lock.ours.public().to_string());
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "mirrord-agent ready version={} port={} key={key}",
            env!("CARGO_PKG_VERSION"),
            self.number
        )?;
        out.flush()
    }
}

/// One port for each family that there is.
fn bind(number: u16) -> io::Result<(Vec<StdListener>, u16)> {
    let mut tries = 0;
    loop {
        tries += 1;
        let v4 = listen((Ipv4Addr::LOCALHOST, number).into());
        let number_v6 = match &v4 {
            Ok(v4) => v4.local_addr()?.port(),
            Err(_) => number,
        };
        match (v4, listen((Ipv6Addr::LOCALHOST, number_v6).into())) {
            (Ok(v4), Ok(v6)) => return Ok((vec![v4, v6], number_v6)),
            (Ok(_), Err(error)) if error.kind() == io::ErrorKind::AddrInUse => {
                if number != 0 || tries == MAX_TRIES {
                    return Err(error);
                }
            }
            // There is only one of them.
            (Ok(v4), Err(_)) => return Ok((vec![v4], number_v6)),
            (Err(error), Ok(v6)) if error.kind() != io::ErrorKind::AddrInUse => {
                let number = v6.local_addr()?.port();
                return Ok((vec![v6], number));
            }
            (Err(error), _) => return Err(error),
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<StdListener> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn accept_all(listener: TcpListener, far: Far, lock: Option<Arc<Lock>>, proving: Arc<Semaphore>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a strand");
                tokio::time::sleep(RECOVERY).await;
                continue;
            }
        };
        if let Err(error) = hurry(&stream) {
            tracing::debug!(%error, "a strand keeps its small words");
        }
        let Some(lock) = lock.clone() else {
            far.take_in(Box::new(stream));
            continue;
        };
        let Ok(permit) = proving.clone().try_acquire_owned() else {
            tracing::warn!("too many who do not prove themselves: one is turned away");
            continue;
        };
        let far = far.clone();
        tokio::spawn(async move {
            match pinned::accept(Box::new(stream), &lock.ours, &lock.theirs).await {
                Ok(strand) => far.take_in(strand),
                Err(error) => tracing::warn!(%error, "somebody did not prove to be the session's owner"),
            }
            drop(permit);
        });
    }
}

/// Lets small words leave at once, and keeps large ones from waiting in the kernel before them.
fn hurry(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let limit = MAX_UNSENT;
    let length = libc::socklen_t::try_from(size_of_val(&limit)).unwrap_or_default();
    // SAFETY: The option reads one integer from the address of a local that lives on.
    let outcome = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw const limit).cast(),
            length,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_port_is_heard_on_both_families_of_loopback_and_nowhere_else() {
        let (sockets, number) = bind(0).unwrap();
        for socket in &sockets {
            let address = socket.local_addr().unwrap();
            assert!(address.ip().is_loopback() && address.port() == number, "{address}");
        }
        assert_eq!(bind(number).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_port_that_one_family_has_lost_is_no_port() {
        let Ok(taken) = StdListener::bind((Ipv6Addr::LOCALHOST, 0)) else { return };
        let number = taken.local_addr().unwrap().port();
        assert_eq!(bind(number).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
