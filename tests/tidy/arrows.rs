//! Which crate may know which.

use std::fs;

use crate::{hold, repository};

/// Of our own crates, those that each may name. Tests and xtask may name what they like.
const ARROWS: [(&str, &[&str]); 9] = [
    ("mirrord-protocol", &[]),
    ("mirrord-core", &["mirrord-protocol"]),
    ("mirrord-config", &["mirrord-core", "mirrord-protocol"]),
    ("mirrord-trunk", &["mirrord-core", "mirrord-protocol"]),
    ("mirrord-kube", &["mirrord-core"]),
    ("mirrord-guest", &["mirrord-core", "mirrord-protocol"]),
    ("mirrord-layer", &["mirrord-core", "mirrord-config", "mirrord-guest", "mirrord-protocol"]),
    ("mirrord-agent", &["mirrord-core", "mirrord-protocol", "mirrord-trunk"]),
    (
        "mirrord-cli",
        &[
            "mirrord-core",
            "mirrord-config",
            "mirrord-guest",
            "mirrord-protocol",
            "mirrord-kube",
            "mirrord-trunk",
        ],
    ),
];

/// What a crate's walls keep out.
const FORBIDDEN: [(&str, &[&str], &str); 5] = [
    (
        "mirrord-protocol",
        &["tokio", "nix", "libc", "rustix"],
        "the words must be readable wherever they arrive",
    ),
    ("mirrord-core", &["tokio", "nix", "libc", "rustix", "tracing"], "core asks nothing of the world"),
    ("mirrord-config", &["tokio", "nix", "rustix"], "the layer builds it, too"),
    ("mirrord-guest", &["tokio", "tracing", "nix", "rustix"], "the layer builds it, too"),
    (
        "mirrord-layer",
        &["tokio", "tracing", "nix", "hyper"],
        "the guest's process gets no runtime, and no second opinion",
    ),
];

fn dependencies(package: &str) -> Vec<String> {
    let manifest = fs::read_to_string(repository().join(package).join("Cargo.toml")).unwrap();
    let mut is_inside = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            // What tests and build scripts use is not in what users get.
            is_inside = line.contains("dependencies") && !line.contains("dev-") && !line.contains("build-");
        } else if is_inside && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            if !name.is_empty() {
                names.push(name.to_owned());
            }
        }
    }
    names
}

#[test]
fn arrows_point_down() {
    let mut broken = Vec::new();
    for (package, allowed) in ARROWS {
        for name in dependencies(package) {
            if name.starts_with("mirrord-") && !allowed.contains(&name.as_str()) {
                broken.push(format!("{package} may not know {name}"));
            }
        }
    }
    hold("programs meet only through messages, and services do not know each other (HOUSE 5.2)", &broken);
}

#[test]
fn walls_keep_out_what_they_were_built_against() {
    for (package, forbidden, reason) in FORBIDDEN {
        let broken: Vec<String> = dependencies(package)
            .into_iter()
            .filter(|name| forbidden.contains(&name.as_str()))
            .map(|name| format!("{package} may not use {name}"))
            .collect();
        hold(reason, &broken);
    }
}

#[test]
fn there_is_one_version() {
    let broken: Vec<String> = ARROWS
        .iter()
        .filter(|(package, _)| {
            let manifest = fs::read_to_string(repository().join(package).join("Cargo.toml")).unwrap();
            !manifest.contains("version.workspace = true") || !manifest.contains("[lints]\nworkspace = true")
        })
        .map(|(package, _)| {
            format!("{package}/Cargo.toml does not take version and lints from the workspace")
        })
        .collect();
    hold("the product has one version, and one set of lints", &broken);
}
