//! What goes wrong with a cluster, each with its hint.

use std::{error::Error, io, path::PathBuf};

use thiserror::Error;

pub use crate::ask::Ask;
use crate::{launch::problem::LaunchError, port_forward::ForwardError};

/// The page of the rules that a developer needs.
const RULES: &str = "`examples/rbac.yaml` has all that is needed";

/// Why there is nothing to read of a kubeconfig.
#[derive(Debug, Error)]
pub enum NoKubeconfig {
    /// None anywhere, and this is no pod.
    #[error("there is no kubeconfig{}", beside(looked))]
    Nowhere {
        /// Where one could have been.
        looked: Vec<PathBuf>,
    },
    /// One that cannot be read.
    #[error("the kubeconfig `{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl NoKubeconfig {
    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> String {
        let hint = match self {
            Self::Nowhere { .. } => {
                "name one by the key `kubeconfig`, or by `KUBECONFIG`; whoever runs the cluster hands them out"
            }
            Self::Unreadable { .. } => "`kubectl config view` shows what a kubeconfig says",
        };
        hint.to_owned()
    }
}

/// Why a cluster did not do what was wanted.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// There is nothing to read of a kubeconfig.
    #[error(transparent)]
    Kubeconfig(#[from] NoKubeconfig),
    /// A kubeconfig that says something impossible.
    #[error("{words}{}", beside(paths))]
    Malformed {
        /// What is wrong, naming the entry.
        words: String,
        /// The files.
        paths: Vec<PathBuf>,
        /// What can be done.
        hint: String,
    },
    /// Neither the user nor the kubeconfig chooses a context.
    #[error("the kubeconfig has no current context{}", beside(paths))]
    NoCurrentContext {
        /// The files.
        paths: Vec<PathBuf>,
        /// Those that could be chosen.
        contexts: Vec<String>,
    },
    /// A context that the kubeconfig does not have.
    #[error("there is no context `{wanted}`{}", beside(paths))]
    NoSuchContext {
        /// What was asked for.
        wanted: String,
        /// The files.
        paths: Vec<PathBuf>,
        /// What could have been meant.
        near: Vec<String>,
    },
    /// The program that should give credentials is not there.
    #[error("`{command}`, which the kubeconfig names for the credentials of `{user}`, is not there")]
    NoPlugin {
        /// The program.
        command: String,
        /// Whose credentials.
        user: String,
        /// What the kubeconfig says about installing it.
        advice: Option<String>,
    },
    /// The program that should give credentials gave none.
    #[error("`{command}` gave no credentials for `{user}`: {words}")]
    Plugin {
        /// The program.
        command: String,
        /// Whose credentials.
        user: String,
        /// What it said.
        words: String,
    },
    /// The credentials that the kubeconfig has are none.
    #[error("the kubeconfig's credentials of `{user}` cannot be used: {words}")]
    Credentials {
        /// Whose credentials.
        user: String,
        /// What is wrong with them.
        words: String,
    },
    /// No client could be made of the kubeconfig.
    #[error("the kubeconfig's entry for `{address}` cannot be used")]
    Unusable {
        /// The API server.
        address: String,
        /// Why not.
        #[source]
        source: Box<kube::Error>,
    },
    /// Nobody answers at the API server's address.
    #[error("the API server at `{address}` cannot be reached")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The proxy on the way to the API server does not let us through.
    #[error("the API server at `{address}` cannot be reached through the proxy `{proxy}`")]
    Proxy {
        /// Where the API server should be.
        address: String,
        /// The proxy.
        proxy: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Whoever answers is not who should.
    #[error("the certificate of the API server at `{address}` is not trusted")]
    Certificate {
        /// Where it is.
        address: String,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
    /// There is somebody, who does not speak as an API server does.
    #[error("`{address}` does not speak TLS as an API server does")]
    NotTls {
        /// Where it is.
        address: String,
        /// What came instead.
        #[source]
        source: rustls::Error,
    },
    /// It took too long.
    #[error("the API server at `{address}` did not {ask} within {seconds} s")]
    NoAnswer {
        /// Where it is.
        address: String,
        /// What was asked.
        ask: Box<Ask>,
        /// How long it was given.
        seconds: u64,
    },
    /// The API server does not know who we are.
    #[error("the API server at `{address}` does not accept the credentials of `{user}`")]
    Unauthorized {
        /// Where it is.
        address: String,
        /// The user, as the kubeconfig calls it.
        user: String,
    },
    /// The API server knows who we are, and says no.
    #[error("`{user}` may not {ask}")]
    Forbidden {
        /// The user, as the API server calls it.
        user: String,
        /// What was asked.
        ask: Box<Ask>,
    },
    /// An object that is not there.
    #[error("the API server could not {ask}: it is not there")]
    NotFound {
        /// What was asked.
        ask: Box<Ask>,
    },
    /// The API server refuses, in its own or a webhook's words.
    #[error("the API server refused to {ask}: {words}")]
    Refused {
        /// What was asked.
        ask: Box<Ask>,
        /// Its words.
        words: String,
        /// The HTTP status.
        code: u16,
    },
    /// Something else came of it.
    #[error("the API server at `{address}` could not be asked to {ask}")]
    Asked {
        /// What was asked.
        ask: Box<Ask>,
        /// Of whom.
        address: String,
        /// What came of it.
        #[source]
        source: Box<kube::Error>,
    },
    /// A namespace that the cluster does not have.
    #[error("there is no namespace `{namespace}`")]
    NoSuchNamespace {
        /// What was asked for.
        namespace: String,
        /// What could have been meant.
        near: Vec<String>,
    },
    /// A target that the namespace does not have.
    #[error("there is no `{target}` in namespace `{namespace}`")]
    NoSuchTarget {
        /// What was asked for.
        target: String,
        /// Where.
        namespace: String,
        /// What could have been meant.
        near: Vec<String>,
    },
    /// Argo Rollouts is not in this cluster.
    #[error("this cluster knows no Rollouts, so there is no `{target}`")]
    NoRollouts {
        /// What was asked for.
        target: String,
    },
    /// A target that selects no pods.
    #[error("`{target}` in namespace `{namespace}` selects no pods: it has no selector")]
    NoSelector {
        /// What was asked for.
        target: String,
        /// Where.
        namespace: String,
    },
    /// A target all of whose pods are away or not ready.
    #[error("`{target}` in namespace `{namespace}` has no pod that is ready: {why}")]
    NoReadyPod {
        /// What was asked for.
        target: String,
        /// Where.
        namespace: String,
        /// Why none is.
        why: String,
        /// What can be done.
        hint: String,
    },
    /// A container that the pod does not have.
    #[error("the pod `{pod}` has no container `{container}`")]
    NoSuchContainer {
        /// What was asked for.
        container: String,
        /// Where.
        pod: String,
        /// Those that it has.
        there: Vec<String>,
    },
    /// A container without a process of this cluster's nodes that an agent could find.
    #[error("the container `{container}` of the pod `{pod}` runs in `{runtime}`, which is not supported")]
    Runtime {
        /// The container.
        container: String,
        /// Its pod.
        pod: String,
        /// What the node calls its runtime.
        runtime: String,
    },
    /// A target that no cluster has.
    #[error("`{0}` is not in a cluster")]
    NotInACluster(String),
    /// No agent came to be.
    #[error(transparent)]
    Launch(Box<LaunchError>),
    /// A port of a pod is not reached.
    #[error(transparent)]
    Forward(Box<ForwardError>),
}

impl From<LaunchError> for ClusterError {
    fn from(error: LaunchError) -> Self {
        Self::Launch(Box::new(error))
    }
}

impl From<ForwardError> for ClusterError {
    fn from(error: ForwardError) -> Self {
        Self::Forward(Box::new(error))
    }
}

impl ClusterError {
    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Kubeconfig(error) => error.hint(),
            Self::Malformed { hint, .. } | Self::NoReadyPod { hint, .. } => hint.clone(),
            Self::NoCurrentContext { contexts, .. } => {
                choose("choose one with `--context`", contexts, "the kubeconfig has none")
            }
            Self::NoSuchContext { near, .. } => meant(near, "the kubeconfig has none"),
            Self::NoPlugin { advice, .. } => {
                let usual = "install it; if it is there in another shell, `mirrord fix kubeconfig` writes its whole path into the kubeconfig";
                advice.as_ref().map_or_else(|| usual.to_owned(), |advice| format!("{usual}\nthe kubeconfig says: {}", advice.trim()))
            }
            Self::Credentials { .. } | Self::Plugin { .. } | Self::Unauthorized { .. } => {
                "log in again as you do for `kubectl`: `kubectl get pods` must work in this shell".to_owned()
            }
            Self::Unreachable { .. } | Self::NoAnswer { .. } => {
                "is the cluster up, and the VPN? `--context` chooses another cluster; `kubectl version` tries the same way"
                    .to_owned()
            }
            Self::Proxy { .. } => {
                "the proxy comes from the kubeconfig's `proxy-url` or from `HTTPS_PROXY`; `NO_PROXY` or `\"use_proxy\": false` go without one"
                    .to_owned()
            }
            Self::Certificate { source, .. } => untrusted(source).to_owned(),
            Self::NotTls { .. } => "is `server` in the kubeconfig the API server's address?".to_owned(),
            Self::Forbidden { ask, .. } => {
                format!("ask for this rule ({RULES}):\n{}", ask.rule())
            }
            Self::NoSuchNamespace { near, .. } => meant(near, "`mirrord ls` lists what there is"),
            Self::NoSuchTarget { namespace, near, .. } => {
                meant(near, &format!("`mirrord ls -n {namespace}` lists what there is"))
            }
            Self::NoRollouts { .. } => "Argo Rollouts is not installed there; is it a `deployment`?".to_owned(),
            Self::NoSelector { .. } => {
                "name the pods behind it: `pod/NAME`, or `label/KEY=VALUE`".to_owned()
            }
            Self::NoSuchContainer { there, .. } => choose("it has", there, "it has none that runs"),
            Self::Runtime { .. } => {
                "an agent finds containers of containerd, CRI-O and Docker; `--ephemeral-container` needs none of them"
                    .to_owned()
            }
            Self::NotInACluster(_) => "name a pod or a workload, as `mirrord ls` lists them".to_owned(),
            Self::Launch(error) => return error.hint(),
            Self::Forward(error) => return error.hint(),
            Self::Unusable { .. } | Self::NotFound { .. } | Self::Refused { .. } | Self::Asked { .. } => {
                return None;
            }
        })
    }
}

