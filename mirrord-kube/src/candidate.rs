//! One pod judged: whose place the guest would take in it, or why it cannot.

use std::net::IpAddr;

use k8s_openapi::{
    api::core::v1::{Container, ContainerState, ContainerStatus, Pod, PodSpec, PodStatus, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};

use crate::pod::{Mesh, TargetPod};

/// Containers that others put beside an application.
const SIDECARS: &[&str] = &[
    "kuma-sidecar",
    "kuma-init",
    "istio-proxy",
    "istio-init",
    "linkerd-proxy",
    "linkerd-init",
    "vault-agent",
    "vault-agent-init",
    "queue-proxy",
    "traffic-agent",
];

/// By which a pod says which of its containers is the application.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Runtimes whose containers an agent finds by their cgroup.
const RUNTIMES: &[&str] = &["containerd", "cri-o", "docker"];

/// Why the guest cannot take a place in this pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// Not now, for this reason.
    NotReady(String),
    /// It has no such container, but these.
    NoContainer(Vec<String>),
    /// Its container runs in something unknown.
    Runtime(String, String),
}

/// A container chosen, and among which it was a guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) container: String,
    /// More than one where it was a guess.
    pub(crate) among: Vec<String>,
}

/// The container of a pod that is the application: the one wanted, the one the pod names, the first that is no known
/// sidecar, the first.
pub(crate) fn choose(pod: &Pod, wanted: Option<&str>) -> Result<Choice, Unfit> {
    let spec = pod.spec.clone().unwrap_or_default();
    let names = container_names(&spec);
    if let Some(wanted) = wanted {
        let is_there = names.iter().any(|name| name == wanted) || is_lasting_init(&spec, wanted);
        return if is_there {
            Ok(Choice { container: wanted.to_owned(), among: Vec::new() })
        } else {
            Err(Unfit::NoContainer(names))
        };
    }
    let annotated = pod.metadata.annotations.as_ref().and_then(|all| all.get(DEFAULT_CONTAINER));
    if let Some(name) = annotated.filter(|name| names.contains(name)) {
        return Ok(Choice { container: name.clone(), among: Vec::new() });
    }
    let applications = without_sidecars(&names);
    let among = if applications.is_empty() { names } else { applications };
    match among.first() {
        Some(first) => Ok(Choice { container: first.clone(), among: among.clone() }),
        None => Err(Unfit::NoContainer(Vec::new())),
    }
}

/// Those of the names that are no known sidecars.
pub(crate) fn without_sidecars(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| !SIDECARS.contains(&name.as_str())).cloned().collect()
}

/// The names of a pod's containers, in their order.
pub(crate) fn container_names(spec: &PodSpec) -> Vec<String> {
    spec.containers.iter().map(|container| container.name.clone()).collect()
}

/// Whether it is an init container that goes on beside the others.
fn is_lasting_init(spec: &PodSpec, name: &str) -> bool {
    spec.init_containers
        .iter()
        .flatten()
        .any(|container| container.name == name && container.restart_policy.as_deref() == Some("Always"))
}

/// What is known of a pod that is ready to be a target.
pub(crate) fn judge(pod: &Pod, wanted: Option<&str>) -> Result<TargetPod, Unfit> {
    let Choice { container, .. } = choose(pod, wanted)?;
    let spec = pod.spec.clone().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    if let Some(why) = unreadiness(pod, &status, &container) {
        return Err(Unfit::NotReady(why));
    }
    let it = statuses(&status).find(|it| it.name == container);
    let id = it.and_then(|it| it.container_id.clone()).unwrap_or_default();
    let (runtime, id) = id.split_once("://").unwrap_or(("", &id));
    if id.is_empty() || !RUNTIMES.contains(&runtime) {
        return Err(Unfit::Runtime(container, runtime.to_owned()));
    }
    let chosen = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let chosen = chosen.clone().find(|it| it.name == container).cloned().unwrap_or_default();
    Ok(TargetPod {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name: name(pod).to_owned(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        node: spec.node_name.clone().unwrap_or_default(),
        addresses: addresses(&status),
        container_id: id.to_owned(),
        ports: ports(&spec),
        probe_ports: probe_ports(&chosen),
        mesh: mesh(pod, &spec),
        host_network: spec.host_network.unwrap_or(false),
        shares_processes: spec.share_process_namespace.unwrap_or(false),
        container,
    })
}

/// A pod's name.
pub(crate) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// Whether the pod as a whole is ready, so that Services lead to it.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|it| it.type_ == "Ready" && it.status == "True")
}

