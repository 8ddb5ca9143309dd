//! Puts the layer and the agent into the command, if whoever builds has them ready.

use std::{
    env,
    fmt::Write,
    fs,
    hash::{DefaultHasher, Hasher},
    io,
    path::{Path, PathBuf},
};

/// Constants of the generated file, and the variables that name what they carry.
const CARRIED: [(&str, &str); 2] = [("LAYER", "MIRRORD_LAYER_BIN"), ("AGENT", "MIRRORD_AGENT_BIN")];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut source = String::new();
    for (constant, variable) in CARRIED {
        println!("cargo::rerun-if-env-changed={variable}");
        let carried = match env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from) {
            Some(path) => {
                println!("cargo::rerun-if-changed={}", path.display());
                format!("Some({})", embedded(&path)?)
            }
            None => "None".to_owned(),
        };
        let _ = writeln!(source, "pub(super) const {constant}: Option<Embedded> = {carried};");
    }
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&out).join("embedded.rs"), source)
}

/// The expression that carries a file, named by the hash of its content.
fn embedded(path: &Path) -> io::Result<String> {
    let path = fs::canonicalize(path)?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&fs::read(&path)?);
    let literal = path.to_str().map(str::escape_debug).ok_or(io::ErrorKind::InvalidFilename)?;
    Ok(format!("Embedded {{ hash: \"{:016x}\", bytes: include_bytes!(\"{literal}\") }}", hasher.finish()))
}
