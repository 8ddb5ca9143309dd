//! `mirrord port-forward`: connections from here to where the target stands, and from there to here.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, Ipv6Addr, TcpListener as StdListener},
    process::ExitCode,
};

use mirrord_config::Lowered;
use mirrord_core::{rules::incoming::IncomingRules, target::Target};
use mirrord_protocol::{agent::incoming::Wish, fault::Fault};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::{
    args::{Forward, HostPort, PortForwardArguments, Reverse},
    launch,
    progress::Progress,
    proxy::relay::{self, Relays},
    report::{Explain, Report},
    settings,
    stand_in::{self, Ear, Knock, StandIn},
};

/// Why ports cannot be forwarded: the user's fault, mostly.
#[derive(Debug, Error)]
enum PortForwardError {
    #[error("two of `--port-mapping` listen on port `{0}`")]
    TwiceHere(u16),
    #[error("two of `--reverse-port-mapping` take port `{0}` of the target")]
    TwiceThere(u16),
    #[error("`--reverse-port-mapping` needs a target, whose traffic it takes")]
    NoTarget,
    #[error("`--reverse-port-mapping` takes incoming traffic, which the configuration leaves alone")]
    IncomingIsOff,
    #[error("cannot listen on port `{port}`")]
    CannotListen {
        port: u16,
        #[source]
        why: io::Error,
    },
    #[error("cannot take port `{port}` of `{target}`")]
    NotTaken { port: u16, target: String },
    #[error("cannot hear of port `{port}` of the target")]
    CannotHear {
        port: u16,
        #[source]
        why: Fault,
    },
    #[error("cannot start relaying")]
    Start(#[source] io::Error),
}

impl Explain for PortForwardError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::TwiceHere(_) => Some("give each its own local port: `-L LOCAL_PORT:HOST:PORT`".to_owned()),
            Self::TwiceThere(_) => Some("leave one of them out".to_owned()),
            Self::NoTarget => Some("name it: `--target KIND/NAME`".to_owned()),
            Self::IncomingIsOff => {
                Some("set `feature.network.incoming` to `mirror` or `steal`, or say `--steal`".to_owned())
            }
            Self::CannotListen { why, .. } if why.kind() == io::ErrorKind::AddrInUse => {
                Some("name a free one: `-L LOCAL_PORT:HOST:PORT`".to_owned())
            }
            Self::CannotListen { why, .. } if why.kind() == io::ErrorKind::PermissionDenied => {
                Some("name one above 1023: `-L LOCAL_PORT:HOST:PORT`".to_owned())
            }
            Self::NotTaken { .. } => {
                Some("the warning above says why; if somebody else steals it, ask them".to_owned())
            }
            Self::CannotListen { .. } | Self::CannotHear { .. } | Self::Start(_) => None,
        }
    }
}

pub(crate) fn run(arguments: &PortForwardArguments) -> Result<ExitCode, Report> {
    launch::refuse_nesting()?;
    let mut progress = Progress::begin("mirrord port-forward");
    let resolved = settings::load(arguments.reach.config.config_file.as_deref(), arguments.overrides())?;
    let mut lowered = resolved.lowered;
    for warning in &resolved.warnings {
        progress.warn(warning, None);
    }
    check(arguments, &lowered)?;
    let listeners = arguments.forward.iter().map(listen).collect::<Result<Vec<_>, _>>()?;
    // The ports are the command line's affair.
    lowered.rules.incoming = IncomingRules { wish: lowered.rules.incoming.wish, ..IncomingRules::default() };
    lowered.environment.enabled = false;
    let (stand_in, _session) = stand_in::begin(&lowered, &mut progress)?;
    stand_in::run(&lowered.target, &stand_in, async || {
        let forwarder = Forwarder::start(&stand_in)?;
        let mut ears = Vec::new();
        for reverse in &arguments.reverse {
            ears.push((forwarder.take(&lowered.target, *reverse).await?, *reverse));
        }
        for (listener, forward) in listeners.into_iter().zip(&arguments.forward) {
            progress.info(&format!("127.0.0.1:{} goes to {} there", forward.local, forward.to));
            forwarder.forward(listener, forward.to.clone())?;
        }
        for (ear, reverse) in ears {
            let verb = if lowered.rules.incoming.wish == Some(Wish::Steal) { "goes" } else { "is copied" };
            progress.info(&format!("port {} there {verb} to port {} here", reverse.remote, reverse.local));
            forwarder.reverse(ear, reverse);
        }
        progress.ready();
        forwarder.complain(&progress).await;
        Ok(())
    })
}

/// What can be known to be wrong before anything is started.
fn check(arguments: &PortForwardArguments, lowered: &Lowered) -> Result<(), PortForwardError> {
    let mut ports = BTreeSet::new();
    if let Some(twice) = arguments.forward.iter().find(|forward| !ports.insert(forward.local)) {
        return Err(PortForwardError::TwiceHere(twice.local));
    }
    let mut ports = BTreeSet::new();
    if let Some(twice) = arguments.reverse.iter().find(|reverse| !ports.insert(reverse.remote)) {
        return Err(PortForwardError::TwiceThere(twice.remote));
    }
    match (arguments.reverse.is_empty(), &lowered.target, lowered.rules.incoming.wish) {
        (false, Target::Targetless, _) => Err(PortForwardError::NoTarget),
        (false, Target::Named { .. }, None) => Err(PortForwardError::IncomingIsOff),
        _ => Ok(()),
    }
}

