//! Links the unwinder statically: loading `libgcc_s.so.1` would be most of what the layer costs a process at start.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("gnu") {
        let folder = env::var("OUT_DIR").unwrap_or_default();
        // The linker takes a script for the library that it is named after.
        if fs::write(Path::new(&folder).join("libgcc_s.so"), "GROUP ( -lgcc_eh -lgcc )\n").is_ok() {
            println!("cargo::rustc-link-search=native={folder}");
        }
    }
    if env::var_os("CARGO_FEATURE_FRIDA").is_some() {
        println!("cargo::rerun-if-env-changed=FRIDA_GUM_DIR");
        if let Ok(kit) = env::var("FRIDA_GUM_DIR") {
            println!("cargo::rustc-link-search=native={kit}");
        }
    }
}
