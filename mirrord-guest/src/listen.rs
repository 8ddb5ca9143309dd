//! `listen(2)`: from now on the target's connections may arrive here.

use libc::c_int;
use mirrord_core::{
    addr,
    rules::address::{Protocol, Side},
};
use mirrord_protocol::proxy::sockets::SocketQuestion;

use crate::{
    Outcome, World,
    kernel::{self, int},
    socket::Socket,
    swap,
    world::lives_there,
};

/// Listens; says nothing if the kernel is to do it.
pub fn listen(world: &impl World, socket: Socket, backlog: c_int) -> Option<Outcome<()>> {
    if !world.has_target() || socket.transport()? != Protocol::Tcp {
        return None;
    }
    Some(listen_stream(world, socket, backlog))
}

fn listen_stream(world: &impl World, socket: Socket, backlog: c_int) -> Outcome<()> {
    if lives_there(world, socket) {
        swap::to_side(world, socket, Protocol::Tcp, Side::Here)?;
    }
    // SAFETY: the call takes numbers only.
    unsafe { kernel::call(libc::SYS_listen, [int(socket.0), int(backlog), 0, 0, 0, 0]) }?;
    let bound = socket.local()?;
    if addr::is_loopback(bound.ip()) && world.is_debugger_port(bound.port()) {
        return Ok(());
    }
    // Where another address was asked for, the proxy knows it since `bind`. It listens in any case.
    let _ = world.ask(SocketQuestion::Listen { inode: socket.inode()?, requested: bound, bound });
    Ok(())
}
