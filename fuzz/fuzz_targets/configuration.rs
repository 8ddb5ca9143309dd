//! Configuration files of every format.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mirrord_fuzz::configuration::configuration(bytes));
