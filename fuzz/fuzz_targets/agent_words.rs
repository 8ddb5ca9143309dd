//! The language of proxy and agent.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mirrord_fuzz::wire::agent_words(bytes));
