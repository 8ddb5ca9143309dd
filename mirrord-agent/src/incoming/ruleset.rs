//! The firewall rules that redirect ports to the agent, described as the messages that make and unmake them; pure.
//!
//! ```text
//! table inet mirrord_<random> {            # flags owner: the kernel removes it with our netlink socket
//!     set ports { type inet_service; }     # what is stolen; each with its owner's name as the comment
//!     chain prerouting { type nat hook prerouting priority -99; <rule> }   # from other machines
//!     chain output { type nat hook output priority -99; <rule> }           # from the target itself
//! }
//! <rule>, for IPv4 and for IPv6:
//!     meta nfproto ipv4 meta l4proto tcp meta mark != <ours> tcp flags & (fin|syn|rst|ack) == syn
//!     tcp dport @ports fib daddr type local redirect to :<the agent's port>
//! ```
//!
//! Only a SYN is looked at: making the first nat chain switches connection tracking on, which then takes the next
//! packet of every living connection for the first of a new one. Destinations of other machines that are routed
//! through the target are left alone. The chains stand behind those of a service mesh (priority -100).

use mirrord_protocol::agent::incoming::Port;
use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    Bitwise, ChainAttribute, ChainMessage, Cmp, DataAttribute, ExpressionAttribute, Expressions, Hook,
    HookNumber, Immediate, InetHookNumber, ListAttribute, Lookup, Meta, MetaKey, NfTablesMessage, Operator,
    Payload, Register, RuleAttribute, RuleMessage, SetAttribute, SetElementAttribute, SetElementList,
    SetElementMessage, SetMessage, TableAttribute, TableFlags, TableMessage,
};

/// The mark of the agent's own connections to the target (`SO_MARK`), which every agent's rules skip.
pub(super) const PASS_MARK: u32 = 0x6d69_7272;

/// What the name of every table of ours begins with.
pub(super) const TABLE_PREFIX: &str = "mirrord_";

const SET: &str = "ports";
const SET_ID: u32 = 1;
const CHAINS: [(&str, InetHookNumber); 2] =
    [("prerouting", InetHookNumber::PreRouting), ("output", InetHookNumber::LocalOut)];
/// One behind the priority of destination translation, as a signed number.
const PRIORITY: i32 = -99;
const NF_ACCEPT: u32 = 1;
/// nft's own number for the type `inet_service`, by which it prints a set.
const TYPE_INET_SERVICE: u32 = 13;
const TRANSPORT_HEADER: u32 = 2;
/// `RTN_LOCAL`: an address of this machine.
const ADDRESS_TYPE_LOCAL: u32 = 2;
/// The most that the kernel keeps beside an element is 256 bytes.
const MAX_COMMENT: usize = 200;

/// One message and the flags that it travels with.
pub(super) type Step = (NfTablesMessage, u16);

/// The rules of one agent.
#[derive(Clone, Debug)]
pub(super) struct Ruleset {
    /// The table's name.
    pub(super) table: String,
    /// Where the agent listens for IPv4.
    pub(super) port_v4: u16,
    /// Where the agent listens for IPv6, if the target speaks it.
    pub(super) port_v6: Option<u16>,
}

impl Ruleset {
    /// Everything, with no port redirected yet. The kernel removes an owned table with the socket that made it.
    pub(super) fn install(&self, owned: bool) -> Vec<Step> {
        let mut steps = vec![create(NfTablesMessage::NewTable(TableMessage {
            attributes: vec![
                TableAttribute::Name(self.table.clone()),
                TableAttribute::Flags(if owned { TableFlags::Owner } else { TableFlags::empty() }),
            ],
        }))];
        steps.push(create(self.set()));
        for (chain, hook) in CHAINS {
            steps.push(create(self.chain(chain, hook)));
            steps.push(append(self.rule(chain, libc::NFPROTO_IPV4, self.port_v4)));
            if let Some(port) = self.port_v6 {
                steps.push(append(self.rule(chain, libc::NFPROTO_IPV6, port)));
            }
        }
        steps
    }

    /// One port more; its owner stands beside it for whoever looks.
    pub(super) fn redirect(&self, port: Port, owner: &str) -> Vec<Step> {
        let element = vec![key(port), SetElementAttribute::UserData(comment(owner))];
        vec![create(NfTablesMessage::NewSetElement(self.element(element)))]
    }

    /// One port less.
    pub(super) fn restore(&self, port: Port) -> Vec<Step> {
        vec![(NfTablesMessage::DeleteSetElement(self.element(vec![key(port)])), 0)]
    }

    fn set(&self) -> NfTablesMessage {
        NfTablesMessage::NewSet(SetMessage {
            attributes: vec![
                SetAttribute::Table(self.table.clone()),
                SetAttribute::Name(SET.to_owned()),
                SetAttribute::Id(SET_ID),
                SetAttribute::KeyType(TYPE_INET_SERVICE),
                SetAttribute::KeyLen(2),
            ],
        })
    }

