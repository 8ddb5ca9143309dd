//! Reads the arguments, steps into the target, serves.

mod agent;
mod args;
mod calls;
mod container;
mod dns;
mod door;
mod env;
mod fs;
mod hands;
mod incoming;
mod lanes;
mod link;
mod listen;
mod log;
mod namespace;
#[cfg(test)]
mod noise;
mod origin;
mod outgoing;
mod rights;
mod serve;
mod session;
mod target;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use crate::{
    args::Args, door::Closed, hands::Hands, lanes::Lanes, listen::Port, rights::Deed, target::Target,
};

fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = log::start(&args.log_level, args.json_log) {
        let wrong = Args::command().error(ErrorKind::InvalidValue, format!("`--log-level`: {error}"));
        wrong.exit();
    }
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the agent ends");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> std::io::Result<()> {
    let patience = args.communication_timeout();
    let door = match args.listen {
        // Before the target's network is entered, which is not ours to listen in.
        Some(number) => Closed::Port(Port::open(number, args.pinned)?, patience),
        // Before anything else is opened: its number is all that tells it.
        None => Closed::Inherited(Lanes::inherited()?),
    };
    lanes::raise_limit();
    // What a guest creates there has the mode that the guest says: its own umask is already in it.
    rustix::process::umask(rustix::fs::Mode::empty());
    // A user namespace can only be entered by a process of a single thread: this comes before every runtime.
    let target = namespace::enter(&args.place()).map(Target::new);
    hands::give_up_rights()?;
    // Who takes turns with proxy, guest and target on few processors only wakes others in vain.
    let n_workers = std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).clamp(1, 4));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(n_workers)
        // A small call beside a bulk transfer is seen after at most so many pieces of it.
        .event_interval(4)
        .enable_all()
        .build()?;
    let served = match target {
        Ok(target) => {
            let hands = Hands::start(target.credentials())?;
            if args.listen.is_some() {
                sweep(&target);
            }
            // On a worker: what comes to this thread would have to be handed over to one.
            let serving = runtime.spawn(serve::serve(door, target, hands.handle(), args.dns(), patience));
            let served = runtime.block_on(serving);
            hands.let_go();
            served.unwrap_or_else(|error| Err(std::io::Error::other(error)))
        }
        Err(error) => {
            let why = namespace::chain(&error);
            tracing::error!("{why}");
            runtime.block_on(serve::refuse(door, &why, patience))
        }
    };
    // A thread that waits in the kernel for a fifo's other end must not keep the process.
    runtime.shutdown_background();
    served
}

/// An agent that was killed with its whole container had nobody to tidy up behind it.
fn sweep(target: &Target) {
    if [Deed::Reach, Deed::Redirect].into_iter().all(|deed| target.permit(deed).is_ok())
        && let Err(error) = incoming::sweep()
    {
        tracing::debug!(%error, "cannot look for what earlier agents have left");
    }
}
