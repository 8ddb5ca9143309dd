//! What a session tells those who ask for it (`~/.mirrord/sessions`), and its end on request.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::{Stream, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming as Body},
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use mirrord_core::rules::incoming::Subscription;
use mirrord_protocol::agent::incoming::Wish;
use rustix::net::sockopt;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, broadcast},
    task::JoinHandle,
};

use super::{
    chronicle::Happening,
    layers::Layers,
    start::{Card, Order},
};
use crate::registry::{self, Announcement, Info, PortSubscription, Process};

/// How often a listener to whom nothing is told is given a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// What is answered.
type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// How many may ask at once.
const N_GUESTS: usize = 32;

/// A session that is known. Dropped, it is not any more.
pub(super) struct Announced {
    serving: JoinHandle<()>,
    _announcement: Announcement,
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Api {
    session_id: String,
    owner: String,
    started_at: String,
    card: Card,
    layers: Arc<Layers>,
}

/// Makes the session known, if it may be. One that cannot be is as good as any other.
pub(super) fn announce(order: &Order, layers: &Arc<Layers>) -> Option<Announced> {
    let api = Api {
        session_id: order.session_id.clone(),
        owner: order.owner.clone(),
        started_at: registry::now(),
        card: order.card.clone()?,
        layers: layers.clone(),
    };
    let made = Announcement::make(&order.session_id).and_then(|(announcement, listener)| {
        let serving = tokio::spawn(serve(UnixListener::from_std(listener)?, Arc::new(api)));
        Ok(Announced { serving, _announcement: announcement })
    });
    made.inspect_err(|error| tracing::debug!(%error, "the session is not announced")).ok()
}

async fn serve(listener: UnixListener, api: Arc<Api>) {
    let places = Arc::new(Semaphore::new(N_GUESTS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) if is_trusted(&stream) => {
                let api = api.clone();
                tokio::spawn(async move {
                    let answer = service_fn(|request| {
                        let response = api.answer(&request);
                        async { Ok::<_, Infallible>(response) }
                    });
                    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                    drop((served, place));
                });
            }
            Ok(_) => tracing::warn!("turned away a stranger"),
            Err(error) => {
                tracing::warn!(%error, "cannot take a question");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

/// The folder keeps others out; whoever came in by another way is asked for the name.
fn is_trusted(stream: &UnixStream) -> bool {
    sockopt::socket_peercred(stream).is_ok_and(|peer| {
        let uid = peer.uid.as_raw();
        uid == 0 || uid == nix::unistd::geteuid().as_raw()
    })
}

impl Api {
    fn answer(&self, request: &Request<Body>) -> Answer {
        match (request.uri().path(), request.method()) {
            ("/health", &Method::GET) => json(StatusCode::OK, r#"{"status":"ok"}"#.to_owned()),
            ("/info", &Method::GET) => match serde_json::to_string(&self.info()) {
                Ok(info) => json(StatusCode::OK, info),
                Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            },
            ("/events", &Method::GET) => tell(self.layers.session.chronicle.listen()),
            ("/kill", &Method::POST) => {
                tracing::info!("somebody ends the session");
                self.layers.watch.stop();
                json(StatusCode::OK, r#"{"status":"ending"}"#.to_owned())
            }
            ("/health" | "/info" | "/events" | "/kill", _) => refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "`/health`, `/info` and `/events` are got, `/kill` is posted",
            ),
            _ => refuse(StatusCode::NOT_FOUND, "there are `/health`, `/info`, `/events` and `/kill`"),
        }
    }

    fn info(&self) -> Info {
        let Card { key, target, namespace, context, config } = self.card.clone();
        let subscriptions = self.layers.session.incoming.subscriptions();
        Info {
            session_id: self.session_id.clone(),
            key,
            target,
            namespace,
            context,
            started_at: self.started_at.clone(),
            mirrord_version: env!("CARGO_PKG_VERSION").to_owned(),
            is_operator: false,
            user: self.owner.clone(),
            processes: self.layers.watch.processes().into_iter().filter_map(Process::of).collect(),
            port_subscriptions: subscriptions.into_iter().map(port).collect(),
            config: serde_json::from_str(&config).unwrap_or_default(),
        }
    }
}

fn port(Subscription { wish, port }: Subscription) -> PortSubscription {
    let mode = match wish {
        Wish::Steal => "steal",
        Wish::Mirror => "mirror",
    };
    PortSubscription { port: port.0, mode: mode.to_owned() }
}

/// What happens from now on, as server-sent events.
fn tell(listener: broadcast::Receiver<Happening>) -> Answer {
    let mut response = Response::new(StreamBody::new(events(listener)).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn events(
    listener: broadcast::Receiver<Happening>,
) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    stream::unfold(listener, async |mut listener| {
        let happening = match tokio::time::timeout(SIGN_OF_LIFE, listener.recv()).await {
            Ok(Ok(happening)) => Some(happening),
            Ok(Err(broadcast::error::RecvError::Lagged(count))) => Some(Happening::Missed { count }),
            Ok(Err(broadcast::error::RecvError::Closed)) => return None,
            Err(_) => None,
        };
        let text = match happening.map(|happening| serde_json::to_string(&happening)) {
            Some(Ok(text)) => format!("data: {text}\n\n"),
            _ => ": ping\n\n".to_owned(),
        };
        Some((Ok(Frame::data(Bytes::from(text))), listener))
    })
}

fn json(status: StatusCode, body: String) -> Answer {
    let mut response = Response::new(Full::from(body).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refuse(status: StatusCode, words: &str) -> Answer {
    json(status, serde_json::json!({ "error": words }).to_string())
}
