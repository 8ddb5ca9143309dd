//! Builds the three programs in the order in which one contains the other, and holds them to their sizes.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::ground::{self, target};

/// The sizes that are promised, in bytes.
const PROMISES: [(&str, u64); 3] = [("layer", 1 << 20), ("agent", 10 << 20), ("mirrord", 25 << 20)];

/// Builds everything: for work at the desk, or with `--release` the one file that users get.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [] => build_for_the_desk(),
        [flag] if flag == "--release" => build_for_users(),
        _ => Err(format!("`build` does not know `{}`: its only flag is --release", arguments.join(" "))),
    }
}

/// Builds everything for the desk, and runs one of the programs that come with the tests.
pub(crate) fn then_run(program: &str, arguments: &[String]) -> Result<(), String> {
    build_for_the_desk()?;
    cargo(&["build", "--quiet", "-p", "mirrord-tests", "--bins"], &[])?;
    let words = ["run", "--quiet", "-p", "mirrord-tests", "--bin", program, "--"];
    ground::run(ground::cargo().args(words).args(arguments))
}

/// Three programs side by side, quickly.
fn build_for_the_desk() -> Result<(), String> {
    cargo(&["build", "-p", "mirrord-layer", "-p", "mirrord-agent", "-p", "mirrord-cli"], &[])?;
    let folder = target().join("debug");
    for name in ["libmirrord_layer.so", "mirrord-agent", "mirrord"] {
        tell_size(name, &folder.join(name))?;
    }
    Ok(())
}

/// The agent, quickly: beside the others, because alone it would be built of other pieces than with them.
pub(crate) fn agent_for_the_desk() -> Result<PathBuf, String> {
    build_for_the_desk()?;
    Ok(target().join("debug/mirrord-agent"))
}

/// The agent as one static file.
pub(crate) fn agent_for_users() -> Result<PathBuf, String> {
    let host = host_triple()?;
    // Without an explicit target the flag would reach procedural macros, which cannot be static.
    let is_static = [("RUSTFLAGS", "-C target-feature=+crt-static")];
    cargo(&["build", "-p", "mirrord-agent", "--profile", "agent", "--target", &host], &is_static)?;
    Ok(target().join(&host).join("agent/mirrord-agent"))
}

/// One program that carries the other two.
fn build_for_users() -> Result<(), String> {
    let target = target();
    cargo(&["build", "-p", "mirrord-layer", "--profile", "layer"], &[])?;
    let layer = target.join("layer/libmirrord_layer.so");
    let agent = agent_for_users()?;
    let carried = [("MIRRORD_LAYER_BIN", text(&layer)?), ("MIRRORD_AGENT_BIN", text(&agent)?)];
    cargo(&["build", "-p", "mirrord-cli", "--release"], &carried)?;
    hold_promises(&[layer, agent, target.join("release/mirrord")])
}

/// Tells the sizes, and fails if one is larger than promised.
fn hold_promises(files: &[PathBuf; 3]) -> Result<(), String> {
    let mut broken = Vec::new();
    for ((name, most), file) in PROMISES.into_iter().zip(files) {
        let size = tell_size(name, file)?;
        if size > most {
            broken.push(format!("{name} has {size} bytes, more than the {most} promised"));
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(broken.join("; ")) }
}

fn tell_size(name: &str, file: &Path) -> Result<u64, String> {
    let size = fs::metadata(file).map_err(|error| format!("cannot find {}: {error}", file.display()))?.len();
    crate::say(&format!("{name:<20} {:>10} KiB  {}", size / 1024, file.display()));
    Ok(size)
}

/// Runs cargo in the workspace.
fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), String> {
    ground::run(ground::cargo().args(arguments).envs(environment.iter().copied()))
}

/// The triple of the machine that builds.
fn host_triple() -> Result<String, String> {
    let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(program)
        .args(["--version", "--verbose"])
        .output()
        .map_err(|error| format!("cannot run rustc: {error}"))?;
    let words = String::from_utf8_lossy(&output.stdout);
    let host = words.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not tell its host".to_owned())
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{} is not text", path.display()))
}
