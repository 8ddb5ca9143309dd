//! Which cluster, user and namespace a kubeconfig means.

use std::path::{Path, PathBuf};

use k8s_openapi::ByteString;
use kube::config::{
    AuthInfo, Cluster, Config, Context, ExecAuthCluster, ExecInteractiveMode, Kubeconfig, KubeconfigError,
};
use mirrord_core::{cluster::ClusterOptions, near::near};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{
    answer::{Plugin, Way},
    gateway::{self, Lookup},
    problem::{ClusterError, NoKubeconfig},
};

/// What there is to know before anything is asked.
pub(crate) struct Chosen {
    pub(crate) config: Config,
    pub(crate) way: Way,
}

/// What the options and the environment mean.
pub(crate) fn choose(options: &ClusterOptions, look_up: Lookup) -> Result<Chosen, ClusterError> {
    let paths = paths(options, look_up);
    let there: Vec<PathBuf> = paths.iter().filter(|path| path.exists()).cloned().collect();
    let is_named = options.kubeconfig.is_some();
    let mut chosen = if is_named || !there.is_empty() {
        of_files(if is_named { &paths } else { &there }, options)?
    } else if let Ok(config) = Config::incluster() {
        let way = Way { user: "the pod's service account".to_owned(), ..Way::default() };
        Chosen { config, way }
    } else {
        return Err(NoKubeconfig::Nowhere { looked: paths }.into());
    };
    if let Some(accepts) = options.accept_invalid_certificates {
        chosen.config.accept_invalid_certs = accepts;
    }
    if let Some(namespace) = &options.namespace {
        chosen.config.default_namespace.clone_from(namespace);
    }
    chosen.config.cluster_url.to_string().trim_end_matches('/').clone_into(&mut chosen.way.address);
    if chosen.config.proxy_url.is_none() && options.use_proxy {
        let url = &chosen.config.cluster_url;
        let is_tls = url.scheme_str() == Some("https");
        let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let proxy = gateway::from_environment(is_tls, url.host().unwrap_or_default(), port, look_up);
        chosen.config.proxy_url = proxy.map(|proxy| proxy_url(&proxy, "the environment", &[])).transpose()?;
    }
    // Without what stands before an `@`: it is a secret.
    chosen.way.proxy = chosen.config.proxy_url.as_ref().map(|url| {
        let authority = url.authority().map_or("", |authority| authority.as_str());
        format!(
            "{}://{}",
            url.scheme_str().unwrap_or("http"),
            authority.rsplit('@').next().unwrap_or_default()
        )
    });
    Ok(chosen)
}

/// The files that could be read, in their order.
pub(crate) fn paths(options: &ClusterOptions, look_up: Lookup) -> Vec<PathBuf> {
    let home = look_up("HOME").map(PathBuf::from);
    let start_dir = options.start_dir.clone().unwrap_or_default();
    if let Some(path) = &options.kubeconfig {
        let path = match (path.strip_prefix("~"), &home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path.clone(),
        };
        return vec![start_dir.join(path)];
    }
    if let Some(list) = look_up("KUBECONFIG").filter(|list| !list.trim().is_empty()) {
        return std::env::split_paths(&list)
            .filter(|path| !path.as_os_str().is_empty())
            .map(|path| start_dir.join(path))
            .collect();
    }
    home.map(|home| home.join(".kube/config")).into_iter().collect()
}

/// What the files mean together: who says a thing first is right.
fn of_files(paths: &[PathBuf], options: &ClusterOptions) -> Result<Chosen, ClusterError> {
    let mut file = Kubeconfig::default();
    for path in paths {
        file = Kubeconfig::read_from(path).and_then(|next| file.merge(next)).map_err(|error| {
            let source = match error {
                KubeconfigError::ReadConfig(error, _) => error.into(),
                KubeconfigError::Parse(error) => error.into(),
                other => other.into(),
            };
            NoKubeconfig::Unreadable { path: path.clone(), source }
        })?;
    }
    let (name, context) = context(&file, paths, options.context.as_deref())?;
    let cluster = file
        .clusters
        .iter()
        .find(|cluster| cluster.name == context.cluster)
        .and_then(|cluster| cluster.cluster.clone())
        .ok_or_else(|| ClusterError::Malformed {
            words: format!(
                "the context `{name}` names the cluster `{}`, which is not described",
                context.cluster
            ),
            paths: paths.to_vec(),
            hint: "choose another context with `--context`, or describe the cluster".to_owned(),
        })?;
    let user = context.user.clone().unwrap_or_default();
    let auth_info = file.auth_infos.iter().find(|known| known.name == user);
    let auth_info = auth_info.and_then(|known| known.auth_info.clone()).unwrap_or_default();
    if let Some(provider) = auth_info.auth_provider.as_ref().filter(|provider| provider.name != "oidc") {
        return Err(ClusterError::Malformed {
            words: format!(
                "the user `{user}` has the `auth-provider` `{}`, which Kubernetes has dropped",
                provider.name
            ),
            paths: paths.to_vec(),
            hint: "its plugin takes its place: `gke-gcloud-auth-plugin` for `gcp`, `kubelogin` for `azure`"
                .to_owned(),
        });
    }
    let config = config(&context, &cluster, auth_info, paths)?;
    let plugin =
        config.auth_info.exec.as_ref().and_then(|exec| {
            Some(Plugin { command: exec.command.clone()?, advice: exec.install_hint.clone() })
        });
    let user = if user.is_empty() { format!("nobody (the context `{name}` names no user)") } else { user };
    Ok(Chosen { config, way: Way { user, plugin, ..Way::default() } })
}

