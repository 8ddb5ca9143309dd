//! A cluster, borrowed for a story: namespaces that go with it, and a developer who may do what `examples/rbac.yaml` says.
//!
//! Which cluster is told by `MIRRORD_TEST_KUBECONFIG`, an administrator's; `cargo xtask test cluster` sets it.

mod namespace;
mod old_way;
mod relay;
mod server;
mod session;
mod traces;
mod user;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

pub use namespace::Namespace;
pub use old_way::OldWay;
pub use relay::Relay;
use serde_json::{Value, json};
pub use server::ApiServer;
pub use session::ClusterSession;

use crate::{ground::skip, transcript::Transcript};

/// A cluster, its administrator, and a developer.
#[derive(Debug)]
pub struct Cluster {
    admin: PathBuf,
    ann: Value,
}

impl Cluster {
    /// The cluster of this run; says why there is none, where there is none.
    ///
    /// # Panics
    /// When it has one, which does not answer.
    pub fn find() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Cluster>> = OnceLock::new();
        let found = FOUND.get_or_init(|| {
            let admin = PathBuf::from(env::var_os("MIRRORD_TEST_KUBECONFIG")?);
            Some(Self { ann: user::kubeconfig(&admin, "ann"), admin })
        });
        if found.is_none() {
            let why = env::var("MIRRORD_TEST_NO_CLUSTER").unwrap_or_else(|_| {
                "no cluster: `cargo xtask test cluster` starts one, or takes that of MIRRORD_TEST_KUBECONFIG"
                    .to_owned()
            });
            skip(&why);
        }
        found.as_ref()
    }

    /// `kubectl`, as the administrator.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        kubectl(&self.admin)
    }

    /// The kubeconfig of the developer, who reaches the API server at `server`, where it is not its own address.
    #[must_use]
    pub fn ann(&self, server: Option<&str>) -> Value {
        let mut kubeconfig = self.ann.clone();
        if let Some(server) = server {
            kubeconfig["clusters"][0]["cluster"]["server"] = json!(server);
        }
        kubeconfig
    }

    /// Host and port of the API server.
    ///
    /// # Panics
    /// When its address is not one.
    #[must_use]
    pub fn server(&self) -> String {
        let server = self.ann["clusters"][0]["cluster"]["server"].as_str().unwrap();
        let (_, rest) = server.split_once("://").unwrap();
        let host = rest.split('/').next().unwrap();
        if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            host.to_owned()
        } else {
            format!("{host}:443")
        }
    }
}

/// The agent's image.
#[must_use]
pub fn agent_image() -> String {
    env::var("MIRRORD_TEST_AGENT_IMAGE")
        .unwrap_or_else(|_| format!("mirrord-agent:{}", env!("CARGO_PKG_VERSION")))
}

fn kubectl(kubeconfig: &Path) -> Command {
    let mut command = Command::new("kubectl");
    command.arg("--kubeconfig").arg(kubeconfig).env_remove("KUBECONFIG");
    command
}

/// What a command says, which must succeed.
fn said(command: &mut Command) -> String {
    let told = Transcript::of(command);
    assert_eq!(told.code, Some(0), "{command:?}: {told:?}");
    told.stdout
}

/// Gives a command a text to read, and wants it to succeed.
fn tell(command: &mut Command, text: &str) -> String {
    let mut input = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut input, text.as_bytes()).unwrap();
    std::io::Seek::rewind(&mut input).unwrap();
    let output = command.stdin(input).stderr(Stdio::piped()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}\n{text}");
    String::from_utf8(output.stdout).unwrap()
}

/// A file of the repository, as text.
fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
