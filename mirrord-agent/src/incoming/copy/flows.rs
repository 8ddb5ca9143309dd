//! The connections that are being overheard: where each stands, and who hears it.
//!
//! A connection is followed from its SYN, and announced when its handshake is complete. One that the agent's own
//! rules have redirected before it was seen, on loopback, goes to the agent's port: it is kept until somebody *names*
//! it, that is, tells the address that its peer asked for.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use mirrord_protocol::id::ClientId;

use super::{
    super::Heard,
    feed::{Feed, Hearing, MAX_TOTAL, feed},
    packet::Packet,
    reassembly::{Assembler, Gap, Progress},
};

/// The most connections that are followed at once; the longest silent gives way.
const MAX_FLOWS: usize = 8192;

/// How long a connection may stay without its handshake, or without its name.
const OPENING_PATIENCE: Duration = Duration::from_secs(20);

/// The most bytes that wait for a connection's name.
const MAX_EARLY: usize = 1 << 20;

/// Who wants a connection, told by the address that it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// Nobody.
    Nobody,
    /// These clients.
    Clients(Vec<ClientId>),
    /// Whoever wants the address that it will be named with.
    Unnamed,
}

/// What became of a packet, for the clients.
#[derive(Debug)]
pub(crate) enum News {
    /// A client hears a new connection.
    Overheard {
        /// Who.
        client: ClientId,
        /// Its peer.
        peer: SocketAddr,
        /// The address that the peer asked for.
        local: SocketAddr,
        /// What is heard.
        hearing: Hearing,
    },
    /// A client hears a connection no longer.
    CutOff {
        /// Who.
        client: ClientId,
        /// The connection's peer.
        peer: SocketAddr,
        /// Why, as a clause.
        why: String,
    },
}

/// A connection by its two ends, as the packets name them.
type Ends = (SocketAddr, SocketAddr);

/// All connections that are followed.
#[derive(Debug, Default)]
pub(super) struct Flows {
    living: HashMap<Ends, Flow>,
    /// From the ends with the address asked for to the ends of the packets, where they differ.
    named: HashMap<Ends, Ends>,
    total: Arc<AtomicUsize>,
    news: Vec<News>,
}

#[derive(Debug)]
struct Flow {
    assembler: Assembler,
    syn: u32,
    is_open: bool,
    /// The address that the peer asked for, once it is known.
    local: Option<SocketAddr>,
    /// What was heard before that.
    early: Vec<Bytes>,
    n_early: usize,
    finished_early: bool,
    feeds: Vec<(ClientId, Feed)>,
    began: Duration,
    seen: Duration,
}

impl Flow {
    fn new(syn: u32, now: Duration) -> Self {
        Self {
            assembler: Assembler::new(syn),
            syn,
            is_open: false,
            local: None,
            early: Vec::new(),
            n_early: 0,
            finished_early: false,
            feeds: Vec::new(),
            began: now,
            seen: now,
        }
    }

    /// Whether nobody will ever hear more of it.
    fn is_deaf(&self) -> bool {
        self.is_open && self.local.is_some() && self.feeds.iter().all(|(_, feed)| feed.is_closed())
    }

    fn is_late(&self, now: Duration) -> bool {
        (!self.is_open || self.local.is_none()) && now >= self.began + OPENING_PATIENCE
    }
}

impl Flows {
    /// A packet has come. `interest` tells who wants the connections of an address.
    pub(super) fn handle_packet(
        &mut self,
        packet: &Packet<'_>,
        now: Duration,
        interest: impl Fn(SocketAddr) -> Interest,
    ) {
        let ends = (packet.from, packet.to);
        if packet.rst {
            return self.handle_reset(packet, ends);
        }
        if packet.syn && !packet.ack && interest(packet.to) != Interest::Nobody {
            self.handle_syn(packet.segment.sequence, ends, now);
        }
        let Some(flow) = self.living.get_mut(&ends) else { return };
        flow.seen = now;
        let opens = !flow.is_open && !packet.syn && packet.ack;
        flow.is_open |= opens;
        let mut segment = packet.segment;
        if packet.syn {
            segment.sequence = segment.sequence.wrapping_add(1);
        }
        let before = flow.assembler.n_pending();
        let outcome = flow.assembler.handle_segment(segment, now);
        let grows = flow.assembler.n_pending() > before;
        if opens {
            match interest(packet.to) {
                Interest::Clients(clients) => self.announce(ends, packet.to, clients),
                Interest::Unnamed => {}
                Interest::Nobody => return self.forget(ends),
            }
        }
        match outcome {
            Ok(progress) if !grows || self.n_pending() <= MAX_TOTAL => self.deliver(ends, progress),
            _ => self.lose(ends),
        }
    }

    /// The peer of these ends asked for this address. Only those that were not announced yet are concerned.
    pub(super) fn name(&mut self, ends: Ends, local: SocketAddr, interest: impl Fn(SocketAddr) -> Interest) {
        if self.living.get(&ends).is_none_or(|flow| flow.local.is_some()) {
            return;
        }
        let Interest::Clients(clients) = interest(local) else { return self.forget(ends) };
        self.named.insert((ends.0, local), ends);
        self.announce(ends, local, clients);
    }

