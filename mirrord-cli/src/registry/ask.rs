//! Asks the proxy of a session by HTTP on its socket.

use std::{io, time::Duration};

use http_body_util::{BodyExt, Collected, Empty, Limited};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};
use thiserror::Error;
use tokio::net::UnixStream;

use super::{Folder, Info};

/// How long a proxy may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than this is no answer.
const MOST: usize = 1 << 20;

/// Why a session does not answer.
#[derive(Debug, Error)]
pub(crate) enum Gone {
    /// Its proxy is not there any more.
    #[error("its proxy is gone")]
    Dead,
    /// Nobody may ask, or nobody answers.
    #[error("its proxy does not answer")]
    Silent(#[source] io::Error),
    /// It answers something else.
    #[error("its proxy answers `{0}`")]
    Refused(StatusCode),
}

/// Whether nobody listens at a session's socket.
pub(super) fn is_dead(folder: &Folder, session_id: &str) -> bool {
    knock(folder, session_id) == Err(Errno::CONNREFUSED)
}

/// Whether the session is there.
pub(crate) fn is_there(folder: &Folder, session_id: &str) -> bool {
    // A proxy that stands still, and has many waiting at its door, is there, too.
    matches!(knock(folder, session_id), Ok(()) | Err(Errno::AGAIN))
}

/// Connects, and does not wait for whoever takes connections.
fn knock(folder: &Folder, session_id: &str) -> Result<(), Errno> {
    let name = SocketAddrUnix::new(folder.socket(session_id))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &name)
}

/// What a session tells of itself. The socket of a dead one is removed.
pub(crate) async fn info(folder: &Folder, session_id: &str) -> Result<Info, Gone> {
    let body = ask(folder, session_id, Method::GET, "/info").await?;
    serde_json::from_slice(&body).map_err(|error| Gone::Silent(error.into()))
}

/// Ends a session.
pub(crate) async fn kill(folder: &Folder, session_id: &str) -> Result<(), Gone> {
    ask(folder, session_id, Method::POST, "/kill").await.map(drop)
}

async fn ask(folder: &Folder, session_id: &str, method: Method, route: &str) -> Result<Bytes, Gone> {
    let asked = tokio::time::timeout(PATIENCE, try_ask(folder, session_id, method, route)).await;
    let asked = asked.unwrap_or_else(|_| Err(Gone::Silent(io::ErrorKind::TimedOut.into())));
    if matches!(asked, Err(Gone::Dead)) {
        folder.remove(session_id);
    }
    asked
}

async fn try_ask(folder: &Folder, session_id: &str, method: Method, route: &str) -> Result<Bytes, Gone> {
    let stream = match UnixStream::connect(folder.socket(session_id)).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(Gone::Dead),
        Err(error) => return Err(Gone::Silent(error)),
    };
    let silent = |error: hyper::Error| Gone::Silent(io::Error::other(error));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(silent)?;
    let request = Request::builder().method(method).uri(route).header("host", "localhost");
    let request =
        request.body(Empty::<Bytes>::new()).map_err(|error| Gone::Silent(io::Error::other(error)))?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(silent)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MOST).collect().await;
    connection.abort();
    if !status.is_success() {
        return Err(Gone::Refused(status));
    }
    body.map(Collected::to_bytes).map_err(|error| Gone::Silent(io::Error::other(error)))
}
