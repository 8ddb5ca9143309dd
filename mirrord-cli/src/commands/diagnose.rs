//! `mirrord diagnose latency`: how long a question of a guest is under way, hop by hop.

use std::{
    fmt::Write,
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use mirrord_core::rules::incoming::IncomingRules;
use mirrord_kube::Cluster;
use mirrord_protocol::{
    fault::Fault,
    proxy::{ToProxy, lineage::Note},
};
use thiserror::Error;

use crate::{
    args::{HostPort, LatencyArguments},
    launch,
    progress::Progress,
    proxy::start::Place,
    report::{Explain, Report},
    settings,
    stand_in::{self, StandIn},
};

/// Why a hop could not be measured.
#[derive(Debug, Error)]
enum DiagnoseError {
    #[error("the {hop} does not answer")]
    Silent {
        hop: &'static str,
        #[source]
        why: Fault,
    },
    #[error("the API server does not answer")]
    ApiServer(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot connect to `{to}` there")]
    Destination {
        to: String,
        #[source]
        why: Fault,
    },
}

impl Explain for DiagnoseError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Destination { .. } => {
                Some("name a place where somebody listens, as the target would: `--to HOST:PORT`".to_owned())
            }
            Self::Silent { .. } | Self::ApiServer(_) => None,
        }
    }
}

pub(crate) fn latency(arguments: &LatencyArguments) -> Result<ExitCode, Report> {
    launch::refuse_nesting()?;
    let mut progress = Progress::begin("mirrord diagnose latency");
    let flags = &arguments.session;
    let resolved = settings::load(flags.reach.config.config_file.as_deref(), flags.overrides())?;
    for warning in &resolved.warnings {
        progress.warn(warning, None);
    }
    let mut lowered = resolved.lowered;
    lowered.rules.incoming = IncomingRules::default();
    lowered.environment.enabled = false;
    let (stand_in, session) = stand_in::begin(&lowered, &mut progress)?;
    stand_in::run(&lowered.target, &stand_in, async || {
        let mut hops = Vec::new();
        let proxy =
            guest_to(&stand_in, "proxy", &ToProxy::Note(Note::Trace(String::new())), arguments).await?;
        hops.push(("guest to proxy".to_owned(), proxy.clone()));
        if let Place::Cluster(place) = &session.order.place {
            progress.step("measuring the way to the API server");
            let cluster = Cluster::connect(&place.cluster).await?;
            hops.push(("proxy to API server".to_owned(), to_api_server(&cluster, arguments).await?));
        }
        progress.step("measuring the way to the agent");
        let agent = guest_to(&stand_in, "agent", &ToProxy::Ping, arguments).await?;
        hops.push(("proxy to agent".to_owned(), agent.beyond(&proxy)));
        let mut wholes = vec![("guest to agent, whole".to_owned(), agent.clone())];
        if let Some(to) = &arguments.to {
            progress.step(format!("measuring the way to {to}"));
            let destination = to_destination(&stand_in, to, arguments).await?;
            hops.push((format!("agent to {to}"), destination.beyond(&agent)));
            wholes.push((format!("guest to {to}, whole"), destination));
        }
        hops.extend(wholes);
        progress.finish(&table(&hops, arguments.count));
        Ok(())
    })
}

/// How long each of several round trips took.
#[derive(Clone, Debug)]
struct Samples(Vec<Duration>);

impl Samples {
    fn average(&self) -> Duration {
        let n_samples = u32::try_from(self.0.len()).unwrap_or(u32::MAX).max(1);
        self.0.iter().sum::<Duration>() / n_samples
    }

    /// What is left of each without the way before.
    fn beyond(&self, before: &Self) -> Self {
        let average = before.average();
        Self(self.0.iter().map(|sample| sample.saturating_sub(average)).collect())
    }
}

/// One to warm up, and then as many as are wanted.
async fn measure<E>(
    arguments: &LatencyArguments,
    mut once: impl AsyncFnMut() -> Result<(), E>,
) -> Result<Samples, E> {
    once().await?;
    let mut samples = Vec::new();
    for _ in 0..arguments.count {
        let since = Instant::now();
        once().await?;
        samples.push(since.elapsed());
    }
    Ok(Samples(samples))
}

/// A question on the socket on which layers ask.
async fn guest_to(
    stand_in: &StandIn,
    hop: &'static str,
    question: &ToProxy,
    arguments: &LatencyArguments,
) -> Result<Samples, DiagnoseError> {
    let silent = |why| DiagnoseError::Silent { hop, why };
    let mut line = stand_in.line().await.map_err(silent)?;
    measure(arguments, async || line.ask(question).await.map(drop).map_err(silent)).await
}

/// The least that an API server can be asked, on a connection that stands.
async fn to_api_server(cluster: &Cluster, arguments: &LatencyArguments) -> Result<Samples, DiagnoseError> {
    let client = cluster.client();
    let failed = |error| DiagnoseError::ApiServer(Box::new(error));
    measure(arguments, async || client.apiserver_version().await.map(drop).map_err(failed)).await
}

/// A connection as a guest makes it, each time another one.
async fn to_destination(
    stand_in: &StandIn,
    to: &HostPort,
    arguments: &LatencyArguments,
) -> Result<Samples, DiagnoseError> {
    let failed = |why| DiagnoseError::Destination { to: to.to_string(), why };
    let addresses = stand_in.resolve(&to.host).await.map_err(failed)?;
    let Some(ip) = addresses.first() else {
        return Err(failed(Fault::os(libc::EHOSTUNREACH)));
    };
    let address = SocketAddr::new(*ip, to.port);
    measure(arguments, async || stand_in.connect(address).await.map(drop).map_err(failed)).await
}

/// Milliseconds in columns.
fn table(hops: &[(String, Samples)], count: u32) -> String {
    let title = "round trips, ms";
    let width = hops.iter().map(|(name, _)| name.len()).fold(title.len(), usize::max);
    let mut table = format!("{title:width$} {:>10} {:>10} {:>10}", "min", "avg", "max");
    for (name, samples) in hops {
        let millis = |length: Duration| length.as_secs_f64() * 1000.0;
        let (min, max) = (samples.0.iter().min(), samples.0.iter().max());
        let [min, average, max] =
            [min.copied().unwrap_or_default(), samples.average(), max.copied().unwrap_or_default()]
                .map(millis);
        let _ = write!(table, "\n{name:width$} {min:>10.3} {average:>10.3} {max:>10.3}");
    }
    let _ = write!(table, "\n{count} each, after one to warm up");
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_is_what_is_left_without_the_hops_before_it() {
        let samples = |millis: &[u64]| Samples(millis.iter().copied().map(Duration::from_millis).collect());
        let hops = [
            ("guest to proxy".to_owned(), samples(&[1, 3])),
            ("proxy to agent".to_owned(), samples(&[10, 1]).beyond(&samples(&[1, 3]))),
        ];
        let expected = "\
round trips, ms        min        avg        max
guest to proxy       1.000      2.000      3.000
proxy to agent       0.000      4.000      8.000
2 each, after one to warm up";
        assert_eq!(table(&hops, 2), expected);
    }
}
