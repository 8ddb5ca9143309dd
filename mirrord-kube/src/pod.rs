//! What is known of a target's pod.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A running pod and the container of it whose place the guest takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPod {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid: another pod of the same name is another pod.
    pub uid: String,
    /// The node it runs on.
    pub node: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The chosen container.
    pub container: String,
    /// That container's id, without the scheme of its runtime.
    pub container_id: String,
    /// Every `containerPort` of the chosen container.
    pub ports: Vec<u16>,
    /// Ports at which the kubelet probes the chosen container for life and readiness, by HTTP or gRPC.
    pub probe_ports: Vec<u16>,
    /// The service mesh that the pod is part of.
    pub mesh: Option<Mesh>,
    /// Whether it shares the node's network.
    pub host_network: bool,
    /// Whether its containers see each other's processes.
    pub shares_processes: bool,
}

/// A service mesh, as far as it concerns where connections pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mesh {
    /// Istio with a sidecar that an init container directs connections to.
    Istio,
    /// Istio with a sidecar, where its CNI plugin directs connections.
    IstioCni,
    /// Istio without sidecars.
    IstioAmbient,
    /// Linkerd.
    Linkerd,
    /// Kuma.
    Kuma,
}

/// What a target is in the cluster at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The pod whose environment, files, names and outgoing connections are the guest's.
    pub representative: TargetPod,
    /// Further ready pods of the same target, for incoming connections.
    pub others: Vec<TargetPod>,
    /// What the user should be warned of.
    pub notes: Vec<String>,
}