/// What can be done about a certificate.
fn untrusted(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError as Reason;
    match error {
        rustls::Error::InvalidCertificate(Reason::Expired | Reason::ExpiredContext { .. }) => {
            "it has expired, or the clock of this machine is wrong"
        }
        rustls::Error::InvalidCertificate(
            Reason::NotValidForName | Reason::NotValidForNameContext { .. },
        ) => {
            "it is for another name: `server` must be one of its names, or `tls-server-name` in the kubeconfig say which"
        }
        _ => {
            "the kubeconfig's `certificate-authority-data` must be this cluster's; `--accept-invalid-certificates` (`-c`) trusts whoever answers"
        }
    }
}

/// ` (FILE, FILE)`, or nothing.
fn beside(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

/// Some names after some words, or other words.
fn choose(words: &str, names: &[String], none: &str) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { none.to_owned() } else { format!("{words}: {}", names.join(", ")) }
}

fn meant(near: &[String], none: &str) -> String {
    match near {
        [one] => format!("did you mean `{one}`?"),
        names => choose("did you mean one of these?", names, none).replace("?:", "?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_a_question() {
        assert_eq!(meant(&["a".into()], ""), "did you mean `a`?");
        assert_eq!(meant(&["a".into(), "b".into()], ""), "did you mean one of these? `a`, `b`");
        assert_eq!(meant(&[], "there is none"), "there is none");
    }
}
