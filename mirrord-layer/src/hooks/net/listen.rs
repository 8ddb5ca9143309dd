//! `listen(2)`: from now on the target's connections may arrive here.

use libc::c_int;
use mirrord_core::{
    addr,
    rules::address::{Protocol, Side},
};
use mirrord_protocol::proxy::sockets::SocketQuestion;

use super::{ask, lives_there, swap};
use crate::{
    abi::{
        kernel::{self, int},
        socket::Socket,
    },
    answer::{self, Outcome},
    process::Process,
};

pub(crate) unsafe fn listen(process: &Process, fd: c_int, backlog: c_int) -> Option<c_int> {
    let socket = Socket(fd);
    if !process.facts.has_target || socket.transport()? != Protocol::Tcp {
        return None;
    }
    Some(answer::status(listen_stream(process, socket, backlog)))
}

fn listen_stream(process: &Process, socket: Socket, backlog: c_int) -> Outcome<()> {
    if lives_there(process, socket) {
        swap::to_side(socket, Protocol::Tcp, Side::Here)?;
    }
    // SAFETY: the call takes numbers only.
    unsafe { kernel::call(libc::SYS_listen, [int(socket.0), int(backlog), 0, 0, 0, 0]) }?;
    let bound = socket.local()?;
    if addr::is_loopback(bound.ip()) && process.is_debugger_port(bound.port()) {
        return Ok(());
    }
    // Where another address was asked for, the proxy knows it since `bind`. It listens in any case.
    let _ = ask(SocketQuestion::Listen { inode: socket.inode()?, requested: bound, bound });
    Ok(())
}
