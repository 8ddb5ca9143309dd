//! The state machines that route: subscriptions, arrivals, listeners, pods.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mirrord_fuzz::routing::routing(bytes));