/// The context that is wanted, or else the current one, with its name.
fn context(
    file: &Kubeconfig,
    paths: &[PathBuf],
    wanted: Option<&str>,
) -> Result<(String, Context), ClusterError> {
    let names: Vec<String> = file.contexts.iter().map(|context| context.name.clone()).collect();
    let current = file.current_context.as_deref().filter(|name| !name.is_empty());
    let Some(name) = wanted.or(current) else {
        return Err(ClusterError::NoCurrentContext { paths: paths.to_vec(), contexts: names });
    };
    let context = file.contexts.iter().find(|context| context.name == name);
    match context.and_then(|context| context.context.clone()) {
        Some(context) => Ok((name.to_owned(), context)),
        None => Err(ClusterError::NoSuchContext {
            wanted: name.to_owned(),
            paths: paths.to_vec(),
            near: near(name, names),
        }),
    }
}

/// The pieces put together. The library's own way reads proxies from the environment, and their exceptions wrongly.
fn config(
    context: &Context,
    cluster: &Cluster,
    auth_info: AuthInfo,
    paths: &[PathBuf],
) -> Result<Config, ClusterError> {
    let malformed = |words: String, hint: &str| ClusterError::Malformed {
        words,
        paths: paths.to_vec(),
        hint: hint.to_owned(),
    };
    let server = cluster.server.clone().unwrap_or_default();
    let url = server.parse::<hyper::Uri>().ok().filter(|url| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
    });
    let url = url.ok_or_else(|| {
        let words =
            format!("the cluster `{}` has the server `{server}`, which is no address", context.cluster);
        malformed(words, "`server` must read like `https://HOST:6443`")
    })?;
    let mut config = Config::new(url);
    config.default_namespace =
        context.namespace.clone().filter(|name| !name.is_empty()).unwrap_or("default".into());
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.tls_server_name.clone_from(&cluster.tls_server_name);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.root_cert = authorities(cluster).map_err(|words| {
        malformed(
            format!("the cluster `{}` has a certificate authority {words}", context.cluster),
            "it must be certificates in PEM: a file, or the same in base64 as `certificate-authority-data`",
        )
    })?;
    if let Some(proxy) = cluster.proxy_url.as_ref().filter(|proxy| !proxy.is_empty()) {
        let owner = format!("the cluster `{}`", context.cluster);
        config.proxy_url = Some(proxy_url(proxy, &owner, paths)?);
    }
    config.auth_info = credentials(auth_info, cluster);
    Ok(config)
}

/// The user's credentials, a plugin being told what it may know.
fn credentials(mut auth_info: AuthInfo, cluster: &Cluster) -> AuthInfo {
    use std::io::IsTerminal;
    if let Some(exec) = &mut auth_info.exec {
        if exec.provide_cluster_info {
            exec.cluster = ExecAuthCluster::try_from(cluster).ok();
        }
        // What nobody can answer must not ask, and what it complains of must be heard.
        if !std::io::stdin().is_terminal() {
            exec.interactive_mode = Some(ExecInteractiveMode::Never);
        }
    }
    auth_info
}

/// The certificates that the API server's must come from; none for those that this machine trusts.
fn authorities(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>, String> {
    let pem = if let Some(data) = cluster.certificate_authority_data.as_ref().filter(|data| !data.is_empty())
    {
        let data = data.split_whitespace().collect::<String>();
        serde_json::from_value::<ByteString>(data.into()).map_err(|_| "that is no base64".to_owned())?.0
    } else if let Some(path) = cluster.certificate_authority.as_ref().filter(|path| !path.is_empty()) {
        std::fs::read(Path::new(path)).map_err(|error| format!("`{path}` that cannot be read: {error}"))?
    } else {
        return Ok(None);
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => {
            Ok(Some(certificates.into_iter().map(|certificate| certificate.to_vec()).collect()))
        }
        _ => Err("that is no certificate".to_owned()),
    }
}

fn proxy_url(text: &str, owner: &str, paths: &[PathBuf]) -> Result<hyper::Uri, ClusterError> {
    let url = text.parse::<hyper::Uri>().ok().filter(|url| {
        url.host().is_some() && matches!(url.scheme_str(), Some("http" | "https" | "socks5" | "socks5h"))
    });
    url.ok_or_else(|| ClusterError::Malformed {
        words: format!("{owner} names the proxy `{text}`, which is no address of one"),
        paths: paths.to_vec(),
        hint: "it must begin with `http://`, `https://` or `socks5://`; `\"use_proxy\": false` ignores the environment's".to_owned(),
    })
}
