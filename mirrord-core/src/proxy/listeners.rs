//! Whose connections arrive where: the guest's listeners, in stacks by the port there.
//!
//! A newer listener for the same port takes over; when it goes, the older one resumes. The first of a stack
//! subscribes its port, the last to go gives it back.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
};

use mirrord_protocol::{agent::incoming::Port, id::SocketInode};

use crate::rules::incoming::Subscription;

/// How often a listener that was never seen may be missing before it is believed to be gone: the layer may ask a
/// moment before the kernel listens.
const PATIENCE: u8 = 4;

/// A listening socket of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Which.
    pub inode: SocketInode,
    /// The address that the guest asked for.
    pub requested: SocketAddr,
    /// Where it really listens.
    pub bound: SocketAddr,
}

/// What must be done at the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask for the port; settle with [`Listeners::finish_subscribe`].
    Subscribe(Subscription),
    /// Give the port back.
    Unsubscribe(Port),
}

/// The guest's listeners.
#[derive(Debug, Default)]
pub struct Listeners {
    known: HashMap<SocketInode, Known>,
    stacks: BTreeMap<Port, Stack>,
    effects: VecDeque<Effect>,
}

#[derive(Debug)]
struct Known {
    listener: Listener,
    port: Option<Port>,
    seen: bool,
    n_missed: u8,
}

#[derive(Debug)]
struct Stack {
    subscription: Subscription,
    subscribed: bool,
    inodes: Vec<SocketInode>,
}

impl Listeners {
    /// The guest listens; `subscription` is what the rules make of it.
    pub fn handle_listen(&mut self, listener: Listener, subscription: Option<Subscription>) {
        self.handle_gone(listener.inode);
        let known =
            Known { listener, port: subscription.map(|wanted| wanted.port), seen: false, n_missed: 0 };
        self.known.insert(listener.inode, known);
        let Some(subscription) = subscription else { return };
        let stack = self.stacks.entry(subscription.port).or_insert_with(|| {
            self.effects.push_back(Effect::Subscribe(subscription));
            Stack { subscription, subscribed: false, inodes: Vec::new() }
        });
        stack.inodes.push(listener.inode);
    }

    /// The agent has subscribed a port, or has refused to.
    pub fn finish_subscribe(&mut self, port: Port, subscribed: bool) {
        if subscribed {
            match self.stacks.get_mut(&port) {
                Some(stack) => stack.subscribed = true,
                None => self.effects.push_back(Effect::Unsubscribe(port)),
            }
        } else if let Some(stack) = self.stacks.remove(&port) {
            for inode in stack.inodes {
                if let Some(known) = self.known.get_mut(&inode) {
                    known.port = None;
                }
            }
        }
    }

    /// A listener is gone.
    pub fn handle_gone(&mut self, inode: SocketInode) {
        let Some(port) = self.known.remove(&inode).and_then(|known| known.port) else { return };
        let Some(stack) = self.stacks.get_mut(&port) else { return };
        stack.inodes.retain(|other| *other != inode);
        if stack.inodes.is_empty() {
            let was_subscribed = stack.subscribed;
            self.stacks.remove(&port);
            if was_subscribed {
                self.effects.push_back(Effect::Unsubscribe(port));
            }
        }
    }

    /// All sockets that listen here, as the kernel tells: the others are gone.
    pub fn handle_alive(&mut self, alive: impl Fn(SocketInode) -> bool) {
        let mut gone = Vec::new();
        for (inode, known) in &mut self.known {
            if alive(*inode) {
                (known.seen, known.n_missed) = (true, 0);
            } else {
                known.n_missed = known.n_missed.saturating_add(1);
                if known.seen || known.n_missed >= PATIENCE {
                    gone.push(*inode);
                }
            }
        }
        gone.sort_unstable();
        for inode in gone {
            self.handle_gone(inode);
        }
    }

    /// What must be done next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Who takes a connection that asked for `local` there: the newest listener of the port, one of the same address
    /// family first.
    #[must_use]
    pub fn route(&self, port: Port, local: SocketAddr) -> Option<Listener> {
        let stack = self.stacks.get(&port)?;
        let newest_first = || {
            stack.inodes.iter().rev().filter_map(|inode| self.known.get(inode)).map(|known| known.listener)
        };
        let is_v4 = local.ip().to_canonical().is_ipv4();
        newest_first()
            .find(|listener| listener.bound.ip().to_canonical().is_ipv4() == is_v4)
            .or_else(|| newest_first().next())
    }

    /// Whether a listener's port is subscribed.
    #[must_use]
    pub fn is_subscribed(&self, inode: SocketInode) -> bool {
        let port = self.known.get(&inode).and_then(|known| known.port);
        port.and_then(|port| self.stacks.get(&port)).is_some_and(|stack| stack.subscribed)
    }

