//! Targets in a cluster; and whether a session without a target belongs into one.

use std::{
    env,
    path::{Path, PathBuf},
};

use mirrord_config::{Lowered, lower::DataPathChoice};

use super::{Found, TargetError};
use crate::proxy::start::{ClusterPlace, Place};

/// Where a pod finds the account that it runs under.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// By what a cluster can be found where nobody names one.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    /// `KUBECONFIG` names files.
    is_named: bool,
    /// The kubeconfig in the home folder.
    at_home: Option<PathBuf>,
    /// We are a pod ourselves.
    is_pod: bool,
}

impl Surroundings {
    pub(super) fn see() -> Self {
        let at_home = env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config"));
        Self {
            is_named: env::var_os("KUBECONFIG").is_some_and(|paths| !paths.is_empty()),
            at_home: at_home.filter(|path| path.exists()),
            is_pod: env::var_os("KUBERNETES_SERVICE_HOST").is_some() && Path::new(ACCOUNT).exists(),
        }
    }

    /// By what a cluster is found, in words.
    fn cluster(&self) -> Option<String> {
        match &self.at_home {
            _ if self.is_named => Some("`KUBECONFIG`".to_owned()),
            Some(path) => Some(format!("`{}`", path.display())),
            None => self.is_pod.then(|| "the account of this pod".to_owned()),
        }
    }
}

/// A session in a cluster.
pub(super) fn place(lowered: &Lowered) -> Result<Place, TargetError> {
    if lowered.data_path == DataPathChoice::Passed {
        return Err(TargetError::NotPassed(lowered.target.to_string()));
    }
    let mut cluster = lowered.cluster.clone();
    // The proxy stands elsewhere.
    cluster.start_dir = env::current_dir().ok();
    Ok(Place::Cluster(Box::new(ClusterPlace {
        cluster,
        agent: lowered.agent.clone(),
        target: lowered.target.clone(),
        ping_interval: lowered.proxy.ping_interval,
    })))
}

/// A session without a target: in the cluster, if one is named or can be found; else on this machine.
pub(super) fn targetless(lowered: &Lowered, surroundings: &Surroundings) -> Result<Found, TargetError> {
    let named = &lowered.cluster;
    if named.kubeconfig.is_some() || named.context.is_some() || named.namespace.is_some() {
        return Ok(Found { place: place(lowered)?, note: None });
    }
    match surroundings.cluster() {
        Some(found_by) if lowered.data_path != DataPathChoice::Passed => {
            let note = format!(
                "no target: the agent stands in the cluster of {found_by}; `--data-path passed` keeps it here"
            );
            Ok(Found { place: place(lowered)?, note: Some(note) })
        }
        _ => Ok(Found { place: Place::Here, note: None }),
    }
}

#[cfg(test)]
mod tests {
    use mirrord_core::cluster::ClusterOptions;

    use super::*;

    fn where_to(lowered: &Lowered, surroundings: &Surroundings) -> &'static str {
        match targetless(lowered, surroundings).map(|found| (found.place, found.note.is_some())) {
            Ok((Place::Here, false)) => "here",
            Ok((Place::Cluster(_), true)) => "found",
            Ok((Place::Cluster(_), false)) => "named",
            Err(TargetError::NotPassed(_)) => "refused",
            _ => "?",
        }
    }

    #[test]
    fn without_a_target_the_agent_is_in_the_cluster_that_is_found_or_named_and_else_here() {
        let nothing = Surroundings::default();
        let at_home =
            Surroundings { at_home: Some("/home/ann/.kube/config".into()), ..Surroundings::default() };
        let mut lowered = Lowered::default();
        assert_eq!(where_to(&lowered, &nothing), "here");
        assert_eq!(where_to(&lowered, &at_home), "found");
        lowered.data_path = DataPathChoice::Passed;
        assert_eq!(where_to(&lowered, &at_home), "here");
        lowered.cluster = ClusterOptions { namespace: Some("shop".into()), ..ClusterOptions::default() };
        assert_eq!(where_to(&lowered, &nothing), "refused");
        lowered.data_path = DataPathChoice::Auto;
        assert_eq!(where_to(&lowered, &nothing), "named");
    }
}
