//! Who asked for which port, who may share it, what must be redirected or restored.
//!
//! A port has at most one thief and any number of mirrors. The mirrors hear what is stolen, too: the capture stands
//! before the redirection. Whoever comes first changes the kernel, whoever leaves last changes it back. A client that is
//! cut off is *away*: its wishes are remembered and do nothing, and stand again when it is back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mirrord_protocol::{
    agent::incoming::{Port, SubscribeCall, Wish},
    id::ClientId,
};
use thiserror::Error;

use super::route::Route;

/// What the carrier is to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// New connections to this port come to the agent.
    Redirect {
        /// Which.
        port: Port,
        /// Who wants them, in words, for others who look.
        owner: String,
    },
    /// They go to the target again.
    Restore(Port),
    /// What is sent to this port is heard.
    Capture(Port),
    /// It is heard no longer.
    Release(Port),
    /// The last subscription is refused, and has changed nothing.
    Deny(Denial),
}

/// Why a subscription is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("port `{}` of the target is already stolen by `{owner}`", port.0)]
pub struct Denial {
    /// Which port.
    pub port: Port,
    /// Who has it.
    pub owner: String,
}

/// Every client's ports.
#[derive(Debug, Default)]
pub struct Subscriptions {
    ports: BTreeMap<Port, Wishes>,
    away: BTreeMap<ClientId, BTreeMap<Port, Absent>>,
    effects: VecDeque<Effect>,
}

/// What a client wants that is away.
#[derive(Debug)]
struct Absent {
    owner: String,
    call: SubscribeCall,
}

/// Who wants one port.
#[derive(Debug, Default)]
struct Wishes {
    thief: Option<Thief>,
    mirrors: BTreeSet<ClientId>,
}

#[derive(Debug)]
struct Thief {
    client: ClientId,
    owner: String,
    pass: bool,
}

impl Wishes {
    fn is_stolen_by(&self, client: ClientId) -> bool {
        self.thief.as_ref().is_some_and(|thief| thief.client == client)
    }
}

impl Subscriptions {
    /// A client wants a port. Asking again replaces its earlier wish for that port.
    pub fn handle_subscribe(&mut self, client: ClientId, owner: &str, call: SubscribeCall) {
        if let Some(wishes) = self.away.get_mut(&client) {
            wishes.insert(call.port, Absent { owner: owner.to_owned(), call });
            return;
        }
        match call.wish {
            Wish::Steal => self.steal(client, owner, call),
            Wish::Mirror => self.mirror(client, call.port),
        }
    }

    /// A client wants a port no longer.
    pub fn handle_unsubscribe(&mut self, client: ClientId, port: Port) {
        if let Some(wishes) = self.away.get_mut(&client) {
            wishes.remove(&port);
        }
        self.stop_stealing(client, port);
        self.stop_mirroring(client, port);
        self.forget_unwanted();
    }

    /// A client is cut off: its ports are given back, and its wishes remembered.
    pub fn handle_away(&mut self, client: ClientId) {
        if self.away.contains_key(&client) {
            return;
        }
        let wishes = self.wishes_of(client);
        self.handle_gone(client);
        self.away.insert(client, wishes);
    }

    /// A client is there again, and wants what it wanted. A port that somebody else has taken meanwhile is denied.
    pub fn handle_back(&mut self, client: ClientId) {
        for (_, Absent { owner, call }) in self.away.remove(&client).unwrap_or_default() {
            self.handle_subscribe(client, &owner, call);
        }
    }

    /// A client is gone, and its wishes with it.
    pub fn handle_gone(&mut self, client: ClientId) {
        self.away.remove(&client);
        for port in self.ports.keys().copied().collect::<Vec<_>>() {
            self.stop_stealing(client, port);
            self.stop_mirroring(client, port);
        }
        self.forget_unwanted();
    }