    /// What is subscribed, or asked for.
    pub fn subscriptions(&self) -> impl Iterator<Item = Subscription> {
        self.stacks.values().map(|stack| stack.subscription)
    }

    /// Every listener, subscribed or not.
    pub fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.known.values().map(|known| &known.listener)
    }

    /// Whether nothing listens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use mirrord_protocol::agent::incoming::Wish;

    use super::*;

    const ANY: &str = "0.0.0.0:80";

    fn listener(inode: u64, bound: &str) -> Listener {
        let bound = bound.parse().unwrap();
        Listener { inode: SocketInode(inode), requested: bound, bound }
    }

    fn steal(port: u16) -> Subscription {
        Subscription { wish: Wish::Steal, port: Port(port) }
    }

    fn effects(listeners: &mut Listeners) -> Vec<Effect> {
        std::iter::from_fn(|| listeners.poll_effect()).collect()
    }

    fn standing(inodes: &[u64]) -> Listeners {
        let mut listeners = Listeners::default();
        for inode in inodes {
            listeners.handle_listen(listener(*inode, ANY), Some(steal(80)));
        }
        assert_eq!(effects(&mut listeners), [Effect::Subscribe(steal(80))]);
        listeners.finish_subscribe(Port(80), true);
        listeners
    }

    fn route(listeners: &Listeners) -> Option<u64> {
        listeners.route(Port(80), ANY.parse().unwrap()).map(|it| it.inode.0)
    }

    #[test]
    fn a_newer_listener_takes_over_and_the_older_one_resumes() {
        let mut listeners = standing(&[1, 2]);
        assert_eq!(route(&listeners), Some(2));
        listeners.handle_gone(SocketInode(2));
        assert_eq!(route(&listeners), Some(1));
        assert_eq!(effects(&mut listeners), []);
    }

    #[test]
    fn the_last_to_go_gives_the_port_back() {
        let mut listeners = standing(&[1, 2]);
        listeners.handle_gone(SocketInode(1));
        listeners.handle_gone(SocketInode(2));
        assert_eq!(effects(&mut listeners), [Effect::Unsubscribe(Port(80))]);
        assert!(listeners.is_empty() && route(&listeners).is_none());
    }

    #[test]
    fn a_port_that_is_refused_leaves_its_listeners_to_the_developer() {
        let mut listeners = Listeners::default();
        listeners.handle_listen(listener(1, ANY), Some(steal(80)));
        assert_eq!(effects(&mut listeners), [Effect::Subscribe(steal(80))]);
        listeners.finish_subscribe(Port(80), false);
        assert!(!listeners.is_subscribed(SocketInode(1)) && !listeners.is_empty());
        listeners.handle_gone(SocketInode(1));
        assert_eq!(effects(&mut listeners), []);
    }

    #[test]
    fn a_port_whose_listener_went_while_it_was_asked_for_is_given_back() {
        let mut listeners = Listeners::default();
        listeners.handle_listen(listener(1, ANY), Some(steal(80)));
        effects(&mut listeners);
        listeners.handle_gone(SocketInode(1));
        assert_eq!(effects(&mut listeners), []);
        listeners.finish_subscribe(Port(80), true);
        assert_eq!(effects(&mut listeners), [Effect::Unsubscribe(Port(80))]);
    }

    #[test]
    fn a_socket_that_listens_again_is_still_one_listener() {
        let mut listeners = standing(&[1]);
        listeners.handle_listen(listener(2, ANY), Some(steal(80)));
        listeners.handle_listen(listener(2, ANY), Some(steal(80)));
        listeners.handle_gone(SocketInode(2));
        assert_eq!(route(&listeners), Some(1));
    }

    #[test]
    fn what_the_kernel_no_longer_lists_is_gone_and_what_it_never_listed_gets_a_moment() {
        let mut listeners = standing(&[1]);
        listeners.handle_alive(|_| true);
        listeners.handle_listen(listener(2, ANY), Some(steal(80)));
        listeners.handle_alive(|_| false);
        assert_eq!(route(&listeners), Some(2));
        for _ in 1..PATIENCE {
            listeners.handle_alive(|_| false);
        }
        assert_eq!(effects(&mut listeners), [Effect::Unsubscribe(Port(80))]);
    }

    #[test]
    fn a_connection_goes_to_a_listener_of_its_own_family() {
        let mut listeners = Listeners::default();
        listeners.handle_listen(listener(4, ANY), Some(steal(80)));
        listeners.handle_listen(listener(6, "[::]:80"), Some(steal(80)));
        assert_eq!(route(&listeners), Some(4));
        let v6 = listeners.route(Port(80), "[fd00::1]:80".parse().unwrap());
        assert_eq!(v6.map(|it| it.inode.0), Some(6));
    }
}