    fn chain(&self, name: &str, hook: InetHookNumber) -> NfTablesMessage {
        NfTablesMessage::NewChain(ChainMessage {
            attributes: vec![
                ChainAttribute::Table(self.table.clone()),
                ChainAttribute::Name(name.to_owned()),
                ChainAttribute::Hook(vec![
                    Hook::Number(HookNumber::Inet(hook)),
                    Hook::Priority(PRIORITY.cast_unsigned()),
                ]),
                ChainAttribute::Policy(NF_ACCEPT),
                ChainAttribute::Type("nat".to_owned()),
            ],
        })
    }

    fn rule(&self, chain: &str, family: libc::c_int, listener: u16) -> NfTablesMessage {
        let family = u8::try_from(family).unwrap_or_default();
        let expressions = [
            meta(MetaKey::Nfproto),
            compare(Operator::Equal, &[family]),
            meta(MetaKey::L4Proto),
            compare(Operator::Equal, &[6]),
            meta(MetaKey::Mark),
            compare(Operator::NotEqual, &PASS_MARK.to_ne_bytes()),
            tcp_header(13, 1),
            mask(0x17),
            compare(Operator::Equal, &[0x02]),
            tcp_header(2, 2),
            Expressions::Lookup(vec![
                Lookup::Set(SET.to_owned()),
                Lookup::SetId(SET_ID),
                Lookup::SourceRegister(Register::Reg1),
            ]),
            destination_type(),
            compare(Operator::Equal, &ADDRESS_TYPE_LOCAL.to_ne_bytes()),
            load(&listener.to_be_bytes()),
            redirect(),
        ];
        NfTablesMessage::NewRule(RuleMessage {
            attributes: vec![
                RuleAttribute::Table(self.table.clone()),
                RuleAttribute::Chain(chain.to_owned()),
                RuleAttribute::Expressions(
                    expressions.into_iter().map(ListAttribute::<ExpressionAttribute>::from).collect(),
                ),
            ],
        })
    }

    fn element(&self, attributes: Vec<SetElementAttribute>) -> SetElementMessage {
        SetElementMessage {
            attributes: vec![
                SetElementList::Table(self.table.clone()),
                SetElementList::Set(SET.to_owned()),
                SetElementList::Elements(vec![ListAttribute::Element(attributes)]),
            ],
        }
    }
}

/// Removes a whole table.
pub(super) fn remove_table(table: &str) -> Vec<Step> {
    let attributes = vec![TableAttribute::Name(table.to_owned())];
    vec![(NfTablesMessage::DeleteTable(TableMessage { attributes }), 0)]
}

/// Asks for every table of the family.
pub(super) fn list_tables() -> Step {
    (NfTablesMessage::GetTable(TableMessage { attributes: vec![] }), netlink_packet_core::NLM_F_DUMP)
}

/// Asks for the ports that a table of ours redirects.
pub(super) fn list_ports(table: &str) -> Step {
    let attributes = vec![SetElementList::Table(table.to_owned()), SetElementList::Set(SET.to_owned())];
    (NfTablesMessage::GetSetElement(SetElementMessage { attributes }), netlink_packet_core::NLM_F_DUMP)
}

/// The owner of a port, if this list of redirected ports, as the kernel tells it, has it.
pub(super) fn owner_of(port: Port, message: &SetElementMessage) -> Option<String> {
    let elements = message.attributes.iter().filter_map(|attribute| match attribute {
        SetElementList::Elements(elements) => Some(elements),
        _ => None,
    });
    elements.flatten().find_map(|element| {
        let ListAttribute::Element(attributes) = element else { return None };
        let key = key(port);
        let owner = attributes.iter().find_map(|attribute| match attribute {
            SetElementAttribute::UserData(bytes) => parse_comment(bytes),
            _ => None,
        });
        attributes.contains(&key).then(|| owner.unwrap_or_else(|| "another session".to_owned()))
    })
}

fn create(message: NfTablesMessage) -> Step {
    (message, netlink_packet_core::NLM_F_CREATE | netlink_packet_core::NLM_F_EXCL)
}

fn append(message: NfTablesMessage) -> Step {
    (message, netlink_packet_core::NLM_F_CREATE | netlink_packet_core::NLM_F_APPEND)
}

fn key(port: Port) -> SetElementAttribute {
    SetElementAttribute::Key(DataAttribute::Value(port.0.to_be_bytes().to_vec()))
}

/// A comment as `nft` writes it: type 0, a length, the text with its NUL.
fn comment(text: &str) -> Vec<u8> {
    let mut end = text.len().min(MAX_COMMENT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let length = u8::try_from(end + 1).unwrap_or(u8::MAX);
    [&[0, length], &text.as_bytes()[..end], &[0]].concat()
}

fn parse_comment(bytes: &[u8]) -> Option<String> {
    let (&[0, length], rest) = bytes.split_first_chunk::<2>()? else { return None };
    let text = rest.get(..usize::from(length).checked_sub(1)?)?;
    String::from_utf8(text.to_vec()).ok()
}

fn meta(key: MetaKey) -> Expressions {
    Expressions::Meta(vec![Meta::Key(key), Meta::DestinationRegister(Register::Reg1)])
}

fn compare(operator: Operator, value: &[u8]) -> Expressions {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg1),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(value.to_vec())),
    ])
}