fn statuses(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten())
}

/// Why a pod is not ready, nothing if it is.
fn unreadiness(pod: &Pod, status: &PodStatus, container: &str) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Some("it is being deleted".to_owned());
    }
    let phase = status.phase.as_deref().unwrap_or("Pending");
    if matches!(phase, "Succeeded" | "Failed") {
        let reason = status.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        return Some(format!("it has ended: {phase}{reason}"));
    }
    let mut conditions = status.conditions.iter().flatten();
    if let Some(it) = conditions.find(|it| it.type_ == "PodScheduled" && it.status == "False") {
        let words = it.message.as_deref().unwrap_or("no reason was given");
        return Some(format!("it has no node: {words}"));
    }
    let chosen = statuses(status).find(|it| it.name == container);
    if phase == "Running" && chosen.is_some_and(is_running_and_ready) {
        return None;
    }
    let inits = status.init_container_statuses.iter().flatten();
    let stuck = inits.filter(|it| !it.ready).find_map(|it| Some((&it.name, trouble(it)?)));
    if let Some((name, words)) = stuck {
        return Some(format!("its init container `{name}` {words}"));
    }
    Some(match chosen.map(|it| (it, trouble(it))) {
        Some((_, Some(words))) => format!("its container `{container}` {words}"),
        Some((it, None)) if is_running(it.state.as_ref()) => {
            format!("its container `{container}` runs, but its readiness probe has not passed")
        }
        _ => format!("it is {phase}, and its container `{container}` has not begun"),
    })
}

fn is_running_and_ready(it: &ContainerStatus) -> bool {
    it.ready && is_running(it.state.as_ref())
}

fn is_running(state: Option<&ContainerState>) -> bool {
    state.is_some_and(|state| state.running.is_some())
}

/// What keeps a container from running.
fn trouble(it: &ContainerStatus) -> Option<String> {
    let state = it.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or("no reason was given");
        let message =
            waiting.message.as_deref().map(|words| format!(": {}", words.trim())).unwrap_or_default();
        return Some(format!("waits: {reason}{message}"));
    }
    let ended = state.terminated.as_ref()?;
    let reason = ended.reason.as_deref().unwrap_or("Ended");
    Some(format!("has ended: {reason}, exit code {}", ended.exit_code))
}

fn addresses(status: &PodStatus) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    let several = status.pod_ips.iter().flatten().map(|it| it.ip.as_str());
    for address in status.pod_ip.iter().map(String::as_str).chain(several).filter_map(|it| it.parse().ok()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// Every TCP port that the pod's containers name: they share one network.
fn ports(spec: &PodSpec) -> Vec<u16> {
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let mut ports: Vec<u16> = ports
        .filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"))
        .filter_map(|port| u16::try_from(port.container_port).ok())
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn probe_ports(container: &Container) -> Vec<u16> {
    let probes = container.liveness_probe.iter().chain(&container.readiness_probe);
    let mut ports: Vec<u16> = probes.filter_map(|probe| probe_port(probe, container)).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn probe_port(probe: &Probe, container: &Container) -> Option<u16> {
    let number = match (&probe.http_get, &probe.grpc) {
        (Some(http), _) => match &http.port {
            IntOrString::Int(number) => *number,
            IntOrString::String(name) => {
                let mut ports = container.ports.iter().flatten();
                ports.find(|port| port.name.as_ref() == Some(name))?.container_port
            }
        },
        (None, Some(grpc)) => grpc.port,
        (None, None) => return None,
    };
    u16::try_from(number).ok()
}

/// The service mesh that a pod is part of, as its containers tell.
fn mesh(pod: &Pod, spec: &PodSpec) -> Option<Mesh> {
    let annotations = pod.metadata.annotations.as_ref();
    if annotations.and_then(|all| all.get("ambient.istio.io/redirection")).is_some_and(|it| it == "enabled") {
        return Some(Mesh::IstioAmbient);
    }
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let names: Vec<&str> = containers.map(|container| container.name.as_str()).collect();
    let has = |name: &str| names.contains(&name);
    if has("istio-proxy") && has("istio-validation") {
        Some(Mesh::IstioCni)
    } else if has("istio-proxy") || has("istio-init") {
        Some(Mesh::Istio)
    } else if has("linkerd-proxy") || has("linkerd-init") {
        Some(Mesh::Linkerd)
    } else if has("kuma-sidecar") || has("kuma-init") {
        Some(Mesh::Kuma)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
