//! The language of layer and proxy, and what a guest is handed.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mirrord_fuzz::wire::layer_words(bytes));
