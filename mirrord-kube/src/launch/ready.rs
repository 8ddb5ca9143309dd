//! What an agent says when it can serve.

use std::time::Duration;

use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::LogParams};

use crate::{
    client::Cluster,
    manifest::PORT,
    problem::{Ask, ClusterError},
};

/// How soon a log is asked for again that is not there yet.
const AGAIN: Duration = Duration::from_millis(25);
/// How much of what an agent said before its end is quoted.
const N_LAST: i64 = 8;

/// What the line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) version: String,
    pub(super) port: u16,
    pub(super) key: Option<String>,
}

impl Ready {
    /// What it would say that was reached before it could be heard, if it is one of ours.
    pub(super) fn unheard() -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), port: PORT, key: None }
    }

    /// Reads `mirrord-agent ready version=0.1.0 port=61337 key=none`; further words may follow in later versions.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let words = line.trim().strip_prefix("mirrord-agent ready ")?;
        let value = |name: &str| {
            words.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        Some(Self {
            version: value("version")?,
            port: value("port")?.parse().ok().filter(|port| *port != 0)?,
            key: value("key").filter(|key| key != "none"),
        })
    }
}

/// Follows the log of `container` until the agent says that it is ready. None: the log has ended.
pub(super) async fn follow(
    cluster: &Cluster,
    pods: &Api<Pod>,
    pod: &str,
    container: &str,
) -> Result<Option<Ready>, ClusterError> {
    let params = LogParams { container: Some(container.to_owned()), follow: true, ..LogParams::default() };
    let log = loop {
        match pods.log_stream(pod, &params).await {
            Ok(log) => break log,
            // The kubelet has not heard yet that it has started it.
            Err(kube::Error::Api(status)) if status.code == 400 => tokio::time::sleep(AGAIN).await,
            Err(error) => return Err(cluster.problem(ask(pods, pod), error)),
        }
    };
    let mut lines = log.lines().into_stream();
    while let Some(line) = lines.next().await {
        let Ok(line) = line else { break };
        if let Some(ready) = Ready::parse(&line) {
            return Ok(Some(ready));
        }
    }
    Ok(None)
}

/// The last lines of what it said, as far as they can be had.
pub(super) async fn last_words(pods: &Api<Pod>, pod: &str, container: &str) -> Vec<String> {
    let params = LogParams {
        container: Some(container.to_owned()),
        tail_lines: Some(N_LAST),
        limit_bytes: Some(8192),
        ..LogParams::default()
    };
    let answer = tokio::time::timeout(Duration::from_secs(2), pods.logs(pod, &params)).await;
    let text = answer.ok().and_then(Result::ok).unwrap_or_default();
    text.lines().map(|line| format!("  {}", line.trim_end())).collect()
}

fn ask(pods: &Api<Pod>, pod: &str) -> Ask {
    Ask::new("get", "", "pods/log").within(pods.namespace().unwrap_or_default()).of(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_tells_version_port_and_key() {
        let ready = Ready::parse("mirrord-agent ready version=0.1.0 port=4242 key=ab12\n").unwrap();
        assert_eq!((ready.version.as_str(), ready.port, ready.key.as_deref()), ("0.1.0", 4242, Some("ab12")));
        assert_eq!(
            Ready::parse("mirrord-agent ready version=0.2.0 port=1 key=none more=x").unwrap().key,
            None
        );
    }

    #[test]
    fn other_lines_tell_nothing() {
        for line in [
            "",
            "mirrord-agent ready",
            "mirrord-agent ready version=1 port=0 key=none",
            "WARN ready version=1",
        ] {
            assert_eq!(Ready::parse(line), None, "{line}");
        }
    }
}
