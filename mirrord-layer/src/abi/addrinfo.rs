//! `struct addrinfo`: lists of addresses, laid out as the C library's own `freeaddrinfo(3)` frees them.
//!
//! Each node is one piece of the guest's heap with its address behind it; a canonical name is a piece of its own.

use std::{
    ffi::{CStr, c_char},
    net::{IpAddr, SocketAddr},
    ptr::null_mut,
};

use libc::{addrinfo, c_int};

use super::sockaddr::Encoded;
use crate::engine::table::names::original;

const N_PLANS: usize = 8;

/// What a node says beside its address.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    kind: c_int,
    protocol: c_int,
    port: u16,
}

/// The kinds of socket that a guest asks for, one node each.
pub(crate) struct Plans {
    plans: [Plan; N_PLANS],
    n_plans: usize,
}

impl Plans {
    /// What the C library makes of a service and hints, without a name: it knows the services of this machine. An
    /// error is `getaddrinfo(3)`'s.
    ///
    /// # Safety
    /// Both are the guest's, under the contract of `getaddrinfo(3)`.
    pub(crate) unsafe fn of(service: *const c_char, hints: Option<&addrinfo>) -> Result<Self, c_int> {
        // SAFETY: all zeroes are valid hints.
        let mut wishes: addrinfo = unsafe { std::mem::zeroed() };
        if let Some(hints) = hints {
            (wishes.ai_socktype, wishes.ai_protocol) = (hints.ai_socktype, hints.ai_protocol);
            wishes.ai_flags = hints.ai_flags & libc::AI_NUMERICSERV;
        }
        wishes.ai_family = libc::AF_INET;
        wishes.ai_flags |= libc::AI_PASSIVE;
        let service = if service.is_null() { c"0".as_ptr() } else { service };
        let mut found = null_mut();
        // SAFETY: the C library's own function, with hints of ours and the guest's service.
        let error =
            unsafe { original::getaddrinfo()(std::ptr::null(), service, &raw const wishes, &raw mut found) };
        if error != 0 {
            return Err(error);
        }
        let empty = Plan { kind: 0, protocol: 0, port: 0 };
        let mut plans = Self { plans: [empty; N_PLANS], n_plans: 0 };
        let mut next: *const addrinfo = found;
        // SAFETY: the C library's own list, not yet freed.
        while let Some(node) = unsafe { next.as_ref() } {
            plans.push(node);
            next = node.ai_next;
        }
        // SAFETY: as above, and nothing points into it.
        unsafe { libc::freeaddrinfo(found) };
        Ok(plans)
    }

    fn push(&mut self, node: &addrinfo) {
        // SAFETY: a node of the C library's has an address of this length.
        let address = unsafe { super::sockaddr::Address::read(node.ai_addr, node.ai_addrlen) };
        let port = match address {
            super::sockaddr::Address::Inet(address) => address.port(),
            _ => 0,
        };
        if let Some(place) = self.plans.get_mut(self.n_plans) {
            *place = Plan { kind: node.ai_socktype, protocol: node.ai_protocol, port };
            self.n_plans += 1;
        }
    }

    /// Them.
    pub(crate) fn all(&self) -> impl Iterator<Item = Plan> {
        self.plans.iter().take(self.n_plans).copied()
    }
}

/// A list that grows at its end. It is freed unless it is given to the guest.
pub(crate) struct List {
    first: *mut addrinfo,
    last: *mut addrinfo,
}

impl List {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { first: null_mut(), last: null_mut() }
    }

    /// Appends a node. Says nothing if the guest's heap has no room.
    pub(crate) fn push(&mut self, ip: IpAddr, plan: Plan, flags: c_int) -> Option<()> {
        let family = if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let address = Encoded::new(SocketAddr::new(ip, plan.port), family);
        let length = usize::try_from(address.length()).ok()?;
        // SAFETY: the guest's own heap.
        let node: *mut addrinfo = unsafe { libc::malloc(size_of::<addrinfo>() + length) }.cast();
        if node.is_null() {
            return None;
        }
        let place = node.wrapping_add(1).cast::<libc::sockaddr>();
        let content = addrinfo {
            ai_flags: flags,
            ai_family: family,
            ai_socktype: plan.kind,
            ai_protocol: plan.protocol,
            ai_addrlen: address.length(),
            ai_addr: place,
            ai_canonname: null_mut(),
            ai_next: null_mut(),
        };
        // SAFETY: the piece is fresh, aligned as every piece of a heap, and large enough.
        unsafe { node.write(content) };
        // SAFETY: as above: the address stands behind the node.
        unsafe { place.cast::<u8>().copy_from_nonoverlapping(address.as_ptr().cast(), length) };
        // SAFETY: the last node, if there is one, is ours.
        match unsafe { self.last.as_mut() } {
            Some(last) => last.ai_next = node,
            None => self.first = node,
        }
        self.last = node;
        Some(())
    }

    /// Gives the first node a canonical name.
    pub(crate) fn name(&mut self, name: &CStr) {
        // SAFETY: the first node, if there is one, is ours.
        if let Some(first) = unsafe { self.first.as_mut() } {
            // SAFETY: the name is a C string; its copy is the node's.
            first.ai_canonname = unsafe { libc::strdup(name.as_ptr()) };
        }
    }

    /// Whether nothing was appended.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// The guest's from now on.
    pub(crate) fn give(self) -> *mut addrinfo {
        let first = self.first;
        std::mem::forget(self);
        first
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if !self.first.is_null() {
            // SAFETY: the list is laid out as the C library's own, and nobody else has it.
            unsafe { libc::freeaddrinfo(self.first) };
        }
    }
}
