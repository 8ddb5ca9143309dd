//! The layer and the agent as files: carried inside, beside us, or named by the developer.

mod embedded;
mod store;

use std::{
    borrow::Cow,
    env, fs,
    hash::{DefaultHasher, Hasher},
    io,
    path::{Path, PathBuf},
};

use embedded::Embedded;
use thiserror::Error;

use crate::report::Explain;

/// Something that a session needs as a file.
#[derive(Debug)]
pub(crate) struct Asset {
    /// What it is.
    name: &'static str,
    /// What its file is called.
    pub(crate) file_name: &'static str,
    /// The variable by which the developer names another file.
    variable: &'static str,
    embedded: Option<Embedded>,
}

impl Asset {
    /// What enters the guest.
    pub(crate) const LAYER: Self = Self {
        name: "layer",
        file_name: "libmirrord_layer.so",
        variable: "MIRRORD_LAYER_FILE",
        embedded: embedded::LAYER,
    };
    /// What stands where the target stands.
    pub(crate) const AGENT: Self = Self {
        name: "agent",
        file_name: "mirrord-agent",
        variable: "MIRRORD_AGENT_FILE",
        embedded: embedded::AGENT,
    };
}

/// Why there is no file to use.
#[derive(Debug, Error)]
pub(crate) enum AssetError {
    /// The user names a file that cannot be read.
    #[error("cannot read `{}`, which `{variable}` names as the {name}", path.display())]
    Named {
        name: &'static str,
        variable: &'static str,
        path: PathBuf,
        #[source]
        why: io::Error,
    },
    /// This is a command without a layer or agent inside, and none lies beside it.
    #[error("cannot find the {name}: it is neither in this `mirrord` nor beside it as `{}`", beside.display())]
    Missing { name: &'static str, variable: &'static str, beside: PathBuf },
    /// No folder takes it.
    #[error("cannot lay out the {name}")]
    NoFolder {
        name: &'static str,
        #[source]
        why: store::StoreError,
    },
}

impl Explain for AssetError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Named { variable, .. } => {
                format!("unset `{variable}`, or let it name a file that you can read")
            }
            Self::Missing { variable, .. } => {
                format!("build everything with `cargo xtask build`, or name the file in `{variable}`")
            }
            Self::NoFolder { .. } => {
                "let `XDG_CACHE_HOME` name a folder of yours that has 16 MB to spare and may hold programs"
                    .to_owned()
            }
        })
    }
}

/// The file of an asset, laid out if need be.
pub(crate) fn find(asset: &Asset) -> Result<PathBuf, AssetError> {
    let no_folder = |why| AssetError::NoFolder { name: asset.name, why };
    match source(asset)? {
        Source::Inside(embedded) => store::lay_out(asset, embedded.hash, embedded.bytes).map_err(no_folder),
        // The loader would cut such a path in two.
        Source::File(path) if !is_plain(&path) => {
            let bytes = read(asset, &path)?;
            let mut hasher = DefaultHasher::new();
            hasher.write(&bytes);
            let hash = format!("{:016x}", hasher.finish());
            store::lay_out(asset, &hash, &bytes).map_err(no_folder)
        }
        Source::File(path) => Ok(path),
    }
}

/// The bytes of an asset.
pub(crate) fn bytes(asset: &Asset) -> Result<Cow<'static, [u8]>, AssetError> {
    match source(asset)? {
        Source::Inside(embedded) => Ok(Cow::Borrowed(embedded.bytes)),
        Source::File(path) => read(asset, &path).map(Cow::Owned),
    }
}

/// Where an asset comes from.
enum Source {
    Inside(Embedded),
    File(PathBuf),
}

fn source(asset: &Asset) -> Result<Source, AssetError> {
    if let Some(path) = env::var_os(asset.variable).filter(|path| !path.is_empty()) {
        let path = std::path::absolute(&path).unwrap_or_else(|_| path.into());
        let named =
            |why| AssetError::Named { name: asset.name, variable: asset.variable, path: path.clone(), why };
        return fs::File::open(&path).map(|_| Source::File(path.clone())).map_err(named);
    }
    if let Some(embedded) = asset.embedded {
        return Ok(Source::Inside(embedded));
    }
    let beside = env::current_exe().unwrap_or_default().with_file_name(asset.file_name);
    if beside.is_file() {
        Ok(Source::File(beside))
    } else {
        Err(AssetError::Missing { name: asset.name, variable: asset.variable, beside })
    }
}

fn read(asset: &Asset, path: &Path) -> Result<Vec<u8>, AssetError> {
    fs::read(path).map_err(|why| AssetError::Named {
        name: asset.name,
        variable: asset.variable,
        path: path.to_owned(),
        why,
    })
}

/// Whether the dynamic loader can be told a path: `LD_PRELOAD` ends a name at a space or a colon (`ld.so(8)`).
fn is_plain(path: &Path) -> bool {
    path.to_str().is_some_and(|text| !text.contains([' ', ':', '\t', '\n']))
}
