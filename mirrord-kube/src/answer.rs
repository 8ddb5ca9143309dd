//! What it means when the API server does not do what it was asked.

use std::{error::Error, io};

use kube::{
    client::{AuthError, RustlsTlsError},
    config::LoadDataError,
    core::Status,
};

use crate::problem::{Ask, ClusterError};

/// How the API server is reached, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// Its address.
    pub(crate) address: String,
    /// The user that the kubeconfig names.
    pub(crate) user: String,
    /// The program that gives that user's credentials.
    pub(crate) plugin: Option<Plugin>,
    /// The proxy before it.
    pub(crate) proxy: Option<String>,
}

/// A program that gives credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plugin {
    pub(crate) command: String,
    pub(crate) advice: Option<String>,
}

impl Way {
    /// What it means that `error` came of `ask`.
    pub(crate) fn problem(&self, ask: Ask, error: kube::Error) -> ClusterError {
        if let kube::Error::Api(status) = error {
            return self.refusal(ask, &status);
        }
        self.obstacle(&error).unwrap_or_else(|| ClusterError::Asked {
            ask: Box::new(ask),
            address: self.address.clone(),
            source: Box::new(error),
        })
    }

    /// What it means that no client could be made: nobody has been asked anything yet.
    pub(crate) fn unusable(&self, error: kube::Error) -> ClusterError {
        if let Some(error) = find::<AuthError>(&error) {
            return self.no_credentials(error);
        }
        if let Some(error) = find::<LoadDataError>(&error) {
            return self.bad_credentials(match error {
                LoadDataError::ReadFile(error, path) => {
                    format!("`{}` cannot be read: {error}", path.display())
                }
                LoadDataError::DecodeBase64(_) => "the certificate or the key is no base64".to_owned(),
                other @ LoadDataError::NoBase64DataOrFile => other.to_string(),
            });
        }
        match &error {
            kube::Error::RustlsTls(
                error @ (RustlsTlsError::InvalidIdentityPem(_)
                | RustlsTlsError::MissingPrivateKey
                | RustlsTlsError::MissingCertificate
                | RustlsTlsError::InvalidPrivateKey(_)
                | RustlsTlsError::UnknownPrivateKeyFormat),
            ) => self.bad_credentials(error.to_string()),
            _ => ClusterError::Unusable { address: self.address.clone(), source: Box::new(error) },
        }
    }

    fn bad_credentials(&self, words: String) -> ClusterError {
        ClusterError::Credentials { user: self.user.clone(), words }
    }

    /// The API server answered, and said no.
    fn refusal(&self, ask: Ask, status: &Status) -> ClusterError {
        let ask = Box::new(ask);
        match (status.code, denied(&status.message)) {
            (401, _) | (403, Some("system:anonymous")) => self.unauthorized(),
            (403, Some(user)) => ClusterError::Forbidden { user: user.to_owned(), ask },
            (404, _) => ClusterError::NotFound { ask },
            (code, _) => ClusterError::Refused { ask, words: words(status), code },
        }
    }

    fn unauthorized(&self) -> ClusterError {
        ClusterError::Unauthorized { address: self.address.clone(), user: self.user.clone() }
    }

    /// No answer came: what stood in the way.
    fn obstacle(&self, error: &(dyn Error + 'static)) -> Option<ClusterError> {
        let address = self.address.clone();
        if let Some(error) = find::<AuthError>(error) {
            return Some(self.no_credentials(error));
        }
        if let Some(error) = find::<rustls::Error>(error) {
            return Some(match error.clone() {
                source @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                    ClusterError::Certificate { address, source }
                }
                rustls::Error::AlertReceived(_) => self.unauthorized(),
                source => ClusterError::NotTls { address, source },
            });
        }
        let is_connecting = find::<hyper_util::client::legacy::Error>(error)
            .is_some_and(hyper_util::client::legacy::Error::is_connect);
        let source = match find_io(error) {
            Some(source) => copy(source),
            None if is_connecting => io::Error::other(last(error).to_string()),
            None => return None,
        };
        match &self.proxy {
            Some(proxy) if is_connecting => {
                Some(ClusterError::Proxy { address, proxy: proxy.clone(), source })
            }
            _ => Some(ClusterError::Unreachable { address, source }),
        }
    }

    fn no_credentials(&self, error: &AuthError) -> ClusterError {
        let user = self.user.clone();
        let Some(Plugin { command, advice }) = self.plugin.clone() else {
            return self.bad_credentials(match error {
                AuthError::ReadTokenFile(error, path) => {
                    format!("`{}` cannot be read: {error}", path.display())
                }
                other => other.to_string(),
            });
        };
        let words = match error {
            AuthError::AuthExecStart(error) if error.kind() == io::ErrorKind::NotFound => {
                return ClusterError::NoPlugin { command, user, advice };
            }
            AuthError::AuthExecStart(error) => error.to_string(),
            AuthError::AuthExecRun { out, .. } => said(out),
            AuthError::AuthExecParse(_) => "what it printed is no `ExecCredential`".to_owned(),
            other => other.to_string(),
        };
        ClusterError::Plugin { command, user, words }
    }
}

/// The last that a program said, or else how it ended.
fn said(output: &std::process::Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.map_or_else(|| output.status.to_string(), str::to_owned)
}

/// Who it is that may not, in the words of the API server's access rules; an admission's refusal names nobody.
fn denied(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("User \"")?;
    let (user, rest) = rest.split_once('"')?;
    rest.trim_start().starts_with("cannot ").then_some(user)
}

/// The words of a refusal, on one line.
fn words(status: &Status) -> String {
    let words = if status.message.trim().is_empty() { &status.reason } else { &status.message };
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() { format!("status {}", status.code) } else { words }
}

/// The errors within an error, outermost first. What an [`io::Error`] carries is not its source, but itself.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| within(*error))
}

fn within<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(carried) => Some(carried),
        None => error.source(),
    }
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref::<E>())
}

/// The innermost [`io::Error`].
fn find_io<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    chain(error).filter_map(|error| error.downcast_ref::<io::Error>()).last()
}

fn last<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    chain(error).last().unwrap_or(error)
}

/// The same error, without what is around it.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_rules_name_the_user_and_an_admission_does_not() {
        let rules = r#"pods is forbidden: User "ann" cannot list resource "pods" in API group "" in the namespace "shop""#;
        assert_eq!(denied(rules), Some("ann"));
        let policy = r#"pods "a" is forbidden: unable to validate against any pod security policy: []"#;
        assert_eq!(denied(policy), None);
        assert_eq!(denied(r#"exceeded quota, User "ann" has too much"#), None);
    }
}
