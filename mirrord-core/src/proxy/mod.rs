//! The local proxy's mind: who waits for what, who holds a port, when a session ends. The time is told to it.
//!
//! In reading order: which question waits for which answer ([`pending`]) and what it gets if none will come
//! ([`lost`]), whose connections arrive where ([`listeners`]), what the guest's sockets are told ([`records`]), which
//! file a number of the FUSE file system means ([`nodes`]), how far ahead a file is read ([`window`]), what is believed of
//! the names of a folder ([`surveys`]), beside which pods agents stand ([`crowd`]), and when it is over ([`lifetime`]).

pub mod crowd;
pub mod lifetime;
pub mod listeners;
pub mod lost;
pub mod nodes;
pub mod pending;
pub mod records;
pub mod surveys;
pub mod window;
