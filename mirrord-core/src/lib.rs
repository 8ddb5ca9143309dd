//! Every judgement of mirrord. The oath of purity: nothing here opens a socket or a file, reads a clock, sees the
//! environment, starts a thread or asks for randomness. What it must know is an argument; what it wants is a value.
//!
//! In reading order: the answer to the only question ([`verdict`]), what calls speak of ([`addr`], [`path`], [`way`],
//! [`target`], [`cluster`]), what a session may do ([`rules`]), how its proxy keeps count ([`proxy`]), what a guest knows of files ([`known`]), whose traffic the
//! target's is ([`steal`]), and how lanes outlive the connections that carry them ([`trunk`]).

#![forbid(unsafe_code)]

pub mod addr;
pub mod cluster;
pub mod known;
pub mod near;
pub mod path;
pub mod proxy;
pub mod rules;
pub mod steal;
pub mod target;
pub mod trunk;
pub mod verdict;
pub mod way;
