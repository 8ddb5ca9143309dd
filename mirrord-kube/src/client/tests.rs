//! Every way in which a cluster cannot be reached, and what is said of it.

use std::{path::Path, sync::Arc};

use mirrord_core::cluster::ClusterOptions;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;

use super::*;
use crate::fixture::{self, ApiServer};

mod gateways;

/// What a first request comes to.
async fn try_it(options: &ClusterOptions) -> Result<(), ClusterError> {
    let cluster = Cluster::connect(options).await?;
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::namespaced(cluster.client(), cluster.namespace());
    let ask = Ask::new("list", "", "pods").within(cluster.namespace());
    cluster.ask(ask, pods.list(&kube::api::ListParams::default())).await.map(drop)
}

/// What the developer reads, without what differs between runs.
fn screen(error: &ClusterError, folder: Option<&Path>) -> String {
    let mut text = format!("error: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str("\ncause: ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    if let Some(hint) = error.hint() {
        text.push_str("\nhint: ");
        text.push_str(&hint);
    }
    if let Some(folder) = folder {
        text = text.replace(&folder.display().to_string(), "FOLDER");
    }
    let mut words = Vec::new();
    for word in text.split_inclusive(' ') {
        match word.split_once("127.0.0.1:") {
            Some((before, after)) => words.push(format!(
                "{before}ADDRESS{}",
                after.trim_start_matches(|letter: char| letter.is_ascii_digit())
            )),
            None => words.push(word.to_owned()),
        }
    }
    words.concat()
}

async fn said(options: &ClusterOptions, folder: Option<&Path>) -> String {
    screen(&try_it(options).await.unwrap_err(), folder)
}

fn named(path: std::path::PathBuf) -> ClusterOptions {
    ClusterOptions { kubeconfig: Some(path), ..ClusterOptions::default() }
}

#[tokio::test]
async fn a_kubeconfig_gives_the_address_the_namespace_and_the_token() {
    let server = ApiServer::start().await;
    server.lists("/api/v1/namespaces/shop/pods", &[]);
    try_it(&server.kubeconfig("{token: secret}")).await.unwrap();
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "GET /api/v1/namespaces/shop/pods?");
    assert_eq!(asked.credentials.as_deref(), Some("Bearer secret"));
}

#[tokio::test]
async fn options_win_over_the_kubeconfig() {
    let server = ApiServer::start().await;
    server.lists("/api/v1/namespaces/bank/pods", &[]);
    let options = server.kubeconfig("{token: secret}");
    try_it(&ClusterOptions { namespace: Some("bank".into()), ..options }).await.unwrap();
}

#[tokio::test]
async fn a_kubeconfig_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(said(&named(folder.path().join("none")), Some(folder.path())).await);
}

#[test]
fn no_kubeconfig_says_where_one_could_be() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().display().to_string();
    let look_up = |name: &str| (name == "HOME").then(|| home.clone());
    let error = context::choose(&ClusterOptions::default(), &look_up).err().unwrap();
    insta::assert_snapshot!(screen(&error, Some(folder.path())));
}

#[tokio::test]
async fn a_kubeconfig_that_is_no_yaml_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    std::fs::write(&path, "contexts: [").unwrap();
    let text = said(&named(path), Some(folder.path())).await;
    assert!(text.starts_with("error: the kubeconfig `FOLDER/kubeconfig` cannot be read\ncause: "), "{text}");
}

#[tokio::test]
async fn a_wrong_context_is_told_with_what_was_meant() {
    let server = ApiServer::start().await;
    let mut options = server.kubeconfig("{}");
    options.context = Some("hree".into());
    let folder = options.kubeconfig.clone().unwrap();
    insta::assert_snapshot!(said(&options, folder.parent()).await);
    options.context = Some("there".into());
    insta::assert_snapshot!(said(&options, folder.parent()).await);
}

#[tokio::test]
async fn a_server_that_is_no_address_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let options = fixture::kubeconfig(&folder, "10.0.0.1:6443", "{}");
    insta::assert_snapshot!(said(&options, Some(folder.path())).await);
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_named() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = fixture::kubeconfig(&folder, &format!("https://{address}"), "{}");
    insta::assert_snapshot!(said(&options, None).await);
}

