//! Guests of the layer's stories: programs compiled here or found on the machine, with the library before them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use mirrord_protocol::proxy::names;
use mirrord_tests::programs;

use crate::scripted_proxy::ScriptedProxy;

/// The library, built for this run.
pub(crate) fn layer() -> &'static Path {
    static LAYER: OnceLock<PathBuf> = OnceLock::new();
    LAYER.get_or_init(|| {
        if let Some(path) = std::env::var_os("MIRRORD_TEST_LAYER") {
            return path.into();
        }
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "mirrord-layer"])
            .current_dir(programs::repository())
            .status()
            .unwrap();
        assert!(status.success(), "the layer does not build");
        programs::built().join("libmirrord_layer.so")
    })
}

/// A guest of `tests/guests/c`, compiled once for a run of the tests.
pub(crate) fn compiled(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = folder.join(format!("{name}-{}", std::process::id()));
    if !program.exists() {
        static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _guard = ONE_AT_A_TIME.lock();
        let source = programs::repository().join(format!("tests/guests/c/{name}.c"));
        let fresh = program.with_extension("fresh");
        let output = Command::new("cc")
            .args(["-O1", "-D_GNU_SOURCE", "-Wall", "-pthread", "-o"])
            .args([&fresh, &source])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(&fresh, &program).unwrap();
    }
    program
}

/// A command that runs as a guest of this proxy, in `/`, with little else in its environment.
pub(crate) fn command(proxy: &ScriptedProxy, program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", "/home/guest")
        .env("LC_ALL", "C")
        .env("LD_PRELOAD", layer())
        .env(names::PROXY_ADDRESS, &proxy.address)
        .current_dir("/");
    command
}

/// What a guest printed; its complaints are part of it.
pub(crate) fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).trim_end().to_owned()
}
