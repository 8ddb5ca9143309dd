//! Everything between an agent that answers and the first layer.

use std::{io, sync::Arc, time::Duration};

use mirrord_config::handoff::{DataPath, Facts, Handoff};
use mirrord_core::{addr, proxy::nodes::Numbers, rules::mapping::Mapping};
use mirrord_protocol::{
    GuestPath,
    agent::{AgentAnswer, AgentCall, control::TargetDescription, env::Environment, fs::FileStat},
    fault::Fault,
};
use tokio_seqpacket::UnixSeqpacketListener;

use super::{
    agent::Agent,
    chronicle::Chronicle,
    complain::Complaints,
    datagrams::Datagrams,
    files::{self, Files, nonsense},
    fuse::{Attributes, Fuse, Mount},
    incoming::Incoming,
    layers::{self, Layers},
    memfd::Copies,
    names::Names,
    outgoing::Outgoing,
    queries::Queries,
    relay::Relays,
    session::{Relayed, Session},
    settings::Settings,
    start::{Order, Place, Ready},
    watch::Watch,
};

/// What a session stands on.
pub(crate) struct Prepared {
    pub(crate) ready: Ready,
    pub(crate) layers: Arc<Layers>,
    pub(crate) relays: Relays,
    pub(crate) listener: UnixSeqpacketListener,
}

/// Asks what must be known of the target, and makes ready for layers.
pub(crate) async fn prepare(
    order: &Order,
    agent: &Agent,
    mount: Option<Mount>,
    complaints: Arc<Complaints>,
) -> Result<Prepared, Fault> {
    let relays = Relays::start()?;
    let address = format!("@mirrord-{}", order.session_id);
    let watch = Watch::new(
        order.guest_pid,
        Duration::from_secs(order.start_idle_timeout),
        Duration::from_secs(order.idle_timeout),
        &address,
    )?;
    let mount = mount.filter(|_| order.data_path == DataPath::Proxied);
    // Side by side: an agent may be far away.
    let root = async {
        match &mount {
            Some(_) => files::stat(agent, GuestPath::from("/")).await.map(Some),
            None => Ok(None),
        }
    };
    let (target, environment, root) =
        tokio::try_join!(describe(agent), fetch_environment(order, agent), root)?;
    let files = match order.data_path {
        DataPath::Passed => Files::Passed(agent.clone()),
        DataPath::Proxied => {
            Files::Proxied(agent.clone(), start_fuse(agent, mount.zip(root)).await?, Copies::default())
        }
    };
    let path_prefix = files.path_prefix().await?;
    let facts = Facts {
        data_path: order.data_path,
        // An agent on its own in a cluster is a target for names and connections; its name is nobody's.
        has_target: order.place != Place::Here,
        hostname: if order.place.has_target() { target.hostname.clone() } else { String::new() },
        // Elsewhere the same number means another network.
        netns_cookie: if order.place.is_here() { target.netns_cookie } else { 0 },
        path_prefix,
        looks_alike: order.data_path == DataPath::Passed && has_our_users(&order.place),
        start_dir: order.start_dir.as_os_str().as_encoded_bytes().to_vec(),
        host: if order.hands_over { own_program() } else { Vec::new() },
        allows_rings: order.allows_rings,
        debugger_ports: order.debugger_ports.clone(),
    };
    let settings = Arc::new(Settings::new(&Handoff { rules: order.rules.clone(), facts })?);
    if let Files::Proxied(_, Some(fuse), _) = &files {
        fuse.surveyor().show(settings.ports().changes()?);
    }
    let chronicle = Arc::<Chronicle>::default();
    let incoming = Arc::new(Incoming::new(
        agent.clone(),
        complaints.clone(),
        chronicle.clone(),
        relays.clone(),
        settings.clone(),
        order.rules.incoming.clone(),
        order.data_path == DataPath::Passed,
        addr::doorbell(session_number(&order.session_id)),
    ));
    let queries = Queries::new(&order.rules.dns);
    let relayed = if order.data_path == DataPath::Proxied || order.rules.dns.has_filter() {
        let (agent, addresses) = (|| agent.clone(), &target.addresses);
        Some(Relayed {
            outgoing: Outgoing::start(agent(), relays.clone(), queries.clone())?,
            datagrams: Datagrams::new(agent(), relays.clone(), addresses, queries),
        })
    } else {
        None
    };
    let mapping = Mapping::compile(&order.mapping)
        .map_err(|error| Fault::with_words(libc::EINVAL, error.to_string()))?;
    let listener = layers::listen(&address)?;
    let session = Session {
        rules: order.rules.clone(),
        agent: agent.clone(),
        complaints,
        chronicle,
        mapping,
        files,
        names: Names::default(),
        incoming,
        relayed,
    };
    let ready = Ready { address, environment, hostname: target.hostname, ports: Vec::new() };
    let layers = Arc::new(Layers { session, settings, watch });
    Ok(Prepared { ready, layers, relays, listener })
}

/// Whether users and groups have the same numbers in a target as here: its process is in our user namespace, or in one
/// that maps all of them to themselves.
fn has_our_users(place: &Place) -> bool {
    let Place::Process(pid) = place else { return false };
    let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/user")).ok();
    if namespace("self").is_some_and(|ours| namespace(&pid.to_string()) == Some(ours)) {
        return true;
    }
    let maps_all = |map: &str| {
        let map = std::fs::read_to_string(format!("/proc/{pid}/{map}")).unwrap_or_default();
        map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
    };
    maps_all("uid_map") && maps_all("gid_map")
}

/// The file system of the proxied data path; a session without one still reads files.
async fn start_fuse(agent: &Agent, place: Option<(Mount, FileStat)>) -> Result<Option<Fuse>, Fault> {
    let Some((mount, root)) = place else { return Ok(None) };
    let numbers = Numbers::new(&root);
    let attributes = Attributes { device: mount.device_number()?, numbers, only_us: mount.only_us };
    let agent = agent.clone();
    let starting = tokio::task::spawn_blocking(move || Fuse::start(mount, agent, attributes));
    let fuse = starting.await.map_err(io::Error::other)??;
    Ok(Some(fuse))
}

async fn describe(agent: &Agent) -> Result<TargetDescription, Fault> {
    match agent.call(AgentCall::Describe, None).await? {
        (AgentAnswer::Target(target), _) => Ok(target),
        _ => Err(nonsense()),
    }
}

async fn fetch_environment(order: &Order, agent: &Agent) -> Result<Environment, Fault> {
    let Some(call) = &order.environment else { return Ok(Environment::default()) };
    match agent.call(AgentCall::Environment(call.clone()), None).await? {
        (AgentAnswer::Environment(environment), _) => Ok(environment),
        _ => Err(nonsense()),
    }
}

/// A number by which sessions on one machine are told apart, more often than not.
fn session_number(session_id: &str) -> u16 {
    session_id.bytes().fold(0, |number: u16, byte| number.wrapping_mul(31).wrapping_add(u16::from(byte)))
}

/// Our own file, by which a layer starts what it cannot enter.
fn own_program() -> Vec<u8> {
    std::env::current_exe().unwrap_or_default().into_os_string().into_encoded_bytes()
}
