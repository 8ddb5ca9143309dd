//! The demonstration: what programs of this machine do inside a pod, alone, and with mirrord.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a tour that cannot be given says where it stopped"
)]
#![expect(clippy::print_stdout, reason = "a tour speaks")]

mod page;
mod stops;

use std::time::Instant;

use mirrord_tests::pod::{ADDRESS, NAME, Pod};
use page::Page;

fn main() {
    let start = Instant::now();
    let page = Page::new();
    page::say(
        "A pretend pod starts: a process with its own users, mounts, processes, network and host name.",
    );
    page::say(
        "In it: a small shop that answers HTTP, a real Redis, files, and a resolver that knows `*.shop`.",
    );
    let pod = Pod::start().expect("the pretend pod starts");
    page::say(&format!("It is `{NAME}` at {ADDRESS}; its main process is {} of this machine.", pod.pid()));
    page::say(&format!("So the target is `{}`. Every command below is run three times.", pod.target()));
    page.legend();
    for stop in stops::CLIENTS {
        stops::visit(&page, &pod, stop);
    }
    page.title("Servers: this machine answers the pod's traffic, or hears it");
    for (mode, tongue) in [("steal", "python3"), ("mirror", "python3"), ("steal", "node"), ("mirror", "node")]
    {
        stops::serve(&page, &pod, mode, tongue);
    }
    drop(pod);
    page.title("And nothing is left: the pod has ended, and with it everything that was in it");
    page::say(&format!("That took {:.1} seconds. Try your own:", start.elapsed().as_secs_f32()));
    page::say("  target/debug/mirrord exec --target pid/PID -- COMMAND");
}
