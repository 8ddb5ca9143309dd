//! Streams of frames, of chunks and of a trunk, however they are cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mirrord_fuzz::wire::frames(bytes));
