//! Applies a ruleset by netlink, each change in one atomic batch.

use std::io;

use mirrord_protocol::agent::incoming::Port;
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    nftables::{NfTablesMessage, TableAttribute, TableFlags},
    none::ControlMessage,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

use super::ruleset::{self, Step};

const NFNL_SUBSYS_NFTABLES: u16 = 10;

/// A table as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Its name.
    pub(super) name: String,
    /// Whether the kernel removes it with its owner.
    pub(super) owned: bool,
}

/// A conversation with `nf_tables`. The tables that it owns live as long as it does.
pub(super) struct Nftables {
    socket: Socket,
    sequence: u32,
}

impl std::fmt::Debug for Nftables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nftables").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl Nftables {
    /// Begins to talk about the network namespace of this thread.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        // The kernel has answered when the request is sent, so nothing here waits.
        socket.set_non_blocking(true)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Does all of it or nothing.
    pub(super) fn apply(&mut self, steps: &[Step]) -> io::Result<()> {
        let (batch, last) = self.encode_batch(steps);
        self.send(&batch)?;
        let mut outcome = Ok(());
        let mut answered = false;
        while let Some(messages) = self.receive()? {
            for message in messages {
                if let NetlinkPayload::Error(error) = message.payload {
                    answered |= error.code.is_none() && message.header.sequence_number == last;
                    if error.code.is_some() && outcome.is_ok() {
                        outcome = Err(error.to_io());
                    }
                }
            }
        }
        outcome?;
        if answered { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EPROTO)) }
    }

    /// The tables of all agents.
    pub(super) fn tables(&mut self) -> io::Result<Vec<Table>> {
        let messages = self.ask(ruleset::list_tables())?;
        Ok(messages.iter().filter_map(parse_table).filter(|table| is_ours(&table.name)).collect())
    }

    /// Who redirects a port by this table.
    pub(super) fn owner_of(&mut self, table: &str, port: Port) -> io::Result<Option<String>> {
        let messages = self.ask(ruleset::list_ports(table))?;
        Ok(messages.iter().find_map(|message| match message {
            NfTablesMessage::NewSetElement(elements) => ruleset::owner_of(port, elements),
            _ => None,
        }))
    }

    /// The bytes that do these steps whenever anybody sends them.
    pub(super) fn encode_batch(&mut self, steps: &[Step]) -> (Vec<u8>, u32) {
        let mut batch = Vec::new();
        self.encode(&mut batch, ControlMessage::BatchBegin.into(), 0);
        for (index, (message, flags)) in steps.iter().enumerate() {
            let ack = if index + 1 == steps.len() { NLM_F_ACK } else { 0 };
            self.encode(&mut batch, message.clone().into(), flags | ack);
        }
        let last = self.sequence;
        self.encode(&mut batch, ControlMessage::BatchEnd.into(), 0);
        (batch, last)
    }

    fn encode(&mut self, buffer: &mut Vec<u8>, inner: NetfilterMessageInner, flags: u16) {
        self.sequence = self.sequence.wrapping_add(1);
        let header = match inner {
            NetfilterMessageInner::None(_) => {
                NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, NFNL_SUBSYS_NFTABLES)
            }
            _ => NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0),
        };
        let mut netlink = NetlinkHeader::default();
        netlink.flags = NLM_F_REQUEST | flags;
        netlink.sequence_number = self.sequence;
        let payload = NetlinkPayload::from(NetfilterMessage::new(header, inner));
        let mut message = NetlinkMessage::new(netlink, payload);
        message.finalize();
        let start = buffer.len();
        buffer.resize(start + message.buffer_len().next_multiple_of(4), 0);
        message.serialize(&mut buffer[start..]);
    }

    fn ask(&mut self, (message, flags): Step) -> io::Result<Vec<NfTablesMessage>> {
        let mut request = Vec::new();
        self.encode(&mut request, message.into(), flags);
        self.send(&request)?;
        let mut answers = Vec::new();
        while let Some(messages) = self.receive()? {
            for message in messages {
                match message.payload {
                    NetlinkPayload::InnerMessage(message) => {
                        if let NetfilterMessageInner::NfTables(message) = message.inner {
                            answers.push(message);
                        }
                    }
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    _ => {}
                }
            }
        }
        Ok(answers)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let n_sent = self.socket.send_to(bytes, &SocketAddr::new(0, 0), 0)?;
        if n_sent == bytes.len() { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EMSGSIZE)) }
    }

    /// The messages of one datagram; none if no more wait.
    fn receive(&self) -> io::Result<Option<Vec<NetlinkMessage<NetfilterMessage>>>> {
        let datagram = match self.socket.recv_from_full() {
            Ok((datagram, _)) => datagram,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut messages = Vec::new();
        let mut rest = datagram.as_slice();
        while let Some(length) = rest.first_chunk().map(|length| u32::from_ne_bytes(*length) as usize) {
            let Some(bytes) = rest.get(..length).filter(|bytes| !bytes.is_empty()) else { break };
            let message = NetlinkMessage::deserialize(bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            messages.push(message);
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(Some(messages))
    }
}

fn is_ours(table: &str) -> bool {
    table.starts_with(ruleset::TABLE_PREFIX)
}

fn parse_table(message: &NfTablesMessage) -> Option<Table> {
    let NfTablesMessage::NewTable(message) = message else { return None };
    let name = message.attributes.iter().find_map(|attribute| match attribute {
        TableAttribute::Name(name) => Some(name.clone()),
        _ => None,
    })?;
    let owned = message.attributes.iter().any(
        |attribute| matches!(attribute, TableAttribute::Flags(flags) if flags.contains(TableFlags::Owner)),
    );
    Some(Table { name, owned })
}
