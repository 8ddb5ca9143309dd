//! An image as an OCI archive: one layer of files, written without any container engine, the same bytes each time.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What is in an image.
pub(crate) struct Image {
    /// `NAME:TAG`, without a registry.
    pub(crate) name: String,
    /// Where each file is to be, and what it is.
    pub(crate) entries: Vec<(PathBuf, Entry)>,
    /// What is run where the pod does not say.
    pub(crate) entrypoint: Vec<String>,
}

/// A thing in a file system.
pub(crate) enum Entry {
    /// The file here, and whether it may be executed.
    File(PathBuf),
    /// These bytes, readable by all.
    Text(String),
    /// A folder with this mode.
    Folder(u32),
    /// A link to there.
    Link(PathBuf),
}

impl Image {
    /// Writes it to a file.
    pub(crate) fn write(mut self, path: &Path) -> io::Result<()> {
        self.entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        self.entries.dedup_by(|(left, _), (right, _)| left == right);
        let layer = self.layer()?;
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            },
            "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
            "history": [{ "created_by": "cargo xtask image" }],
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        entry["annotations"] = json!({
            "io.containerd.image.name": format!("docker.io/library/{}", self.name),
            "org.opencontainers.image.ref.name": self.name,
        });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        });
        let index = index.to_string().into_bytes();
        // What engines read that are older than the format.
        let former = json!([{ "Config": blob(&config), "RepoTags": [self.name], "Layers": [blob(&layer)] }]);
        let former = former.to_string().into_bytes();
        let fresh = path.with_extension(format!("{}.tar", std::process::id()));
        let mut archive = tar::Builder::new(io::BufWriter::new(fs::File::create(&fresh)?));
        let files: [(&str, &[u8]); 6] = [
            ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#),
            ("index.json", &index),
            ("manifest.json", &former),
            (&blob(&manifest), &manifest),
            (&blob(&config), &config),
            (&blob(&layer), &layer),
        ];
        for (name, bytes) in files {
            let mut header = header(tar::EntryType::Regular, 0o644, bytes.len());
            archive.append_data(&mut header, name, bytes)?;
        }
        archive.into_inner()?.flush()?;
        fs::rename(fresh, path)
    }

    fn layer(&self) -> io::Result<Vec<u8>> {
        let mut layer = tar::Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            let path = path.strip_prefix("/").unwrap_or(path);
            match entry {
                Entry::File(source) => {
                    let bytes = fs::read(source)?;
                    let is_program = is_executable(source)?;
                    let mode = if is_program { 0o755 } else { 0o644 };
                    let mut header = header(tar::EntryType::Regular, mode, bytes.len());
                    layer.append_data(&mut header, path, bytes.as_slice())?;
                }
                Entry::Text(text) => {
                    let mut header = header(tar::EntryType::Regular, 0o644, text.len());
                    layer.append_data(&mut header, path, text.as_bytes())?;
                }
                Entry::Folder(mode) => {
                    let mut header = header(tar::EntryType::Directory, *mode, 0);
                    layer.append_data(&mut header, path, io::empty())?;
                }
                Entry::Link(to) => {
                    let mut header = header(tar::EntryType::Symlink, 0o777, 0);
                    layer.append_link(&mut header, path, to)?;
                }
            }
        }
        layer.into_inner()
    }
}

fn is_executable(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::metadata(path)?.permissions().mode() & 0o100 != 0)
}

/// Nothing of this machine: no owner, no time.
fn header(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

fn blob(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", hex(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// As images name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
