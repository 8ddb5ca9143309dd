//! Floor 2: the real proxy between scripted layers and the real agent in a pretend pod.

mod beginnings;
mod ends;
mod files;
mod incoming;
mod layer;
mod stage;
#[path = "../../mirrord-cli/src/proxy/start.rs"]
mod start;
mod streams;
