//! One end of a trunk, whose peer says anything.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mirrord_fuzz::trunk::trunk(bytes));
