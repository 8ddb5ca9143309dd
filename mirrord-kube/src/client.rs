//! A kubeconfig becomes a client.

use std::{sync::Arc, time::Duration};

use hyper_util::{
    client::legacy::connect::{
        Connection, HttpConnector,
        proxy::{SocksV5, Tunnel},
    },
    rt::TokioExecutor,
};
use kube::{
    Config,
    client::{ConfigExt, retry::RetryPolicy},
};
use mirrord_core::cluster::{ClusterOptions, Retries};
use tokio::{runtime::Handle, sync::watch};
use tower::{BoxError, Service, ServiceBuilder, retry::RetryLayer};

use crate::{
    answer::Way,
    buffered::Buffered,
    context::{self, Chosen},
    problem::{Ask, ClusterError},
    secret,
};

/// How long a request may take that has an end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the API server may take to take a connection; less, so that the more exact error comes first.
const CONNECT_PATIENCE: Duration = Duration::from_secs(8);
/// After how long without a word a connection is tried, and how often, before it is given up.
const KEEP_ALIVE: (Duration, u32) = (Duration::from_secs(15), 4);

/// A cluster that can be asked.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    namespace: Arc<str>,
    way: Arc<Way>,
    options: Arc<ClusterOptions>,
    /// How many errands are not done yet.
    errands: Arc<watch::Sender<usize>>,
}

impl Cluster {
    /// Reads the kubeconfig, gets credentials where a plugin must be asked for them, and prepares to ask; the API server
    /// itself hears nothing yet.
    ///
    /// # Errors
    ///
    /// What is wrong with the kubeconfig, or with the program that gives its credentials.
    pub async fn connect(options: &ClusterOptions) -> Result<Self, ClusterError> {
        // Whoever was first in this process has chosen the same.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let look_up = |name: &str| std::env::var(name).ok();
        let Chosen { config, way } = context::choose(options, &look_up)?;
        let namespace = config.default_namespace.as_str().into();
        let client = client(config, options.retries).await.map_err(|error| way.unusable(error))?;
        let (way, options, errands) = (Arc::new(way), Arc::new(options.clone()), Arc::default());
        Ok(Self { client, namespace, way, options, errands })
    }

    /// Where targets are looked for.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// By which it is asked.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// What the user said of it.
    #[must_use]
    pub fn options(&self) -> &ClusterOptions {
        &self.options
    }

    /// Where the API server is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.way.address
    }

    /// Waits for the answer to `ask`, though not for ever.
    ///
    /// # Errors
    ///
    /// What stands in the way of an answer, or what the answer was instead.
    pub async fn ask<T>(
        &self,
        ask: Ask,
        answer: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ClusterError> {
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.problem(ask, error)),
            Err(_) => Err(ClusterError::NoAnswer {
                address: self.way.address.clone(),
                ask: Box::new(ask),
                seconds: PATIENCE.as_secs(),
            }),
        }
    }

    /// Sets out to do what must be done although nobody waits for it any more.
    pub(crate) fn run_errand(&self, errand: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = Handle::try_current() else { return };
        let errands = self.errands.clone();
        errands.send_modify(|n_errands| *n_errands += 1);
        runtime.spawn(async move {
            errand.await;
            errands.send_modify(|n_errands| *n_errands -= 1);
        });
    }

    /// Waits until every errand is done, such as deleting what was created for a deed that was given up: for whoever is
    /// about to end the runtime.
    pub async fn settled(&self) {
        // It fails only when nobody is left who could begin one.
        let _ = self.errands.subscribe().wait_for(|n_errands| *n_errands == 0).await;
    }

    /// What it means that `error` was the answer to `ask`.
    #[must_use]
    pub fn problem(&self, ask: Ask, error: kube::Error) -> ClusterError {
        self.way.problem(ask, error)
    }
}

/// The client of a configuration, through its proxy.
async fn client(config: Config, retries: Retries) -> Result<kube::Client, kube::Error> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT_PATIENCE));
    // Small frames of a session must not wait for the acknowledgement of earlier ones.
    http.set_nodelay(true);
    http.set_keepalive(Some(KEEP_ALIVE.0));
    http.set_keepalive_interval(Some(KEEP_ALIVE.0));
    http.set_keepalive_retries(Some(KEEP_ALIVE.1));
    let Some(proxy) = config.proxy_url.clone() else { return stack(config, retries, http).await };
    let secret = secret::of(&proxy);
    match proxy.scheme_str() {
        Some("socks5" | "socks5h") => {
            let socks = SocksV5::new(proxy, http);
            let socks = match secret {
                Some((user, password)) => socks.with_auth(user, password),
                None => socks,
            };
            stack(config, retries, socks).await
        }
        Some("https") => {
            let tunnel = Tunnel::new(proxy, config.rustls_https_connector_with_connector(http)?);
            stack(config, retries, with_secret(tunnel, secret)).await
        }
        _ => stack(config, retries, with_secret(Tunnel::new(proxy, http), secret)).await,
    }
}

fn with_secret<C>(tunnel: Tunnel<C>, secret: Option<(String, String)>) -> Tunnel<C> {
    match secret.and_then(|(user, password)| secret::basic(&user, &password)) {
        Some(header) => tunnel.with_auth(header),
        None => tunnel,
    }
}

/// The client that connects by `connector`.
async fn stack<C>(config: Config, retries: Retries, connector: C) -> Result<kube::Client, kube::Error>
where
    C: Service<hyper::Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let (config, credentials) = credentials(config).await?;
    let connector = ServiceBuilder::new().map_response(Buffered::new).service(connector);
    let tls = config.rustls_https_connector_with_connector(connector)?;
    let connections = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(tls);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(policy(retries).map(RetryLayer::new))
        .option_layer(credentials)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(connections);
    Ok(kube::Client::new(service, config.default_namespace))
}

/// What is asked again when the API server is too busy: its own word for when comes first.
fn policy(retries: Retries) -> Option<RetryPolicy> {
    let (min, max) = (Duration::from_millis(retries.min_ms), Duration::from_millis(retries.max_ms));
    if retries.n == 0 { None } else { RetryPolicy::new(min, max, retries.n, true).ok() }
}

/// What proves who we are with each request. A plugin is run here, once: what it gave needs no second run for TLS.
async fn credentials(
    mut config: Config,
) -> Result<(Config, Option<kube::client::middleware::AuthLayer>), kube::Error> {
    let answer = tokio::task::spawn_blocking(move || {
        let credentials = config.auth_layer();
        (config, credentials)
    });
    let credentials;
    (config, credentials) = answer.await.map_err(|error| kube::Error::Service(error.into()))?;
    let credentials = credentials?;
    if credentials.is_some() {
        config.auth_info.exec = None;
    }
    Ok((config, credentials))
}

#[cfg(test)]
mod tests;