    /// The carrier could not do this effect: whoever wanted it does not have it.
    pub fn handle_failed(&mut self, effect: &Effect) {
        match effect {
            Effect::Redirect { port, .. } => {
                if let Some(wishes) = self.ports.get_mut(port) {
                    wishes.thief = None;
                }
            }
            Effect::Capture(port) => {
                if let Some(wishes) = self.ports.get_mut(port) {
                    wishes.mirrors.clear();
                }
            }
            Effect::Restore(_) | Effect::Release(_) | Effect::Deny(_) => {}
        }
        self.forget_unwanted();
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whose a connection is that came in by redirection.
    #[must_use]
    pub fn route(&self, port: Port) -> Route {
        match self.ports.get(&port).and_then(|wishes| wishes.thief.as_ref()) {
            Some(thief) => Route::Deliver { client: thief.client, pass: thief.pass },
            None => Route::Pass,
        }
    }

    /// Who hears a connection to this port.
    pub fn mirrors(&self, port: Port) -> impl Iterator<Item = ClientId> + '_ {
        self.ports.get(&port).into_iter().flat_map(|wishes| wishes.mirrors.iter().copied())
    }

    /// Everybody who wants anything.
    #[must_use]
    pub fn clients(&self) -> BTreeSet<ClientId> {
        let thieves =
            self.ports.values().filter_map(|wishes| wishes.thief.as_ref().map(|thief| thief.client));
        thieves.chain(self.ports.values().flat_map(|wishes| wishes.mirrors.iter().copied())).collect()
    }

    fn wishes_of(&self, client: ClientId) -> BTreeMap<Port, Absent> {
        let wanted = self.ports.iter().filter_map(|(port, wishes)| {
            let stolen = wishes.thief.as_ref().filter(|thief| thief.client == client).map(|thief| Absent {
                owner: thief.owner.clone(),
                call: SubscribeCall { port: *port, wish: Wish::Steal, pass: thief.pass },
            });
            let mirrored = wishes.mirrors.contains(&client).then(|| Absent {
                owner: String::new(),
                call: SubscribeCall { port: *port, wish: Wish::Mirror, pass: false },
            });
            Some((*port, stolen.or(mirrored)?))
        });
        wanted.collect()
    }

    fn steal(&mut self, client: ClientId, owner: &str, call: SubscribeCall) {
        let port = call.port;
        let wishes = self.ports.entry(port).or_default();
        match &mut wishes.thief {
            Some(thief) if thief.client != client => {
                let denial = Denial { port, owner: thief.owner.clone() };
                self.effects.push_back(Effect::Deny(denial));
                return;
            }
            Some(thief) => thief.pass = call.pass,
            None => {
                wishes.thief = Some(Thief { client, owner: owner.to_owned(), pass: call.pass });
                self.effects.push_back(Effect::Redirect { port, owner: owner.to_owned() });
            }
        }
        self.stop_mirroring(client, port);
    }

    fn mirror(&mut self, client: ClientId, port: Port) {
        let mirrors = &mut self.ports.entry(port).or_default().mirrors;
        if mirrors.is_empty() {
            self.effects.push_back(Effect::Capture(port));
        }
        mirrors.insert(client);
        self.stop_stealing(client, port);
    }

    fn stop_stealing(&mut self, client: ClientId, port: Port) {
        if let Some(wishes) = self.ports.get_mut(&port)
            && wishes.is_stolen_by(client)
        {
            wishes.thief = None;
            self.effects.push_back(Effect::Restore(port));
        }
    }

    fn stop_mirroring(&mut self, client: ClientId, port: Port) {
        if let Some(wishes) = self.ports.get_mut(&port)
            && wishes.mirrors.remove(&client)
            && wishes.mirrors.is_empty()
        {
            self.effects.push_back(Effect::Release(port));
        }
    }

    fn forget_unwanted(&mut self) {
        self.ports.retain(|_, wishes| wishes.thief.is_some() || !wishes.mirrors.is_empty());
    }
}

#[cfg(test)]
mod tests;
