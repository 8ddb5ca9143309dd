//! A scripted API server for tests: a real HTTP server in this process that answers by path, and remembers what it was
//! asked.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use futures::StreamExt;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Bytes, Frame},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use mirrord_core::cluster::ClusterOptions;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::mpsc,
    task::JoinHandle,
};

use crate::client::Cluster;

/// An API server that knows what it was told.
pub(crate) struct ApiServer {
    address: String,
    script: Arc<Script>,
    folder: TempDir,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Script {
    /// The last that fits is given.
    lines: Mutex<Vec<Line>>,
    asked: Mutex<Vec<Asked>>,
    streams: Mutex<Vec<Stream>>,
}

/// An answer that does not end: a watch, or a log that is followed.
struct Stream {
    path: String,
    said: Vec<Bytes>,
    listeners: Vec<mpsc::UnboundedSender<Bytes>>,
}

struct Line {
    verb: String,
    path: String,
    status: u16,
    body: Value,
    /// How often; none for ever.
    n_times: Option<u32>,
}

/// What was asked, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `GET /api/v1/namespaces/shop/pods?labelSelector=app%3Dweb`.
    pub(crate) line: String,
    /// The `Authorization` header.
    pub(crate) credentials: Option<String>,
    /// The body, if it was JSON.
    pub(crate) body: Value,
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ApiServer {
    /// Listens on a port of loopback; knows nothing yet, so that everything is `NotFound`.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Script::default());
        let task = tokio::spawn({
            let script = script.clone();
            async move {
                while let Ok((connection, _)) = listener.accept().await {
                    tokio::spawn(serve(connection, script.clone()));
                }
            }
        });
        Self { address, script, folder: tempfile::tempdir().unwrap(), task }
    }

    /// From now on, this is the answer to this.
    pub(crate) fn answers(&self, verb: &str, path: &str, status: u16, body: Value) -> &Self {
        self.tells(Line { verb: verb.into(), path: path.into(), status, body, n_times: None })
    }

    /// The next time, this is the answer to this.
    pub(crate) fn answers_once(&self, verb: &str, path: &str, status: u16, body: Value) -> &Self {
        self.tells(Line { verb: verb.into(), path: path.into(), status, body, n_times: Some(1) })
    }

    fn tells(&self, line: Line) -> &Self {
        self.script.lines.lock().unwrap().push(line);
        self
    }

    /// An object is there.
    pub(crate) fn has(&self, path: &str, object: Value) -> &Self {
        self.answers("GET", path, 200, object)
    }

    /// Objects are there. A selector is not looked at: [`ApiServer::asked`] tells what it was.
    pub(crate) fn lists(&self, path: &str, items: &[Value]) -> &Self {
        self.answers("GET", path, 200, json!({ "metadata": { "resourceVersion": "1" }, "items": items }))
    }

    /// Says `text` to whoever watches or follows this path, now or later.
    pub(crate) fn says(&self, path: &str, text: String) -> &Self {
        let mut streams = self.script.streams.lock().unwrap();
        let text = Bytes::from(text);
        match streams.iter_mut().find(|stream| stream.path == path) {
            Some(stream) => {
                stream.listeners.retain(|listener| listener.send(text.clone()).is_ok());
                stream.said.push(text);
            }
            None => streams.push(Stream { path: path.into(), said: vec![text], listeners: Vec::new() }),
        }
        self
    }

    /// Tells whoever watches this path that `object` is as it is now.
    pub(crate) fn shows(&self, path: &str, object: &Value) -> &Self {
        self.says(path, format!("{}\n", json!({ "type": "ADDED", "object": object })))
    }

    /// `ann` may not.
    pub(crate) fn forbids(&self, verb: &str, path: &str) -> &Self {
        let words = format!(r#"it is forbidden: User "ann" cannot {verb} resource at {path}"#);
        self.answers(verb, path, 403, status(403, "Forbidden", &words))
    }

    /// What was asked, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.asked.lock().unwrap().clone()
    }

    /// The same as lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    /// A kubeconfig for it, whose user is the given text of YAML.
    pub(crate) fn kubeconfig(&self, user: &str) -> ClusterOptions {
        kubeconfig(&self.folder, &self.address, user)
    }

    /// A client of it, in namespace `shop`, with a token.
    pub(crate) async fn cluster(&self) -> Cluster {
        Cluster::connect(&self.kubeconfig("{token: secret}")).await.unwrap()
    }
}