    /// Gives up what has waited too long.
    pub(super) fn handle_time(&mut self, now: Duration) {
        let lost: Vec<_> = self.ends_where(|flow| flow.assembler.is_overdue(now));
        for ends in lost {
            self.lose(ends);
        }
        let unwanted: Vec<_> = self.ends_where(|flow| flow.is_deaf() || flow.is_late(now));
        for ends in unwanted {
            self.forget(ends);
        }
    }

    /// What there is to tell.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Whether no connection is followed.
    pub(super) fn is_empty(&self) -> bool {
        self.living.is_empty()
    }

    /// The ports that the living connections go to, and those that their resets come from.
    pub(super) fn ports(&self) -> BTreeSet<u16> {
        let asked = self.living.values().filter_map(|flow| flow.local).map(|local| local.port());
        self.living.keys().map(|(_, to)| to.port()).chain(asked).collect()
    }

    fn handle_syn(&mut self, syn: u32, ends: Ends, now: Duration) {
        if self.living.get(&ends).is_some_and(|flow| flow.syn == syn) {
            return;
        }
        // The ports are used again: the end of the earlier connection was not seen.
        self.end(ends, &Heard::Broken(libc::ECONNRESET));
        if self.living.len() >= MAX_FLOWS {
            self.make_room();
        }
        self.living.insert(ends, Flow::new(syn, now));
    }

    fn handle_reset(&mut self, packet: &Packet<'_>, ends: Ends) {
        if let Some(flow) = self.living.get(&ends) {
            if flow.assembler.is_in_window(packet.segment.sequence) {
                self.end(ends, &Heard::Broken(libc::ECONNRESET));
            }
            return;
        }
        let back = (packet.to, packet.from);
        let back = self.named.get(&back).copied().unwrap_or(back);
        self.end(back, &Heard::Broken(libc::ECONNRESET));
    }

    fn announce(&mut self, ends: Ends, local: SocketAddr, clients: Vec<ClientId>) {
        let Some(flow) = self.living.get_mut(&ends) else { return };
        flow.local = Some(local);
        for client in clients {
            let (feed, hearing) = feed(Arc::clone(&self.total));
            flow.feeds.push((client, feed));
            self.news.push(News::Overheard { client, peer: ends.0, local, hearing });
        }
        let early = Progress { pieces: std::mem::take(&mut flow.early), finished: flow.finished_early };
        self.deliver(ends, early);
    }

    fn deliver(&mut self, ends: Ends, progress: Progress) {
        let Some(flow) = self.living.get_mut(&ends) else { return };
        if flow.local.is_none() {
            flow.n_early += progress.pieces.iter().map(Bytes::len).sum::<usize>();
            flow.finished_early |= progress.finished;
            flow.early.extend(progress.pieces);
            if flow.n_early > MAX_EARLY {
                self.forget(ends);
            }
            return;
        }
        for bytes in &progress.pieces {
            flow.feeds.retain(|(client, feed)| match feed.push(bytes) {
                Ok(()) => true,
                Err(error) => {
                    self.news.push(News::CutOff { client: *client, peer: ends.0, why: error.to_string() });
                    false
                }
            });
        }
        if progress.finished {
            self.end(ends, &Heard::Finished);
        } else if flow.is_deaf() {
            self.forget(ends);
        }
    }

    fn lose(&mut self, ends: Ends) {
        let Some(flow) = self.living.get(&ends) else { return };
        let cut_off = flow
            .feeds
            .iter()
            .filter(|(_, feed)| !feed.is_closed())
            .map(|(client, _)| News::CutOff { client: *client, peer: ends.0, why: Gap.to_string() });
        self.news.extend(cut_off);
        self.end(ends, &Heard::Broken(libc::EIO));
    }

    fn end(&mut self, ends: Ends, end: &Heard) {
        if let Some(flow) = self.living.get(&ends) {
            flow.feeds.iter().for_each(|(_, feed)| feed.end(end.clone()));
        }
        self.forget(ends);
    }

    fn forget(&mut self, ends: Ends) {
        if let Some(local) = self.living.remove(&ends).and_then(|flow| flow.local) {
            self.named.remove(&(ends.0, local));
        }
    }

    /// Loses the longest silent: many at once, so that a flood does not make us look for each.
    fn make_room(&mut self) {
        let mut ends = self.ends_where(|_| true);
        ends.sort_by_key(|ends| self.living.get(ends).map(|flow| (flow.is_open, flow.seen)));
        for ends in ends.into_iter().take(MAX_FLOWS / 8) {
            self.lose(ends);
        }
    }

    fn ends_where(&self, wanted: impl Fn(&Flow) -> bool) -> Vec<Ends> {
        self.living.iter().filter(|(_, flow)| wanted(flow)).map(|(ends, _)| *ends).collect()
    }

    /// Bytes that wait behind gaps, and for readers, of all connections.
    fn n_pending(&self) -> usize {
        let behind_gaps: usize = self.living.values().map(|flow| flow.assembler.n_pending()).sum();
        behind_gaps + self.total.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