fn listen(forward: &Forward) -> Result<StdListener, PortForwardError> {
    let failed = |why| PortForwardError::CannotListen { port: forward.local, why };
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, forward.local)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// Carries the connections of a session.
struct Forwarder {
    stand_in: StandIn,
    relays: Relays,
    words_tx: mpsc::UnboundedSender<String>,
    words_rx: mpsc::UnboundedReceiver<String>,
}

/// What one connection needs.
#[derive(Clone)]
struct Carrier {
    stand_in: StandIn,
    relays: Relays,
    words: mpsc::UnboundedSender<String>,
}

impl Forwarder {
    fn start(stand_in: &StandIn) -> Result<Self, PortForwardError> {
        let relays = Relays::start().map_err(PortForwardError::Start)?;
        let (words_tx, words_rx) = mpsc::unbounded_channel();
        Ok(Self { stand_in: stand_in.clone(), relays, words_tx, words_rx })
    }

    fn carrier(&self) -> Carrier {
        let words = self.words_tx.clone();
        Carrier { stand_in: self.stand_in.clone(), relays: self.relays.clone(), words }
    }

    /// `-L`: whoever connects here comes out there.
    fn forward(&self, listener: StdListener, to: HostPort) -> Result<(), PortForwardError> {
        let listener = TcpListener::from_std(listener).map_err(PortForwardError::Start)?;
        let carrier = self.carrier();
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => drop(tokio::spawn(carrier.clone().carry_there(stream, to.clone()))),
                    Err(error) => {
                        carrier.complain(format!("cannot take a connection to `{to}`: {error}"));
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    }
                }
            }
        });
        Ok(())
    }

    async fn take(&self, target: &Target, reverse: Reverse) -> Result<Ear, PortForwardError> {
        let port = reverse.remote;
        let ear = self.stand_in.listen(port).await;
        let ear = ear.map_err(|why| PortForwardError::CannotHear { port, why })?;
        ear.ok_or_else(|| PortForwardError::NotTaken { port, target: target.to_string() })
    }

    /// `-R`: whoever connects there comes out here.
    fn reverse(&self, ear: Ear, reverse: Reverse) {
        let carrier = self.carrier();
        tokio::spawn(async move {
            loop {
                match ear.next().await {
                    Ok(knock) => drop(tokio::spawn(carrier.clone().carry_here(knock, reverse))),
                    Err(fault) => {
                        return carrier.complain(format!("cannot hear of port {}: {fault}", reverse.remote));
                    }
                }
            }
        });
    }

    /// Tells what went wrong with single connections, as long as there may be any.
    async fn complain(mut self, progress: &Progress) {
        while let Some(words) = self.words_rx.recv().await {
            progress.warn(&words, None);
        }
    }
}

impl Carrier {
    fn complain(&self, words: String) {
        // Nobody hears the last words of a command that ends.
        drop(self.words.send(words));
    }

    async fn carry_there(self, stream: TcpStream, to: HostPort) {
        match self.connect_there(&to).await {
            Ok(far) => self.relay(stream, far),
            Err(fault) => {
                self.complain(format!("cannot connect to `{to}` there: {fault}"));
                relay::abort(stream);
            }
        }
    }

    async fn connect_there(&self, to: &HostPort) -> Result<TcpStream, Fault> {
        let mut last = Fault::os(libc::EHOSTUNREACH);
        for ip in self.stand_in.resolve(&to.host).await? {
            match self.stand_in.connect((ip, to.port).into()).await {
                Ok(stream) => return Ok(stream),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    async fn carry_here(self, knock: Knock, reverse: Reverse) {
        let near = match TcpStream::connect((Ipv4Addr::LOCALHOST, reverse.local)).await {
            Err(_) => TcpStream::connect((Ipv6Addr::LOCALHOST, reverse.local)).await,
            near => near,
        };
        match near {
            Ok(near) => match knock.take().await {
                Ok(arrived) => self.relay(near, arrived.stream),
                Err(fault) => {
                    self.complain(format!("a connection to port {} is gone: {fault}", reverse.remote));
                }
            },
            // Not taken, it goes to the target.
            Err(_) => self.complain(format!(
                "nobody listens on port {} here: the target gets what came to its port {}",
                reverse.local, reverse.remote
            )),
        }
    }

    /// Both ways until both have ended, each end told as what it was.
    fn relay(self, near: TcpStream, far: TcpStream) {
        let plain = |stream: TcpStream| {
            stream.set_nodelay(true)?;
            stream.into_std()
        };
        let (Ok(near), Ok(far)) = (plain(near), plain(far)) else { return };
        let relays = self.relays;
        relays.clone().spawn(async move {
            if let (Ok(near), Ok(far)) = (TcpStream::from_std(near), TcpStream::from_std(far)) {
                relays.passed(near, far, relays.owe()).await;
            }
        });
    }
}
