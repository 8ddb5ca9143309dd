//! Sockets of the target's that were made before anybody asked for one: so a guest waits for nobody to get its own.
//!
//! A kind of socket that was asked for twice is stocked; a thread fills up, several at a time.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use mirrord_protocol::proxy::{
    FromProxy, ToProxy,
    sockets::{SocketAnswer, SocketQuestion},
};

use crate::supervisor::link::Link;

/// So many are kept of a kind.
const FULL: usize = 16;

/// When so few are left, more are made.
const FEW: usize = 8;

/// What `socket(2)` takes.
type Kind = (i32, i32, i32);

/// All of them.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Stock {
    piles: Mutex<HashMap<Kind, Pile>>,
    wanted: Condvar,
}

/// Those of one kind.
#[derive(Debug, Default)]
struct Pile {
    sockets: Vec<OwnedFd>,
    is_asked_again: bool,
    is_wanted: bool,
}

impl Stock {
    fn piles(&self) -> MutexGuard<'_, HashMap<Kind, Pile>> {
        self.piles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of a kind, if there is one.
    pub(super) fn take(&self, kind: Kind) -> Option<OwnedFd> {
        let mut piles = self.piles();
        let pile = piles.entry(kind).or_default();
        let socket = pile.sockets.pop();
        if pile.is_asked_again && pile.sockets.len() < FEW && !pile.is_wanted {
            pile.is_wanted = true;
            self.wanted.notify_one();
        }
        pile.is_asked_again = true;
        socket
    }

    /// Fills up what is wanted, for ever.
    pub(in crate::supervisor) fn fill(&self, link: &Link) {
        let mut piles = self.piles();
        loop {
            let wanted = piles.iter().find(|(_, pile)| pile.is_wanted);
            let Some((&kind, n_left)) = wanted.map(|(kind, pile)| (kind, pile.sockets.len())) else {
                piles = self.wanted.wait(piles).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(piles);
            let made = make(link, kind, FULL.saturating_sub(n_left));
            piles = self.piles();
            let pile = piles.entry(kind).or_default();
            // Where none can be made, whoever wants one asks by itself, and hears why.
            pile.is_wanted = false;
            pile.is_asked_again = !made.is_empty();
            pile.sockets.extend(made);
        }
    }
}

fn make(link: &Link, (domain, kind, protocol): Kind, n_sockets: usize) -> Vec<OwnedFd> {
    let question = ToProxy::Socket(SocketQuestion::Make { domain, kind, protocol });
    let replies = link.ask_often(&question, n_sockets);
    let made = replies.into_iter().filter(|it| it.answer == FromProxy::Socket(SocketAnswer::Made));
    made.filter_map(|mut reply| reply.descriptors.pop()).collect()
}
