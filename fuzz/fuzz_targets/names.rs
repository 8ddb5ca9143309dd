//! Texts that name things: targets, paths, patterns.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mirrord_fuzz::names::names(bytes));
