//! Drives the session: layers on one side, agents on the other.
//!
//! In reading order: how it begins ([`start`], [`detach`], [`run`], [`prepare`]) and ends ([`watch`], [`kin`]), and who may ask for it ([`api`], [`chronicle`]); the far side
//! ([`far`]): a process here ([`spawn`]) or agents elsewhere ([`cluster`]), a [`link`] to each over [`lane`]s with
//! [`rights`], and the [`agent`] that the session asks, whoever that is by now ([`handles`]); the near side ([`layers`],
//! [`settings`], [`session`], [`complain`]); and the answers: [`files`] ([`memfd`], [`fuse`]), [`incoming`]
//! ([`doorbell`], [`alive`]), [`outgoing`] ([`plug`]), [`datagrams`] ([`queries`]), [`names`], and the bytes of streams ([`relay`]).

mod agent;
mod alive;
mod api;
mod chronicle;
mod cluster;
mod complain;
mod datagrams;
pub(crate) mod detach;
mod doorbell;
mod far;
mod files;
mod fuse;
mod handles;
mod incoming;
mod kin;
mod lane;
mod layers;
mod link;
mod log;
mod memfd;
mod names;
mod outgoing;
mod plug;
mod prepare;
mod queries;
pub(crate) mod relay;
pub(crate) mod rights;
mod run;
mod session;
mod settings;
mod spawn;
pub(crate) mod start;
mod surveyor;
mod watch;

pub(crate) use run::run;
