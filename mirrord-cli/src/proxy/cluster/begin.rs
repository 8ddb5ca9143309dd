//! The first agent of a session, while the command waits for it.

use mirrord_core::rules::incoming::IncomingRules;
use mirrord_kube::{Step, TargetPod};
use mirrord_protocol::agent::incoming::Wish;

use super::{
    reach::{Ground, Reach, Standing, retry},
    trouble::Trouble,
};
use crate::proxy::{
    link::Events,
    start::{Order, Report},
};

/// Finds the target, makes an agent beside it, and connects with that.
pub(crate) async fn begin(
    order: &Order,
    reach: &Reach,
    events: Events,
    tell: impl Fn(Report) + Clone + Send + 'static,
) -> Result<Standing, Trouble> {
    if order.place.has_target() {
        tell(Report::Progress(format!("finding {}", reach.name())));
    }
    let found = match &reach.ground {
        Ground::Cluster(_, place) => retry(place.cluster.retries, || reach.find()).await?,
        Ground::Address(_) => None,
    };
    let target = found.map(|found| {
        for note in found.notes.into_iter().chain(probed(&found.representative, &order.rules.incoming)) {
            tell(Report::Warning(note));
        }
        found.representative
    });
    let teller = move |step| {
        match step {
            Step::Creating(words) => tell(Report::Progress(format!("creating {words}"))),
            Step::Waiting(words) => tell(Report::Progress(format!("waiting for {words}"))),
            Step::Warning(words) => tell(Report::Warning(words)),
            // That is for whoever reaches it.
            Step::Seen(..) => {}
        }
    };
    let standing = reach.stand(target, None, events, teller).await?;
    reach.sweep(standing.agent.as_ref());
    Ok(standing)
}

/// What the developer should know of a pod before the session changes what it gets.
fn probed(pod: &TargetPod, rules: &IncomingRules) -> Option<String> {
    if rules.wish != Some(Wish::Steal) {
        return None;
    }
    let is_taken = |port: &u16| {
        rules.ports.as_ref().is_none_or(|ports| ports.contains(port)) && !rules.ignore_ports.contains(port)
    };
    let ports: Vec<_> =
        pod.probe_ports.iter().copied().filter(is_taken).map(|port| port.to_string()).collect();
    (!ports.is_empty()).then(|| {
        format!(
            "the kubelet probes port {} of pod `{}`: while the program here listens on it, the probes are its own to \
             answer",
            ports.join(", "),
            pod.name
        )
    })
}
