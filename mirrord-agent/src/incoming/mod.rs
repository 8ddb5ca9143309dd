//! Drives `core::steal`: effects out to the kernel, arrivals in to the routes.
//!
//! One [`Incoming`] serves every session of this agent. It must be started on a tokio runtime whose threads stand in
//! the target's network namespace, and it lives until [`Incoming::shutdown`], or until its last handle is dropped.

mod arrive;
mod copy;
mod drive;
mod guard;
mod nftables;
mod pass;
mod redirect;
mod ruleset;

use std::os::fd::OwnedFd;

use bytes::Bytes;
use mirrord_protocol::{
    agent::{
        control::LogLine,
        incoming::{Arrival, Port, SubscribeCall},
    },
    fault::Fault,
    id::{ArrivalId, ClientId},
};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
};

pub(crate) use copy::Hearing;
use drive::{Command, Driver};
pub(crate) use redirect::sweep;

/// What happens at subscribed ports, for whom it concerns.
#[derive(Debug)]
pub(crate) enum Event {
    /// A connection has arrived for this client.
    ///
    /// `socket` is there exactly when `arrival.descriptor` says so: it rides along with the frame and is then the
    /// client's alone. If it cannot be sent any more, give it back by [`Incoming::return_arrival`].
    Arrival {
        /// Whose.
        client: ClientId,
        /// What the client is told.
        arrival: Arrival,
        /// The connection itself.
        socket: Option<OwnedFd>,
    },
    /// Words for one client, or for all.
    Log {
        /// Whose; everybody's if none.
        client: Option<ClientId>,
        /// What to say.
        line: LogLine,
    },
}

/// An arrival that a lane has taken.
#[derive(Debug)]
pub(crate) enum Taken {
    /// A stolen connection, from which nothing has been read yet: both ways are the lane's.
    Stolen(TcpStream),
    /// What a mirrored connection's peer sends to the target.
    Mirrored(Hearing),
}

/// One piece of a mirrored connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Bytes, never empty, at most `MAX_CHUNK` of them.
    Bytes(Bytes),
    /// The peer has shut its side down: a FIN. Nothing follows.
    Finished,
    /// The connection, or our hearing of it, broke with this errno. Nothing follows.
    Broken(i32),
}

/// A handle on the traffic that the target receives; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    commands: mpsc::UnboundedSender<Command>,
}

impl Incoming {
    /// Begins with no port subscribed and nothing changed in the target. Must be called within a tokio runtime.
    pub(crate) fn start(events: mpsc::UnboundedSender<Event>) -> Self {
        let (commands, commands_rx) = mpsc::unbounded_channel();
        tokio::spawn(Driver::new(events).run(commands_rx));
        Self { commands }
    }

    /// From now on, connections to a port arrive at the client. Asking again for the same port replaces the wish.
    ///
    /// # Errors
    /// `EADDRINUSE`, with the owner in the words, where another client steals the port; the kernel's errno where the
    /// redirection or the capture cannot be had.
    pub(crate) async fn subscribe(
        &self,
        client: ClientId,
        owner: String,
        call: SubscribeCall,
    ) -> Result<(), Fault> {
        let asked = self.ask(|reply| Command::Subscribe { client, owner, call, reply }).await;
        asked.unwrap_or_else(|| Err(Fault::with_words(libc::ESHUTDOWN, "the agent is about to end")))
    }

    /// No new connection of this port arrives at the client any more. When this returns, the target has it again,
    /// unless another client has it; what has arrived before lives on.
    pub(crate) async fn unsubscribe(&self, client: ClientId, port: Port) {
        self.ask(|reply| Command::Unsubscribe { client, port, reply }).await;
    }

    /// The client is gone: its ports are given up, and what nobody took goes to the target.
    pub(crate) async fn client_gone(&self, client: ClientId) {
        self.ask(|reply| Command::Gone { client, reply }).await;
    }

    /// The client is cut off: its ports and what it has not taken go to the target until it is back.
    pub(crate) async fn client_away(&self, client: ClientId) {
        self.ask(|reply| Command::Away { client, reply }).await;
    }

    /// The client is there again, and has its ports again. It is told of those that it cannot have.
    pub(crate) async fn client_back(&self, client: ClientId) {
        self.ask(|reply| Command::Back { client, reply }).await;
    }

    /// Nobody takes this arrival, and nothing was read from it: a stolen one goes to the target's own listener.
    /// A passed one may come back as `socket`; if not, ours of it is passed on.
    pub(crate) async fn return_arrival(&self, client: ClientId, arrival: ArrivalId, socket: Option<OwnedFd>) {
        self.ask(|reply| Command::Return { client, arrival, socket, reply }).await;
    }

    /// A guest takes a passed arrival: it is nobody else's any more.
    pub(crate) async fn forget_arrival(&self, client: ClientId, arrival: ArrivalId) {
        self.ask(|reply| Command::Forget { client, arrival, reply }).await;
    }

    /// The bytes of an arrival that was announced without a descriptor; each can be taken once, by its client.
    ///
    /// # Errors
    /// `ENOENT` where no such arrival waits: unknown, another client's, taken, returned, or overdue.
    pub(crate) async fn take_arrival(&self, client: ClientId, arrival: ArrivalId) -> Result<Taken, Fault> {
        let taken = self.ask(|reply| Command::Take { client, arrival, reply }).await.flatten();
        taken.ok_or_else(|| Fault::with_words(libc::ENOENT, format!("arrival {arrival} does not wait")))
    }

    /// Undoes everything: no port is redirected or captured when this returns, what nobody took goes to the target,
    /// and connections that are being passed to the target had a few seconds to come to their end.
    pub(crate) async fn shutdown(&self) {
        self.ask(|reply| Command::Shutdown { reply }).await;
    }

    /// None if the driver has ended.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).ok()?;
        answer.await.ok()
    }
}

#[cfg(test)]
mod tests;
