//! How far a pod with an agent has come, as its status tells; pure.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodCondition};
use kube::ResourceExt;

use super::problem::LaunchError;

/// What the status of a pod says of the agent in it.
#[derive(Debug)]
pub(super) enum State {
    /// It is on its way: how far.
    Waiting(String),
    /// Its container runs.
    Running,
    /// Its container has ended, and how.
    Ended(String),
    /// It will not run.
    Failed(LaunchError),
}

/// Words of a kubelet for an image that it does not get.
const NO_IMAGE: &[&str] =
    &["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"];
/// Words of a kubelet for a container that it does not get to run.
const NO_CONTAINER: &[&str] =
    &["CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"];
/// Words of a kubelet for a node without room.
const NO_ROOM: &[&str] = &["OutOfpods", "OutOfcpu", "OutOfmemory"];

/// How far the agent in `container` of `pod` has come.
pub(super) fn judge(pod: &Pod, container: &str) -> State {
    let status = status_of(pod, container);
    if let Some(state) = status.and_then(|status| status.state.as_ref()) {
        let image = status.map(|status| status.image.clone()).unwrap_or_default();
        if let Some(state) = judge_container(state, image_of(pod, container).unwrap_or(image)) {
            return state;
        }
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return State::Failed(LaunchError::Deleted { pod: pod.name_any() });
    }
    match phase(pod) {
        "Failed" => State::Failed(refused(pod)),
        "Succeeded" => State::Ended("exit code 0".to_owned()),
        _ => waiting(pod, status),
    }
}

fn judge_container(state: &ContainerState, image: String) -> Option<State> {
    if let Some(ended) = &state.terminated {
        let mut how = match ended.signal {
            Some(signal) if signal != 0 => format!("signal {signal}"),
            _ => format!("exit code {}", ended.exit_code),
        };
        for words in [&ended.reason, &ended.message].into_iter().flatten() {
            let is_news = !matches!(words.as_str(), "" | "Error" | "Completed");
            if is_news {
                how = format!("{how}, {}", one_line(words));
            }
        }
        return Some(State::Ended(how));
    }
    if state.running.is_some() {
        return Some(State::Running);
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.clone().unwrap_or_default();
    let words = waiting.message.as_deref().map(one_line).unwrap_or_default();
    if NO_IMAGE.contains(&reason.as_str()) {
        return Some(State::Failed(LaunchError::Image { image, reason, words }));
    }
    NO_CONTAINER.contains(&reason.as_str()).then_some(State::Failed(LaunchError::Container { reason, words }))
}

/// Why a pod has failed whose container never ran.
fn refused(pod: &Pod) -> LaunchError {
    let status = pod.status.clone().unwrap_or_default();
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    let reason = status.reason.unwrap_or_else(|| "Failed".to_owned());
    let words = one_line(&status.message.unwrap_or_default());
    if NO_ROOM.contains(&reason.as_str()) {
        return LaunchError::NodeFull { node, words: format!("{reason}: {words}") };
    }
    LaunchError::NodeRefused { node, reason, words }
}

fn waiting(pod: &Pod, status: Option<&ContainerStatus>) -> State {
    let scheduled = condition(pod, "PodScheduled").filter(|scheduled| scheduled.status == "False");
    if let Some(scheduled) = scheduled {
        let words = one_line(scheduled.message.as_deref().unwrap_or_default());
        if scheduled.reason.as_deref() == Some("Unschedulable") {
            return State::Failed(LaunchError::Unschedulable { words });
        }
        return State::Waiting(format!("it waits for a node: {words}"));
    }
    let waiting = status.and_then(|status| status.state.as_ref()?.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    State::Waiting(match (reason, node) {
        (Some(reason), Some(node)) => format!("the node `{node}` is at `{reason}`"),
        (None, Some(node)) => format!("the node `{node}` has not begun with it"),
        _ => "it has no node yet".to_owned(),
    })
}

fn status_of<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let lists = [&status.container_statuses, &status.ephemeral_container_statuses];
    lists.into_iter().flatten().flatten().find(|status| status.name == container)
}

/// The image that was asked for; a kubelet writes what it made of it.
fn image_of(pod: &Pod, container: &str) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let own = spec.containers.iter().find(|own| own.name == container).and_then(|own| own.image.clone());
    own.or_else(|| {
        let guests = spec.ephemeral_containers.iter().flatten();
        guests.clone().find(|guest| guest.name == container)?.image.clone()
    })
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// The pod's phase, as Kubernetes calls it.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Words of the cluster on one line.
pub(super) fn one_line(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
