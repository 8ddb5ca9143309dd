//! Reads the arguments, steps into the target, serves.

mod args;
mod dns;
mod env;
mod fs;
mod hands;
mod incoming;
mod lanes;
mod link;
mod namespace;
mod outgoing;
mod serve;
mod session;
mod target;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    args::{Args, Place},
    hands::Hands,
    lanes::Lanes,
    target::Target,
};

fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter(args.log_level.clone())
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    match run(&args.place()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the agent ends");
            ExitCode::FAILURE
        }
    }
}

fn run(place: &Place) -> std::io::Result<()> {
    // Before anything else is opened: its number is all that tells it.
    let lanes = Lanes::inherited()?;
    lanes::raise_limit();
    // What a guest creates there has the mode that the guest says: its own umask is already in it.
    rustix::process::umask(rustix::fs::Mode::empty());
    // A user namespace can only be entered by a process of a single thread: this comes before every runtime.
    let target = namespace::enter(place).map(Target::new);
    hands::give_up_rights()?;
    let n_workers = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(n_workers)
        // A small call beside a bulk transfer is seen after at most so many pieces of it.
        .event_interval(4)
        .enable_all()
        .build()?;
    let served = match target {
        Ok(target) => {
            let hands = Hands::start(target.credentials())?;
            let served = runtime.block_on(serve::serve(lanes, target, hands.handle()));
            hands.let_go();
            served
        }
        Err(error) => {
            let why = namespace::chain(&error);
            tracing::error!("{why}");
            runtime.block_on(serve::refuse(lanes, &why))
        }
    };
    // A thread that waits in the kernel for a fifo's other end must not keep the process.
    runtime.shutdown_background();
    served
}
