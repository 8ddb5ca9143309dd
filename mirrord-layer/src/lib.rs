//! The guest's companion: catches the calls that take a path, a name or an address, and nothing else.
//!
//! In reading order: what the loader runs ([`boot`]), what the process knows ([`process`]), how it asks ([`link`]),
//! how calls are caught ([`engine`]), how C memory is read and written ([`abi`]), what is done ([`hooks`]), and how
//! it is told to the guest ([`answer`]).
//!
//! The layer never ends its guest, prints to it, panics through it, blocks it for ever, or changes its errno unasked.
//! It starts no thread, takes no lock, and never touches the guest's heap: [`arena`] is its own.

mod abi;
mod answer;
mod arena;
mod boot;
mod engine;
mod hooks;
mod lane;
mod link;
mod process;

#[global_allocator]
static ARENA: arena::Arenas = arena::Arenas;