/// A kubeconfig for an address, in a file of the folder.
pub(crate) fn kubeconfig(folder: &TempDir, address: &str, user: &str) -> ClusterOptions {
    let path = folder.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1
kind: Config
current-context: here
contexts:
- {{name: here, context: {{cluster: it, user: ann, namespace: shop}}}}
- {{name: there, context: {{cluster: nowhere, user: ann}}}}
clusters:
- {{name: it, cluster: {{server: '{address}'}}}}
users:
- {{name: ann, user: {user}}}
"
    );
    std::fs::write(&path, text).unwrap();
    ClusterOptions { kubeconfig: Some(path), ..ClusterOptions::default() }
}

/// What an API server says when it says no.
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code })
}

/// Serves one connection, encrypted or not.
pub(crate) async fn serve_connection(connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    serve(connection, Arc::default()).await;
}

async fn serve(connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, script: Arc<Script>) {
    let service = service_fn(move |request| {
        let script = script.clone();
        async move { Ok::<_, Infallible>(script.answer(request).await) }
    });
    // A client that goes away is no failure of the server's.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
}

impl Script {
    async fn answer(
        &self,
        request: Request<hyper::body::Incoming>,
    ) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let credentials = head.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let verb = head.method.as_str().to_owned();
        let path = head.uri.path().to_owned();
        self.asked.lock().unwrap().push(Asked {
            line: format!("{verb} {}", head.uri.path_and_query().map_or("", |it| it.as_str())),
            credentials,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        });
        let query = head.uri.query().unwrap_or_default();
        let has_no_end = query.contains("watch=true") || query.contains("follow=true");
        if let Some(stream) = has_no_end.then(|| self.listen(&path)).flatten() {
            return stream;
        }
        let mut lines = self.lines.lock().unwrap();
        let mut fitting = lines.iter_mut().rev().filter(|line| line.verb == verb && line.path == path);
        let found = fitting.find(|line| line.n_times != Some(0));
        let found = found.map(|line| {
            line.n_times = line.n_times.map(|n| n - 1);
            &*line
        });
        let (code, body) = match found {
            Some(line) => (line.status, line.body.to_string()),
            None => (404, status(404, "NotFound", &format!("`{path}` not found")).to_string()),
        };
        let answer = Response::builder().status(code).header("content-type", "application/json");
        answer.body(Full::new(body.into()).boxed_unsync()).unwrap()
    }

    /// The answer that does not end.
    fn listen(&self, path: &str) -> Option<Response<UnsyncBoxBody<Bytes, Infallible>>> {
        let mut streams = self.streams.lock().unwrap();
        let stream = streams.iter_mut().find(|stream| stream.path == path)?;
        let (chunks_tx, mut chunks_rx) = mpsc::unbounded_channel();
        for said in &stream.said {
            chunks_tx.send(said.clone()).unwrap();
        }
        stream.listeners.push(chunks_tx);
        let chunks = futures::stream::poll_fn(move |cx| chunks_rx.poll_recv(cx));
        let frames = chunks.map(|chunk| Ok(Frame::data(chunk)));
        Some(Response::new(StreamBody::new(frames).boxed_unsync()))
    }
}

/// A running pod of one ready container `app` with port 80.
pub(crate) fn pod(name: &str) -> Value {
    json!({
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": format!("uid-of-{name}"),
            "labels": { "app": "web" },
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "nodeName": "node-1",
            "containers": [{ "name": "app", "ports": [{ "containerPort": 80, "name": "http" }] }],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "podIPs": [{ "ip": "10.0.0.1" }, { "ip": "fd00::1" }],
            "conditions": [{ "type": "Ready", "status": "True" }],
            "containerStatuses": [container_status("app")],
        },
    })
}

/// That a container is ready.
pub(crate) fn container_status(name: &str) -> Value {
    json!({
        "name": name, "ready": true, "restartCount": 0, "image": "i", "imageID": "",
        "containerID": format!("containerd://id-of-{name}"),
        "state": { "running": { "startedAt": "2026-01-01T00:00:01Z" } },
    })
}

/// The same, with some of it changed: `{"status": {"phase": "Pending"}}`.
pub(crate) fn but(mut object: Value, changes: Value) -> Value {
    match (&mut object, changes) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, change) in changes {
                let field = fields.remove(&key).unwrap_or_default();
                fields.insert(key, but(field, change));
            }
            object
        }
        (_, change) => change,
    }
}