#[tokio::test]
async fn a_proxy_that_is_away_is_told_from_a_cluster_that_is() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cluster = format!("https://api.shop:6443', proxy-url: 'http://ann:secret@{address}");
    let options = fixture::kubeconfig(&folder, &cluster, "{}");
    insta::assert_snapshot!(said(&options, None).await);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_told_from_silence() {
    let server = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![server.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            if let Ok(connection) = acceptor.accept(connection).await {
                tokio::spawn(fixture::serve_connection(connection));
            }
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let mut options = fixture::kubeconfig(&folder, &format!("https://{address}"), "{}");
    insta::assert_snapshot!(said(&options, None).await);
    options.accept_invalid_certificates = Some(true);
    let error = try_it(&options).await.unwrap_err();
    assert!(matches!(error, ClusterError::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_told() {
    let server = ApiServer::start().await;
    let mut options = server.kubeconfig("{}");
    let text = std::fs::read_to_string(options.kubeconfig.as_ref().unwrap()).unwrap();
    let path = options.kubeconfig.as_ref().unwrap().with_file_name("tls");
    std::fs::write(&path, text.replace("http://", "https://")).unwrap();
    options.kubeconfig = Some(path);
    insta::assert_snapshot!(said(&options, None).await);
}

#[tokio::test]
async fn credentials_that_have_expired_name_their_user() {
    let server = ApiServer::start().await;
    let refusal = fixture::status(401, "Unauthorized", "Unauthorized");
    server.answers("GET", "/api/v1/namespaces/shop/pods", 401, refusal);
    insta::assert_snapshot!(said(&server.kubeconfig("{token: old}"), None).await);
}

#[tokio::test]
async fn a_missing_right_is_told_with_the_rule_that_gives_it() {
    let server = ApiServer::start().await;
    server.forbids("GET", "/api/v1/namespaces/shop/pods");
    insta::assert_snapshot!(said(&server.kubeconfig("{token: secret}"), None).await);
}

#[tokio::test]
async fn a_plugin_that_is_not_there_is_named() {
    let server = ApiServer::start().await;
    let user = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, interactiveMode: IfAvailable, installHint: 'get it from the shop'}}";
    insta::assert_snapshot!(said(&server.kubeconfig(user), None).await);
}

#[tokio::test]
async fn a_plugin_that_fails_is_quoted() {
    let server = ApiServer::start().await;
    let user = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['-c', 'echo first >&2; echo session has ended >&2; exit 3'], interactiveMode: Never}}";
    insta::assert_snapshot!(said(&server.kubeconfig(user), None).await);
}

#[tokio::test]
async fn a_plugin_is_run_once_for_a_session() {
    let server = ApiServer::start().await;
    server.lists("/api/v1/namespaces/shop/pods", &[]);
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("count");
    let user = format!(
        r#"{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['-c', 'echo run >> {}; echo ''{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"fresh","expirationTimestamp":"2100-01-01T00:00:00Z"}}}}'''], interactiveMode: Never}}}}"#,
        count.display()
    );
    try_it(&server.kubeconfig(&user)).await.unwrap();
    assert_eq!(server.asked()[0].credentials.as_deref(), Some("Bearer fresh"));
    assert_eq!(std::fs::read_to_string(count).unwrap(), "run\n");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = fixture::kubeconfig(&folder, &format!("http://{}", listener.local_addr().unwrap()), "{}");
    insta::assert_snapshot!(said(&options, None).await);
}

#[test]
fn of_several_files_the_first_that_says_a_thing_is_right_and_missing_ones_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let first = fixture::kubeconfig(&folder, "https://one:6443", "{}").kubeconfig.unwrap();
    std::fs::rename(first, folder.path().join("first")).unwrap();
    fixture::kubeconfig(&folder, "https://two:6443", "{}");
    let look_up = |name: &str| (name == "KUBECONFIG").then(|| "none:first::kubeconfig".to_owned());
    let options = ClusterOptions { start_dir: Some(folder.path().into()), ..ClusterOptions::default() };
    let chosen = context::choose(&options, &look_up).unwrap();
    assert_eq!(chosen.way.address, "https://one:6443");
    assert_eq!(chosen.config.default_namespace, "shop");
}

#[test]
fn the_environments_proxy_is_followed_only_if_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = fixture::kubeconfig(&folder, "https://one:6443", "{}");
    let look_up = |name: &str| (name == "HTTPS_PROXY").then(|| "http://ann:secret@p:3128".to_owned());
    assert_eq!(context::choose(&options, &look_up).unwrap().way.proxy, None);
    options.use_proxy = true;
    assert_eq!(context::choose(&options, &look_up).unwrap().way.proxy.as_deref(), Some("http://p:3128"));
}

#[tokio::test]
async fn a_server_that_is_too_busy_is_asked_again() {
    let server = ApiServer::start().await;
    let path = "/api/v1/namespaces/shop/pods";
    let busy = fixture::status(429, "TooManyRequests", "too many requests");
    server.lists(path, &[]).answers_once("GET", path, 429, busy.clone());
    let mut options = server.kubeconfig("{token: secret}");
    options.retries.min_ms = 1;
    try_it(&options).await.unwrap();
    assert_eq!(server.lines().len(), 2);
    server.answers_once("GET", path, 429, busy);
    options.retries.n = 0;
    let words = said(&options, None).await;
    assert_eq!(words, "error: the API server refused to list pods in namespace `shop`: too many requests");
}

#[tokio::test]
async fn credentials_that_are_none_say_what_is_wrong_with_them() {
    let server = ApiServer::start().await;
    let mut words = Vec::new();
    for user in [
        "{client-certificate: /none.crt, client-key: /none.key}",
        "{client-certificate-data: '%', client-key-data: '%'}",
        "{client-certificate-data: aGVsbG8=, client-key-data: aGVsbG8=}",
        "{tokenFile: /none.token}",
        "{auth-provider: {name: gcp}}",
        "{exec: {apiVersion: client.authentication.k8s.io/v1}}",
        "{exec: {apiVersion: client.authentication.k8s.io/v1, command: echo}}",
    ] {
        let options = server.kubeconfig(user);
        let folder = options.kubeconfig.as_ref().and_then(|path| path.parent());
        words.push(said(&options, folder).await);
    }
    insta::assert_snapshot!(words.join("\n\n"));
}
