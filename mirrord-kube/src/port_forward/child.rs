//! `kubectl port-forward` as a child, for ways that let no WebSocket through.

use std::{
    io,
    pin::Pin,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use mirrord_core::cluster::ClusterOptions;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, BufReader, ReadBuf},
    net::TcpStream,
    process::{self, Command},
};

use super::ForwardError;
use crate::{agent::AgentPod, problem::ClusterError};

/// How long it may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// The child, which dies with the last strand.
pub(super) struct Child {
    process: Mutex<process::Child>,
    port: u16,
}

impl Child {
    /// Starts it and waits until it listens.
    pub(super) async fn start(options: &ClusterOptions, agent: &AgentPod) -> Result<Self, ClusterError> {
        Self::start_as("kubectl", options, agent).await
    }

    pub(super) async fn start_as(
        program: &str,
        options: &ClusterOptions,
        agent: &AgentPod,
    ) -> Result<Self, ClusterError> {
        let mut command = Command::new(program);
        command.args(arguments(options, agent));
        if let Some(kubeconfig) = &options.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().map_err(|source| ForwardError::NoKubectl { source })?;
        let failed = |words: String| ForwardError::Kubectl { pod: agent.pod.clone(), words };
        let (Some(stdout), Some(mut stderr)) = (process.stdout.take(), process.stderr.take()) else {
            return Err(failed("it cannot be heard".to_owned()).into());
        };
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        match tokio::time::timeout(PATIENCE, stdout.read_line(&mut line)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(failed(error.to_string()).into()),
            Err(_) => return Err(failed(format!("it says nothing for {} s", PATIENCE.as_secs())).into()),
        }
        let Some(port) = port_in(&line) else {
            let mut words = String::new();
            let _ = tokio::time::timeout(Duration::from_secs(1), stderr.read_to_string(&mut words)).await;
            let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(&line);
            return Err(failed(last.trim().to_owned()).into());
        };
        // It talks about every connection; a full pipe would stop it.
        tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
        tokio::spawn(async move { tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await });
        Ok(Self { process: Mutex::new(process), port })
    }

    /// Whether it has not ended: it does when the connection to the API server is lost.
    pub(super) fn lives(&self) -> bool {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(process.try_wait(), Ok(None))
    }
}

/// A strand through `child`.
pub(super) async fn connect(child: &Arc<Child>) -> Result<Strand, ClusterError> {
    let connection = TcpStream::connect(("127.0.0.1", child.port)).await;
    let connection = connection.map_err(|source| ForwardError::NoKubectl { source })?;
    let _ = connection.set_nodelay(true);
    Ok(Strand { connection, _child: child.clone() })
}

fn arguments(options: &ClusterOptions, agent: &AgentPod) -> Vec<String> {
    let mut arguments: Vec<String> = ["port-forward", "--address", "127.0.0.1"].map(str::to_owned).into();
    arguments.extend(["--namespace".to_owned(), agent.namespace.clone()]);
    if let Some(context) = &options.context {
        arguments.extend(["--context".to_owned(), context.clone()]);
    }
    if options.accept_invalid_certificates == Some(true) {
        arguments.push("--insecure-skip-tls-verify".to_owned());
    }
    arguments.extend([format!("pod/{}", agent.pod), format!(":{}", agent.port)]);
    arguments
}

/// The port in `Forwarding from 127.0.0.1:45123 -> 61337`.
fn port_in(line: &str) -> Option<u16> {
    let rest = line.trim().strip_prefix("Forwarding from 127.0.0.1:")?;
    rest.split(' ').next()?.parse().ok()
}

/// A connection to the child, which keeps it.
pub(super) struct Strand {
    connection: TcpStream,
    _child: Arc<Child>,
}

impl AsyncRead for Strand {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(cx, buf)
    }
}

impl AsyncWrite for Strand {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}