fn tcp_header(offset: u32, length: u32) -> Expressions {
    Expressions::Payload(vec![
        Payload::DestinationRegister(Register::Reg1),
        Payload::Base(TRANSPORT_HEADER),
        Payload::Offset(offset),
        Payload::Len(length),
    ])
}

fn mask(bits: u8) -> Expressions {
    Expressions::Bitwise(vec![
        Bitwise::SourceRegister(Register::Reg1),
        Bitwise::DestinationRegister(Register::Reg1),
        Bitwise::Length(1),
        Bitwise::Mask(DataAttribute::Value(vec![bits])),
        Bitwise::Xor(DataAttribute::Value(vec![0])),
    ])
}

fn load(value: &[u8]) -> Expressions {
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Reg1),
        Immediate::Data(DataAttribute::Value(value.to_vec())),
    ])
}

fn destination_type() -> Expressions {
    // NFTA_FIB_DREG, NFTA_FIB_RESULT = address type, NFTA_FIB_FLAGS = destination address.
    other("fib", [(1, Register::Reg1.into()), (2, 3), (3, 2)])
}

fn redirect() -> Expressions {
    // NFTA_REDIR_REG_PROTO_MIN and _MAX.
    other("redir", [(1, Register::Reg1.into()), (2, Register::Reg1.into())])
}

fn other<const N: usize>(name: &str, attributes: [(u16, u32); N]) -> Expressions {
    Expressions::Other {
        expression_type: name.to_owned(),
        attributes: attributes
            .into_iter()
            .map(|(kind, value)| DefaultNla::new(kind, value.to_be_bytes().to_vec()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruleset(port_v6: Option<u16>) -> Ruleset {
        Ruleset { table: "mirrord_x".to_owned(), port_v4: 4000, port_v6 }
    }

    fn n_rules(steps: &[Step]) -> usize {
        steps.iter().filter(|(message, _)| matches!(message, NfTablesMessage::NewRule(_))).count()
    }

    #[test]
    fn the_table_comes_first_and_every_step_names_it() {
        let steps = ruleset(Some(6000)).install(true);
        assert!(matches!(steps[0].0, NfTablesMessage::NewTable(_)));
        for (message, _) in &steps {
            assert!(format!("{message:?}").contains("\"mirrord_x\""), "{message:?}");
        }
    }

    #[test]
    fn only_an_owned_table_says_so() {
        let flags = |owned| format!("{:?}", ruleset(None).install(owned)[0].0);
        assert!(flags(true).contains("Owner"));
        assert!(!flags(false).contains("Owner"));
    }

    #[test]
    fn each_chain_has_a_rule_for_each_family_that_the_target_speaks() {
        assert_eq!(n_rules(&ruleset(Some(6000)).install(true)), 4);
        assert_eq!(n_rules(&ruleset(None).install(true)), 2);
    }

    #[test]
    fn every_rule_skips_what_the_agent_itself_connects() {
        let mark = format!("{:?}", compare(Operator::NotEqual, &PASS_MARK.to_ne_bytes()));
        for (message, _) in ruleset(Some(6000)).install(true) {
            if matches!(message, NfTablesMessage::NewRule(_)) {
                assert!(format!("{message:?}").contains(&mark));
            }
        }
    }

    #[test]
    fn what_is_restored_is_what_was_redirected() {
        let steps = ruleset(None).restore(Port(80));
        let NfTablesMessage::DeleteSetElement(removed) = &steps[0].0 else { panic!("{steps:?}") };
        assert!(owner_of(Port(80), removed).is_some());
        assert!(owner_of(Port(81), removed).is_none());
    }

    #[test]
    fn the_owner_of_a_redirected_port_can_be_read_back() {
        for owner in ["ann", "", "Zoë at a machine with a very long name ".repeat(20).as_str()] {
            let steps = ruleset(None).redirect(Port(80), owner);
            let NfTablesMessage::NewSetElement(added) = &steps[0].0 else { panic!("{steps:?}") };
            let read = owner_of(Port(80), added).unwrap();
            assert!(owner.starts_with(&read) && read.len() >= owner.len().min(MAX_COMMENT - 3));
        }
    }

    #[test]
    fn a_foreign_comment_is_no_owner() {
        for bytes in [&[][..], &[0], &[0, 0], &[0, 9, b'x'], &[1, 2, b'x', 0], &[0, 2, 0xff, 0]] {
            assert_eq!(parse_comment(bytes), None, "{bytes:?}");
        }
    }
}
