//! Drives the session: layers on one side, one agent on the other.
//!
//! In reading order: how it begins ([`start`], [`detach`], [`run`], [`spawn`]) and ends ([`watch`]); the far side
//! ([`agent`], [`lane`], [`rights`]); the near side ([`layers`], [`settings`], [`session`], [`complain`]); and the answers:
//! [`files`] ([`memfd`], [`fuse`]), [`incoming`] ([`doorbell`], [`alive`]), [`outgoing`] ([`plug`]), [`datagrams`], [`names`], and the bytes
//! of streams ([`relay`]).

mod agent;
mod alive;
mod complain;
mod datagrams;
mod detach;
mod doorbell;
mod files;
mod fuse;
mod incoming;
mod lane;
mod layers;
mod log;
mod memfd;
mod names;
mod outgoing;
mod plug;
pub(crate) mod relay;
pub(crate) mod rights;
mod run;
mod session;
mod settings;
mod spawn;
pub(crate) mod start;
mod watch;

pub(crate) use run::run;
